// y = x Phi(x)
#include "autograd/contract.h"
#include "shear/ops.h"

namespace shear {

namespace {

struct GeluGrad {
  Slot x, y;
  GeluForm form;
  Saved input;

  void operator()(Backward& bw) const {
    if (x.wanted()) {
      const auto [dx, beta] = bw.sink_over(x, y);
      const Tensor& dy = bw.grad(y);
      each_band(bw, bw.open(input), dy.rows(), dy.cols(), band_rows,
                [&, to = View(dx), b = beta](int64_t first, int64_t n, ConstView in) {
                  bw.run().gelu_grad(form, in, ConstView(dy).band(first, n), b, to.band(first, n));
                });
    }
    bw.close(input);
  }
};

struct RemakeOutput {
  Saved input;
  GeluForm form;

  void operator()(Backward& bw, int64_t first, View band) const {
    bw.run().gelu(form, bw.rows(bw.open(input), first, band), band);
  }
};

}  // namespace

Tensor gelu(Tape& tape, Site site, const Tensor& x, GeluForm form) {
  Tensor y = tape.empty(x.shape());
  tape.run().gelu(form, x, y);
  if (tape.wants_grad(x, {})) {
    const Saved input = tape.save(site, "gelu", x, Form::packed);
    tape.record(y, GeluGrad{x.slot, {}, form, input});
    tape.recipe(y, {input}, RemakeOutput{input, form});
  }
  return y;
}

}  // namespace shear

// y = x Phi(x)
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
      bw.run().gelu_grad(form, bw.dense(input), bw.grad(y), beta, dx);
    }
    bw.close(input);
  }
};

struct RemakeOutput {
  Saved input;
  GeluForm form;

  void operator()(Backward& bw, int64_t first, View band) const {
    bw.run().gelu(form, ConstView(bw.dense(input)).band(first, band.rows), band);
  }
};

}  // namespace

Tensor gelu(Tape& tape, Site site, const Tensor& x, GeluForm form) {
  Tensor y = tape.empty(x.shape());
  tape.run().gelu(form, x, y);
  if (tape.wants_grad(x, {})) {
    const Saved input = tape.save(site, "gelu", x, Form::dense);
    tape.record(y, GeluGrad{x.slot, {}, form, input});
    tape.recipe(y, {input}, RemakeOutput{input, form});
  }
  return y;
}

}  // namespace shear

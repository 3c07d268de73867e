// y = x Phi(x), in its three forms
#include "ops/in_place.h"
#include "shear/op.h"
#include "shear/ops.h"
#include "tape/contract.h"

namespace shear {

namespace {

struct GeluGrad {
  Slot x, y;
  GeluForm form;
  Saved input;

  void operator()(Backward& bw) const {
    if (x.wanted()) {
      auto [dx, beta] = bw.sink_over(x, y);
      const Tensor& dy = bw.grad(y);
      const Kept& kept = bw.open(input);
      const auto* slopes = std::get_if<Slopes>(&kept);
      each_band(bw, slopes ? Kept(slopes->codes) : kept, dy.rows(), dy.cols(), band_rows,
                [&, to = View(dx), b = beta](int64_t first, int64_t n, ConstView in) {
                  const ConstView up = ConstView(dy).band(first, n);
                  if (slopes)
                    bw.run().multiply(in, up, b, to.band(first, n));
                  else
                    bw.run().gelu_grad(form, in, up, b, to.band(first, n));
                });
    }
    bw.close(input);
  }
};

struct RemakeGelu {
  Saved input;
  GeluForm form;

  void operator()(Backward& bw, int64_t first, View band) const {
    bw.run().gelu(form, rows_as_taken(bw, bw.open(input), first, band), band);
  }
};

Slope slope_of(GeluForm form) {
  switch (form) {
    case GeluForm::exact:
      return Slope::gelu;
    case GeluForm::tanh:
      return Slope::gelu_tanh;
    case GeluForm::quick:
      return Slope::gelu_quick;
  }
  return Slope::none;
}

}  // namespace

Tensor gelu(Tape& tape, Site site, Tensor x, GeluForm form) {
  const OpScope op(tape, "gelu", site, {x});
  const Slot slot = x.slot;
  Saved input;
  if (op.wanted()) input = op.save(x, Role::activation_input, Form::packed | Form::slopes, {.slope = slope_of(form)});
  // Where x sleeps in another form and nobody else holds it, y takes its place.
  Tensor y = over(tape, x);
  tape.run().gelu(form, x, y);
  if (op.wanted()) {
    op.record(y, GeluGrad{slot, {}, form, input});
    op.recipe(y, {input}, RemakeGelu{input, form});
  }
  return y;
}

}  // namespace shear

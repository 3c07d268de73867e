// y = silu(a) b, for a and b side by side
#include "shear/op.h"
#include "shear/ops.h"
#include "tape/contract.h"

namespace shear {

namespace {

struct SwigluGrad {
  Slot x, y;
  Shape x_shape;
  Saved input;

  void operator()(Backward& bw) const {
    if (x.wanted()) {
      auto [dx, beta] = bw.sink(x, x_shape);
      const Tensor& dy = bw.grad(y);
      each_band(bw, bw.open(input), dy.rows(), x_shape.cols(), band_rows,
                [&, to = View(dx), b = beta](int64_t first, int64_t n, ConstView in) {
                  bw.run().swiglu_grad(in, ConstView(dy).band(first, n), b, to.band(first, n));
                });
    }
    bw.close(input);
  }
};

struct RemakeSwiglu {
  Saved input;

  void operator()(Backward& bw, int64_t first, View band) const {
    Tensor room = bw.scratch({band.rows, 2 * band.cols});
    bw.run().swiglu(rows_as_taken(bw, bw.open(input), first, room), band);
  }
};

}  // namespace

Tensor swiglu(Tape& tape, Site site, const Tensor& x) {
  const OpScope op(tape, "swiglu", site, {x});
  op.expect(x.cols() % 2 == 0, "input ", x.shape(), " has no two halves");
  Tensor y = tape.empty(x.shape().with_cols(x.cols() / 2));
  tape.run().swiglu(x, y);
  if (op.wanted()) {
    const Saved input = op.save(x, Role::activation_input, Form::packed, {.parts = 2});
    op.record(y, SwigluGrad{x.slot, {}, x.shape(), input});
    op.recipe(y, {input}, RemakeSwiglu{input});
  }
  return y;
}

}  // namespace shear

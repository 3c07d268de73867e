// y = x w^T + b, or onto + x w^T + b
#include "ops/in_place.h"
#include "shear/op.h"
#include "shear/ops.h"
#include "tape/contract.h"

namespace shear {

namespace {

struct LinearGrad {
  Slot x, y, onto;
  Shape x_shape;
  Param *w, *b;
  Saved input;

  void operator()(Backward& bw) const {
    const Tensor& dy = bw.grad(y);  // (..., out)
    if (input.valid()) {
      auto [dw, beta] = bw.sink(*w);
      weight_grad(bw, bw.open(input), dy, dw, beta);
      bw.close(input);  // before dx takes room
    }
    if (b && b->trainable) {
      auto [db, beta] = bw.sink(*b);
      bw.run().column_sums(dy, beta, db);
    }
    if (x.wanted()) {
      auto [dx, beta] = bw.sink(x, x_shape);
      bw.run().gemm(Transposed::no, dy, Transposed::no, w->value, beta, dx);
    }
    bw.pass(y, onto);
  }
};

}  // namespace

Tensor linear(Tape& tape, Site site, const Tensor& x, Param& w, Param* b, Tensor onto) {
  const OpScope op(tape, "linear", site, {x, w, b, onto ? &onto : nullptr});
  op.expect(w.value.shape().rank() == 2 && x.cols() == w.value.cols(), "input ", x.shape(), " does not fit weight ",
            w.value.shape());
  op.expect(!b || b->value.elements() == w.value.rows(), "bias ", b ? b->value.shape() : Shape{},
            " does not fit weight ", w.value.shape());
  const Shape shape = x.shape().with_cols(w.value.rows());
  op.expect(!onto || onto.shape() == shape, "onto ", onto.shape(), ", expected ", shape);
  const Slot stream = onto.slot;
  Tensor y = onto ? over(tape, onto) : tape.empty(shape);
  if (onto && onto.data() != y.data()) tape.run().copy(onto, 0, y);
  tape.run().gemm(Transposed::no, x, Transposed::yes, w.value, onto ? 1 : 0, y, b ? ConstView(b->value) : ConstView{});
  if (op.wanted()) {
    constexpr Forms opened = Form::recomputed | Form::packed | Form::columns | Form::rows;
    const Saved input = w.trainable ? op.save(x, Role::linear_input, opened, {.weight = &w}) : Saved{};
    op.record(y, LinearGrad{x.slot, {}, stream, x.shape(), &w, b, input});
  }
  return y;
}

}  // namespace shear

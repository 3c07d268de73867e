// y = x w^T + b, or onto + x w^T + b
#include "autograd/contract.h"
#include "ops/entry.h"
#include "ops/in_place.h"

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
      const auto [dw, beta] = bw.sink(*w);
      weight_grad(bw, bw.open(input), dy, dw, beta);
      bw.close(input);  // before dx takes room
    }
    if (b && b->trainable) {
      const auto [db, beta] = bw.sink(*b);
      bw.run().column_sums(dy, beta, db);
    }
    if (x.wanted()) {
      const auto [dx, beta] = bw.sink(x, x_shape);
      bw.run().gemm(Transposed::no, dy, Transposed::no, w->value, beta, dx);
    }
    bw.pass(y, onto);
  }
};

}  // namespace

Tensor linear(Tape& tape, Site site, const Tensor& x, Param& w, Param* b, Tensor onto) {
  const Entry here(tape, "linear", site, {x, w, b, onto ? &onto : nullptr});
  require(w.value.shape().rank() == 2 && x.cols() == w.value.cols(), "linear ", site, ": input ", x.shape(),
          " does not fit weight ", w.value.shape());
  require(!b || b->value.elements() == w.value.rows(), "linear ", site, ": bias ", b ? b->value.shape() : Shape{},
          " does not fit weight ", w.value.shape());
  const Shape shape = x.shape().with_cols(w.value.rows());
  require(!onto || onto.shape() == shape, "linear ", site, ": onto ", onto.shape(), ", expected ", shape);
  const bool wanted = tape.wants_grad(x, {&w, b}), passed = onto && tape.wants_grad(onto, {});
  const Slot stream = onto.slot;
  Tensor y = onto ? over(tape, onto) : tape.empty(shape);
  if (onto && onto.data() != y.data()) tape.run().copy(onto, 0, y);
  tape.run().gemm(Transposed::no, x, Transposed::yes, w.value, onto ? 1 : 0, y, b ? ConstView(b->value) : ConstView{});
  if (wanted || passed) {
    const Saved input =
        wanted && w.trainable
            ? tape.save(site, "linear", x, Form::recomputed | Form::packed | Form::columns | Form::rows, &w)
            : Saved{};
    tape.record(y, LinearGrad{x.slot, {}, stream, x.shape(), &w, b, input});
  }
  return y;
}

}  // namespace shear

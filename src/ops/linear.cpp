// y = x w^T + b, or onto + x w^T + b; each output may be scaled
#include <utility>

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
      if (b->still_count > 0) bw.run().fill(View(db).columns(b->still_first, b->still_count), 0);
    }
    if (x.wanted()) {
      auto [dx, beta] = bw.sink(x, x_shape);
      bw.run().gemm(Transposed::no, dy, Transposed::no, bw.factor(*w), beta, dx);
    }
    bw.pass(y, onto);
  }
};

// y = x W^T + B with W = scale w and B = scale b, row by row.  What the scale's own gradient needs is in those of W and
// B: dscale = rowsum(dW w) + dB b; the output before it is scaled sleeps nowhere.
struct ScaledLinearGrad {
  Slot x, y, onto;
  Shape x_shape;
  Param *w, *b, *scale;
  Saved input;

  void operator()(Backward& bw) const {
    const Tensor& dy = bw.grad(y);  // (..., out)
    float beta_scale = 0;
    Tensor dscale;
    if (scale->trainable) {
      auto sink = bw.sink(*scale);
      dscale = sink.into, beta_scale = sink.beta;
    }
    if (input.valid()) {
      Tensor whole = bw.scratch(w->value.shape());  // dW
      weight_grad(bw, bw.open(input), dy, whole, 0);
      bw.close(input);
      if (dscale) bw.run().row_dots(whole, bw.awake(*w), std::exchange(beta_scale, 1.f), dscale);
      if (w->trainable) {
        auto [dw, beta] = bw.sink(*w);
        bw.run().scale_rows(whole, scale->value, beta, dw);
      }
    }
    if (b && (b->trainable || dscale)) {
      Tensor sums = bw.scratch({b->value.elements()});  // dB
      bw.run().column_sums(dy, 0, sums);
      if (dscale) bw.run().multiply(sums, b->value, beta_scale, dscale);
      if (b->trainable) {
        auto [db, beta] = bw.sink(*b);
        bw.run().multiply(sums, scale->value, beta, db);
      }
    }
    if (x.wanted()) {
      Tensor scaled = bw.scratch(w->value.shape());
      bw.run().scale_rows(bw.awake(*w), scale->value, 0, scaled);
      auto [dx, beta] = bw.sink(x, x_shape);
      bw.run().gemm(Transposed::no, dy, Transposed::no, scaled, beta, dx);
    }
    bw.pass(y, onto);
  }
};

}  // namespace

Tensor linear(Tape& tape, Site site, const Tensor& x, Param& w, Param* b, Tensor onto, Param* scale) {
  const OpScope op(tape, "linear", site, {x, MaySleep{w}, b, scale, onto ? &onto : nullptr});
  op.expect(w.value.shape().rank() == 2 && x.cols() == w.value.cols(), "input ", x.shape(), " does not fit weight ",
            w.value.shape());
  op.expect(!b || b->value.elements() == w.value.rows(), "bias ", b ? b->value.shape() : Shape{},
            " does not fit weight ", w.value.shape());
  op.expect(!scale || scale->value.elements() == w.value.rows(), "scale ", scale ? scale->value.shape() : Shape{},
            " does not fit weight ", w.value.shape());
  const Shape shape = x.shape().with_cols(w.value.rows());
  op.expect(!onto || onto.shape() == shape, "onto ", onto.shape(), ", expected ", shape);
  const Slot stream = onto.slot;
  Tensor y = onto ? over(tape, onto) : tape.empty(shape);
  if (onto && onto.data() != y.data()) tape.run().copy(onto, 0, y);
  const float beta = onto ? 1 : 0;
  if (scale) {
    Tensor weight = tape.empty(w.value.shape()), bias = b ? tape.empty({b->value.elements()}) : Tensor{};
    tape.run().scale_rows(tape.awake(w), scale->value, 0, weight);
    if (b) tape.run().multiply(b->value, scale->value, 0, bias);
    tape.run().gemm(Transposed::no, x, Transposed::yes, weight, beta, y, b ? ConstView(bias) : ConstView{});
  } else {
    tape.run().gemm(Transposed::no, x, Transposed::yes, tape.factor(w), beta, y, b ? ConstView(b->value) : ConstView{});
  }
  if (op.wanted()) {
    constexpr Forms opened = Form::recomputed | Form::packed | Form::columns | Form::rows;
    const bool wants_input = w.trainable || (scale && scale->trainable);
    const Saved input = wants_input ? op.save(x, Role::linear_input, opened, {.weight = &w}) : Saved{};
    if (scale)
      op.record(y, ScaledLinearGrad{x.slot, {}, stream, x.shape(), &w, b, scale, input});
    else
      op.record(y, LinearGrad{x.slot, {}, stream, x.shape(), &w, b, input});
  }
  return y;
}

}  // namespace shear

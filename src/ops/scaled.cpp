// y = factor * x
#include "ops/in_place.h"
#include "shear/op.h"
#include "shear/ops.h"

namespace shear {

namespace {

// As a row, seen as often as there are rows.
void times(Backend& run, float factor, ConstView x, View row, float beta, View out) {
  run.fill(row, factor);
  run.multiply(x, {row.data, x.rows, x.cols, 0}, beta, out);
}

struct ScaledGrad {
  Slot x, y;
  Shape shape;
  float factor;

  void operator()(Backward& bw) const {
    Tensor row = bw.scratch({shape.cols()});
    auto [dx, beta] = bw.sink_over(x, y);
    times(bw.run(), factor, bw.grad(y), row, beta, dx);
  }
};

}  // namespace

Tensor scaled(Tape& tape, Site site, Tensor x, float factor) {
  const OpScope op(tape, "scaled", site, {x});
  const Slot slot = x.slot;
  Tensor y = over(tape, x);
  {
    Tensor row = tape.empty({x.cols()});
    times(tape.run(), factor, x, row, 0, y);
  }
  if (op.wanted()) op.record(y, ScaledGrad{slot, {}, x.shape(), factor});
  return y;
}

}  // namespace shear

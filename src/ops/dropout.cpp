// y = x / (1 - p) where kept, else 0
#include "shear/op.h"
#include "shear/ops.h"

namespace shear {

namespace {

struct DropoutGrad {
  Slot x, y;
  float p;
  StreamKey key;

  void operator()(Backward& bw) const {
    auto [dx, beta] = bw.sink_over(x, y);
    bw.run().dropout(bw.grad(y), p, key, beta, dx);
  }
};

}  // namespace

Tensor dropout(Tape& tape, Site site, const Tensor& x, float p, StreamKey key) {
  const OpScope op(tape, "dropout", site, {x});
  op.expect(p >= 0 && p < 1, "p is ", p, ", expected 0 <= p < 1");
  if (p == 0 || !tape.training()) return x;
  key = tape.in_band(key);
  Tensor y = tape.empty(x.shape());
  tape.run().dropout(x, p, key, 0, y);
  if (op.wanted()) op.record(y, DropoutGrad{x.slot, {}, p, key});
  return y;
}

}  // namespace shear

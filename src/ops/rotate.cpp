// Queries and keys, turned by where their tokens are
#include "ops/in_place.h"
#include "shear/op.h"
#include "shear/ops.h"

namespace shear {

namespace {

struct RotateGrad {
  Slot x, y;
  HeadGrid grid;
  int64_t first;
  RotaryPairs pairs;
  ConstView sine, cosine;

  void operator()(Backward& bw) const {
    auto [dx, beta] = bw.sink_over(x, y);
    bw.run().rotate(grid, first, pairs, true, sine, cosine, bw.grad(y), beta, dx);
  }
};

}  // namespace

Tensor rotate(Tape& tape, Site site, Tensor qkv, int64_t heads, const RotaryAngles& angles) {
  const OpScope op(tape, "rotate", site, {qkv});
  const Shape& s = qkv.shape();
  op.expect(s.rank() == 3 && heads > 0 && s[2] % (6 * heads) == 0, "expected (B, N, 3 * ", heads,
            " * an even width), found ", s);
  const HeadGrid grid{s[0], s[1], heads, s[2] / 3 / heads};
  const int64_t first = s[1] - angles.sine.rows();
  op.expect(first >= 0 && angles.sine.cols() == grid.width && angles.sine.shape() == angles.cosine.shape(), "angles ",
            angles.sine.shape(), " do not fit ", s[1], " tokens of ", grid.width, " values a head");
  const Slot slot = qkv.slot;
  Tensor y = over(tape, qkv);
  tape.run().rotate(grid, first, angles.pairs, false, angles.sine, angles.cosine, qkv, 0, y);
  if (op.wanted()) op.record(y, RotateGrad{slot, {}, grid, first, angles.pairs, angles.sine, angles.cosine});
  return y;
}

}  // namespace shear

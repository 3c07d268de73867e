// Queries and keys, turned by where their tokens are
#include <algorithm>

#include "ops/in_place.h"
#include "shear/op.h"
#include "shear/ops.h"
#include "tape/contract.h"

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

// Angles that are learned: those of a layer, by head, from two frequencies for each, times the two places of a token.
struct Learned {
  HeadGrid grid;
  int64_t layer, layers;
  ConstView places;  // (2, tokens): a row for each of the two frequencies

  int64_t turned() const { return places.cols; }  // the last tokens of a sequence
  int64_t first() const { return grid.tokens - turned(); }
  int64_t pairs() const { return grid.model() / 2; }
  const float* row(const Tensor& frequencies, int64_t i) const {
    return frequencies.data() + (i * layers + layer) * pairs();
  }
  // In three tensors of the step's slab, which `empty` gives.
  template <class Empty>
  void turn(Backend& run, Empty empty, const Tensor& frequencies, bool back, ConstView x, float beta, View out) const {
    Tensor sine = empty(Shape{turned(), grid.model()}), cosine = empty(sine.shape());
    {
      Tensor angles = empty(Shape{turned(), pairs()});
      for (int64_t i = 0; i < 2; ++i)
        run.scale_rows({row(frequencies, i), turned(), pairs(), 0}, places.band(i, 1), i == 0 ? 0.f : 1.f, angles);
      run.sine_cosine(angles, sine, cosine);
    }
    run.rotate(grid, first(), RotaryPairs::neighbours, back, sine, cosine, x, beta, out);
  }
};

struct RotateLearnedGrad {
  Slot x, y;
  Learned how;
  Param* frequencies;
  Saved turned;

  void operator()(Backward& bw) const {
    const Tensor& dy = bw.grad(y);
    if (turned.valid()) {
      frequency_grad(bw, dy);
      bw.close(turned);
    }
    if (!x.wanted()) return;
    auto [dx, beta] = bw.sink_over(x, y);
    how.turn(
        bw.run(), [&](const Shape& s) { return bw.scratch(s); }, frequencies->value, true, bw.grad(y), beta, dx);
  }

  void frequency_grad(Backward& bw, const Tensor& dy) const {
    auto [into, beta] = bw.sink(*frequencies);
    if (beta == 0) bw.run().fill(into, 0);  // the other layers' too
    Tensor dangles = bw.scratch({how.turned(), how.pairs()}), share = bw.scratch(dangles.shape());
    const Kept& kept = bw.open(turned);
    const bool dense = form_of(kept) == Form::dense;
    const int64_t n = how.grid.tokens, cols = 3 * how.grid.model();
    HeadGrid some = how.grid;
    if (!dense) some.batch = std::min(some.batch, images_at_once);
    const Tensor room = dense ? Tensor() : bw.scratch({some.batch * n, cols});
    for (int64_t first = 0; first < how.grid.batch; first += some.batch) {
      some.batch = std::min(some.batch, how.grid.batch - first);
      const ConstView in = bw.rows(kept, first * n, View(room.data<void>(), some.batch * n, cols, cols));
      bw.run().rotate_angles_grad(some, how.first(), in, ConstView(dy).band(first * n, some.batch * n),
                                  first == 0 ? 0.f : 1.f, dangles);
    }
    for (int64_t i = 0; i < 2; ++i) {
      bw.run().scale_rows(dangles, how.places.band(i, 1), 0, share);
      const int64_t at = (i * how.layers + how.layer) * how.pairs();
      bw.run().column_sums(share, 1, {into.data() + at, 1, how.pairs(), how.pairs()});
    }
  }
};

}  // namespace

Tensor rotate_learned(Tape& tape, Site site, Tensor qkv, int64_t heads, Param& frequencies, int64_t layer,
                      const Tensor& places) {
  const OpScope op(tape, "rotate_learned", site, {qkv, frequencies});
  const Shape &s = qkv.shape(), &f = frequencies.value.shape();
  op.expect(s.rank() == 3 && heads > 0 && s[2] % (6 * heads) == 0, "expected (B, N, 3 * ", heads,
            " * an even width), found ", s);
  const HeadGrid grid{s[0], s[1], heads, s[2] / 3 / heads};
  op.expect(f.rank() == 4 && f[0] == 2 && layer >= 0 && layer < f[1] && f[2] == heads && f[3] == grid.width / 2,
            "frequencies ", f, " have none for layer ", layer, " of ", heads, " heads of ", grid.width, " values");
  op.expect(places.rows() == 2 && places.cols() <= grid.tokens, "places ", places.shape(), " do not fit ", s[1],
            " tokens");
  const Learned how{grid, layer, f[1], places};
  const Slot slot = qkv.slot;
  Tensor y = over(tape, qkv);
  how.turn(
      tape.run(), [&](const Shape& shape) { return tape.empty(shape); }, frequencies.value, false, qkv, 0, y);
  if (op.wanted()) {
    Saved turned;
    if (frequencies.trainable) turned = op.save(y, Role::qkv, Form::packed, {.parts = 3});
    op.record(y, RotateLearnedGrad{slot, {}, how, &frequencies, turned});
  }
  return y;
}

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

// The class token and the position embedding, and taking one token out again
#include "shear/op.h"
#include "shear/ops.h"

namespace shear {

namespace {

// A tensor (B, N, D) as B rows, of which a range of tokens is seen.
View tokens_of(Tensor& x, int64_t first, int64_t count) {
  const Shape& s = x.shape();
  return {x.data() + first * s[2], s[0], count * s[2], s[1] * s[2]};
}
ConstView tokens_of(const Tensor& x, int64_t first, int64_t count) {
  const Shape& s = x.shape();
  return {x.data() + first * s[2], s[0], count * s[2], s[1] * s[2]};
}

struct AddTokensGrad {
  Slot x, y;
  Shape x_shape;
  Param *cls, *pos;

  void operator()(Backward& bw) const {
    const Tensor& dy = bw.grad(y);  // (B, P + 1, D)
    const int64_t n = dy.shape()[1];
    if (pos->trainable) {
      const auto [dpos, beta] = bw.sink(*pos);
      bw.run().column_sums(tokens_of(dy, 0, n), beta, dpos.reshaped({dpos.elements()}));
    }
    if (cls->trainable) {
      const auto [dcls, beta] = bw.sink(*cls);
      bw.run().column_sums(tokens_of(dy, 0, 1), beta, dcls.reshaped({dcls.elements()}));
    }
    if (x.wanted()) {
      auto [dx, beta] = bw.sink(x, x_shape);
      bw.run().copy(tokens_of(dy, 1, n - 1), beta, tokens_of(dx, 0, n - 1));
    }
  }
};

struct TakeTokenGrad {
  Slot x, y;
  Shape x_shape;
  int64_t index;

  void operator()(Backward& bw) const {
    auto [dx, beta] = bw.sink(x, x_shape);
    if (beta == 0) bw.run().fill(dx, 0);
    bw.run().copy(bw.grad(y), 1, tokens_of(dx, index, 1));
  }
};

}  // namespace

Tensor add_tokens(Tape& tape, Site site, const Tensor& patches, Param& cls, Param& pos) {
  const OpScope op(tape, "add_tokens", site, {patches, cls, pos});
  const Shape& s = patches.shape();
  op.expect(s.rank() == 3 && cls.value.elements() == s[2] && pos.value.elements() == (s[1] + 1) * s[2], "patches ", s,
            " do not fit class token ", cls.value.shape(), " and positions ", pos.value.shape());
  Tensor y = tape.empty({s[0], s[1] + 1, s[2]});
  const Tensor place = pos.value.reshaped({s[1] + 1, s[2]});
  const ConstView first = ConstView(place).band(0, 1), rest(place.data() + s[2], 1, s[1] * s[2], s[1] * s[2]);
  // One class token for all rows: a view whose rows are all the same one.
  tape.run().add_row(ConstView(cls.value.data(), s[0], s[2], 0), first, tokens_of(y, 0, 1));
  tape.run().add_row(tokens_of(patches, 0, s[1]), rest, tokens_of(y, 1, s[1]));
  if (op.wanted()) op.record(y, AddTokensGrad{patches.slot, {}, s, &cls, &pos});
  return y;
}

Tensor take_token(Tape& tape, Site site, const Tensor& x, int64_t index) {
  const OpScope op(tape, "take_token", site, {x});
  const Shape& s = x.shape();
  op.expect(s.rank() == 3 && index >= 0 && index < s[1], "no token ", index, " in ", s);
  Tensor y = tape.empty({s[0], s[2]});
  tape.run().copy(tokens_of(x, index, 1), 0, y);
  if (op.wanted()) op.record(y, TakeTokenGrad{x.slot, {}, s, index});
  return y;
}

}  // namespace shear

// Class token, registers and position embeddings; taking one token out again, the mean of them, and both
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

// Which rows of a position embedding belong to which tokens.
struct Places {
  int64_t cls, registers, patches;  // tokens of each kind
  int64_t rows;                     // of the embedding

  int64_t tokens() const { return cls + registers + patches; }
  bool fits() const { return rows == 0 || rows == patches || rows == tokens() - registers || rows == tokens(); }
  bool of_class() const { return cls > 0 && rows > patches; }
  bool of_registers() const { return registers > 0 && rows == tokens() && rows > patches; }
  int64_t before_patches() const { return rows - patches; }  // rows of other tokens
};

struct AddTokensGrad {
  Slot x, y;
  Shape x_shape;
  Param *cls, *registers, *pos;
  Places at;

  void operator()(Backward& bw) const {
    const Tensor& dy = bw.grad(y);  // (B, N, D)
    const int64_t dim = x_shape[2], before = at.cls + at.registers;
    if (pos && pos->trainable) {
      const auto [dpos, beta] = bw.sink(*pos);
      const Tensor flat = dpos.reshaped({dpos.elements()});
      const auto add = [&, b = beta](int64_t token, int64_t row, int64_t count) {
        if (count > 0)
          bw.run().column_sums(tokens_of(dy, token, count), b, {flat.data() + row * dim, 1, count * dim, count * dim});
      };
      if (at.rows == at.tokens()) {
        add(0, 0, at.rows);
      } else {
        if (at.of_class()) add(0, 0, 1);
        add(before, at.before_patches(), at.patches);
      }
    }
    const auto add_prefix = [&](Param* p, int64_t token, int64_t count) {
      if (!p || !p->trainable) return;
      const auto [dp, beta] = bw.sink(*p);
      bw.run().column_sums(tokens_of(dy, token, count), beta, dp.reshaped({dp.elements()}));
    };
    add_prefix(registers, at.cls, at.registers);
    add_prefix(cls, 0, 1);
    if (x.wanted()) {
      auto [dx, beta] = bw.sink(x, x_shape);
      bw.run().copy(tokens_of(dy, before, at.patches), beta, tokens_of(dx, 0, at.patches));
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

struct JoinGrad {
  Slot a, b, y;
  Shape a_shape, b_shape;

  void operator()(Backward& bw) const {
    const ConstView dy = bw.grad(y);
    const auto part = [&](Slot x, const Shape& shape, int64_t first) {
      if (!x.wanted()) return;
      auto [dx, beta] = bw.sink(x, shape);
      bw.run().copy(dy.columns(first, shape.cols()), beta, dx);
    };
    part(a, a_shape, 0);
    part(b, b_shape, a_shape.cols());
  }
};

struct TakeColumnsGrad {
  Slot x, y;
  Shape x_shape;
  int64_t first;

  void operator()(Backward& bw) const {
    auto [dx, beta] = bw.sink(x, x_shape);
    if (beta == 0) bw.run().fill(dx, 0);
    const Tensor& dy = bw.grad(y);
    bw.run().copy(dy, 1, View(dx).columns(first, dy.cols()));
  }
};

// One of `times` places of each head, heads as rows.
View place_of(View all, int64_t heads, int64_t times, int64_t i) {
  const int64_t width = all.cols / heads / times;
  return View(all.data, all.rows * heads, width * times, width * times).columns(i * width, width);
}

struct RepeatHeadsGrad {
  Slot x, y;
  Shape x_shape;
  int64_t heads, times;

  void operator()(Backward& bw) const {
    auto [dx, beta] = bw.sink(x, x_shape);
    Tensor dy = bw.grad(y);
    for (int64_t i = 0; i < times; ++i)
      bw.run().copy(place_of(dy, heads, times, i), i == 0 ? beta : 1, place_of(dx, heads, 1, 0));
  }
};

struct MeanTokensGrad {
  Slot x, y;
  Shape x_shape;
  int64_t first;

  void operator()(Backward& bw) const {
    auto [dx, beta] = bw.sink(x, x_shape);
    bw.run().mean_tokens_grad(bw.grad(y), x_shape[1], first, beta, dx);
  }
};

}  // namespace

Tensor add_tokens(Tape& tape, Site site, const Tensor& patches, Param* cls, Param* registers, Param* pos) {
  const OpScope op(tape, "add_tokens", site, {patches, cls, registers, pos});
  const Shape& s = patches.shape();
  op.expect(s.rank() == 3, "patches ", s, ", expected (B, P, D)");
  const int64_t dim = s[2];
  const auto shape = [](const Param* p) { return p ? p->value.shape() : Shape{}; };
  const auto count = [&](const Param* p) { return p ? p->value.elements() / dim : 0; };
  const auto whole = [&](const Param* p) { return !p || p->value.elements() % dim == 0; };
  const Places at{count(cls), count(registers), s[1], count(pos)};
  op.expect(whole(cls) && whole(registers) && whole(pos) && at.cls <= 1 && at.fits(), "patches ", s,
            " do not fit class token ", shape(cls), ", registers ", shape(registers), " and positions ", shape(pos));
  Tensor y = tape.empty({s[0], at.tokens(), dim});
  // The same values in all sequences: a view whose rows are all the same one.  row: of the positions, or -1.
  const auto put = [&](ConstView tokens, int64_t token, int64_t number, int64_t row) {
    const View to = tokens_of(y, token, number);
    if (row < 0)
      tape.run().copy(tokens, 0, to);
    else
      tape.run().add_row(tokens, {pos->value.data() + row * dim, 1, number * dim, number * dim}, to);
  };
  const auto everywhere = [&](const Param& p, int64_t number) {
    return ConstView(p.value.data(), s[0], number * dim, 0);
  };
  if (cls) put(everywhere(*cls, 1), 0, 1, at.of_class() ? 0 : -1);
  if (registers) put(everywhere(*registers, at.registers), at.cls, at.registers, at.of_registers() ? at.cls : -1);
  put(tokens_of(patches, 0, at.patches), at.cls + at.registers, at.patches, pos ? at.before_patches() : -1);
  if (op.wanted()) op.record(y, AddTokensGrad{patches.slot, {}, s, cls, registers, pos, at});
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

Tensor join(Tape& tape, Site site, const Tensor& a, const Tensor& b) {
  const OpScope op(tape, "join", site, {a, b});
  op.expect(a.rows() == b.rows(), a.shape(), " does not stand beside ", b.shape());
  Tensor y = tape.empty(a.shape().with_cols(a.cols() + b.cols()));
  tape.run().copy(a, 0, View(y).columns(0, a.cols()));
  tape.run().copy(b, 0, View(y).columns(a.cols(), b.cols()));
  if (op.wanted()) op.record(y, JoinGrad{a.slot, b.slot, {}, a.shape(), b.shape()});
  return y;
}

Tensor take_columns(Tape& tape, Site site, const Tensor& x, int64_t first, int64_t count) {
  const OpScope op(tape, "take_columns", site, {x});
  op.expect(first >= 0 && count > 0 && first + count <= x.cols(), "no ", count, " columns from ", first, " on in ",
            x.shape());
  Tensor y = tape.empty(x.shape().with_cols(count));
  tape.run().copy(ConstView(x).columns(first, count), 0, y);
  if (op.wanted()) op.record(y, TakeColumnsGrad{x.slot, {}, x.shape(), first});
  return y;
}

Tensor repeat_heads(Tape& tape, Site site, const Tensor& x, int64_t heads, int64_t times) {
  const OpScope op(tape, "repeat_heads", site, {x});
  op.expect(heads > 0 && times > 0 && x.cols() % heads == 0, "no ", heads, " heads in ", x.shape());
  Tensor y = tape.empty(x.shape().with_cols(times * x.cols()));
  const int64_t width = x.cols() / heads;
  for (int64_t i = 0; i < times; ++i)
    tape.run().copy({x.data(), x.rows() * heads, width, width}, 0, place_of(y, heads, times, i));
  if (op.wanted()) op.record(y, RepeatHeadsGrad{x.slot, {}, x.shape(), heads, times});
  return y;
}

Tensor mean_tokens(Tape& tape, Site site, const Tensor& x, int64_t first) {
  const OpScope op(tape, "mean_tokens", site, {x});
  const Shape& s = x.shape();
  op.expect(s.rank() == 3 && first >= 0 && first < s[1], "no tokens from ", first, " on in ", s);
  Tensor y = tape.empty({s[0], s[2]});
  tape.run().mean_tokens(x, s[1], first, y);
  if (op.wanted()) op.record(y, MeanTokensGrad{x.slot, {}, s, first});
  return y;
}

}  // namespace shear

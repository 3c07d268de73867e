// context = (softmax(q1 k1^T / sqrt(width / 2)) - weight * softmax(q2 k2^T / sqrt(width / 2))) v, per head
#include <algorithm>
#include <numbers>

#include "shear/op.h"
#include "shear/ops.h"
#include "tape/contract.h"

namespace shear {

namespace {

// One row, seen as often as a matrix has rows.
ConstView everywhere(ConstView row, int64_t rows) { return {row.data, rows, row.cols, 0}; }
// One number, as a column.
ConstView number(ConstView one, int64_t rows) { return {one.data, rows, 1, 0}; }
View column(View row) { return {row.data, row.elements(), 1, 1}; }
ConstView column(ConstView row) { return {row.data, row.elements(), 1, 1}; }

// What qkv is multiplied by for each of the two softmaxes: queries whose other half is zero see but their half of the
// keys.  The kernels scale by the root of a whole head's width, of which the root of two is too much.
void choose_halves(Backend& run, const HeadGrid& grid, View two) {
  const int64_t half = grid.width / 2;
  run.fill(two, 1);
  for (int64_t i = 0; i < 2; ++i) {
    float* row = two.row(i);
    run.fill({row + i * half, grid.heads, half, grid.width}, std::numbers::sqrt2_v<float>);
    run.fill({row + (1 - i) * half, grid.heads, half, grid.width}, 0);
  }
}

// row = -weight * row
void times_minus(Backend& run, ConstView weight, View row, View minus) {
  run.fill(minus, -1);
  run.multiply(minus, weight, 0, minus);
  run.multiply(column(row), number(minus, row.elements()), 0, column(row));
}

struct DifferentialAttentionGrad {
  Slot x, weight, y;
  HeadGrid grid;
  Saved qkv, share, log_sum_exp[2], probabilities[2];

  void operator()(Backward& bw) const {
    if (x.wanted() || weight.wanted()) {
      const Shape shape{grid.batch, grid.tokens, 3 * grid.model()};
      Tensor into, own;
      float beta = 0;
      if (x.wanted()) {
        auto sink = bw.sink(x, shape);
        into = sink.into, beta = sink.beta;
      }
      own = into && beta == 0 ? into : bw.scratch(shape);
      grad(bw, bw.grad(y), own);
      if (into && beta != 0) bw.run().copy(own, 1, into);
    }
    for (int i = 0; i < 2; ++i) {
      if (probabilities[i].valid()) bw.close(probabilities[i]);
      if (log_sum_exp[i].valid()) bw.close(log_sum_exp[i]);
    }
    bw.close(share);
    bw.close(qkv);
  }

  void grad(Backward& bw, const Tensor& dy, View dx) const {
    Backend& run = bw.run();
    const Kept& in = bw.open(qkv);
    const Kept* p[2] = {};
    for (int i = 0; i < 2; ++i)
      if (probabilities[i].valid()) p[i] = &bw.open(probabilities[i]);
    HeadGrid some = grid;
    some.batch = std::min(some.batch, images_at_once);
    const int64_t n = grid.tokens, d = grid.model(), heads_rows = grid.heads * n;
    const auto room_for = [&](const Kept* kept, int64_t rows, int64_t cols) {
      return kept && form_of(*kept) != Form::dense ? bw.scratch({some.batch * rows, cols}) : Tensor();
    };
    const Tensor room_in = room_for(&in, n, 3 * d), room_p = room_for(p[0], heads_rows, n);
    Tensor halves = bw.scratch({2, 3 * d}), minus = bw.scratch({1}), chosen = bw.scratch({some.batch * n, 3 * d}),
           other = bw.scratch({some.batch * n, 3 * d}), dots = bw.scratch({grid.batch * n}),
           scratch = bw.scratch({run.attention_scratch(some)});
    choose_halves(run, grid, halves);
    const View first_half = View(halves).band(0, 1), second_half = View(halves).band(1, 1);
    Tensor minus_second = bw.scratch({3 * d});
    run.copy(second_half, 0, minus_second);
    times_minus(run, bw.dense(share), minus_second, minus);
    for (int64_t first = 0; first < grid.batch; first += some.batch) {
      some.batch = std::min(some.batch, grid.batch - first);
      const int64_t rows = some.batch * n;
      const ConstView awake = bw.rows(in, first * n, View(room_in.data<void>(), rows, 3 * d, 3 * d));
      const View dqkv = dx.band(first * n, rows), of_second = View(other).band(0, rows),
                 queries = View(chosen).band(0, rows);
      const auto through = [&](int i, ConstView half, View out) {
        run.multiply(awake, everywhere(half, rows), 0, queries);
        ConstView lse, given;
        if (log_sum_exp[i].valid())
          lse = ConstView(bw.dense(log_sum_exp[i])).band(first * grid.heads, some.batch * grid.heads);
        if (p[i]) given = bw.rows(*p[i], first * heads_rows, View(room_p.data<void>(), some.batch * heads_rows, n, n));
        run.attention_grad(some, queries, {}, lse, given, ConstView(dy).band(first * n, rows), out, 0, {}, scratch);
      };
      through(0, first_half, dqkv);
      run.multiply(dqkv, everywhere(first_half, rows), 0, dqkv);
      through(1, second_half, of_second);
      // What arrives at the values, times the values, is what arrives at their sums, times these.
      run.row_dots(awake.columns(2 * d, d), of_second.columns(2 * d, d), 0, View(dots).columns(first * n, rows));
      run.multiply(of_second, everywhere(minus_second, rows), 1, dqkv);
    }
    if (!weight.wanted()) return;
    Tensor sum = bw.scratch({1});
    run.column_sums(column(ConstView(dots)), 0, sum);
    run.fill(minus, -1);
    auto [dweight, beta] = bw.sink(weight, {1});
    run.multiply(sum, minus, beta, dweight);
  }
};

// Of exp(q1 . k1) - exp(q2 . k2) + start.
struct DifferentialWeightGrad {
  Slot y;
  Param* vectors[4];
  Saved powers;  // exp(q1 . k1), -exp(q2 . k2)

  void operator()(Backward& bw) const {
    Tensor products = bw.scratch({2});  // what arrives at them
    bw.run().multiply(column(ConstView(bw.dense(powers))), number(bw.grad(y), 2), 0, column(View(products)));
    for (size_t i = 0; i < 4; ++i)
      if (vectors[i]->trainable) {
        auto [dv, beta] = bw.sink(*vectors[i]);
        const ConstView partner = column(ConstView(vectors[i ^ 1]->value));
        bw.run().multiply(partner, number(ConstView(products).columns(i < 2 ? 0 : 1, 1), partner.rows), beta,
                          column(View(dv)));
      }
    bw.close(powers);
  }
};

}  // namespace

Tensor differential_weight(Tape& tape, Site site, Param& q1, Param& k1, Param& q2, Param& k2, float start) {
  const OpScope op(tape, "differential_weight", site, {q1, k1, q2, k2});
  const int64_t width = q1.value.elements();
  for (const Param* p : {&k1, &q2, &k2})
    op.expect(p->value.elements() == width, "vectors of ", width, " and ", p->value.elements(), " values");
  Backend& run = tape.run();
  Tensor powers = tape.empty({2}), weight = tape.empty({1});
  const View first = View(powers).columns(0, 1), second = View(powers).columns(1, 1);
  run.row_dots(q1.value, k1.value, 0, first);
  run.row_dots(q2.value, k2.value, 0, second);
  run.exponential(powers, powers);
  run.fill(weight, -1);
  run.multiply(second, weight, 0, second);
  run.fill(weight, start);
  run.column_sums(column(ConstView(powers)), 1, weight);
  if (op.wanted()) op.record(weight, DifferentialWeightGrad{{}, {&q1, &k1, &q2, &k2}, op.hold(powers)});
  return weight;
}

Tensor differential_attention(Tape& tape, Site site, const Tensor& qkv, int64_t heads, const Tensor& weight) {
  const OpScope op(tape, "differential_attention", site, {qkv, weight});
  const Shape& s = qkv.shape();
  op.expect(s.rank() == 3 && heads > 0 && s[2] % (6 * heads) == 0, "expected (B, N, 3 * ", heads,
            " * an even width), found ", s);
  op.expect(weight.elements() == 1, "weight ", weight.shape(), ", expected one number");
  const HeadGrid grid{s[0], s[1], heads, s[2] / 3 / heads};
  const int64_t n = grid.tokens, d = grid.model();
  const bool whole = op.wanted() && op.wants(Way::materialised_attention);
  Tensor context = tape.empty({s[0], n, d}), log_sum_exp[2], probabilities[2];
  for (int i = 0; i < 2 && op.wanted(); ++i)
    if (whole)
      probabilities[i] = tape.empty({s[0], heads * n, n});
    else
      log_sum_exp[i] = tape.empty({s[0] * heads, n});
  {
    Backend& run = tape.run();
    HeadGrid some = grid;
    some.batch = std::min(some.batch, images_at_once);
    Tensor halves = tape.empty({2, 3 * d}), minus_row = tape.empty({d}), minus = tape.empty({1}),
           chosen = tape.empty({some.batch * n, 3 * d}), second = tape.empty({some.batch * n, d}),
           scratch = tape.empty({run.attention_scratch(some)});
    choose_halves(run, grid, halves);
    run.fill(minus_row, 1);
    times_minus(run, weight, minus_row, minus);
    for (int64_t first = 0; first < grid.batch; first += some.batch) {
      some.batch = std::min(some.batch, grid.batch - first);
      const int64_t rows = some.batch * n;
      const ConstView in = ConstView(qkv).band(first * n, rows);
      const View queries = View(chosen).band(0, rows), out = View(context).band(first * n, rows),
                 of_second = View(second).band(0, rows);
      for (int i = 0; i < 2; ++i) {
        run.multiply(in, everywhere(ConstView(halves).band(i, 1), rows), 0, queries);
        View lse, p;
        if (log_sum_exp[i]) lse = View(log_sum_exp[i]).band(first * heads, some.batch * heads);
        if (probabilities[i]) p = View(probabilities[i]).band(first * heads * n, some.batch * heads * n);
        run.attention(some, queries, {}, i == 0 ? out : of_second, lse, p, scratch);
      }
      run.multiply(of_second, everywhere(minus_row, rows), 1, out);
    }
  }
  if (op.wanted()) {
    DifferentialAttentionGrad grad{qkv.slot, weight.slot, {}, grid, {}, {}, {}, {}};
    grad.qkv = op.save(qkv, Role::qkv, Form::packed, {.parts = 3, .free_part = whole ? -1 : 1});  // as in attention
    grad.share = op.hold(weight);
    for (int i = 0; i < 2; ++i)
      if (whole)
        grad.probabilities[i] = op.save(probabilities[i], Role::probabilities, Form::packed, {.op = "softmax"});
      else if (tape.form(grad.qkv) == Form::dense)  // else it would not be that of the scores that are left
        grad.log_sum_exp[i] = op.hold(log_sum_exp[i]);
    op.record(context, grad);
  }
  return context;
}

}  // namespace shear

// context = softmax(q k^T / sqrt(width) + bias) v, per head
#include <algorithm>

#include "shear/op.h"
#include "shear/ops.h"
#include "tape/contract.h"

namespace shear {

namespace {

struct AttentionGrad {
  Slot x, y;
  HeadGrid grid;
  Param* table;  // of relative positions, or null
  Saved qkv, log_sum_exp, probabilities;

  void operator()(Backward& bw) const {
    const Shape shape{grid.batch, grid.tokens, 3 * grid.model()};
    if (x.wanted()) {
      auto [into, beta] = bw.sink(x, shape);
      // Heads overlap neither in qkv nor here, but a gradient that is there already must be added to.
      Tensor own = beta == 0 ? into : bw.scratch(into.shape());
      grad(bw, bw.grad(y), own);
      if (beta != 0) bw.run().copy(own, 1, into);
    } else {
      grad(bw, bw.grad(y), bw.scratch(shape));  // the table's alone is wanted
    }
    if (probabilities.valid()) bw.close(probabilities);
    if (log_sum_exp.valid()) bw.close(log_sum_exp);
    bw.close(qkv);
  }

  void grad(Backward& bw, const Tensor& dy, View dx) const {
    const Kept& in = bw.open(qkv);
    const Kept* p = probabilities.valid() ? &bw.open(probabilities) : nullptr;
    const bool dense = form_of(in) == Form::dense && (!p || form_of(*p) == Form::dense);
    HeadGrid some = grid;
    if (!dense) some.batch = std::min(some.batch, images_at_once);
    const int64_t n = grid.tokens, rows = grid.heads * n;  // of an image, in qkv and in the probabilities
    const auto room_for = [&](const Kept* kept, int64_t r, int64_t cols) {
      return kept && form_of(*kept) != Form::dense ? bw.scratch({some.batch * r, cols}) : Tensor();
    };
    const Tensor room_in = room_for(&in, n, 3 * grid.model()), room_p = room_for(p, rows, n);
    const bool of_table = table && table->trainable;
    GradientSink::Room relative{{}, 0};
    if (of_table) relative = bw.sink(*table);
    const ConstView bias = table ? ConstView(table->value) : ConstView();
    Tensor scratch = bw.scratch({bw.run().attention_scratch(some) + (of_table ? bw.run().relative_scratch(some) : 0)});
    for (int64_t first = 0; first < grid.batch; first += some.batch) {
      some.batch = std::min(some.batch, grid.batch - first);
      const auto awake = [&](const Kept& kept, const Tensor& room, int64_t r, int64_t cols) {
        return bw.rows(kept, first * r, View(room.data<void>(), some.batch * r, cols, cols));
      };
      ConstView lse;
      if (log_sum_exp.valid()) lse = ConstView(bw.dense(log_sum_exp)).band(first * grid.heads, some.batch * grid.heads);
      bw.run().attention_grad(some, awake(in, room_in, n, 3 * grid.model()), bias, lse,
                              p ? awake(*p, room_p, rows, n) : ConstView(),
                              ConstView(dy).band(first * n, some.batch * n), dx.band(first * n, some.batch * n),
                              relative.beta, of_table ? View(relative.into) : View(), scratch);
      relative.beta = 1;
    }
  }
};

}  // namespace

Tensor attention(Tape& tape, Site site, const Tensor& qkv, int64_t heads, const RelativePositions& relative) {
  const OpScope op(tape, "attention", site, {qkv, relative.table});
  const Shape& s = qkv.shape();
  op.expect(s.rank() == 3 && heads > 0 && s[2] % (3 * heads) == 0, "expected (B, N, 3 * ", heads, " * width), found ",
            s);
  const HeadGrid grid{s[0], s[1], heads, s[2] / 3 / heads, relative.table ? relative.across : 0};
  if (relative.table) {
    op.expect(relative.across > 0 && s[1] > 1 && (s[1] - 1) % relative.across == 0, s[1],
              " tokens are not a class token and rows of ", relative.across, " patches");
    op.expect(relative.table->value.shape() == Shape{grid.distances(), heads}, "relative positions ",
              relative.table->value.shape(), ", expected ", Shape{grid.distances(), heads});
  }
  const ConstView bias = relative.table ? ConstView(relative.table->value) : ConstView();
  const bool whole = op.wanted() && op.wants(Way::materialised_attention);
  Tensor context = tape.empty({s[0], s[1], grid.model()}), log_sum_exp, probabilities;
  if (whole)
    probabilities = tape.empty({s[0], heads * s[1], s[1]});
  else if (op.wanted())
    log_sum_exp = tape.empty({s[0] * heads, s[1]});
  {
    Tensor scratch = tape.empty({tape.run().attention_scratch(grid)});
    tape.run().attention(grid, qkv, bias, context, log_sum_exp, probabilities, scratch);
  }
  if (op.wanted()) {
    // What the keys of an image have in common moves all scores of a query alike: the probabilities stay, and so does
    // dS K, for the rows of dS add up to zero.  Not where probabilities sleep, which may be pruned.
    const Saved in = op.save(qkv, Role::qkv, Form::packed, {.parts = 3, .free_part = whole ? -1 : 1});
    Saved lse, p;
    if (whole)
      p = op.save(probabilities, Role::probabilities, Form::packed, {.op = "softmax"});
    else if (tape.form(in) == Form::dense)  // else it would not be that of the scores that are left
      lse = op.hold(log_sum_exp);
    op.record(context, AttentionGrad{qkv.slot, {}, grid, relative.table, in, lse, p});
  }
  return context;
}

}  // namespace shear

// context = softmax(q k^T / sqrt(width)) v, per head
#include <algorithm>

#include "shear/op.h"
#include "shear/ops.h"
#include "tape/contract.h"

namespace shear {

namespace {

struct AttentionGrad {
  Slot x, y;
  HeadGrid grid;
  Saved qkv, log_sum_exp, probabilities;

  void operator()(Backward& bw) const {
    if (x.wanted()) {
      auto [into, beta] = bw.sink(x, {grid.batch, grid.tokens, 3 * grid.model()});
      // Heads overlap neither in qkv nor here, but a gradient that is there already must be added to.
      Tensor own = beta == 0 ? into : bw.scratch(into.shape());
      grad(bw, bw.grad(y), own);
      if (beta != 0) bw.run().copy(own, 1, into);
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
    Tensor scratch = bw.scratch({bw.run().attention_scratch(some)});
    for (int64_t first = 0; first < grid.batch; first += some.batch) {
      some.batch = std::min(some.batch, grid.batch - first);
      const auto awake = [&](const Kept& kept, const Tensor& room, int64_t r, int64_t cols) {
        return bw.rows(kept, first * r, View(room.data<void>(), some.batch * r, cols, cols));
      };
      ConstView lse;
      if (log_sum_exp.valid()) lse = ConstView(bw.dense(log_sum_exp)).band(first * grid.heads, some.batch * grid.heads);
      bw.run().attention_grad(
          some, awake(in, room_in, n, 3 * grid.model()), lse, p ? awake(*p, room_p, rows, n) : ConstView(),
          ConstView(dy).band(first * n, some.batch * n), dx.band(first * n, some.batch * n), scratch);
    }
  }
};

}  // namespace

Tensor attention(Tape& tape, Site site, const Tensor& qkv, int64_t heads) {
  const OpScope op(tape, "attention", site, {qkv});
  const Shape& s = qkv.shape();
  op.expect(s.rank() == 3 && heads > 0 && s[2] % (3 * heads) == 0, "expected (B, N, 3 * ", heads, " * width), found ",
            s);
  const HeadGrid grid{s[0], s[1], heads, s[2] / 3 / heads};
  const bool whole = op.wanted() && op.wants(Way::materialised_attention);
  Tensor context = tape.empty({s[0], s[1], grid.model()}), log_sum_exp, probabilities;
  if (whole)
    probabilities = tape.empty({s[0], heads * s[1], s[1]});
  else if (op.wanted())
    log_sum_exp = tape.empty({s[0] * heads, s[1]});
  {
    Tensor scratch = tape.empty({tape.run().attention_scratch(grid)});
    tape.run().attention(grid, qkv, context, log_sum_exp, probabilities, scratch);
  }
  if (op.wanted()) {
    const Saved in = op.save(qkv, Role::qkv, Form::packed, {.parts = 3});
    Saved lse, p;
    if (whole)
      p = op.save(probabilities, Role::probabilities, Form::packed, {.op = "softmax"});
    else if (tape.form(in) == Form::dense)  // else it would not be that of the scores that are left
      lse = op.hold(log_sum_exp);
    op.record(context, AttentionGrad{qkv.slot, {}, grid, in, lse, p});
  }
  return context;
}

}  // namespace shear

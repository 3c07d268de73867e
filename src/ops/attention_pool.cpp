// A token's attention over the tokens of each sequence
#include <algorithm>

#include "shear/op.h"
#include "shear/ops.h"
#include "tape/contract.h"

namespace shear {

namespace {

struct AttentionPoolGrad {
  Slot query, kv, y;
  Shape kv_shape;
  HeadGrid grid;
  int64_t first_token;
  Saved q, input;

  void operator()(Backward& bw) const {
    if (query.wanted() || kv.wanted()) {
      const Tensor& dy = bw.grad(y);
      Tensor dquery = bw.scratch({grid.batch, grid.model()});  // of each sequence
      Tensor into, own;
      float beta = 0;
      if (kv.wanted()) {
        auto sink = bw.sink(kv, kv_shape);
        into = sink.into, beta = sink.beta;
      }
      own = into && beta == 0 ? into : bw.scratch(kv_shape);
      grad(bw, dy, dquery, own);
      if (into && beta != 0) bw.run().copy(own, 1, into);
      if (query.wanted()) {
        auto [dq, beta_q] = bw.sink(query, {1, grid.model()});
        bw.run().column_sums(dquery, beta_q, dq);
      }
    }
    bw.close(input);
    bw.close(q);
  }

  void grad(Backward& bw, const Tensor& dy, View dquery, View dkv) const {
    const Kept& kept = bw.open(input);
    const bool dense = form_of(kept) == Form::dense;
    HeadGrid some = grid;
    if (!dense) some.batch = std::min(some.batch, images_at_once);
    const Tensor room = dense ? Tensor() : bw.scratch({some.batch * grid.tokens, 2 * grid.model()});
    Tensor scratch = bw.scratch({bw.run().attention_pool_scratch(some)});
    for (int64_t first = 0; first < grid.batch; first += some.batch) {
      some.batch = std::min(some.batch, grid.batch - first);
      const int64_t from = first * grid.tokens, rows = some.batch * grid.tokens;
      const ConstView in = bw.rows(kept, from, View(room.data<void>(), rows, 2 * grid.model(), 2 * grid.model()));
      bw.run().attention_pool_grad(some, first_token, bw.dense(q), in, ConstView(dy).band(first, some.batch),
                                   dquery.band(first, some.batch), dkv.band(from, rows), scratch);
    }
  }
};

}  // namespace

Tensor attention_pool(Tape& tape, Site site, const Tensor& query, const Tensor& kv, int64_t heads, int64_t first) {
  const OpScope op(tape, "attention_pool", site, {query, kv});
  const Shape& s = kv.shape();
  op.expect(s.rank() == 3 && heads > 0 && s[2] % (2 * heads) == 0, "expected (B, N, 2 * ", heads, " * width), found ",
            s);
  op.expect(first >= 0 && first < s[1], "no tokens from ", first, " on in ", s);
  op.expect(query.elements() == s[2] / 2, "query ", query.shape(), " does not fit keys and values ", s);
  const HeadGrid grid{s[0], s[1], heads, s[2] / 2 / heads};
  Tensor y = tape.empty({s[0], grid.model()});
  {
    Tensor scratch = tape.empty({tape.run().attention_pool_scratch(grid)});
    tape.run().attention_pool(grid, first, query, kv, y, scratch);
  }
  if (op.wanted()) {
    // What all keys have in common weighs none of them more.
    const Saved q = op.hold(query), input = op.save(kv, Role::qkv, Form::packed, {.parts = 2, .free_part = 0});
    op.record(y, AttentionPoolGrad{query.slot, kv.slot, {}, s, grid, first, q, input});
  }
  return y;
}

}  // namespace shear

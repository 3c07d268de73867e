// context = softmax(q k^T / sqrt(width)) v, per head
#include "shear/ops.h"

namespace shear {

namespace {

struct AttentionGrad {
  Slot x, y;
  HeadGrid grid;
  Saved qkv, log_sum_exp;

  void operator()(Backward& bw) const {
    const Tensor scratch = bw.scratch({bw.run().attention_scratch(grid)});
    if (x.wanted()) {
      const Tensor& in = bw.dense(qkv);
      // Heads overlap neither in qkv nor here, but a gradient that is there already must be added to.
      const auto [into, beta] = bw.sink(x, in.shape());
      const Tensor own = beta == 0 ? into : bw.scratch(in.shape());
      bw.run().attention_grad(grid, in, bw.dense(log_sum_exp), bw.grad(y), own, scratch);
      if (beta != 0) bw.run().copy(own, 1, into);
    }
    bw.close(log_sum_exp);
    bw.close(qkv);
  }
};

}  // namespace

Tensor attention(Tape& tape, Site site, const Tensor& qkv, int64_t heads) {
  const Shape& s = qkv.shape();
  require(s.rank() == 3 && heads > 0 && s[2] % (3 * heads) == 0, "attention ", site, ": expected (B, N, 3 * ", heads,
          " * width), found ", s);
  const HeadGrid grid{s[0], s[1], heads, s[2] / 3 / heads};
  Tensor context = tape.empty({s[0], s[1], grid.model()}), log_sum_exp = tape.empty({s[0] * heads, s[1]});
  {
    const Tensor scratch = tape.empty({tape.run().attention_scratch(grid)});
    tape.run().attention(grid, qkv, context, log_sum_exp, scratch);
  }
  if (tape.wants_grad(qkv, {})) {
    const Saved in = tape.save(site, "attention", qkv, Form::dense), lse = tape.hold(site, "attention", log_sum_exp);
    tape.record(context, AttentionGrad{qkv.slot, {}, grid, in, lse});
  }
  return context;
}

}  // namespace shear

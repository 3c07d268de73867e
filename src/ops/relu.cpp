// y = max(x, 0)
#include "shear/op.h"
#include "shear/ops.h"

namespace shear {

namespace {

struct ReluGrad {
  Slot x, y;
  Saved out;

  void operator()(Backward& bw) const {
    auto [dx, beta] = bw.sink_over(x, y);
    bw.run().relu_grad(bw.dense(out), bw.grad(y), beta, dx);
    bw.close(out);
  }
};

}  // namespace

Tensor relu(Tape& tape, Site site, const Tensor& x) {
  const OpScope op(tape, "relu", site, {x});
  Tensor y = tape.empty(x.shape());
  tape.run().relu(x, y);
  if (op.wanted()) op.record(y, ReluGrad{x.slot, {}, op.save(y, Role::other, Form::dense)});
  return y;
}

}  // namespace shear

// y = max(x, 0)
#include "ops/entry.h"

namespace shear {

namespace {

struct ReluGrad {
  Slot x, y;
  Saved out;

  void operator()(Backward& bw) const {
    const auto [dx, beta] = bw.sink_over(x, y);
    bw.run().relu_grad(bw.dense(out), bw.grad(y), beta, dx);
    bw.close(out);
  }
};

}  // namespace

Tensor relu(Tape& tape, Site site, const Tensor& x) {
  const Entry here(tape, "relu", site, {x});
  Tensor y = tape.empty(x.shape());
  tape.run().relu(x, y);
  if (tape.wants_grad(x, {})) tape.record(y, ReluGrad{x.slot, {}, tape.save(site, "relu", y, Form::dense)});
  return y;
}

}  // namespace shear

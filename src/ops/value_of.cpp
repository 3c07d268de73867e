// A parameter as a value that ops are given
#include "shear/op.h"
#include "shear/ops.h"

namespace shear {

namespace {

struct ValueOfGrad {
  Slot y;
  Param* param;

  void operator()(Backward& bw) const {
    auto [into, beta] = bw.sink(*param);
    bw.run().copy(bw.grad(y), beta, into);
  }
};

}  // namespace

Tensor value_of(Tape& tape, Site site, Param& param) {
  const OpScope op(tape, "value_of", site, {param});
  Tensor y = tape.empty(param.value.shape());
  tape.run().copy(param.value, 0, y);
  if (op.wanted()) op.record(y, ValueOfGrad{{}, &param});
  return y;
}

}  // namespace shear

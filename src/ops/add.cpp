// y = a + b
#include "ops/in_place.h"
#include "shear/op.h"
#include "shear/ops.h"

namespace shear {

namespace {

// Both gradients are dy as it is; it is copied only when one of them is added to.
struct AddGrad {
  Slot a, b, y;

  void operator()(Backward& bw) const {
    bw.pass(y, a);
    bw.pass(y, b);
  }
};

}  // namespace

Tensor add(Tape& tape, Site site, Tensor a, Tensor b) {
  const OpScope op(tape, "add", site, {a, b});
  op.expect(a.shape() == b.shape(), a.shape(), " and ", b.shape(), " differ");
  // The sum takes the place of one that nobody else holds.  Of a first: a stream of sums then stays where it began.
  Tensor y = over(tape, a.storage().unique() ? a : b);
  tape.run().add(a, b, y);
  if (op.wanted()) op.record(y, AddGrad{a.slot, b.slot, {}});
  return y;
}

}  // namespace shear

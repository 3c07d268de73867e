// y = a + b
#include "ops/entry.h"
#include "ops/in_place.h"

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
  const Entry here(tape, "add", site, {a, b});
  require(a.shape() == b.shape(), "add ", site, ": ", a.shape(), " and ", b.shape(), " differ");
  // The sum takes the place of one that nobody else holds.  Of a first: a stream of sums then stays where it began.
  Tensor y = over(tape, a.storage().unique() ? a : b);
  tape.run().add(a, b, y);
  const bool first = tape.wants_grad(a, {}), second = tape.wants_grad(b, {});
  if (first || second) tape.record(y, AddGrad{a.slot, b.slot, {}});
  return y;
}

}  // namespace shear

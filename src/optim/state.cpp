// Where the state of optimizers begins.
#include "optim/state.h"

namespace shear {

// Biases, norms and the like: what codes would save there is nothing (as Dettmers et al. 2022, section 2.3).
static constexpr int64_t least_coded = 4096;

Moment::Moment(Device& device, const Param& p, StateAs as, uint8_t zero) {
  require(device.owns(p.value), "optimizer: parameter ", p.name, " lies on another device");
  const int64_t n = p.value.elements();
  if (as == StateAs::f32 || n < least_coded) {
    values = device.empty(p.value.shape(), Category::optimizer);
    device.run().fill(values, 0);
    return;
  }
  values = device.empty(p.value.shape(), Category::optimizer, DType::u8);
  scales = device.empty({state_blocks(n)}, Category::optimizer);
  device.run().fill(scales, 0);
  if (!device.run().computes()) return;
  const std::vector<uint8_t> zeros(static_cast<size_t>(n), zero);
  device.run().upload(values.data<void>(), zeros.data(), values.bytes());
}

StateAs parse_state(std::string_view word) {
  if (word == "f32") return StateAs::f32;
  if (word == "8bit") return StateAs::codes;
  fail(Fault::usage, setting("state"), " ", word, ": expected f32 or 8bit");
}

}  // namespace shear

// What ink leaves of light.
#pragma once
#include <cstdint>

namespace shear {

// Of `light`, what `ink` lets through, both of 255, rounded as Pillow does.
inline uint8_t through_ink(unsigned light, unsigned ink) {
  const unsigned product = ink * light + 128u;
  return static_cast<uint8_t>(light - (((product >> 8) + product) >> 8));  // minus the product / 255
}

}  // namespace shear

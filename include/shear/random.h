// Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011).
//
// A number is a pure function of (key, counter): no state to save, the same bits on any number of threads and on
// any device.  A stream is named by what it is for and where it stands: Stream(seed, purpose, step, item).
#pragma once
#include <array>
#include <cmath>
#include <cstdint>
#include <numbers>

#include "shear/api.h"

namespace SHEAR_API shear {

struct Philox {
  static constexpr int rounds = 10;
  static constexpr uint32_t multiplier_0 = 0xD2511F53u, multiplier_2 = 0xCD9E8D57u;
  static constexpr uint32_t weyl_0 = 0x9E3779B9u, weyl_1 = 0xBB67AE85u;

  static constexpr std::array<uint32_t, 4> block(std::array<uint32_t, 4> c, uint32_t k0, uint32_t k1) {
    for (int round = 0; round < rounds; ++round) {
      const uint64_t a = uint64_t{multiplier_0} * c[0], b = uint64_t{multiplier_2} * c[2];
      c = {static_cast<uint32_t>(b >> 32) ^ c[1] ^ k0, static_cast<uint32_t>(b),
           static_cast<uint32_t>(a >> 32) ^ c[3] ^ k1, static_cast<uint32_t>(a)};
      k0 += weyl_0;
      k1 += weyl_1;
    }
    return c;
  }
};

// What a stream is drawn for: streams of different purposes never overlap.
enum class Purpose : uint32_t { init = 1, shuffle, augment, dropout, policy, split, test, rounding, weights };

// Names a stream; `word(i)` is its i-th 32-bit number, in any order.
struct StreamKey {
  uint64_t seed = 0;
  uint32_t purpose = 0, a = 0, b = 0;  // for example step and op, epoch and sample

  constexpr std::array<uint32_t, 4> four(uint32_t i) const {
    const uint64_t mixed = seed ^ (uint64_t{purpose} << 56);
    return Philox::block({i, a, b, purpose}, static_cast<uint32_t>(mixed), static_cast<uint32_t>(mixed >> 32));
  }
  constexpr uint32_t word(uint64_t i) const { return four(static_cast<uint32_t>(i / 4))[i % 4]; }
};

constexpr float unit_float(uint32_t word) { return static_cast<float>(word >> 8) * 0x1p-24f; }  // [0, 1)

// Numbers one after another from a named stream.
class Stream {
 public:
  explicit constexpr Stream(StreamKey key) : key_(key) {}
  Stream(uint64_t seed, Purpose purpose, uint64_t a = 0, uint64_t b = 0)
      : key_{seed, static_cast<uint32_t>(purpose), static_cast<uint32_t>(a), static_cast<uint32_t>(b)} {}

  uint32_t word() {
    if (next_ % 4 == 0) four_ = key_.four(static_cast<uint32_t>(next_ / 4));
    return four_[next_++ % 4];
  }
  float uniform() { return unit_float(word()); }  // [0, 1)
  float uniform(float low, float high) { return low + (high - low) * uniform(); }
  uint32_t below(uint32_t n) { return static_cast<uint32_t>((uint64_t{word()} * n) >> 32); }
  float normal() {  // Box-Muller, one of the pair
    const double u = (static_cast<double>(word()) + 0.5) * 0x1p-32, v = static_cast<double>(word()) * 0x1p-32;
    return static_cast<float>(std::sqrt(-2 * std::log(u)) * std::cos(2 * std::numbers::pi * v));
  }

 private:
  StreamKey key_;
  uint64_t next_ = 0;
  std::array<uint32_t, 4> four_{};  // the block that word next_ lies in
};

}  // namespace shear

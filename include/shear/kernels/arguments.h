// What kernels are told beside the views they work on.
#pragma once
#include <cstdint>

#include "shear/api.h"

namespace SHEAR_API shear {

// -- gemm.inc ---------------------------------------------------------------------------------------------------------
enum class Transposed : bool { no, yes };

// -- elementwise.inc --------------------------------------------------------------------------------------------------
// x * Phi(x) by erf, and Hendrycks & Gimpel's (2016) two approximations: by tanh, and x * sigmoid(1.702 x), CLIP's.
enum class GeluForm : uint8_t { exact, tanh, quick };

// -- attention.inc ----------------------------------------------------------------------------------------------------
// (B, N, 3, H, D) packed queries, keys and values, as one linear of 3*H*D outputs makes them.
struct HeadGrid {
  int64_t batch, tokens, heads, width;  // width of one head
  int64_t across = 0;                   // patches side by side, where scores depend on how far apart two of them are
  int64_t model() const { return heads * width; }
  int64_t down() const { return (tokens - 1) / across; }
  // Distances of two patches, rows before columns, from the negative ones on; then of the class token, which is the
  // first, to a patch, of a patch to it, and of it to itself: as BEiT (Bao et al. 2021).
  int64_t distances() const { return (2 * down() - 1) * (2 * across - 1) + 3; }
};

// -- rotate.inc ------------------------------------------------------------------------------------------------------
// Which two values of a head turn together: neighbours, or one of each half.
enum class RotaryPairs : bool { neighbours, halves };

// -- patches.inc ------------------------------------------------------------------------------------------------------
// The geometry of cutting images (B, C, H, W) into square patches: a patch is one row of C*p*p, channel-major,
// and an image is (H/p)*(W/p) rows in reading order, as a convolution of stride p sees them.
struct PatchGrid {
  int64_t channels, height, width, patch;
  int64_t down() const { return height / patch; }
  int64_t across() const { return width / patch; }
  int64_t count() const { return down() * across(); }
  int64_t size() const { return channels * patch * patch; }
};

// -- optimizers.inc ---------------------------------------------------------------------------------------------------
struct SgdStep {
  float lr, momentum, weight_decay, gradient_scale;
  bool nesterov;
};
inline constexpr int64_t state_block = 256;  // values of state in 8 bits that share a scale
constexpr int64_t state_blocks(int64_t n) { return (n + state_block - 1) / state_block; }
struct AdamWStep {
  float lr, beta1, beta2, epsilon, weight_decay, gradient_scale;
  float correction1, correction2;  // 1 - beta^t
};

}  // namespace shear

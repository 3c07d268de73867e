// Means and deviations of pixels in [0, 1] that libraries share.
#pragma once
#include <array>

namespace shear {

inline constexpr std::array half_each{0.5f, 0.5f, 0.5f}, imagenet_mean{0.485f, 0.456f, 0.406f},
    imagenet_std{0.229f, 0.224f, 0.225f}, clip_mean{0.48145466f, 0.4578275f, 0.40821073f},
    clip_std{0.26862954f, 0.26130258f, 0.27577711f};

}  // namespace shear

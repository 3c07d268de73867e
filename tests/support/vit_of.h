// The ViT that weights are for.
#pragma once
#include "shear/models/vit.h"
#include "shear/weights.h"

namespace shear {

inline VitConfig vit_of(const Weights& weights, std::string_view asked = {}, int64_t image = 0) {
  return *vit_config(*weights.model(asked, image));
}

}  // namespace shear

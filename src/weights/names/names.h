// The tables of names, one file to a library.
//
// What they say was checked against the libraries' own files: timm 1.0, transformers 4 and 5, torchvision, OpenCLIP,
// and the flax layout of Google's vit_jax and big_vision.
#pragma once
#include <array>
#include <span>

#include "weights/naming.h"

namespace shear {

std::span<const Naming* const> timm_namings();
std::span<const Naming* const> hugging_face_namings();  // BERT-like names: ViT, DeiT, DINOv2, MSN, I-JEPA
std::span<const Naming* const> clip_namings();          // CLIP and SigLIP, of Hugging Face and OpenCLIP
std::span<const Naming* const> torchvision_namings();
std::span<const Naming* const> google_namings();

// Those that files are written by; timm_naming and hugging_face_naming, whose ViT's names those of DeiT, MSN and I-JEPA
// are, stand in naming.h.
extern const Naming dinov2_naming, clip_naming, clip_classifier_naming, siglip_classifier_naming;
extern const Naming open_clip_naming, torchvision_naming;

// Another name of a parameter, or of a part of it, that is read and not written.
constexpr Rule alias(std::string_view source, std::string_view ours, int part = -1, int parts = 3) {
  return {source, ours, Layout::as_is, part, parts, Share::whole, true};
}

// Tables that one after the other make one.
template <size_t... N>
constexpr std::array<Rule, (N + ...)> joined(const std::array<Rule, N>&... tables) {
  std::array<Rule, (N + ...)> all{};
  size_t at = 0;
  const auto add = [&](const auto& table) {
    for (const Rule& rule : table) all[at++] = rule;
  };
  (add(tables), ...);
  return all;
}

}  // namespace shear

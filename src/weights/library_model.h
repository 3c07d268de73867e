// What a library is given of a model: its own model that computes the same, its names of the tensors, its
// configuration.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "weights/naming.h"

namespace shear {

// A tensor that the library wants and no logit depends on: as the weights have it, else all of `value`.
struct IdleTensor {
  std::string name;
  Shape shape;
  float value = 0;
};

// A rule of a naming, for one tensor of each block: '*' is filled in.
struct WrittenRule {
  std::string source, ours;
  Layout layout;
  int part, parts;
};

struct LibraryModel {
  VitConfig config;                // of the library's model: a bias or a position that the weights lack is zero there
  std::vector<WrittenRule> rules;  // in the order of the file
  std::string_view prefix;         // for the rules' '~' and '^'
  std::vector<IdleTensor> idle;
  nlohmann::ordered_json json = {};  // config.json; null: the library reads none
  std::vector<std::string> notes{};  // for people
};

// Whether a model like `theirs` computes what `ours` does once it has zeros for the biases and positions that `ours`
// lacks.
bool stands_for(const VitConfig& theirs, const VitConfig& ours);

// The rules that a file is written by: those of the naming that are no alias, but for the aliases whose sources are
// `instead`, which take the places of the others of the same parameter.
std::vector<WrittenRule> rules_to_write(const Naming&, std::span<const std::string_view> instead = {});

// The library's model that stands for `config`, of those that compute the same the one that `kind` (as in ModelCard)
// names.  Throws Fault::usage where there is none.
LibraryModel hugging_face_model(const VitConfig& config, std::string_view kind, const std::vector<std::string>& classes,
                                DType);
LibraryModel timm_model(const VitConfig& config, std::string_view kind, const std::vector<std::string>& classes,
                        const Preprocess&);
LibraryModel torchvision_model(const VitConfig& config);

// Whether images can have so many: those of a model with another number are nobody's to prepare.
inline bool images_have(int64_t channels) { return channels == 1 || channels == 3; }
// The same for each channel, or for one, as people write it.
std::vector<double> by_channel(const std::array<float, 3>&, int64_t channels);

// Throws Fault::usage: `library` has no model like `c`, whose part that has no place there is named where it is in
// `places`.
struct NoPlace {
  bool has;
  std::string_view what;
};
[[noreturn]] void refuse_export(std::string_view library, std::initializer_list<NoPlace> places,
                                std::string_view expected);

}  // namespace shear

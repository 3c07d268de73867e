// The families of models that Shear has: a line each.
#include <algorithm>

#include "shear/model.h"
#include "shear/models/mlp.h"
#include "shear/models/vit.h"
#include "shear/suggest.h"

namespace shear {

static std::vector<ModelFamily>& families() {
  static std::vector<ModelFamily> all{vit_family(), mlp_family()};
  return all;
}

const std::vector<ModelFamily>& model_families() { return families(); }

static std::string_view name_in(std::string_view spec) { return spec.substr(0, spec.find(':')); }

static const ModelFamily* find_family(std::string_view name) {
  for (const ModelFamily& family : families())
    if (family.name == name || std::find(family.known.begin(), family.known.end(), name) != family.known.end())
      return &family;
  return nullptr;
}

static const ModelFamily& family(std::string_view spec) {
  if (const ModelFamily* found = find_family(name_in(spec))) return *found;
  const std::vector<std::string> names = known_models();
  std::vector<std::string> forms;
  for (const ModelFamily& each : families()) forms.push_back(each.form);
  fail(Fault::usage, "model ", spec, ": unknown", did_you_mean(name_in(spec), names), ", expected one of ",
       names.size(), " names, such as vit_tiny_patch16_224, or ", listed(forms));
}

void add_model_family(ModelFamily added) {
  for (const std::string& name : added.known)
    require(!find_family(name), "model family ", added.name, ": there is a model called ", name, " already");
  require(!find_family(added.name), "model family ", added.name, ": is there already");
  families().push_back(std::move(added));
}

ModelSpecPtr parse_model(std::string_view spec) { return family(spec).parse(spec); }

std::string_view family_of(std::string_view spec) { return family(spec).name; }

std::vector<std::string> known_models() {
  std::vector<std::string> names;
  for (const ModelFamily& each : families()) names.insert(names.end(), each.known.begin(), each.known.end());
  return names;
}

std::string with_classes(std::string_view spec, int64_t count) {
  if (spec.find("classes=") != spec.npos) return std::string(spec);
  return text(spec, spec.find(':') == spec.npos ? ":" : ",", "classes=", count);
}

}  // namespace shear

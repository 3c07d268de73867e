// A ViT's configuration from its spelling, and back.
#include <algorithm>
#include <array>
#include <charconv>

#include "models/spec.h"
#include "shear/models/vit.h"

namespace shear {

namespace {

struct Known {
  std::string_view name;
  int64_t patch, dim, depth, heads;
};
constexpr std::string_view form = "vit:image=...,patch=...,dim=...,depth=...,heads=...,classes=...";
constexpr std::array known{
    Known{"vit_tiny_patch16_224", 16, 192, 12, 3},    Known{"vit_small_patch16_224", 16, 384, 12, 6},
    Known{"vit_base_patch16_224", 16, 768, 12, 12},   Known{"vit_base_patch32_224", 32, 768, 12, 12},
    Known{"vit_large_patch16_224", 16, 1024, 24, 16}, Known{"vit_huge_patch14_224", 14, 1280, 32, 16},
};

struct Key {
  std::string_view name;
  int64_t VitConfig::*field;
  int64_t highest;
  bool needed;  // in the free form
};
constexpr std::array vit_keys{
    Key{"image", &VitConfig::image, 4096, true},      Key{"patch", &VitConfig::patch, 4096, true},
    Key{"dim", &VitConfig::dim, 16384, true},         Key{"depth", &VitConfig::depth, 256, true},
    Key{"heads", &VitConfig::heads, 1024, true},      Key{"classes", &VitConfig::classes, 1000000, true},
    Key{"channels", &VitConfig::channels, 64, false}, Key{"mlp", &VitConfig::mlp, 64, false},
};

// The two keys that are no whole numbers.  False: another key.
bool read_numerics(std::string_view spec, std::string_view name, std::string_view value, VitConfig& config) {
  if (name == "gelu") {
    if (value != "exact" && value != "tanh")
      fail(Fault::usage, "model ", spec, ": gelu=", value, ", expected exact or tanh");
    config.gelu = value == "tanh" ? GeluForm::tanh : GeluForm::exact;
    return true;
  }
  if (name != "eps") return false;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), config.epsilon);
  if (error != std::errc{} || end != value.data() + value.size() || !(config.epsilon > 0 && config.epsilon < 1))
    fail(Fault::usage, "model ", spec, ": eps=", value, ", expected a number from 0 to 1");
  return true;
}

// Reads "key=value,..." into the config and returns which keys were there.
std::array<bool, vit_keys.size()> read_keys(std::string_view spec, std::string_view list, VitConfig& config) {
  std::array<bool, vit_keys.size()> given{};
  for (const SpecPair& pair : spec_pairs(spec, list)) {
    if (read_numerics(spec, pair.key, pair.value, config)) continue;
    const auto key = std::find_if(vit_keys.begin(), vit_keys.end(), [&](const Key& k) { return k.name == pair.key; });
    if (key == vit_keys.end()) {
      std::vector<std::string_view> names;
      for (const Key& k : vit_keys) names.push_back(k.name);
      names.insert(names.end(), {"eps", "gelu"});
      unknown_key(spec, pair.key, names);
    }
    given[static_cast<size_t>(key - vit_keys.begin())] = true;
    config.*key->field = spec_number(spec, pair, key->highest);
  }
  return given;
}

void check(std::string_view spec, const VitConfig& c) {
  if (c.image % c.patch != 0)
    fail(Fault::usage, "model ", spec, ": image ", c.image, " does not divide into patches of ", c.patch);
  if (c.dim % c.heads != 0)
    fail(Fault::usage, "model ", spec, ": dim ", c.dim, " does not divide into ", c.heads, " heads");
}

}  // namespace

VitConfig parse_vit(std::string_view spec, const VitConfig& otherwise) {
  const size_t colon = spec.find(':');
  const std::string_view name = spec.substr(0, colon);
  VitConfig config;
  config.epsilon = otherwise.epsilon;
  config.gelu = otherwise.gelu;
  const auto it = std::find_if(known.begin(), known.end(), [&](const Known& k) { return k.name == name; });
  const bool free_form = name == "vit";
  if (!free_form && it == known.end())
    fail(Fault::usage, "model ", spec, ": is no ViT, expected a name of one or ", form);
  if (it != known.end()) {
    config.patch = it->patch;
    config.dim = it->dim;
    config.depth = it->depth;
    config.heads = it->heads;
  }
  if (colon != std::string_view::npos || free_form) {
    const auto given = read_keys(spec, colon == std::string_view::npos ? "" : spec.substr(colon + 1), config);
    for (size_t i = 0; free_form && i < vit_keys.size(); ++i)
      if (vit_keys[i].needed && !given[i]) fail(Fault::usage, "model ", spec, ": ", vit_keys[i].name, " is missing");
  }
  check(spec, config);
  return config;
}

std::string spec(const VitConfig& c) {
  std::string out = "vit:";
  for (const Key& k : vit_keys)
    out += (out.back() == ':' ? "" : ",") + std::string(k.name) + "=" + std::to_string(c.*k.field);
  if (c.epsilon != VitConfig{}.epsilon) {
    char digits[32];
    out += ",eps=" + std::string(digits, std::to_chars(digits, digits + sizeof digits, c.epsilon).ptr);
  }
  if (c.gelu != VitConfig{}.gelu) out += ",gelu=tanh";
  return out;
}

std::string_view known_name(const VitConfig& c) {
  const auto at = std::find_if(known.begin(), known.end(), [&](const Known& k) {
    return k.patch == c.patch && k.dim == c.dim && k.depth == c.depth && k.heads == c.heads && c.mlp == 4;
  });
  return at == known.end() ? std::string_view() : at->name;
}

VitConfig with_image(VitConfig c, int64_t size) {
  if (size == 0) return c;
  if (size % c.patch != 0)
    fail(Fault::usage, setting("image-size"), " ", size, ": expected a multiple of the patch's side, ", c.patch);
  c.image = size;
  return c;
}

namespace {

class VitSpec final : public ModelSpec {
 public:
  explicit VitSpec(const VitConfig& c) : config(c) {}

  std::string_view family() const override { return "vit"; }
  std::string str() const override { return spec(config); }
  Shape input() const override { return {config.channels, config.image, config.image}; }
  int64_t classes() const override { return config.classes; }
  int64_t rows() const override { return config.tokens() * config.depth; }
  ModelSpecPtr with_image(int64_t side) const override { return model_spec(shear::with_image(config, side)); }
  ModelSpecPtr with_classes(int64_t count) const override { return with(&VitConfig::classes, count); }
  ModelSpecPtr with_dropout(float probability) const override { return with(&VitConfig::dropout, probability); }
  std::unique_ptr<Model> make(Device& device, uint64_t seed, Values values) const override {
    return std::make_unique<Vit>(device, config, seed, values);
  }

  const VitConfig config;

 private:
  template <class T>
  ModelSpecPtr with(T VitConfig::*field, T value) const {
    VitConfig other = config;
    other.*field = value;
    return model_spec(other);
  }
};

}  // namespace

ModelSpecPtr model_spec(const VitConfig& config) { return std::make_shared<VitSpec>(config); }

const VitConfig* vit_config(const ModelSpec& spec) {
  const auto* vit = dynamic_cast<const VitSpec*>(&spec);
  return vit ? &vit->config : nullptr;
}

ModelFamily vit_family() {
  ModelFamily family{.name = "vit", .form = std::string(form), .known = {}, .parse = [](std::string_view spec) {
                       return model_spec(parse_vit(spec));
                     }};
  for (const Known& k : known) family.known.emplace_back(k.name);
  return family;
}

}  // namespace shear

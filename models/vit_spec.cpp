// A ViT's configuration from its spelling, and back.
#include <algorithm>
#include <array>
#include <charconv>

#include "shear/models/vit.h"
#include "shear/suggest.h"

namespace shear {

namespace {

struct Known {
  std::string_view name;
  int64_t patch, dim, depth, heads;
};
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
constexpr std::array keys{
    Key{"image", &VitConfig::image, 4096, true},      Key{"patch", &VitConfig::patch, 4096, true},
    Key{"dim", &VitConfig::dim, 16384, true},         Key{"depth", &VitConfig::depth, 256, true},
    Key{"heads", &VitConfig::heads, 1024, true},      Key{"classes", &VitConfig::classes, 1000000, true},
    Key{"channels", &VitConfig::channels, 64, false}, Key{"mlp", &VitConfig::mlp, 64, false},
};

[[noreturn]] void unknown_model(std::string_view spec, std::string_view name) {
  std::vector<std::string> names;
  std::string all;
  for (const Known& k : known) {
    names.emplace_back(k.name);
    all += names.back() + ", ";
  }
  fail(Fault::usage, "model ", spec, ": unknown", did_you_mean(name, names), ", expected one of ", all,
       "vit:image=...,patch=...,dim=...,depth=...,heads=...,classes=...");
}

[[noreturn]] void unknown_key(std::string_view spec, std::string_view key) {
  std::vector<std::string> names;
  for (const Key& k : keys) names.emplace_back(k.name);
  names.insert(names.end(), {"eps", "gelu"});
  std::string all;
  for (const std::string& name : names) all += (all.empty() ? "" : ", ") + name;
  fail(Fault::usage, "model ", spec, ": unknown key ", key, did_you_mean(key, names), ", expected one of ", all);
}

int64_t number(std::string_view spec, const Key& key, std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < 1 || value > key.highest)
    fail(Fault::usage, "model ", spec, ": ", key.name, "=", text, ", expected a whole number from 1 to ", key.highest);
  return value;
}

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
std::array<bool, keys.size()> read_keys(std::string_view spec, std::string_view list, VitConfig& config) {
  std::array<bool, keys.size()> given{};
  for (bool more = true; more;) {
    const size_t comma = list.find(',');
    const std::string_view item = list.substr(0, comma);
    more = comma != std::string_view::npos;
    if (more) list.remove_prefix(comma + 1);
    const size_t equals = item.find('=');
    if (equals == std::string_view::npos)
      fail(Fault::usage, "model ", spec, ": expected key=value, found \"", item, "\"");
    if (read_numerics(spec, item.substr(0, equals), item.substr(equals + 1), config)) continue;
    const auto key =
        std::find_if(keys.begin(), keys.end(), [&](const Key& k) { return k.name == item.substr(0, equals); });
    if (key == keys.end()) unknown_key(spec, item.substr(0, equals));
    bool& seen = given[static_cast<size_t>(key - keys.begin())];
    if (seen) fail(Fault::usage, "model ", spec, ": key ", key->name, " is given twice");
    seen = true;
    config.*key->field = number(spec, *key, item.substr(equals + 1));
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
  if (!free_form && it == known.end()) unknown_model(spec, name);
  if (it != known.end()) {
    config.patch = it->patch;
    config.dim = it->dim;
    config.depth = it->depth;
    config.heads = it->heads;
  }
  if (colon != std::string_view::npos || free_form) {
    const auto given = read_keys(spec, colon == std::string_view::npos ? "" : spec.substr(colon + 1), config);
    for (size_t i = 0; free_form && i < keys.size(); ++i)
      if (keys[i].needed && !given[i]) fail(Fault::usage, "model ", spec, ": ", keys[i].name, " is missing");
  }
  check(spec, config);
  return config;
}

std::string spec(const VitConfig& c) {
  std::string out = "vit:";
  for (const Key& k : keys)
    out += (out.back() == ':' ? "" : ",") + std::string(k.name) + "=" + std::to_string(c.*k.field);
  if (c.epsilon != VitConfig{}.epsilon) {
    char digits[32];
    out += ",eps=" + std::string(digits, std::to_chars(digits, digits + sizeof digits, c.epsilon).ptr);
  }
  if (c.gelu != VitConfig{}.gelu) out += ",gelu=tanh";
  return out;
}

std::vector<std::string> known_models() {
  std::vector<std::string> names;
  for (const Known& k : known) names.emplace_back(k.name);
  return names;
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
    fail(Fault::usage, "--image-size ", size, ": expected a multiple of the patch's side, ", c.patch);
  c.image = size;
  return c;
}

std::string with_classes(std::string_view spec, int64_t count) {
  if (spec.find("classes=") != spec.npos) return std::string(spec);
  return text(spec, spec.find(':') == spec.npos ? ":" : ",", "classes=", count);
}

}  // namespace shear

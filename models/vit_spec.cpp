// A ViT's configuration from its spelling, and back.
#include <algorithm>
#include <array>
#include <charconv>

#include "models/vit.h"

namespace shear {

namespace {

struct Known {
  std::string_view name;
  int64_t patch, dim, depth, heads;
};
constexpr std::array known{
    Known{"vit_tiny_patch16_224", 16, 192, 12, 3},    Known{"vit_small_patch16_224", 16, 384, 12, 6},
    Known{"vit_base_patch16_224", 16, 768, 12, 12},   Known{"vit_base_patch32_224", 32, 768, 12, 12},
    Known{"vit_large_patch16_224", 16, 1024, 24, 16},
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

std::string names() {
  std::string all;
  for (const Known& k : known) all += std::string(k.name) + ", ";
  return all + "vit:image=...,patch=...,dim=...,depth=...,heads=...,classes=...";
}

int64_t number(std::string_view spec, const Key& key, std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < 1 || value > key.highest)
    fail(Fault::usage, "model ", spec, ": ", key.name, "=", text, ", expected a whole number from 1 to ", key.highest);
  return value;
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
    const auto key =
        std::find_if(keys.begin(), keys.end(), [&](const Key& k) { return k.name == item.substr(0, equals); });
    if (key == keys.end()) {
      std::string all;
      for (const Key& k : keys) all += (all.empty() ? "" : ", ") + std::string(k.name);
      fail(Fault::usage, "model ", spec, ": unknown key ", item.substr(0, equals), ", expected one of ", all);
    }
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

VitConfig parse_vit(std::string_view spec) {
  const size_t colon = spec.find(':');
  const std::string_view name = spec.substr(0, colon);
  VitConfig config;
  const auto it = std::find_if(known.begin(), known.end(), [&](const Known& k) { return k.name == name; });
  const bool free_form = name == "vit";
  if (!free_form && it == known.end()) fail(Fault::usage, "model ", spec, ": unknown, expected one of ", names());
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
  return out;
}

}  // namespace shear

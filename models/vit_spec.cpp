// A ViT's configuration from its spelling, and back.
#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "models/spec.h"
#include "models/vit_architectures.h"
#include "shear/models/vit.h"

namespace shear {

namespace {

constexpr std::string_view form = "vit:image=...,patch=...,dim=...,depth=...,heads=...,classes=...";

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
// Written where they are not as in the plainest ViT.
constexpr std::array more_keys{Key{"width", &VitConfig::width, 4096, false},
                               Key{"kv-heads", &VitConfig::kv_heads, 1024, false},
                               Key{"kv-full", &VitConfig::kv_full, 256, false},
                               Key{"hidden", &VitConfig::hidden, 1 << 20, false},
                               Key{"registers", &VitConfig::registers, 1024, false},
                               Key{"pool-heads", &VitConfig::pool_heads, 1024, false},
                               Key{"pool-hidden", &VitConfig::pool_hidden, 1 << 20, false},
                               Key{"rope-temperature", &VitConfig::rope_temperature, 1000000, false},
                               Key{"rope-grid", &VitConfig::rope_grid, 4096, false},
                               Key{"rope-offset", &VitConfig::rope_offset, 4096, false}};

template <class T>
struct Word {
  std::string_view name;
  T value;
};
constexpr Word<bool> no_yes[] = {{"0", false}, {"1", true}};

// f(key, words, field) for each of the keys whose values are words.
template <class F>
void for_words(F f) {
  f("gelu",
    std::to_array<Word<GeluForm>>({{"exact", GeluForm::exact}, {"tanh", GeluForm::tanh}, {"quick", GeluForm::quick}}),
    &VitConfig::gelu);
  f("cls", std::to_array(no_yes), &VitConfig::class_token);
  f("positions",
    std::to_array<Word<Positions>>({{"all", Positions::all},
                                    {"but-registers", Positions::but_registers},
                                    {"patches", Positions::patches},
                                    {"none", Positions::none}}),
    &VitConfig::positions);
  f("patch-bias", std::to_array(no_yes), &VitConfig::patch_bias);
  f("qkv-bias", std::to_array(no_yes), &VitConfig::qkv_bias);
  f("proj-bias", std::to_array(no_yes), &VitConfig::proj_bias);
  f("key-bias", std::to_array(no_yes), &VitConfig::key_bias);
  f("rope",
    std::to_array<Word<Rope>>(
        {{"none", Rope::none}, {"index", Rope::index}, {"centred", Rope::centred}, {"mixed", Rope::mixed}}),
    &VitConfig::rope);
  f("relative",
    std::to_array<Word<Relative>>(
        {{"none", Relative::none}, {"blocks", Relative::blocks}, {"shared", Relative::shared}}),
    &VitConfig::relative);
  f("rope-xy", std::to_array(no_yes), &VitConfig::rope_xy);
  f("head-bias", std::to_array(no_yes), &VitConfig::head_bias);
  f("differential", std::to_array(no_yes), &VitConfig::differential);
  f("parallel", std::to_array(no_yes), &VitConfig::parallel);
  f("norm-after", std::to_array(no_yes), &VitConfig::norm_after);
  f("qk-norm", std::to_array(no_yes), &VitConfig::qk_norm);
  f("norm-before", std::to_array(no_yes), &VitConfig::norm_before);
  f("layer-scale", std::to_array(no_yes), &VitConfig::layer_scale);
  f("mlp-scale", std::to_array(no_yes), &VitConfig::mlp_scale);
  f("swiglu", std::to_array(no_yes), &VitConfig::swiglu);
  f("rms-norm", std::to_array(no_yes), &VitConfig::rms_norm);
  f("patch-norm", std::to_array(no_yes), &VitConfig::patch_norm);
  f("attn-norm", std::to_array(no_yes), &VitConfig::attention_norm);
  f("mlp-norm", std::to_array(no_yes), &VitConfig::mlp_norm);
  f("pool",
    std::to_array<Word<Pool>>({{"token", Pool::token},
                               {"mean", Pool::mean},
                               {"mean-all", Pool::mean_all},
                               {"token-and-mean", Pool::token_and_mean},
                               {"attention", Pool::attention},
                               {"attention-all", Pool::attention_all},
                               {"two-heads", Pool::two_heads}}),
    &VitConfig::pool);
  f("norm",
    std::to_array<Word<LastNorm>>(
        {{"tokens", LastNorm::tokens}, {"pooled", LastNorm::pooled}, {"none", LastNorm::none}}),
    &VitConfig::last_norm);
}

// False: another key.
bool read_word(std::string_view spec, const SpecPair& pair, VitConfig& config) {
  bool known = false;
  for_words([&](std::string_view key, const auto& words, auto field) {
    if (pair.key != key) return;
    known = true;
    const auto word = std::find_if(words.begin(), words.end(), [&](const auto& w) { return w.name == pair.value; });
    if (word == words.end()) {
      std::string expected;
      for (size_t i = 0; i < words.size(); ++i)
        expected += text(i == 0 ? "" : i + 1 < words.size() ? ", " : " or ", words[i].name);
      fail(Fault::usage, "model ", spec, ": ", key, '=', pair.value, ", expected ", expected);
    }
    config.*field = word->value;
  });
  return known;
}

bool read_epsilon(std::string_view spec, const SpecPair& pair, VitConfig& config) {
  if (pair.key != "eps") return false;
  const std::string_view value = pair.value;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), config.epsilon);
  if (error != std::errc{} || end != value.data() + value.size() || !(config.epsilon > 0 && config.epsilon < 1))
    fail(Fault::usage, "model ", spec, ": eps=", value, ", expected a number from 0 to 1");
  return true;
}

bool read_number(std::string_view spec, const SpecPair& pair, std::span<const Key> keys, VitConfig& config) {
  const auto key = std::find_if(keys.begin(), keys.end(), [&](const Key& k) { return k.name == pair.key; });
  if (key == keys.end()) return false;
  // None of these need be there at all.
  const bool zero = pair.value == "0" && keys.data() == more_keys.data();
  config.*key->field = zero ? 0 : spec_number(spec, pair, key->highest);
  return true;
}

// Reads "key=value,..." into the config and returns the keys that were there.
std::vector<std::string_view> read_keys(std::string_view spec, std::string_view list, VitConfig& config) {
  std::vector<std::string_view> given;
  for (const SpecPair& pair : spec_pairs(spec, list)) {
    given.push_back(pair.key);
    if (read_number(spec, pair, vit_keys, config) || read_number(spec, pair, more_keys, config) ||
        read_word(spec, pair, config) || read_epsilon(spec, pair, config))
      continue;
    std::vector<std::string_view> names;
    for (const Key& k : vit_keys) names.push_back(k.name);
    names.push_back("eps");
    for_words([&](std::string_view key, const auto&, auto) { names.push_back(key); });
    for (const Key& k : more_keys) names.push_back(k.name);
    unknown_key(spec, pair.key, names);
  }
  return given;
}

void check(std::string_view spec, const VitConfig& c) {
  if (c.width == c.image)
    fail(Fault::usage, "model ", spec, ": width=", c.width, " is that of a square, expected no width beside it");
  if (c.image_width() < c.patch) fail(Fault::usage, "model ", spec, ": width ", c.width, " has no patch of ", c.patch);
  if (c.kv_heads > 0 && (c.kv_heads >= c.heads || c.heads % c.kv_heads != 0))
    fail(Fault::usage, "model ", spec, ": kv-heads=", c.kv_heads, ", expected fewer than heads=", c.heads,
         ", and a divisor of it");
  if (c.kv_full > 0 && (c.kv_heads == 0 || 2 * c.kv_full >= c.depth))
    fail(Fault::usage, "model ", spec, ": kv-full=", c.kv_full,
         " is of blocks at either end of others, expected kv-heads beside it and more than ", 2 * c.kv_full, " blocks");
  if ((c.qk_norm || c.kv_heads > 0) && (c.differential || c.parallel || !c.key_bias))
    fail(Fault::usage, "model ", spec,
         ": qk-norm and kv-heads are of plain attention, expected no differential, parallel and key-bias beside them");
  if (!c.mlp_scale && !c.layer_scale)
    fail(Fault::usage, "model ", spec, ": mlp-scale=0 leaves out a scale, expected layer-scale=1 beside it");
  if (c.image < c.patch) fail(Fault::usage, "model ", spec, ": image ", c.image, " has no patch of ", c.patch);
  if (c.dim % c.heads != 0)
    fail(Fault::usage, "model ", spec, ": dim ", c.dim, " does not divide into ", c.heads, " heads");
  if (c.pools_class_token() && !c.class_token)
    fail(Fault::usage, "model ", spec, ": cls=0 has no class token to classify by, expected pool=mean beside it");
  if (c.pool == Pool::two_heads && c.registers == 0)
    fail(Fault::usage, "model ", spec, ": pool=two-heads, expected registers=1 or more beside it");
  if ((c.pool == Pool::two_heads || c.pool == Pool::token_and_mean) && c.last_norm == LastNorm::pooled)
    fail(Fault::usage, "model ", spec, ": norm=pooled is of one pooled token, expected norm=tokens or norm=none");
  if (c.rope != Rope::none && c.dim / c.heads % 4 != 0)
    fail(Fault::usage, "model ", spec, ": rotary positions turn quarters of a head, of whose ", c.dim / c.heads,
         " values there are none");
  if (c.rope == Rope::none && (c.rope_temperature > 0 || c.rope_grid > 0 || c.rope_offset > 0 || c.rope_xy))
    fail(Fault::usage, "model ", spec,
         ": says how positions turn, expected rope=index, rope=centred or rope=mixed beside it");
  if (c.rope == Rope::centred && (c.rope_grid > 0 || c.rope_offset > 0))
    fail(Fault::usage, "model ", spec, ": rope=centred has no rope-grid and no rope-offset");
  if (c.relative != Relative::none && (!c.class_token || c.registers > 0 || c.differential || c.parallel))
    fail(Fault::usage, "model ", spec,
         ": relative positions are of patches behind one class token in plain attention, expected cls=1, registers=0 "
         "and no differential or parallel beside them");
  if (c.rope == Rope::mixed && (c.rope_grid > 0 || c.rope_offset > 0 || c.rope_temperature > 0))
    fail(Fault::usage, "model ", spec,
         ": rope=mixed learns its frequencies, expected no rope-grid, rope-offset and rope-temperature beside it");
  if (!c.key_bias && !c.qkv_bias)
    fail(Fault::usage, "model ", spec, ": key-bias=0 is part of qkv-bias=0, expected one of them");
  const bool by_attention = c.pool == Pool::attention || c.pool == Pool::attention_all;
  if (c.pool_heads > 0 && (!by_attention || c.dim % c.pool_heads != 0))
    fail(Fault::usage, "model ", spec, ": pool-heads=", c.pool_heads,
         ", expected pool=attention and heads that divide ", c.dim);
  if (c.pool_hidden > 0 && !by_attention)
    fail(Fault::usage, "model ", spec, ": pool-hidden=", c.pool_hidden, ", expected pool=attention beside it");
  if (c.differential && (c.dim / c.heads % 2 != 0 || c.rope != Rope::none))
    fail(Fault::usage, "model ", spec, ": differential=1 halves heads, expected heads of an even width and no rope");
  if (c.parallel && (c.norm_after || c.attention_norm || c.mlp_norm || c.swiglu || !c.qkv_bias || !c.key_bias))
    fail(Fault::usage, "model ", spec,
         ": parallel=1 has one norm and one first layer, expected none of norm-after, attn-norm, mlp-norm, swiglu, "
         "qkv-bias and key-bias beside it");
  if (c.swiglu && c.gelu != GeluForm::exact)
    fail(Fault::usage, "model ", spec, ": swiglu=1 has no GELU, expected no gelu beside it");
}

}  // namespace

VitConfig parse_vit(std::string_view spec, const VitConfig& otherwise) {
  const size_t colon = spec.find(':');
  const std::string_view name = spec.substr(0, colon);
  const std::string_view keys = colon == std::string_view::npos ? "" : spec.substr(colon + 1);
  VitConfig config;
  config.epsilon = otherwise.epsilon;
  config.gelu = otherwise.gelu;
  if (name != "vit") {
    const Architecture* known = find_architecture(name);
    if (!known) fail(Fault::usage, "model ", spec, ": is no ViT, expected a name of one or ", form);
    read_keys(spec, known->keys, config);
    const int64_t usual = config.image, usual_width = config.width;
    if (!keys.empty() || colon != std::string_view::npos) read_keys(spec, keys, config);
    // timm has models of 384 pixels and patches of 14, which do not look at the last six; another size is a slip.
    if (config.width != usual_width && config.image_width() % config.patch != 0)
      fail(Fault::usage, "model ", spec, ": width ", config.width, " does not divide into patches of ", config.patch);
    if (config.image != usual && config.image % config.patch != 0)
      fail(Fault::usage, "model ", spec, ": image ", config.image, " does not divide into patches of ", config.patch);
  } else {
    const std::vector<std::string_view> given = read_keys(spec, keys, config);
    for (const Key& k : vit_keys)
      if (k.needed && std::find(given.begin(), given.end(), k.name) == given.end())
        fail(Fault::usage, "model ", spec, ": ", k.name, " is missing");
  }
  check(spec, config);
  return config;
}

std::string spec(const VitConfig& c) {
  std::string out = "vit:";
  const auto add = [&](std::string_view key, std::string_view value) {
    out += text(out.back() == ':' ? "" : ",", key, '=', value);
  };
  for (const Key& k : vit_keys)
    if (k.name != "mlp" || c.hidden == 0) add(k.name, std::to_string(c.*k.field));
  if (c.epsilon != VitConfig{}.epsilon) {
    char digits[32];
    out += ",eps=" + std::string(digits, std::to_chars(digits, digits + sizeof digits, c.epsilon).ptr);
  }
  for_words([&](std::string_view key, const auto& words, auto field) {
    for (const auto& word : words)
      if (c.*field == word.value && c.*field != VitConfig{}.*field) add(key, word.name);
  });
  for (const Key& k : more_keys)
    if (c.*k.field != 0) add(k.name, std::to_string(c.*k.field));
  return out;
}

std::string_view known_name(const VitConfig& c) {
  for (const Architecture& known : architectures()) {
    VitConfig same = parse_vit(known.name);
    same.image = c.image, same.width = c.width, same.classes = c.classes, same.channels = c.channels,
    same.dropout = c.dropout;
    if (same == c) return known.name;
  }
  return {};
}

VitConfig with_image(VitConfig c, int64_t size) {
  if (size == 0) return c;
  if (size % c.patch != 0)
    fail(Fault::usage, setting("image-size"), " ", size, ": expected a multiple of the patch's side, ", c.patch);
  c.image = size, c.width = 0;
  return c;
}

namespace {

class VitSpec final : public ModelSpec {
 public:
  explicit VitSpec(const VitConfig& c) : config(c) {}

  std::string_view family() const override { return "vit"; }
  std::string_view known_as() const override { return known_name(config); }
  std::string str() const override { return spec(config); }
  Shape input() const override { return {config.channels, config.image, config.image_width()}; }
  int64_t classes() const override { return config.classes; }
  int64_t rows() const override { return config.tokens() * config.depth; }
  ModelSpecPtr with_image(int64_t side) const override { return model_spec(shear::with_image(config, side)); }
  // A head for other classes has a bias, whether or not what it replaces is a projection without one.
  ModelSpecPtr with_classes(int64_t count) const override {
    VitConfig other = config;
    if (std::exchange(other.classes, count) != count) other.head_bias = true;
    return model_spec(other);
  }
  ModelSpecPtr with_dropout(float probability) const override { return with(&VitConfig::dropout, probability); }
  // The last block is another kind, see Vit, and so are those between the first and the last with full keys.
  ModelSpecPtr shallow() const override {
    VitConfig other = config;
    other.kv_full = std::min<int64_t>(config.kv_full, 1);
    other.depth = std::min<int64_t>(config.depth, config.kv_full > 0 ? 3 : 2);
    return model_spec(other);
  }
  std::unique_ptr<Model> make(Device& device, uint64_t seed, const ParameterOptions& options) const override {
    return std::make_unique<Vit>(device, config, seed, options);
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
  for (const Architecture& known : architectures()) family.known.emplace_back(known.name);
  return family;
}

}  // namespace shear

// An MLP's configuration from its spelling, and back.
#include <array>

#include "models/spec.h"
#include "shear/models/mlp.h"

namespace shear {

namespace {

constexpr std::array<std::string_view, 4> mlp_keys{"image", "hidden", "channels", "classes"};
constexpr int64_t widest = 1 << 20, deepest = 256;

// "300x100"
std::vector<int64_t> read_widths(std::string_view spec, std::string_view list) {
  std::vector<int64_t> widths;
  for (bool more = true; more;) {
    const size_t end = list.find('x');
    widths.push_back(spec_number(spec, {"hidden", list.substr(0, end)}, widest));
    more = end != list.npos;
    if (more) list.remove_prefix(end + 1);
  }
  if (static_cast<int64_t>(widths.size()) > deepest)
    fail(Fault::usage, "model ", spec, ": ", widths.size(), " hidden layers, expected at most ", deepest);
  return widths;
}

class MlpSpec final : public ModelSpec {
 public:
  explicit MlpSpec(MlpConfig config) : config_(std::move(config)) {}

  std::string_view family() const override { return "mlp"; }
  std::string str() const override { return spec(config_); }
  Shape input() const override { return {config_.channels, config_.image, config_.image}; }
  int64_t classes() const override { return config_.classes; }
  int64_t rows() const override { return static_cast<int64_t>(config_.hidden.size()) + 1; }
  ModelSpecPtr with_image(int64_t side) const override {
    MlpConfig other = config_;
    if (side > 0) other.image = side;
    return model_spec(other);
  }
  ModelSpecPtr with_classes(int64_t count) const override {
    MlpConfig other = config_;
    other.classes = count;
    return model_spec(other);
  }
  ModelSpecPtr with_dropout(float probability) const override {
    if (probability > 0)
      fail(Fault::usage, setting("dropout"), " ", probability, ": an MLP has no dropout, expected 0");
    return model_spec(config_);
  }
  std::unique_ptr<Model> make(Device& device, uint64_t seed, const ParameterOptions& options) const override {
    return std::make_unique<Mlp>(device, config_.widths(), seed, options);
  }

 private:
  const MlpConfig config_;
};

}  // namespace

MlpConfig parse_mlp(std::string_view spec) {
  const size_t colon = spec.find(':');
  if (spec.substr(0, colon) != "mlp")
    fail(Fault::usage, "model ", spec, ": is no MLP, expected mlp:image=...,hidden=...");
  MlpConfig config;
  bool sized = false;
  for (const SpecPair& pair : spec_pairs(spec, colon == spec.npos ? "" : spec.substr(colon + 1))) {
    if (pair.key == "image")
      config.image = spec_number(spec, pair, 4096), sized = true;
    else if (pair.key == "hidden")
      config.hidden = read_widths(spec, pair.value);
    else if (pair.key == "channels")
      config.channels = spec_number(spec, pair, 64);
    else if (pair.key == "classes")
      config.classes = spec_number(spec, pair, 1000000);
    else
      unknown_key(spec, pair.key, mlp_keys);
  }
  if (!sized || config.hidden.empty())
    fail(Fault::usage, "model ", spec, ": ", sized ? "hidden" : "image", " is missing");
  return config;
}

std::string spec(const MlpConfig& c) {
  std::string hidden;
  for (const int64_t width : c.hidden) hidden += (hidden.empty() ? "" : "x") + std::to_string(width);
  return text("mlp:image=", c.image, ",hidden=", hidden, ",channels=", c.channels, ",classes=", c.classes);
}

ModelSpecPtr model_spec(const MlpConfig& config) { return std::make_shared<MlpSpec>(config); }

ModelFamily mlp_family() {
  return {.name = "mlp", .form = "mlp:image=...,hidden=...x...", .known = {}, .parse = [](std::string_view spec) {
            return model_spec(parse_mlp(spec));
          }};
}

}  // namespace shear

// Flags that several commands share.
#include "options.h"

#include <charconv>
#include <cmath>
#include <limits>

namespace shear::tool {

size_t parse_bytes(const std::string& flag, const std::string& value) {
  static constexpr std::pair<std::string_view, double> units[] = {
      {"", 1},         {"B", 1},        {"K", 0x1p10},   {"M", 0x1p20}, {"G", 0x1p30}, {"T", 0x1p40}, {"KiB", 0x1p10},
      {"MiB", 0x1p20}, {"GiB", 0x1p30}, {"TiB", 0x1p40}, {"KB", 1e3},   {"MB", 1e6},   {"GB", 1e9},   {"TB", 1e12}};
  double number = 0;
  const char* end = value.data() + value.size();
  const auto read = std::from_chars(value.data(), end, number);
  if (read.ec == std::errc() && number > 0)
    for (const auto& [unit, factor] : units)
      if (std::string_view(read.ptr, static_cast<size_t>(end - read.ptr)) == unit && number * factor < 0x1p62)
        return static_cast<size_t>(number * factor);
  fail(Fault::usage, flag, " ", value, ": expected a size such as 4GiB or 800MB");
}

DeviceKind parse_device(const std::string& value) {
  if (value == "cpu") return DeviceKind::cpu;
  if (value == "cuda") return DeviceKind::cuda;
  fail(Fault::usage, "--device ", value, ": expected cpu or cuda");
}

std::vector<std::string> split_policies(const std::string& value) {
  std::vector<std::string> policies;
  std::istringstream in(value);
  for (std::string part; std::getline(in, part, ';');)
    if (!part.empty()) policies.push_back(part);
  if (policies.empty()) fail(Fault::usage, "--policy is empty: expected names separated by ';'");
  return policies;
}

void ImageFlags::add(CLI::App& app, const std::string& otherwise) {
  const auto group = "Preprocessing";
  app.add_option("--image-mean", mean, "subtracted from pixels in [0, 1]: one number, or one per channel")
      ->default_str(otherwise)
      ->type_name("V[,V,V]")
      ->group(group);
  app.add_option("--image-std", std, "pixels are divided by it then")
      ->default_str(otherwise)
      ->type_name("V[,V,V]")
      ->group(group);
  app.add_option("--image-crop", crop, "evaluation: the share of the shorter side that the centre cut keeps")
      ->default_str(otherwise)
      ->group(group);
  app.add_option("--interpolation", interpolation, "bilinear or bicubic")->default_str(otherwise)->group(group);
  app.add_flag("--squash", squash, "evaluation: resize both sides whatever the ratio, cut nothing")->group(group);
}

static std::optional<std::array<double, 3>> read_channels(const std::string& flag, const std::string& value) {
  if (value.empty()) return std::nullopt;
  std::vector<double> numbers;
  std::istringstream in(value);
  for (std::string part; std::getline(in, part, ',');) {
    double number = 0;
    const char* end = part.data() + part.size();
    const auto read = std::from_chars(part.data(), end, number);
    if (read.ec != std::errc() || read.ptr != end || !std::isfinite(number)) {
      numbers.clear();
      break;
    }
    numbers.push_back(number);
  }
  if (numbers.size() == 1) return std::array{numbers[0], numbers[0], numbers[0]};
  if (numbers.size() == 3) return std::array{numbers[0], numbers[1], numbers[2]};
  fail(Fault::usage, flag, " ", value, ": expected one number or three, separated by commas");
}

ImageOptions ImageFlags::read() const {
  ImageOptions options;
  options.mean = read_channels("--image-mean", mean);
  options.std = read_channels("--image-std", std);
  options.crop = crop;
  if (!interpolation.empty()) options.interpolation = interpolation;
  options.squash = squash;
  return options;
}

void DeviceFlags::add(CLI::App& app) {
  app.add_option("--threads", threads, "for the computation; 0: all")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  app.add_option("--device", device, "cpu or cuda")->capture_default_str();
  app.add_option("--precision", precision, "of products and of kept activations: f32 or bf16")->capture_default_str();
}

std::string policy_help() {
  std::string help = "Policies (NAME[:key=value,...]):\n";
  for (const PolicyDoc& doc : policy_docs()) {
    help += text("  ", doc.name, std::string(doc.name.size() < 12 ? 12 - doc.name.size() : 1, ' '), doc.what);
    if (!doc.keys.empty()) help += text("  [", doc.keys, "]");
    help += '\n';
  }
  help +=
      "All but backrazor and the exact ones also take the bits of LayerNorm's inputs (norm=8) and GELU's slopes "
      "(gelu=4),\n"
      "and of queries, keys and values kept whole (qkv=4; without it, but in tokens, they are pruned).\n"
      "By site, the first that fits: \"tokens@blocks.*.mlp.*|prebr++@blocks.*|full\"\n";
  return help;
}

const Dataset& choose_part(const DataSplits& data, const std::string& part, const std::string& path) {
  if (part.empty()) return data.val ? *data.val : *data.train;
  if (part == "train") return *data.train;
  if (part != "val") fail(Fault::usage, "--part ", part, ": expected train or val");
  if (!data.val) fail(Fault::input, path, ": has no validation part, expected --part train or another data set");
  return *data.val;
}

}  // namespace shear::tool

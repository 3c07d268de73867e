// Parameters from files and to files, by name.
#include <algorithm>
#include <array>

#include "train/naming.h"
#include "train/tensors.h"

namespace shear {

static bool in_head(std::string_view name) { return name.starts_with("head."); }

void read_tensor(const TensorFile& file, const TensorView& from, Device& device, const Tensor& into) {
  if (from.dtype == DType::f32) return device.run().upload(into.data<void>(), from.bytes.data(), into.bytes());
  const std::vector<float> values = read_floats(file, from);
  device.run().upload(into.data<void>(), values.data(), into.bytes());
}

namespace {

struct MethodName {
  PositionResize method;
  std::string_view name;
};
constexpr std::array methods{MethodName{PositionResize::zoom, "zoom"}, MethodName{PositionResize::bilinear, "bilinear"},
                             MethodName{PositionResize::bicubic, "bicubic"},
                             MethodName{PositionResize::bicubic_antialias, "bicubic-antialias"}};

// A head for another number of classes: the same but for the first dimension.
bool other_classes(const Param& p, const Shape& found) {
  const Shape& own = p.value.shape();
  if (!in_head(p.name) || found.rank() != own.rank() || found.rank() == 0 || found[0] == own[0]) return false;
  return std::equal(own.begin() + 1, own.end(), found.begin() + 1);
}

// Positions of a square grid, for another square grid.
bool other_grid(const Param& p, const Shape& found) {
  const Shape& own = p.value.shape();
  return p.name == "pos_embed" && own.rank() == 3 && found.rank() == 3 && own != found && found[0] == 1 &&
         own[2] == found[2] && grid_side(own[1]) > 0 && grid_side(found[1]) > 0;
}

// (1, from^2 [+ 1], dim) -> (1, to^2 + 1, dim): a class token that had no position gets a zero.
std::vector<float> fit_positions(std::span<const float> found, int64_t count, const Shape& own, PositionResize method) {
  const int64_t from = grid_side(count), to = grid_side(own[1]);
  const auto dim = static_cast<size_t>(own[2]);
  std::vector<float> out(dim, 0);
  if (from * from < count) out.assign(found.begin(), found.begin() + own[2]);
  const std::span<const float> grid = found.last(static_cast<size_t>(from * from) * dim);
  const std::vector<float> resized =
      from == to ? std::vector<float>(grid.begin(), grid.end()) : resize_positions(grid, from, to, own[2], method);
  out.insert(out.end(), resized.begin(), resized.end());
  return out;
}

void load(const Weights& weights, Device& device, const Param& p, PositionResize method) {
  if (const Shape found = weights.shape(p.name); found != p.value.shape()) {
    const std::vector<float> values = fit_positions(weights.read(p.name), found[1], p.value.shape(), method);
    device.run().upload(p.value.data<void>(), values.data(), p.value.bytes());
  } else if (const TensorView* same = weights.same(p.name)) {
    device.run().upload(p.value.data<void>(), same->bytes.data(), p.value.bytes());
  } else {
    device.run().upload(p.value.data<void>(), weights.read(p.name).data(), p.value.bytes());
  }
}

std::string others(size_t n) { return n > 1 ? text(", nor are ", n - 1, " other parameters") : std::string(); }

}  // namespace

std::string_view name(PositionResize method) {
  return std::find_if(methods.begin(), methods.end(), [&](const MethodName& m) { return m.method == method; })->name;
}

PositionResize parse_position_resize(std::string_view spelt) {
  const auto at = std::find_if(methods.begin(), methods.end(), [&](const MethodName& m) { return m.name == spelt; });
  if (at != methods.end()) return at->method;
  fail(Fault::usage, "--positions ", spelt, ": expected zoom, bilinear, bicubic or bicubic-antialias");
}

WeightsReport load_weights(const Weights& weights, Parameters& parameters, const LoadOptions& options) {
  const std::string path = weights.path().string();
  const auto head = std::find_if(parameters.begin(), parameters.end(), [](const Param& p) { return in_head(p.name); });
  const bool file_head = head != parameters.end() && weights.has(head->name);
  const bool new_head = options.matching == Matching::fine_tuning && head != parameters.end() &&
                        (!file_head || other_classes(*head, weights.shape(head->name)));
  const PositionResize method = options.positions.value_or(weights.positions());
  WeightsReport report;
  // All is checked before anything is changed.
  for (const Param& p : parameters) {
    if (!weights.has(p.name)) {
      if (!(new_head && in_head(p.name))) report.missing.push_back(p.name);
      continue;
    }
    const Shape found = weights.shape(p.name), &own = p.value.shape();
    if (other_grid(p, found)) {
      const int64_t from = grid_side(found[1]), to = grid_side(own[1]);
      report.positions = from == to ? text(from, " x ", from, ", the class token's is zero")
                                    : text(from, " x ", from, " to ", to, " x ", to, " by ", name(method));
    } else if (found != own && !(new_head && other_classes(p, found))) {
      fail(Fault::input, path, ": ", weights.names_of(p.name), " has the shape ", found, ", the model expects ", own);
    }
  }
  report.unused = weights.unused();
  for (const std::string& known : weights.parameters())
    if (!parameters.find(known)) report.unused.push_back(weights.names_of(known));
  if ((options.matching == Matching::exact || options.strict) && !report.missing.empty())
    fail(Fault::input, path, ": ", report.missing.front(), " is not there", others(report.missing.size()),
         ", expected all ", parameters.size(), " parameters of the model");
  if (options.strict && !report.unused.empty())
    fail(Fault::input, path, ": ", report.unused.front(), " is not used",
         report.unused.size() > 1 ? text(", nor are ", report.unused.size() - 1, " other tensors") : std::string(),
         ", expected only parameters of the model (--strict)");
  Device& device = parameters.device();
  for (Param& p : parameters) {
    if (new_head && in_head(p.name))
      device.run().fill(p.value, 0);
    else if (weights.has(p.name))
      load(weights, device, p, method);
    else
      parameters.draw(p);
  }
  if (new_head) report.head_classes = file_head ? weights.shape(head->name)[0] : 0;
  return report;
}

void TensorList::add(std::string name, const Tensor& t) {
  const void* data = t.data<void>();
  if (!device_.run().on_host()) {
    std::vector<float>& copy = copies_.emplace_back(device_.download(t));
    data = copy.data();
  }
  tensors_.push_back({std::move(name), t.dtype(), t.shape(), data});
}

void save_weights(const std::filesystem::path& path, const Parameters& parameters,
                  const std::map<std::string, std::string>& metadata) {
  TensorList list(parameters.device());
  for (const Param& p : parameters) list.add(p.name, p.value);
  write_safetensors(path, list.tensors(), metadata);
}

}  // namespace shear

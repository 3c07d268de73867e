// Parameters from files and to files, by name.
#include <algorithm>
#include <array>

#include "io/device_tensors.h"
#include "shear/backend.h"
#include "weights/head_rows.h"
#include "weights/naming.h"

namespace shear {

namespace {

// A head for another number of classes: the same but for the first dimension.
bool other_classes(const Param& p, const Shape& found) {
  const Shape& own = p.value.shape();
  if (found.rank() != own.rank() || found.rank() == 0 || found[0] == own[0]) return false;
  return std::equal(own.begin() + 1, own.end(), found.begin() + 1);
}

// The positions of a file and those of a model, where both are a square grid.
struct Grids {
  PositionGrid from, to;
  bool found() const { return from.side > 0 && to.side > 0; }
};

Grids grids(const Weights& weights, Parameters& parameters) {
  const auto tokens = [](const Shape& s) { return s.rank() == 3 ? s[1] : 0; };
  const auto there = [&](const char* name) { return weights.has(name) ? tokens(weights.shape(name)) : 0; };
  const auto here = [&](const char* name) {
    const Param* p = parameters.find(name);
    return p ? tokens(p->value.shape()) : 0;
  };
  return {position_grid(there("pos_embed"), there("cls_token"), there("reg_token")),
          position_grid(here("pos_embed"), here("cls_token"), here("reg_token"))};
}

bool other_grid(const Param& p, const Shape& found, const Grids& grids) {
  const Shape& own = p.value.shape();
  return p.name == "pos_embed" && own.rank() == 3 && found.rank() == 3 && own != found && found[0] == 1 &&
         own[2] == found[2] && grids.found();
}

// (1, before + from^2, dim) -> (1, before + to^2, dim): tokens before the patches that had no position get a zero.
std::vector<float> fit_positions(std::span<const float> found, const Grids& g, int64_t width, PositionResize method) {
  const auto dim = static_cast<size_t>(width), own = static_cast<size_t>(g.to.before),
             there = static_cast<size_t>(g.from.before);
  std::vector<float> out(own * dim, 0);
  std::copy_n(found.begin(), std::min(own, there) * dim, out.begin());
  const std::span<const float> grid = found.subspan(there * dim);
  const std::vector<float> resized = g.from.side == g.to.side
                                         ? std::vector<float>(grid.begin(), grid.end())
                                         : resize_positions(grid, g.from.side, g.to.side, width, method);
  out.insert(out.end(), resized.begin(), resized.end());
  return out;
}

void load(const Weights& weights, Device& device, const Param& p, const Grids& grids, PositionResize method) {
  if (weights.shape(p.name) != p.value.shape()) {
    const std::vector<float> values = fit_positions(weights.read(p.name), grids, p.value.cols(), method);
    assign(device, p, values);
  } else if (const TensorView* same = weights.same(p.name); same && p.value.dtype() == DType::f32) {
    device.run().upload(p.value.data<void>(), same->bytes.data(), p.value.bytes());
    weights.file().let_go(same->bytes);
  } else {
    assign(device, p, weights.read(p.name));
  }
}

}  // namespace

// What the names have in common, a kind at a time: "blocks.0.ls1.gamma and 23 more (LayerScale), x and y".
static std::string by_kind(const std::vector<Unused>& tensors) {
  std::vector<std::pair<std::string_view, std::vector<std::string>>> kinds;
  for (const Unused& t : tensors) {
    auto at = std::find_if(kinds.begin(), kinds.end(), [&](const auto& kind) { return kind.first == t.what; });
    if (at == kinds.end()) at = kinds.insert(at, {t.what, {}});
    at->second.push_back(t.name);
  }
  std::string line;
  for (const auto& [what, names] : kinds) {
    line += (line.empty() ? "" : ", ") + some_of(names, what.empty() ? 3 : 1);
    if (!what.empty()) line += text(" (", what, ')');
  }
  return line;
}

// Everything is looked at, nothing changed.
static WeightsReport look(const Weights& weights, Parameters& parameters, const LoadOptions& options, HeadPlan& head) {
  const std::string path = weights.path().string();
  const bool fine_tuning = options.matching == Matching::fine_tuning;
  const PositionResize method = options.positions.value_or(weights.positions());
  const Grids places = grids(weights, parameters);
  WeightsReport report;
  const auto last = std::find_if(parameters.begin(), parameters.end(), [](const Param& p) { return p.head; });
  if (last != parameters.end() && fine_tuning) head = plan_head(weights, last->value.shape()[0], options.classes);
  report.head = head.from;
  if (!head.note.empty()) report.notes.push_back(text(path, ": ", head.note));

  for (const Param& p : parameters) {
    const bool replaced = p.head && head.from == HeadFrom::zero;
    if (!weights.has(p.name)) {
      if (!replaced && !p.low_rank) report.missing.push_back(p.name);
      continue;
    }
    const Shape found = weights.shape(p.name), &own = p.value.shape();
    Shape wanted = own;
    if (p.head && head.from == HeadFrom::rows) {
      std::vector<int64_t> dims(own.begin(), own.end());
      dims[0] = weights.classes();
      wanted = Shape(dims);
    }
    if (other_grid(p, found, places)) {
      const int64_t from = places.from.side, to = places.to.side;
      report.notes.push_back("position embeddings: " +
                             (from != to ? text(from, " x ", from, " to ", to, " x ", to, " by ", name(method))
                                         : text(from, " x ", from,
                                                places.from.before < places.to.before ? ", the class token's is zero"
                                                                                      : ", of the patches alone")));
    } else if (found != wanted && p.name.ends_with("relative_position_bias_table")) {
      fail(Fault::input, path, ": ", weights.names_of(p.name), " has the shape ", found, ", the model expects ", wanted,
           ": relative positions are not resized, expected images of the size that the weights are for");
    } else if (found != wanted && !(replaced && other_classes(p, found))) {
      fail(Fault::input, path, ": ", weights.names_of(p.name), " has the shape ", found, ", the model expects ",
           wanted);
    }
  }

  std::vector<Unused> some, none;
  for (const Unused& u : weights.unused()) {
    const bool lost =
        u.loss == Unused::Loss::some || (u.loss == Unused::Loss::none_with_new_head && head.from != HeadFrom::zero);
    (lost ? some : none).push_back(u);
  }
  for (const std::string& known : weights.parameters())
    if (!parameters.find(known)) some.push_back({weights.names_of(known), "beyond the model", Unused::Loss::some});
  for (const Unused& u : some) report.unused.push_back(u.name);
  if (!none.empty()) report.notes.push_back(text(path, ": not needed: ", by_kind(none)));

  const std::string unused = some.empty() ? "" : text(path, ": not used: ", by_kind(some));
  if (!report.missing.empty() && !(fine_tuning && options.allow_mismatch))
    fail(Fault::input, path, ": ", some_of(report.missing), report.missing.size() > 1 ? " are" : " is",
         " not there, expected all ", parameters.size(), " parameters of the model",
         some.empty() ? std::string() : text(" (what it has instead: ", by_kind(some), ')'),
         fine_tuning ? text("; ", setting("allow-mismatch"), " draws them") : std::string());
  if (!some.empty() && !options.allow_mismatch)
    fail(Fault::input, path, ": ", some.size(), some.size() > 1 ? " tensors have" : " tensor has",
         " no place in this model, which computes something else without ",
         some.size() > 1 ? "them: " : "it: ", by_kind(some), "; expected only the model's parameters, or ",
         setting("allow-mismatch"), " to leave out the others");
  if (!report.missing.empty())
    report.warnings.push_back(
        text(path, ": not there, so the model begins with its own: ", some_of(report.missing, 8)));
  if (!some.empty()) report.warnings.push_back(unused);
  return report;
}

WeightsReport match_weights(const Weights& weights, Parameters& parameters, const LoadOptions& options) {
  HeadPlan head;
  return look(weights, parameters, options, head);
}

// Rows of the file's parameter, in the order of the plan.
static void load_rows(const Weights& weights, Device& device, const Param& p, const std::vector<int64_t>& rows) {
  const std::vector<float> all = weights.read(p.name);
  const auto width = static_cast<size_t>(p.value.elements()) / rows.size();
  std::vector<float> taken;
  taken.reserve(width * rows.size());
  for (const int64_t row : rows) {
    const auto from = all.begin() + static_cast<std::ptrdiff_t>(static_cast<size_t>(row) * width);
    taken.insert(taken.end(), from, from + static_cast<std::ptrdiff_t>(width));
  }
  assign(device, p, taken);
}

WeightsReport load_weights(const Weights& weights, Parameters& parameters, const LoadOptions& options) {
  HeadPlan head;
  WeightsReport report = look(weights, parameters, options, head);
  Device& device = parameters.device();
  const Grids places = grids(weights, parameters);
  for (Param& p : parameters) {
    if (p.head && head.from == HeadFrom::zero)
      assign(device, p, std::vector<float>(static_cast<size_t>(p.value.elements())));
    else if (!weights.has(p.name))
      parameters.draw(p);
    else if (p.head && head.from == HeadFrom::rows)
      load_rows(weights, device, p, head.rows);
    else
      load(weights, device, p, places, options.positions.value_or(weights.positions()));
  }
  return report;
}

void save_weights(const std::filesystem::path& path, const Parameters& parameters,
                  const std::map<std::string, std::string>& metadata) {
  TensorList list(parameters.device());
  for (const Param& p : parameters) {
    if (p.low_rank) continue;
    const auto added = std::ranges::find(parameters.low_rank(), &p, &LowRank::weight);
    list.add(p, added == parameters.low_rank().end() ? nullptr : &*added);
  }
  write_safetensors(path, list.tensors(), metadata);
}

}  // namespace shear

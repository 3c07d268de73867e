// The way out: parameters under the names of a library, and the files that it reads beside them.
#include <algorithm>
#include <cmath>
#include <deque>
#include <nlohmann/json.hpp>
#include <utility>

#include "shear/make_backend.h"
#include "shear/models/vit.h"
#include "weights/config_json.h"
#include "weights/json.h"
#include "weights/library_model.h"

namespace shear {

namespace fs = std::filesystem;

namespace {

using OrderedJson = nlohmann::ordered_json;

// Tensors of the export, with the memory that they lie in.
class Parcel {
 public:
  Parcel(const Weights& weights, DType dtype) : weights_(weights), dtype_(dtype) {}

  // Every parameter under its own name.
  void pack(const Parameters& parameters) {
    for (const Param& p : parameters) keep(p.name, weights_.shape(p.name), weights_.read(p.name));
  }

  // Every tensor of the library's model, in its order: what stands before the blocks, block by block, what stands
  // behind.
  void pack(const LibraryModel& library) {
    Device device(make_planning_backend(DeviceKind::cpu, 1));  // nothing but names and shapes
    const std::unique_ptr<Model> theirs = model_spec(library.config)->make(device, 0, Values::undefined);
    const auto of_block = [](const WrittenRule& r) { return r.source.find('#') != r.source.npos; };
    for (auto rule = library.rules.begin(); rule != library.rules.end();) {
      const auto end =
          std::find_if(rule, library.rules.end(), [&](const WrittenRule& r) { return of_block(r) != of_block(*rule); });
      for (int64_t block = 0; block < (of_block(*rule) ? library.config.depth : 1); ++block)
        for (const WrittenRule& r : std::span(rule, end)) add(library, theirs->parameters(), r, block);
      rule = end;
    }
    for (const IdleTensor& idle : library.idle) {
      const TensorView* found = weights_.file().find(idle.name);
      const bool there = found && found->shape == idle.shape;
      keep(idle.name, idle.shape,
           there ? read_floats(weights_.file(), *found)
                 : std::vector<float>(static_cast<size_t>(idle.shape.elements()), idle.value));
    }
  }
  std::span<const TensorToWrite> tensors() const { return tensors_; }

 private:
  void add(const LibraryModel& library, Parameters& theirs, const WrittenRule& rule, int64_t block) {
    const std::string ours = spell(rule.ours, {}, block, {}), name = spell(rule.source, library.prefix, block, {});
    const Param* wanted = theirs.find(ours);
    if (!wanted) return;
    if (!library.config.key_bias && rule.part == 1 && ours.ends_with(".attn.qkv.bias")) return;
    Shape shape = wanted->value.shape();
    std::vector<float> values;
    if (!weights_.has(ours))  // a bias, or positions
      values.resize(static_cast<size_t>(shape.elements()));
    else
      values = weights_.read(ours);
    if (ours == "pos_embed" && weights_.has(ours)) whole_positions(library.config, values);
    if (rule.part >= 0) {
      const size_t size = values.size() / static_cast<size_t>(rule.parts), at = size * static_cast<size_t>(rule.part);
      values = {values.begin() + static_cast<std::ptrdiff_t>(at),
                values.begin() + static_cast<std::ptrdiff_t>(at + size)};
      std::vector<int64_t> dims(shape.begin(), shape.end());
      dims[0] /= rule.parts;
      shape = Shape(dims);
    }
    const Shape there = shape_there(rule.layout, shape);
    if (rule.layout != Layout::as_is) {
      const std::vector<float> here = std::exchange(values, std::vector<float>(values.size()));
      lay_back(rule.layout, there, here, values);
    }
    keep(name, there, std::move(values));
  }

  // Tokens before the patches that had no position, and have one in the model, get a zero.
  void whole_positions(const VitConfig& config, std::vector<float>& values) const {
    const Shape found_shape = weights_.shape("pos_embed");
    const PositionGrid found = position_grid(found_shape[1], config.class_token ? 1 : 0, config.registers);
    if (found.side != config.image / config.patch)
      fail(Fault::input, weights_.path().string(), ": has positions for images of ", found.side * config.patch,
           " pixels, not of the ", config.image, " of ", setting("model"), ", expected a model of that size");
    const int64_t more = config.positioned() - found_shape[1];
    if (more < 0)
      fail(Fault::input, weights_.path().string(), ": has ", found_shape[1], " positions, expected the model's ",
           config.positioned());
    const auto behind = values.begin() + static_cast<std::ptrdiff_t>(found.before * found_shape[2]);
    values.insert(behind, static_cast<size_t>(more * found_shape[2]), 0.f);
  }

  void keep(const std::string& name, const Shape& shape, std::vector<float> values) {
    if (dtype_ == DType::f32) {
      tensors_.push_back({name, dtype_, shape, floats_.emplace_back(std::move(values)).data()});
      return;
    }
    std::vector<uint16_t>& shorts = shorts_.emplace_back(values.size());
    for (size_t i = 0; i < values.size(); ++i) {
      if (dtype_ == DType::f16 && std::fabs(values[i]) > 65504.f)
        fail(Fault::input, weights_.path().string(), ": ", name, " holds ", values[i], ", which f16 cannot, expected ",
             setting("dtype"), " f32 or bf16");
      shorts[i] = dtype_ == DType::f16 ? f32_to_f16(values[i]) : f32_to_bf16(values[i]);
    }
    tensors_.push_back({name, dtype_, shape, shorts.data()});
  }

  const Weights& weights_;
  DType dtype_;
  std::deque<std::vector<float>> floats_;
  std::deque<std::vector<uint16_t>> shorts_;
  std::vector<TensorToWrite> tensors_;
};

OrderedJson preprocessor_config(const Preprocess& p) {
  OrderedJson j{{"image_processor_type", "ViTImageProcessor"}};
  const int64_t side = resized_side(p);
  const bool cut = p.cut && (p.fit != Fit::both || side != p.image);
  j["do_resize"] = p.fit != Fit::none;
  if (p.fit == Fit::both)
    j["size"] = {{"height", side}, {"width", side}};
  else if (p.fit == Fit::shorter)
    j["size"] = {{"shortest_edge", side}};
  j["do_center_crop"] = cut;
  if (cut) j["crop_size"] = {{"height", p.image}, {"width", p.image}};
  j["resample"] = std::ranges::find(config::by_pillow, p.interpolation) - config::by_pillow.begin() + 1;
  j["do_rescale"] = true;
  j["rescale_factor"] = 1 / 255.;
  j["do_normalize"] = true;
  j["image_mean"] = by_channel(p.mean, p.channels);
  j["image_std"] = by_channel(p.std, p.channels);
  return j;
}

// What the configs of a library cannot say; empty: they say it all.
std::string unsaid(const Preprocess& p, bool hugging_face) {
  const bool odd = p.fit == Fit::both ? (resized_side(p) - p.image) % 4 == 3 : p.cut;
  if (odd && p.halves != (hugging_face ? Halves::down : Halves::even))
    return text(hugging_face ? "transformers" : "timm", " cuts a centre that leaves an odd number of pixels up to one ",
                hugging_face ? "before" : "behind", " that of these weights");
  return {};
}

// The model of the size that its positions are stored for, though its library may show it images of another.
ModelSpecPtr stored_model(const Weights& weights, const std::string& asked) {
  ModelSpecPtr model = weights.model(asked);
  const VitConfig* c = vit_config(*model);
  if (!c || !asked.empty() || c->width > 0 || !weights.has("pos_embed")) return model;
  const PositionGrid found = position_grid(weights.shape("pos_embed")[1], c->class_token ? 1 : 0, c->registers);
  return found.side == c->image / c->patch ? model : weights.model({}, found.side * c->patch);
}

std::string printed(const OrderedJson& j, const fs::path& path) {
  try {
    return j.dump(2) + '\n';
  } catch (const OrderedJson::exception&) {
    fail(Fault::input, "cannot write ", path.string(), ": a class name is not UTF-8");
  }
}

// Files that others may have made are not written over unasked.
void check_free(const fs::path& path, const std::string& content, bool overwrite) {
  std::error_code ignored;
  if (!fs::exists(path, ignored) || overwrite) return;
  if (read_text(path) == content) return;
  fail(Fault::input, "cannot write ", path.string(), ": it is there with another content, expected ",
       setting("overwrite"), " or another ", setting("out"));
}

}  // namespace

// Of the library that is asked for; without one timm's names, with all that the weights have and no more.
static LibraryModel library_model(const VitConfig& c, const ModelCard& card, const ExportOptions& options) {
  if (!options.naming) return {.config = c, .rules = rules_to_write(timm_naming), .prefix = {}, .idle = {}};
  switch (*options.naming) {
    case ExportNaming::timm:
      return timm_model(c, card.kind, card.classes, card.preprocess);
    case ExportNaming::hugging_face:
      return hugging_face_model(c, card.kind, card.classes, options.dtype);
    case ExportNaming::torchvision:
      return torchvision_model(c);
  }
  return {};
}

ExportReport export_weights(const Weights& weights, const fs::path& out, const ExportOptions& options) {
  require(options.dtype == DType::f32 || options.dtype == DType::f16 || options.dtype == DType::bf16,
          "export_weights: ", name(options.dtype), ", expected F32, F16 or BF16");
  const ModelSpecPtr model = stored_model(weights, options.model);
  const VitConfig* vit = vit_config(*model);
  if (!vit && options.naming)
    fail(Fault::usage, setting("naming"), ": no other library has this model (", model->str(), "), expected none");
  ModelCard card{model->str(), weights.class_names(), weights.preprocess(*model), weights.kind()};
  if (static_cast<int64_t>(card.classes.size()) != model->classes()) card.classes.clear();
  std::optional<LibraryModel> library;
  if (vit) library = library_model(*vit, card, options);
  if (vit) card.model = spec(library->config);

  ExportReport report;
  Parcel parcel(weights, options.dtype);
  {
    Device device(make_planning_backend(DeviceKind::cpu, 1));  // nothing but names and shapes
    const std::unique_ptr<Model> made = model->make(device, 0, Values::undefined);
    WeightsReport match =
        match_weights(weights, made->parameters(), {.positions = {}, .allow_mismatch = options.allow_mismatch});
    report.notes = std::move(match.notes);
    report.warnings = std::move(match.warnings);
    for (const Param& p : made->parameters())
      if (!weights.has(p.name))
        fail(Fault::input, weights.path().string(), ": ", p.name,
             " is not there, expected all parameters of the model");
    if (vit)
      parcel.pack(*library);
    else
      parcel.pack(made->parameters());
  }
  if (const int64_t shown = weights.model(options.model)->input()[1], stored = model->input()[1]; shown != stored)
    report.notes.push_back(text("written for images of ", stored, " pixels, as the positions are stored; the library ",
                                "of these weights shows them ", shown));
  if (const std::string guess = weights.heads_guess(*model, options.model); !guess.empty())
    report.warnings.push_back(guess);

  std::error_code error;
  const bool into_folder = fs::is_directory(out, error) || (options.naming && out.extension() != ".safetensors");
  if (into_folder) fs::create_directories(out, error);
  if (error && into_folder) fail(Fault::input, "cannot write ", out.string(), ": ", error.message());
  const fs::path file = into_folder ? out / "model.safetensors" : out;

  std::vector<std::pair<fs::path, std::string>> beside;
  const auto add = [&](const char* name, const OrderedJson& j) {
    const fs::path path = file.parent_path() / name;
    beside.emplace_back(path, printed(j, path));
    check_free(path, beside.back().second, options.overwrite);
  };
  const bool hugging_face = options.naming == ExportNaming::hugging_face;
  if (library && !library->json.is_null()) {
    if (const std::string note = unsaid(card.preprocess, hugging_face); !note.empty()) report.notes.push_back(note);
    add("config.json", library->json);
  }
  if (hugging_face) {
    if (card.preprocess.fit == Fit::longer)
      report.warnings.push_back(
          "preprocessor_config.json is not written: transformers' processors cannot lay an image on a border");
    else if (!images_have(vit->channels))
      report.warnings.push_back(text("preprocessor_config.json is not written: the model sees ", vit->channels,
                                     " channels, images have 1 or 3"));
    else
      add("preprocessor_config.json", preprocessor_config(card.preprocess));
  } else if (options.naming == ExportNaming::timm && (!card.preprocess.cut || card.preprocess.fit == Fit::none)) {
    fail(Fault::input, weights.path().string(), ": its images are ",
         card.preprocess.fit == Fit::none ? "not resized" : "not cut", ", which timm's configs cannot say, expected ",
         setting("naming"), " hf");
  }
  if (library) report.notes.insert(report.notes.end(), library->notes.begin(), library->notes.end());
  write_safetensors(file, parcel.tensors(), to_metadata(card));
  report.written.push_back(file);
  report.tensors = parcel.tensors().size();
  for (const auto& [path, content] : beside) {
    write_text_atomically(path, content);
    report.written.push_back(path);
  }
  return report;
}

}  // namespace shear

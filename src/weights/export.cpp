// The way out: parameters under timm's or Hugging Face's names, and the files that their libraries read beside them.
#include <algorithm>
#include <cmath>
#include <deque>
#include <nlohmann/json.hpp>

#include "shear/make_backend.h"
#include "shear/models/vit.h"
#include "weights/json.h"
#include "weights/naming.h"
#include "weights/source_config.h"

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

  // Every tensor of the naming that is of a parameter, in its order: what stands before the blocks, block by block,
  // what stands behind.
  void pack(const VitConfig& config, Parameters& parameters, const Naming& naming, std::string_view prefix) {
    for (const Param& p : parameters)
      if (!weights_.has(p.name))
        fail(Fault::input, weights_.path().string(), ": ", p.name,
             " is not there, expected all parameters of the model");
    parameters_ = &parameters;
    const auto of_block = [](const Rule& r) { return r.source.find('#') != r.source.npos; };
    for (auto rule = naming.rules.begin(); rule != naming.rules.end();) {
      const auto end =
          std::find_if(rule, naming.rules.end(), [&](const Rule& r) { return of_block(r) != of_block(*rule); });
      for (int64_t block = 0; block < (of_block(*rule) ? config.depth : 1); ++block)
        for (const Rule& r : std::span(rule, end)) add(config, r, prefix, block);
      rule = end;
    }
  }
  std::span<const TensorToWrite> tensors() const { return tensors_; }

 private:
  void add(const VitConfig& config, const Rule& rule, std::string_view prefix, int64_t block) {
    if (rule.is_alias) return;
    if (!rule.source.ends_with('*')) return add_one(config, rule, prefix, block, {});
    for (const char* star : {"weight", "bias"}) add_one(config, rule, prefix, block, star);
  }

  void add_one(const VitConfig& config, const Rule& rule, std::string_view prefix, int64_t block,
               std::string_view star) {
    const std::string ours = spell(rule.ours, {}, block, star), name = spell(rule.source, prefix, block, star);
    if (!parameters_->find(ours)) return;
    std::vector<float> values = weights_.read(ours);
    Shape shape = weights_.shape(ours);
    if (ours == "pos_embed") whole_positions(config, values, shape);
    if (rule.part >= 0) {
      const size_t third = values.size() / 3, at = third * static_cast<size_t>(rule.part);
      values = {values.begin() + static_cast<std::ptrdiff_t>(at),
                values.begin() + static_cast<std::ptrdiff_t>(at + third)};
      std::vector<int64_t> dims(shape.begin(), shape.end());
      dims[0] /= 3;
      shape = Shape(dims);
    }
    keep(name, shape, std::move(values));
  }

  // Tokens before the patches that had no position, and have one in the model, get a zero.
  void whole_positions(const VitConfig& config, std::vector<float>& values, Shape& shape) const {
    const PositionGrid found = position_grid(shape[1], config.class_token ? 1 : 0, config.registers);
    if (found.side != config.image / config.patch)
      fail(Fault::input, weights_.path().string(), ": has positions for images of ", found.side * config.patch,
           " pixels, not of the ", config.image, " of ", setting("model"), ", expected a model of that size");
    const int64_t more = config.positioned() - shape[1];
    if (more < 0)
      fail(Fault::input, weights_.path().string(), ": has ", shape[1], " positions, expected the model's ",
           config.positioned());
    const auto behind = values.begin() + static_cast<std::ptrdiff_t>(found.before * shape[2]);
    values.insert(behind, static_cast<size_t>(more * shape[2]), 0.f);
    shape = {1, config.positioned(), shape[2]};
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
  Parameters* parameters_ = nullptr;
  std::deque<std::vector<float>> floats_;
  std::deque<std::vector<uint16_t>> shorts_;
  std::vector<TensorToWrite> tensors_;
};

bool images_have(int64_t channels) { return channels == 1 || channels == 3; }

std::vector<double> some(const std::array<float, 3>& v, int64_t channels) {
  std::vector<double> out;
  for (int64_t i = 0; i < channels; ++i) out.push_back(short_double(v[static_cast<size_t>(i)]));
  return out;
}

OrderedJson hugging_face_config(const VitConfig& c, const std::vector<std::string>& classes, DType dtype) {
  OrderedJson labels = OrderedJson::object(), ids = OrderedJson::object();
  for (int64_t i = 0; i < c.classes; ++i) {
    const std::string label = classes.empty() ? text("LABEL_", i) : classes[static_cast<size_t>(i)];
    labels[std::to_string(i)] = label;
    ids[label] = i;
  }
  return {{"architectures", {"ViTForImageClassification"}},
          {"model_type", "vit"},
          {"image_size", c.image},
          {"patch_size", c.patch},
          {"num_channels", c.channels},
          {"hidden_size", c.dim},
          {"num_hidden_layers", c.depth},
          {"num_attention_heads", c.heads},
          {"intermediate_size", c.mlp_width()},
          {"hidden_act", c.gelu == GeluForm::exact  ? "gelu"
                         : c.gelu == GeluForm::tanh ? "gelu_pytorch_tanh"
                                                    : "quick_gelu"},
          {"layer_norm_eps", short_double(c.epsilon)},
          {"qkv_bias", true},
          {"hidden_dropout_prob", 0.0},
          {"attention_probs_dropout_prob", 0.0},
          {"initializer_range", 0.02},
          {"encoder_stride", c.patch},
          {"dtype", dtype == DType::f32   ? "float32"
                    : dtype == DType::f16 ? "float16"
                                          : "bfloat16"},
          {"id2label", labels},
          {"label2id", ids}};
}

int pillow_number(Interpolation i) {
  switch (i) {
    case Interpolation::lanczos:
      return 1;
    case Interpolation::bilinear:
      return 2;
    case Interpolation::bicubic:
      return 3;
    case Interpolation::box:
      return 4;
    case Interpolation::hamming:
      return 5;
  }
  return 0;
}

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
  j["resample"] = pillow_number(p.interpolation);
  j["do_rescale"] = true;
  j["rescale_factor"] = 1 / 255.;
  j["do_normalize"] = true;
  j["image_mean"] = some(p.mean, p.channels);
  j["image_std"] = some(p.std, p.channels);
  return j;
}

// The share from which timm comes to the same size: floor(image / share), in double precision.
double timm_share(const Preprocess& p) {
  const double side = static_cast<double>(resized_side(p)), share = short_double(p.crop);
  return std::floor(p.image / share) == side ? share : p.image / (side + (side != p.image ? 0.5 : 0));
}

// What the configs of a library cannot say; empty: they say it all.
std::string unsaid(const Preprocess& p, bool hugging_face) {
  const bool odd = p.fit == Fit::both ? (resized_side(p) - p.image) % 4 == 3 : p.cut;
  if (odd && p.halves != (hugging_face ? Halves::down : Halves::even))
    return text(hugging_face ? "transformers" : "timm", " cuts a centre that leaves an odd number of pixels up to one ",
                hugging_face ? "before" : "behind", " that of these weights");
  return {};
}

std::string_view timm_pool(const VitConfig& c) {
  if (c.pool == Pool::token) return "token";
  return c.pool == Pool::attention || c.pool == Pool::attention_all ? "map" : "avg";
}

// Arguments of timm's VisionTransformer for what is not as in the plainest one.
void add_differences(const VitConfig& c, OrderedJson& args) {
  if (!c.class_token) args["class_token"] = false;
  if (c.registers > 0) args["reg_tokens"] = c.registers;
  if (c.positions == Positions::patches) args["no_embed_class"] = true;
  if (c.positions == Positions::none) args["pos_embed"] = "none";
  if (c.norm_before) args["pre_norm"] = true;
  if (!c.qkv_bias) args["qkv_bias"] = false;
  if (c.layer_scale) args["init_values"] = 1e-5;
  if (!c.proj_bias) args["proj_bias"] = false;
  if (c.attention_norm) args["scale_attn_norm"] = true;
  if (c.mlp_norm) args["scale_mlp_norm"] = true;
  if (c.pool != Pool::token) args["global_pool"] = timm_pool(c);
  if (c.pool == Pool::mean_all || c.pool == Pool::attention_all) args["pool_include_prefix"] = true;
  const bool usually_pooled = timm_pool(c) == "avg";  // where the argument is left out
  if (c.last_norm != LastNorm::none && usually_pooled != (c.last_norm == LastNorm::pooled))
    args["fc_norm"] = !usually_pooled;
  if (c.last_norm == LastNorm::none) args["final_norm"] = false;
}

// Throws where the library has no model like this one.
void check_library(const VitConfig& c, bool hugging_face) {
  const auto refuse = [&](const char* what) {
    fail(Fault::usage, setting("naming"), ": ", hugging_face ? "transformers' ViT" : "timm", " has no ", what,
         ", as these weights have, expected ", setting("naming"), hugging_face ? " timm" : " none");
  };
  if (c.rope != Rope::none) refuse("rotary positions (in its VisionTransformer)");
  if (!c.head_bias) refuse("head without a bias");
  if (c.pool == Pool::two_heads) refuse("second head (in its VisionTransformer)");
  if (!c.key_bias) refuse("biases of queries and values alone (in its VisionTransformer)");
  if (!hugging_face) {
    if (c.patch_bias == c.norm_before) refuse("model with the bias of the patches and the norm before the blocks");
    if (c.positions == Positions::but_registers) refuse("positions of all tokens but the registers");
    if (c.pool == Pool::token_and_mean) refuse("head on the class token and the mean");
    // What no config can say has its own architectures.
    const bool known = !known_name(c).empty();
    if (c.swiglu && !(known && !c.rms_norm)) refuse("SwiGLU of this size (under names that a config can choose)");
    if (c.rms_norm && !known) refuse("RMSNorm of this size");
    if (c.patch_norm && !known) refuse("norm of patches of this size");
    if (c.norm_after && !known) refuse("norm behind each branch of this size");
    return;
  }
  VitConfig plain;
  plain.image = c.image, plain.patch = c.patch, plain.dim = c.dim, plain.depth = c.depth, plain.heads = c.heads;
  plain.classes = c.classes, plain.channels = c.channels, plain.mlp = c.mlp, plain.hidden = c.hidden;
  plain.epsilon = c.epsilon, plain.gelu = c.gelu, plain.dropout = c.dropout;
  if (c.layer_scale) refuse("LayerScale");
  if (c.registers > 0) refuse("registers");
  if (c.norm_before) refuse("norm before the blocks");
  if (c.pool != Pool::token) refuse("mean of tokens in place of the class token");
  if (c.positions != Positions::all) refuse("class token without a position");
  if (!(plain == c)) refuse("such model");
}

OrderedJson timm_config(const VitConfig& c, const std::vector<std::string>& classes, const Preprocess& p) {
  const std::string_view known = known_name(c);
  OrderedJson args = OrderedJson::object();
  if (known.empty())
    args = {{"patch_size", c.patch},
            {"embed_dim", c.dim},
            {"depth", c.depth},
            {"num_heads", c.heads},
            {"mlp_ratio", static_cast<double>(c.mlp_width()) / static_cast<double>(c.dim)}};
  if (known.empty()) add_differences(c, args);
  if (c.image != 224) args["img_size"] = c.image;
  if (c.channels != 3) args["in_chans"] = c.channels;
  if (c.gelu == GeluForm::tanh) args["act_layer"] = "gelu_tanh";
  if (c.gelu == GeluForm::quick) args["act_layer"] = "quick_gelu";
  OrderedJson j{{"architecture", known.empty() ? "vit_base_patch16_224" : known},
                {"num_classes", c.classes},
                {"num_features", c.dim},
                {"global_pool", timm_pool(c)}};
  if (!args.empty()) j["model_args"] = args;
  j["pretrained_cfg"] = {{"custom_load", false},
                         {"input_size", {c.channels, c.image, c.image}},
                         {"fixed_input_size", true},
                         {"interpolation", name(p.interpolation)},
                         {"crop_pct", timm_share(p)},
                         {"crop_mode", p.fit == Fit::both     ? "squash"
                                       : p.fit == Fit::longer ? "border"
                                                              : "center"},
                         {"num_classes", c.classes},
                         {"pool_size", nullptr},
                         {"first_conv", "patch_embed.proj"},
                         {"classifier", "head"}};
  if (images_have(c.channels)) {
    j["pretrained_cfg"]["mean"] = some(p.mean, p.channels);
    j["pretrained_cfg"]["std"] = some(p.std, p.channels);
  }
  if (!classes.empty()) j["label_names"] = classes;
  return j;
}

// The model of the size that its positions are stored for, though its library may show it images of another.
ModelSpecPtr stored_model(const Weights& weights, const std::string& asked) {
  ModelSpecPtr model = weights.model(asked);
  const VitConfig* c = vit_config(*model);
  if (!c || !asked.empty() || !weights.has("pos_embed")) return model;
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

ExportReport export_weights(const Weights& weights, const fs::path& out, const ExportOptions& options) {
  require(options.dtype == DType::f32 || options.dtype == DType::f16 || options.dtype == DType::bf16,
          "export_weights: ", name(options.dtype), ", expected F32, F16 or BF16");
  const ModelSpecPtr model = stored_model(weights, options.model);
  const VitConfig* vit = vit_config(*model);
  if (!vit && options.naming)
    fail(Fault::usage, setting("naming"), ": no other library has this model (", model->str(), "), expected none");
  const bool hugging_face = options.naming == ExportNaming::hugging_face;
  if (vit && options.naming) check_library(*vit, hugging_face);
  ExportReport report;
  Parcel parcel(weights, options.dtype);
  {
    Device device(make_planning_backend(DeviceKind::cpu, 1));  // nothing but names and shapes
    const std::unique_ptr<Model> made = model->make(device, 0, Values::undefined);
    WeightsReport match =
        match_weights(weights, made->parameters(), {.positions = {}, .allow_mismatch = options.allow_mismatch});
    report.notes = std::move(match.notes);
    report.warnings = std::move(match.warnings);
    if (!vit)
      parcel.pack(made->parameters());
    else
      parcel.pack(*vit, made->parameters(), hugging_face ? hugging_face_naming : timm_naming,
                  hugging_face ? "vit." : "");
  }
  if (const int64_t shown = weights.model(options.model)->input()[1], stored = model->input()[1]; shown != stored)
    report.notes.push_back(text("written for images of ", stored, " pixels, as the positions are stored; the library ",
                                "of these weights shows them ", shown));
  if (const std::string guess = weights.heads_guess(*model, options.model); !guess.empty())
    report.warnings.push_back(guess);

  ModelCard card{model->str(), weights.class_names(), weights.preprocess(*model)};
  if (static_cast<int64_t>(card.classes.size()) != model->classes()) card.classes.clear();
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
  if (options.naming)
    if (const std::string note = unsaid(card.preprocess, hugging_face); !note.empty()) report.notes.push_back(note);
  if (hugging_face) {
    add("config.json", hugging_face_config(*vit, card.classes, options.dtype));
    if (card.preprocess.fit == Fit::longer)
      report.warnings.push_back(
          "preprocessor_config.json is not written: transformers' processors cannot lay an image on a border");
    else if (!images_have(vit->channels))
      report.warnings.push_back(text("preprocessor_config.json is not written: the model sees ", vit->channels,
                                     " channels, images have 1 or 3"));
    else
      add("preprocessor_config.json", preprocessor_config(card.preprocess));
  } else if (options.naming) {
    if (!card.preprocess.cut || card.preprocess.fit == Fit::none)
      fail(Fault::input, weights.path().string(), ": its images are ",
           card.preprocess.fit == Fit::none ? "not resized" : "not cut", ", which timm's configs cannot say, expected ",
           setting("naming"), " hf");
    add("config.json", timm_config(*vit, card.classes, card.preprocess));
    const std::string_view known = known_name(*vit);
    const float usual = known.empty() ? VitConfig{}.epsilon : parse_vit(known).epsilon;
    if (vit->epsilon != usual)
      report.notes.push_back(text("timm's LayerNorm has an epsilon of ", usual, ", these weights are for ",
                                  vit->epsilon, ": its logits will differ in their last digits"));
  }
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

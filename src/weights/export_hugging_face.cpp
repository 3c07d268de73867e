// Which of transformers' models is which ViT, and its config.json.
#include <algorithm>
#include <array>

#include "weights/json.h"
#include "weights/library_model.h"
#include "weights/names/names.h"

namespace shear {

namespace {

using Json = nlohmann::ordered_json;

// What all of them leave to the config.
VitConfig sizes_of(const VitConfig& c) {
  VitConfig same;
  same.image = c.image, same.patch = c.patch, same.dim = c.dim, same.depth = c.depth, same.heads = c.heads;
  same.classes = c.classes, same.channels = c.channels, same.mlp = c.mlp, same.hidden = c.hidden;
  same.epsilon = c.epsilon, same.gelu = c.gelu, same.dropout = c.dropout;
  return same;
}

VitConfig vit(const VitConfig& c) {
  VitConfig t = sizes_of(c);
  t.qkv_bias = c.qkv_bias;
  return t;
}
VitConfig deit(const VitConfig& c) {
  VitConfig t = vit(c);
  t.registers = 1;
  return t;
}
VitConfig deit_with_teacher(const VitConfig& c) {
  VitConfig t = deit(c);
  t.pool = Pool::two_heads;
  return t;
}
VitConfig ijepa(const VitConfig& c) {
  VitConfig t = vit(c);
  t.class_token = false;
  t.pool = Pool::mean;
  return t;
}
VitConfig dinov2(const VitConfig& c) {
  VitConfig t = vit(c);
  t.layer_scale = true;
  t.pool = Pool::token_and_mean;
  t.swiglu = c.swiglu;
  return t;
}
VitConfig dinov2_with_registers(const VitConfig& c) {
  VitConfig t = dinov2(c);
  t.registers = c.registers;
  t.positions = Positions::but_registers;
  return t;
}
VitConfig siglip(const VitConfig& c) {
  VitConfig t = sizes_of(c);
  t.class_token = false;
  t.pool = Pool::mean;
  return t;
}
VitConfig clip(const VitConfig& c) {
  VitConfig t = sizes_of(c);
  t.patch_bias = false;
  t.norm_before = true;
  t.pool = Pool::mean;
  t.last_norm = LastNorm::none;
  return t;
}
VitConfig clip_projection(const VitConfig& c) {
  VitConfig t = clip(c);
  t.pool = Pool::token;
  t.last_norm = LastNorm::tokens;
  t.head_bias = false;
  return t;
}

enum class Wording : uint8_t { vit, with_encoder_stride, dinov2, tower, projection };

struct Kind {
  std::string_view model_type, architecture;
  VitConfig (*like)(const VitConfig&);
  const Naming& naming;
  std::string_view prefix;
  Wording wording;
  std::array<std::string_view, 3> instead{};
};

// Of two that compute the same the first, where nothing says which it was.
const Kind kinds[] = {
    {"vit", "ViTForImageClassification", vit, hugging_face_naming, "vit.", Wording::with_encoder_stride},
    {"vit_msn", "ViTMSNForImageClassification", vit, hugging_face_naming, "vit.", Wording::vit},
    {"deit",
     "DeiTForImageClassification",
     deit,
     hugging_face_naming,
     "deit.",
     Wording::with_encoder_stride,
     {"~embeddings.distillation_token"}},
    {"deit",
     "DeiTForImageClassificationWithTeacher",
     deit_with_teacher,
     hugging_face_naming,
     "deit.",
     Wording::with_encoder_stride,
     {"~embeddings.distillation_token", "cls_classifier.*", "distillation_classifier.*"}},
    {"dinov2", "Dinov2ForImageClassification", dinov2, dinov2_naming, "dinov2.", Wording::dinov2},
    {"dinov2_with_registers", "Dinov2WithRegistersForImageClassification", dinov2_with_registers, dinov2_naming,
     "dinov2_with_registers.", Wording::dinov2},
    {"clip", "CLIPForImageClassification", clip, clip_classifier_naming, "vision_model.", Wording::tower},
    {"clip_vision_model", "CLIPVisionModelWithProjection", clip_projection, clip_naming, "vision_model.",
     Wording::projection},
    {"siglip", "SiglipForImageClassification", siglip, siglip_classifier_naming, "vision_model.", Wording::tower},
    {"ijepa", "IJepaForImageClassification", ijepa, hugging_face_naming, "ijepa.", Wording::vit},
};

// The whole number that Dinov2Config asks for, from which it comes to the width of the MLP; 0: there is none.
int64_t dinov2_ratio(const VitConfig& c) {
  for (int64_t ratio = 1; ratio <= 64; ++ratio) {
    const int64_t width = c.dim * ratio;
    if ((c.swiglu ? (width * 2 / 3 + 7) / 8 * 8 : width) == c.mlp_width()) return ratio;
  }
  return 0;
}

std::string_view gelu_name(const VitConfig& c) {
  return c.gelu == GeluForm::exact ? "gelu" : c.gelu == GeluForm::tanh ? "gelu_pytorch_tanh" : "quick_gelu";
}

Json config_of(const Kind& kind, const VitConfig& c, const std::vector<std::string>& classes, DType dtype) {
  Json numbers{{"image_size", c.image},
               {"patch_size", c.patch},
               {"num_channels", c.channels},
               {"hidden_size", c.dim},
               {"num_hidden_layers", c.depth},
               {"num_attention_heads", c.heads},
               {"intermediate_size", c.mlp_width()},
               {"hidden_act", gelu_name(c)},
               {"layer_norm_eps", short_double(c.epsilon)}};
  if (kind.wording == Wording::dinov2) {
    numbers.erase("intermediate_size");
    numbers["mlp_ratio"] = dinov2_ratio(c);
    numbers["use_swiglu_ffn"] = c.swiglu;
    if (kind.like == dinov2_with_registers) numbers["num_register_tokens"] = c.registers;
  }
  const bool of_clip = kind.wording == Wording::tower || kind.wording == Wording::projection;
  if (of_clip) {
    numbers["attention_dropout"] = 0.0;
  } else {
    numbers["qkv_bias"] = c.qkv_bias;
    numbers["hidden_dropout_prob"] = 0.0;
    numbers["attention_probs_dropout_prob"] = 0.0;
    numbers["initializer_range"] = 0.02;
  }
  if (kind.wording == Wording::with_encoder_stride) numbers["encoder_stride"] = c.patch;
  if (kind.wording == Wording::projection) numbers["projection_dim"] = c.classes;

  Json j{{"architectures", {kind.architecture}}, {"model_type", kind.model_type}};
  if (kind.wording == Wording::tower) {
    j["vision_config"] = {{"model_type", text(kind.model_type, "_vision_model")}};
    j["vision_config"].update(numbers);
    if (kind.model_type == "siglip") j["vision_config"]["vision_use_head"] = false;  // pooling that no classifier uses
  } else {
    j.update(numbers);
  }
  j["dtype"] = dtype == DType::f32 ? "float32" : dtype == DType::f16 ? "float16" : "bfloat16";
  if (kind.wording == Wording::projection) return j;
  j["id2label"] = j["label2id"] = Json::object();
  for (int64_t i = 0; i < c.classes; ++i) {
    const std::string label = classes.empty() ? text("LABEL_", i) : classes[static_cast<size_t>(i)];
    j["id2label"][std::to_string(i)] = label;
    j["label2id"][label] = i;
  }
  return j;
}

std::vector<IdleTensor> idle_of(const Kind& kind, const VitConfig& c) {
  if (kind.wording == Wording::dinov2) return {{text(kind.prefix, "embeddings.mask_token"), {1, c.dim}}};
  if (kind.model_type == "clip")
    return {{text(kind.prefix, "post_layernorm.weight"), {c.dim}, 1},
            {text(kind.prefix, "post_layernorm.bias"), {c.dim}}};
  return {};
}

const Kind* kind_of(const VitConfig& c, std::string_view model_type) {
  const Kind* first = nullptr;
  for (const Kind& kind : kinds) {
    if (!stands_for(kind.like(c), c) || (kind.wording == Wording::dinov2 && dinov2_ratio(c) == 0)) continue;
    if (kind.model_type == model_type) return &kind;
    if (!first) first = &kind;
  }
  return first;
}

// SigLIP's GELU tells it from I-JEPA, which else computes the same.
std::string_view usual_type(const VitConfig& c) { return c.gelu == GeluForm::tanh ? "siglip" : "ijepa"; }

}  // namespace

LibraryModel hugging_face_model(const VitConfig& c, std::string_view model_type,
                                const std::vector<std::string>& classes, DType dtype) {
  const bool is_one =
      std::any_of(std::begin(kinds), std::end(kinds), [&](const Kind& k) { return k.model_type == model_type; });
  const Kind* kind = kind_of(c, is_one ? model_type : usual_type(c));
  if (!kind)
    refuse_export("transformers",
                  {{c.rope != Rope::none, "classifier with rotary positions"},
                   {c.relative != Relative::none, "classifier with relative positions that Shear writes"},
                   {c.differential || c.parallel, "classifier with such blocks"},
                   {c.qk_norm || c.kv_heads > 0, "classifier with norms of queries and keys, or keys that heads share"},
                   {c.width > 0, "classifier of images that are not square, in a config that Shear writes"},
                   {c.norm_after, "classifier with a norm behind each branch"},
                   {c.rms_norm, "classifier with RMSNorm"},
                   {c.patch_norm || c.attention_norm || c.mlp_norm, "classifier with norms of patches or in branches"},
                   {c.pool == Pool::attention || c.pool == Pool::attention_all, "classifier that pools by attention"},
                   {c.pool == Pool::token && c.norm_before, "classifier by CLIP's class token with a bias"},
                   {c.pool == Pool::token && c.layer_scale, "classifier by the class token alone with LayerScale"},
                   {c.pool == Pool::token_and_mean && dinov2_ratio(c) == 0, "DINOv2 with an MLP of such a width"},
                   {c.layer_scale && c.pool != Pool::token_and_mean, "classifier with LayerScale and such a pooling"},
                   {c.swiglu && c.pool != Pool::token_and_mean, "classifier with SwiGLU and such a pooling"},
                   {c.registers > 0, "classifier with registers and such a pooling"}},
                  "timm");
  std::vector<std::string_view> instead(kind->instead.begin(), kind->instead.end());
  if (kind->wording == Wording::dinov2 && c.swiglu)
    instead = {"^encoder.layer.#.mlp.weights_in.*", "^encoder.layer.#.mlp.weights_out.*"};
  const VitConfig theirs = kind->like(c);
  return {.config = theirs,
          .rules = rules_to_write(kind->naming, instead),
          .prefix = kind->prefix,
          .idle = idle_of(*kind, theirs),
          .json = config_of(*kind, theirs, classes, dtype)};
}

}  // namespace shear

// Reading open_clip_config.json: the image tower of a model of OpenCLIP, and what it is shown.
#include <algorithm>

#include "weights/colours.h"
#include "weights/config_json.h"
#include "weights/source_config.h"

namespace shear {

using namespace config;

namespace {

// Keys that make another network of the tower, where they are not as here.
constexpr const char* none_of[] = {
    "attentional_pool", "qk_norm", "scaled_cosine_attn", "scale_heads", "scale_attn_inner", "scale_attn", "scale_fc"};

// OpenCLIP's own VisionTransformer.
void read_tower(const Json& vision, bool quick_gelu, const std::string& where, SourceConfig& c) {
  for (const char* key : none_of)
    if (flag(vision, key, where, false)) refuse(where, key, true, "false");
  if (const auto type = word(vision, "block_type", where); type && *type != "default")
    refuse(where, "block_type", *type, "default");
  if (const auto type = word(vision, "pos_embed_type", where); type && *type != "learnable")
    refuse(where, "pos_embed_type", *type, "learnable");
  // With the class token alone it is the same before and behind pooling.
  if (const auto pool = word(vision, "pool_type", where); pool && *pool != "tok")
    refuse(where, "pool_type", *pool, "tok");
  c.depth = whole(vision, "layers", where).value_or(12);
  c.dim = whole(vision, "width", where).value_or(768);
  c.patch = whole(vision, "patch_size", where).value_or(16);
  const int64_t head = whole(vision, "head_width", where).value_or(64);
  if (head < 1 || *c.dim < head) refuse(where, "head_width", head, text("from 1 to the width, ", *c.dim));
  c.heads = *c.dim / head;
  const double ratio = number(vision, "mlp_ratio", where).value_or(4);
  if (!(ratio > 0 && ratio <= 1000)) refuse(where, "mlp_ratio", ratio, "a number above 0");
  c.hidden = static_cast<int64_t>(static_cast<double>(*c.dim) * ratio);
  c.epsilon = 1e-5f;
  if (const Json* norm = find_object(vision, "norm_kwargs", where))
    if (const auto epsilon = number(*norm, "eps", where)) {
      if (!(*epsilon > 0 && *epsilon < 1)) refuse(where, "eps", *epsilon, "a number from 0 to 1");
      c.epsilon = static_cast<float>(*epsilon);
    }
  c.gelu = quick_gelu ? GeluForm::quick : GeluForm::exact;
  if (const Json* act = find_object(vision, "act_kwargs", where)) {
    const std::string form = word(*act, "approximate", where).value_or("none");
    if (quick_gelu || (form != "tanh" && form != "none")) refuse(where, "act_kwargs", *act, "none");
    if (form == "tanh") c.gelu = GeluForm::tanh;
  }
}

// A tower that is a model of timm's.
void read_timm(const Json& vision, const std::string& name, const std::string& where, SourceConfig& c) {
  const std::vector<std::string> known = vit_family().known;
  if (std::find(known.begin(), known.end(), name) == known.end())
    refuse(where, "timm_model_name", name, "a plain ViT, such as vit_base_patch16_siglip_224");
  VitConfig usual = parse_vit(name);
  Json args = Json::object();
  const std::string pool = word(vision, "timm_pool", where).value_or("avg");
  if (!pool.empty()) args["global_pool"] = pool;
  if (!pool.empty() && pool != "token" && pool != "avg" && pool != "map")
    refuse(where, "timm_pool", pool, "\"token\", \"avg\", \"map\" or nothing");
  take_timm_arguments(args, where, usual);
  if (pool == "token") usual.pool = Pool::token;
  c.usual = usual;
  c.patch = usual.patch, c.dim = usual.dim, c.depth = usual.depth, c.heads = usual.heads, c.hidden = usual.mlp_width();
  c.epsilon = usual.epsilon;
  c.gelu = usual.gelu;
  c.pool = usual.pool;
}

Preprocess read_images(const Json& j, const std::string& where, std::optional<int64_t> image) {
  Preprocess p{.image = 0, .mean = clip_mean, .std = clip_std};
  p.interpolation = Interpolation::bicubic;
  p.crop = 1;
  channels(j, "mean", where, false, p.mean);
  channels(j, "std", where, true, p.std);
  if (const auto name = word(j, "interpolation", where)) p.interpolation = interpolation(*name, "interpolation", where);
  if (const auto size = whole(j, "size", where)) image = size;
  if (image) p.image = p.resize = static_cast<int>(*image);
  const std::string mode = word(j, "resize_mode", where).value_or("shortest");
  if (mode != "shortest" && mode != "squash") refuse(where, "resize_mode", mode, "shortest or squash");
  p.fit = mode == "squash" ? Fit::both : Fit::shorter;
  return p;
}

}  // namespace

SourceConfig parse_open_clip_config(std::string_view text, const std::string& where) {
  const Json j = parse(text, where);
  const Json* nested = find_object(j, "model_cfg", where);
  const Json& model = nested ? *nested : j;
  const Json* vision = find_object(model, "vision_cfg", where);
  if (!vision) refuse(where, "vision_cfg", nullptr, "the image tower's numbers");
  SourceConfig c;
  c.library = "OpenCLIP";
  c.image = whole(*vision, "image_size", where).value_or(224);
  if (const auto name = word(*vision, "timm_model_name", where))
    read_timm(*vision, *name, where, c);
  else
    read_tower(*vision, flag(model, "quick_gelu", where, false), where, c);
  const Json* images = find_object(j, "preprocess_cfg", where);
  c.preprocess = read_images(images ? *images : Json::object(), where, c.image);
  return c;
}

}  // namespace shear

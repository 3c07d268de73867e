// A ViT from a file: its numbers by the shapes of its parameters, and by what stands beside them.
#include <algorithm>

#include "io/safetensors_header.h"
#include "shear/models/vit.h"
#include "weights/naming.h"
#include "weights/schema.h"
#include "weights/source_config.h"

namespace shear {

namespace {

std::string activation(const VitConfig& c) {
  if (c.swiglu) return "SwiGLU";
  return c.gelu == GeluForm::exact ? "exact GELU" : c.gelu == GeluForm::tanh ? "GELU by tanh" : "quick GELU";
}

// What may be the reason for a number of positions that is no square's.
std::string with_known(const std::vector<Unused>& unused) {
  for (const Unused& u : unused)
    if (u.loss == Unused::Loss::some && !u.what.empty())
      return text(" (", in_quotes(u.name), " is ", u.what, ", which Shear's ViT does not have)");
  return {};
}

// Where nothing tells: a head is 64 wide, but ViT-H's is 80.
int64_t usual_heads(int64_t dim) { return dim == 1280 ? 16 : dim % 64 == 0 ? dim / 64 : 0; }

// The width of the MLP, over the model's where it is a multiple.
void set_mlp(VitConfig& c, int64_t width) {
  const bool multiple = width % c.dim == 0 && width / c.dim <= 64;
  c.mlp = multiple ? width / c.dim : VitConfig{}.mlp;
  c.hidden = multiple ? 0 : width;
}

class VitSchema final : public Schema {
 public:
  VitSchema(const Weights&, const Naming&, int64_t heads, const std::optional<ModelCard>&);

  std::string_view family() const override { return "vit"; }
  int64_t classes() const override { return found_.classes; }
  void take(const SourceConfig&, const std::string& where) override;
  void expect_whole() const override;
  ModelSpecPtr model(std::string_view asked, int64_t image) const override;
  std::string told(const ModelSpec&) const override;
  std::string guess(const ModelSpec&, std::string_view asked) const override;

 private:
  std::optional<Shape> shape_of(const char* parameter, int rank) const;
  void by_names(const Naming&);
  void by_distances();
  void place(int64_t before, int64_t height, int64_t width);
  void place(const SourceConfig&, const std::string& where);
  void share_keys(VitConfig&) const;
  void expect_placed(const VitConfig&) const;
  VitConfig by_shapes() const;

  const Weights& weights_;
  VitConfig found_;        // a number that is not known is 0
  int64_t positions_ = 0;  // tokens that have one
  bool placed_ = false;    // on a grid of patches
  bool heads_told_ = false;
  std::string_view guessed_;
  bool perhaps_rotary_ = false, rotary_told_ = false;
  std::optional<VitConfig> card_;
};

std::optional<Shape> VitSchema::shape_of(const char* parameter, int rank) const {
  if (!weights_.has(parameter)) return std::nullopt;
  const Shape s = weights_.shape(parameter);
  if (s.rank() != rank || s.elements() == 0)
    fail(Fault::input, weights_.path().string(), ": ", weights_.names_of(parameter), " has the shape ", s,
         ", expected ", rank, " dimensions");
  return s;
}

VitSchema::VitSchema(const Weights& weights, const Naming& naming, int64_t heads, const std::optional<ModelCard>& card)
    : weights_(weights) {
  const std::string path = weights.path().string();
  found_ = {.image = 0, .patch = 0, .dim = 0, .depth = 0, .heads = heads, .classes = 0, .channels = 0, .mlp = 0};
  found_.epsilon = naming.epsilon;
  found_.gelu = naming.gelu;
  heads_told_ = heads > 0;
  if (const auto s = shape_of("patch_embed.proj.weight", 4)) {
    if ((*s)[2] != (*s)[3])
      fail(Fault::input, path, ": ", weights.names_of("patch_embed.proj.weight"), " has patches of ", (*s)[2], " x ",
           (*s)[3], ", expected square ones");
    found_.dim = (*s)[0], found_.channels = (*s)[1], found_.patch = (*s)[2];
  }
  for (const std::string& name : weights.parameters()) {
    NamePlace place;
    for (const Rule& rule : timm_naming.rules)
      if (matches(rule.ours, {}, name, place)) found_.depth = std::max(found_.depth, place.block + 1);
  }
  if (const auto s = shape_of("blocks.0.mlp.fc1.weight", 2); s && found_.dim > 0) {
    const auto last = shape_of("blocks.0.mlp.fc2.weight", 2);
    found_.swiglu = last && (*s)[0] == 2 * (*last)[1];
    set_mlp(found_, found_.swiglu ? (*last)[1] : (*s)[0]);
  }
  if (const auto s = shape_of("blocks.0.in_proj.weight", 2); s && found_.dim > 0 && (*s)[0] > 3 * found_.dim)
    set_mlp(found_, (*s)[0] - 3 * found_.dim);
  by_names(naming);
  if (const auto s = shape_of("attn_pool.mlp.fc1.weight", 2); s && (*s)[0] != found_.mlp_width())
    found_.pool_hidden = (*s)[0];
  if (const auto s = shape_of("blocks.0.attn.q_norm.weight", 1); s && found_.dim % (*s)[0] == 0)
    found_.heads = found_.dim / (*s)[0], heads_told_ = true;
  if (const auto s = shape_of("rope.freqs", 4)) found_.heads = (*s)[2], heads_told_ = true;
  if (const auto s = shape_of("reg_token", 3)) found_.registers = (*s)[1];
  if (const auto s = shape_of("pos_embed", 3)) {
    positions_ = (*s)[1];
    const PositionGrid grid = position_grid(positions_, found_.class_token ? 1 : 0, found_.registers);
    if (grid.side > 0) place(grid.before, grid.side * found_.patch, 0);
  }
  by_distances();
  if (const auto s = shape_of("head.weight", 2)) {
    found_.classes = (*s)[0];
    if ((*s)[1] == 2 * found_.dim && found_.class_token) found_.pool = Pool::token_and_mean;
  }
  if (!card) return;
  card_ = parse_vit(card->model);
  guessed_ = {};
  found_.epsilon = card_->epsilon;
  found_.gelu = card_->gelu;
  found_.heads = card_->heads;
  found_.image = card_->image, found_.width = card_->width;
  heads_told_ = placed_ = true;
}

// The sides of images, and how many tokens before the patches have a position.
void VitSchema::place(int64_t before, int64_t height, int64_t width) {
  placed_ = true;
  found_.image = height, found_.width = width;
  found_.positions = before == found_.before_patches()        ? Positions::all
                     : before == (found_.class_token ? 1 : 0) ? Positions::but_registers
                                                              : Positions::patches;
}

// As a file beside the weights says.
void VitSchema::place(const SourceConfig& c, const std::string& where) {
  VitConfig sized = found_;
  sized.image = *c.image, sized.width = *c.width;
  if (found_.patch == 0 || positions_ == 0) {
    found_.image = sized.image, found_.width = sized.width;
    return;
  }
  for (const int64_t before : {found_.before_patches(), int64_t{found_.class_token ? 1 : 0}, int64_t{0}})
    if (positions_ - before == sized.patches()) return place(before, sized.image, sized.width);
  fail(Fault::input, where, ": says ", sized.image, " x ", sized.width, " pixels to an image, but the weights in ",
       weights_.path().string(), " have ", positions_, " positions, expected the config of these weights");
}

constexpr const char *table_of_first = "blocks.0.attn.relative_position_bias_table",
                     *table_of_all = "rel_pos_bias.relative_position_bias_table";

// Relative positions, whose table tells the heads and the grid.
void VitSchema::by_distances() {
  const std::string path = weights_.path().string();
  const bool shared = weights_.has(table_of_all);
  const char* name = shared ? table_of_all : table_of_first;
  if (shared && weights_.has(table_of_first))
    fail(Fault::input, path, ": has relative positions of each block, ", weights_.names_of(table_of_first),
         ", and shared ones, ", weights_.names_of(table_of_all), ", expected one of them");
  const auto s = shape_of(name, 2);
  if (!s) return;
  found_.relative = shared ? Relative::shared : Relative::blocks;
  perhaps_rotary_ = false;  // no model has both
  const PositionGrid grid = position_grid((*s)[0], 3, 0);
  const int64_t side = (grid.side + 1) / 2;
  if (grid.before != 3 || grid.side % 2 == 0)
    fail(Fault::input, path, ": ", weights_.names_of(name), " has ", (*s)[0],
         " distances, expected those of a square grid, and three of the class token");
  if (found_.heads == 0) found_.heads = (*s)[1], heads_told_ = true;
  if (weights_.has("pos_embed")) return;
  found_.positions = Positions::none;
  found_.image = side * found_.patch;
}

// What a ViT of this family has or has not, by what is there.
void VitSchema::by_names(const Naming& naming) {
  const auto has = [&](const char* name) { return weights_.has(name); };
  found_.class_token = has("cls_token");
  found_.patch_bias = has("patch_embed.proj.bias");
  found_.qk_norm = has("blocks.0.attn.q_norm.weight");
  found_.parallel = has("blocks.0.in_proj.weight");
  found_.differential = has("blocks.0.attn.lambda_q1") || has("blocks.0.lambda_q1");
  found_.qkv_bias = has("blocks.0.attn.qkv.bias") || has("blocks.0.in_proj.bias");
  found_.norm_before = has("norm_pre.weight");
  found_.layer_scale = has("blocks.0.ls1.gamma") || has("blocks.0.ls.gamma");
  found_.mlp_scale = !has("blocks.0.ls1.gamma") || has("blocks.0.ls2.gamma");
  found_.last_norm = has("fc_norm.weight") ? LastNorm::pooled : has("norm.weight") ? LastNorm::tokens : LastNorm::none;
  if (naming.last_norm) found_.last_norm = *naming.last_norm;
  found_.key_bias = weights_.key_bias() || !found_.qkv_bias;
  // Rotary positions are in no file: these are names that only models have which may have them.
  perhaps_rotary_ = !weights_.key_bias() || has("rope.freqs") || (!has("pos_embed") && has("blocks.0.attn.qkv.weight"));
  found_.proj_bias =
      has("blocks.0.attn.proj.bias") || has("blocks.0.attn_out_proj.bias") || has("blocks.0.out_proj.bias");
  found_.head_bias = has("head.bias") || !has("head.weight");
  found_.rms_norm = (has("blocks.0.norm1.weight") && !has("blocks.0.norm1.bias")) ||
                    (has("blocks.0.in_norm.weight") && !has("blocks.0.in_norm.bias"));
  found_.patch_norm = has("patch_embed.norm.weight");
  found_.attention_norm = has("blocks.0.attn.norm.weight");
  found_.mlp_norm = has("blocks.0.mlp.norm.weight");
  if (naming.pool)
    found_.pool = *naming.pool;
  else if (has("attn_pool.latent"))
    found_.pool = Pool::attention;
  else if (has("head_dist.weight"))
    found_.pool = Pool::two_heads;
  else if (!found_.class_token || found_.last_norm == LastNorm::pooled)
    found_.pool = Pool::mean;
  if (found_.swiglu) found_.gelu = GeluForm::exact;
  guessed_ = naming.guessed;
}

void VitSchema::take(const SourceConfig& c, const std::string& where) {
  const auto agree = [&](const std::optional<int64_t>& said, int64_t found, const char* what) {
    if (said && found > 0 && *said != found)
      fail(Fault::input, where, ": says ", *said, ' ', what, ", but the weights in ", weights_.path().string(),
           " have ", found, ", expected the config of these weights");
  };
  agree(c.patch, found_.patch, "pixels to a patch's side");
  agree(c.dim, found_.dim, "values to a token");
  agree(c.depth, found_.depth, "blocks");
  agree(c.channels, found_.channels, "channels");
  if (!found_.swiglu) agree(c.hidden, found_.mlp_width(), "hidden values in the MLP");
  // Pixels beyond the last whole patch leave no trace in the weights, and without positions none do.
  if (c.image && c.width)
    place(c, where);
  else if (c.image && found_.image == 0)
    found_.image = *c.image;
  if (c.image && !c.width && found_.patch > 0 && *c.image / found_.patch == found_.image / found_.patch)
    found_.image = *c.image;
  agree(c.image, found_.image, "pixels to an image's side");
  if (weights_.has("head.weight") && (c.library == "timm" || !c.class_names.empty()))
    agree(c.classes, found_.classes, "classes");
  if (heads_told_) agree(c.heads, found_.heads, "heads");
  if (c.heads) found_.heads = *c.heads, heads_told_ = true;
  if (c.epsilon) found_.epsilon = *c.epsilon;
  if (c.gelu) guessed_ = {};
  if (c.gelu && !found_.swiglu) found_.gelu = *c.gelu;
  agree(c.registers, found_.registers, "registers");
  if ((c.pool == Pool::token || c.pool == Pool::token_and_mean || c.pool == Pool::two_heads) && !found_.class_token)
    fail(Fault::input, where, ": says that the class token is classified, but the weights in ",
         weights_.path().string(), " have none, expected the config of these weights");
  if (c.pool) found_.pool = *c.pool;
  const auto there = [&](bool said, bool found, const char* what) {
    if (said != found)
      fail(Fault::input, where, ": says that there ", said ? "are " : "are no ", what, ", but the weights in ",
           weights_.path().string(), said ? " have none" : " have some", ", expected the config of these weights");
  };
  if (c.relative) {
    there(*c.relative == Relative::blocks, found_.relative == Relative::blocks, "relative positions of each block");
    there(*c.relative == Relative::shared, found_.relative == Relative::shared, "shared relative positions");
  }
  if (c.positions) {
    there(*c.positions != Positions::none, weights_.has("pos_embed"), "position embeddings");
    found_.positions = *c.positions;
    rotary_told_ = true;
  }
  if (c.last_norm && *c.last_norm != found_.last_norm)
    fail(Fault::input, where, ": says that ",
         *c.last_norm == LastNorm::pooled ? "the mean of the patches" : "all tokens",
         " are normalised last, but the weights in ", weights_.path().string(),
         " have another norm, expected the config of these weights");
  if (!c.usual) return;
  const VitConfig& usual = *c.usual;
  if (!c.image && found_.patch > 0 && (found_.image == 0 || usual.image / found_.patch == found_.image / found_.patch))
    found_.image = usual.image, found_.width = usual.width;
  if (!weights_.has("pos_embed") && usual.positions == Positions::none) found_.positions = Positions::none;
  found_.rope = usual.rope;
  found_.rope_temperature = usual.rope_temperature;
  found_.rope_grid = usual.rope_grid;
  found_.rope_offset = usual.rope_offset;
  found_.rope_xy = usual.rope_xy;
  if (found_.rope_temperature == (found_.rope == Rope::centred ? 100 : 10000)) found_.rope_temperature = 0;
  found_.norm_after = usual.norm_after;
  if (found_.pool == Pool::attention && usual.pool == Pool::attention_all) found_.pool = usual.pool;
  if (found_.pool == usual.pool) found_.pool_heads = usual.pool_heads == found_.heads ? 0 : usual.pool_heads;
  rotary_told_ = true;
}

// What the shapes and the file beside them say, whole.
VitConfig VitSchema::by_shapes() const {
  VitConfig c = found_;
  if (perhaps_rotary_ && !rotary_told_)
    fail(Fault::usage, setting("model"), " is missing: ", weights_.path().string(),
         " may be of a model whose positions turn its queries and keys, which no weight tells, expected a name such as "
         "eva02_base_patch14_224 or vit_base_patch16_dinov3");
  if (c.heads == 0) c.heads = usual_heads(c.dim);
  if (c.heads > 0) share_keys(c);
  if (c.classes == 0) c.classes = 1;  // a headless file: whoever needs classes says how many
  if (c.image == 0 || c.patch == 0 || c.dim == 0 || c.depth == 0 || c.heads == 0 || c.mlp_width() == 0)
    fail(Fault::usage, setting("model"), " is missing: ", weights_.path().string(),
         " does not say what it is for, expected a name such as vit_tiny_patch16_224");
  try {
    const VitConfig again = parse_vit(spec(c));
    require(again == c, "weights: ", spec(c), " is not read as it is written");
  } catch (const Error& e) {
    if (e.fault() != Fault::usage) throw;
    fail(Fault::input, weights_.path().string(), ": its shapes make no model that Shear has: ", e.what());
  }
  return c;
}

// Which blocks have fewer rows for keys and values than for queries.
void VitSchema::share_keys(VitConfig& c) const {
  const auto width = [&](int64_t block) {
    const std::string name = text("blocks.", block, ".attn.qkv.weight");
    return weights_.has(name) ? (weights_.shape(name)[0] - c.dim) / 2 : c.dim;
  };
  int64_t full = 0;
  while (full < c.depth && width(full) == c.dim) ++full;
  if (full == c.depth || c.dim % c.heads != 0) return;
  c.kv_full = full;
  c.kv_heads = width(full) / (c.dim / c.heads);
  for (int64_t block = 0; block < c.depth; ++block)
    if (width(block) != c.key_width(block))
      fail(Fault::input, weights_.path().string(), ": block ", block, " has keys of ", width(block),
           " values, expected as many as the other blocks but those at either end");
}

void VitSchema::expect_whole() const {
  if (positions_ > 0 && !placed_)
    fail(Fault::input, weights_.path().string(), ": ", weights_.names_of("pos_embed"), " has ", positions_,
         " positions, expected a square grid, and one for the class token", with_known(weights_.unused()));
}

// Positions of other than square grids stay as they are.
void VitSchema::expect_placed(const VitConfig& c) const {
  const bool same = c.image / std::max<int64_t>(c.patch, 1) == found_.image / std::max<int64_t>(found_.patch, 1) &&
                    c.across() == found_.image_width() / std::max<int64_t>(found_.patch, 1);
  if (positions_ > 0 && !same && (c.width > 0 || found_.width > 0))
    fail(Fault::input, weights_.path().string(), ": has positions for images of ", found_.image, " x ",
         found_.image_width(), ", expected a model of that size, as only square grids are resized");
}

ModelSpecPtr VitSchema::model(std::string_view asked, int64_t image) const {
  VitConfig c;
  if (!asked.empty()) {
    c = parse_vit(found_.classes > 0 ? with_classes(asked, found_.classes) : std::string(asked), found_);
    if (heads_told_ && c.heads != found_.heads)
      fail(Fault::input, weights_.path().string(), ": is for ", found_.heads, " heads, but ", setting("model"), " ",
           asked, " has ", c.heads, ", expected the same");
  } else if (card_) {
    c = *card_;
    if (found_.classes > 0) c.classes = found_.classes;
  } else {
    c = by_shapes();
  }
  c = with_image(c, image);
  expect_placed(c);
  return model_spec(c);
}

std::string VitSchema::told(const ModelSpec& model) const {
  const VitConfig& c = *vit_config(model);
  return text(c.heads, " heads; ", c.rms_norm ? "RMSNorm" : "LayerNorm", " epsilon ", c.epsilon, " and ",
              activation(c));
}

std::string VitSchema::guess(const ModelSpec& model, std::string_view asked) const {
  if (!asked.empty()) return {};
  const VitConfig& c = *vit_config(model);
  std::string what(guessed_);
  if (!heads_told_)
    what += text(what.empty() ? "" : ", and ", "heads: ", c.heads, ", guessed from the width ", c.dim, " (",
                 c.dim / c.heads, " a head)");
  if (what.empty()) return {};
  return text(weights_.path().string(), ": ", what, ", not said by the file; ", setting("model"), " says otherwise");
}

}  // namespace

std::unique_ptr<Schema> vit_schema(const Weights& weights, const Naming& naming, int64_t heads,
                                   const std::optional<ModelCard>& card) {
  return std::make_unique<VitSchema>(weights, naming, heads, card);
}

}  // namespace shear

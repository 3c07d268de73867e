// A ViT from a file: its numbers by the shapes of its parameters, and by what stands beside them.
#include <algorithm>

#include "io/safetensors_header.h"
#include "shear/models/vit.h"
#include "weights/naming.h"
#include "weights/schema.h"
#include "weights/source_config.h"

namespace shear {

namespace {

std::string yes(bool exact) { return exact ? "exact GELU" : "GELU by tanh"; }

// What may be the reason for a number of positions that is no square's.
std::string with_known(const std::vector<Unused>& unused) {
  for (const Unused& u : unused)
    if (u.loss == Unused::Loss::some && !u.what.empty())
      return text(" (", in_quotes(u.name), " is ", u.what, ", which Shear's ViT does not have)");
  return {};
}

// Where nothing tells: a head is 64 wide, but ViT-H's is 80.
int64_t usual_heads(int64_t dim) { return dim == 1280 ? 16 : dim % 64 == 0 ? dim / 64 : 0; }

class VitSchema final : public Schema {
 public:
  VitSchema(const Weights&, const Naming&, int64_t heads, const std::optional<ModelCard>&);

  std::string_view family() const override { return "vit"; }
  int64_t classes() const override { return found_.classes; }
  void take(const SourceConfig&, const std::string& where) override;
  ModelSpecPtr model(std::string_view asked, int64_t image) const override;
  std::string told(const ModelSpec&) const override;
  std::string guess(const ModelSpec&, std::string_view asked) const override;

 private:
  std::optional<Shape> shape_of(const char* parameter, int rank) const;
  VitConfig by_shapes() const;

  const Weights& weights_;
  VitConfig found_;  // a number that is not known is 0
  bool heads_told_ = false;
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
    if ((*s)[0] % found_.dim != 0)
      fail(Fault::input, path, ": ", weights.names_of("blocks.0.mlp.fc1.weight"), " makes ", (*s)[0], " values of ",
           found_.dim, ", expected a multiple");
    found_.mlp = (*s)[0] / found_.dim;
  }
  if (const auto s = shape_of("pos_embed", 3)) {
    const int64_t side = grid_side((*s)[1]);
    if (side == 0)
      fail(Fault::input, path, ": ", weights.names_of("pos_embed"), " has ", (*s)[1],
           " positions, expected a square grid, and one for the class token", with_known(weights.unused()));
    found_.image = side * found_.patch;
  }
  if (const auto s = shape_of("head.weight", 2)) found_.classes = (*s)[0];
  if (!card) return;
  card_ = parse_vit(card->model);
  found_.epsilon = card_->epsilon;
  found_.gelu = card_->gelu;
  found_.heads = card_->heads;
  heads_told_ = true;
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
  agree(c.hidden, found_.mlp * found_.dim, "hidden values in the MLP");
  agree(c.image, found_.image, "pixels to an image's side");
  if (weights_.has("head.weight") && (c.library == "timm" || !c.class_names.empty()))
    agree(c.classes, found_.classes, "classes");
  if (heads_told_) agree(c.heads, found_.heads, "heads");
  if (c.heads) found_.heads = *c.heads, heads_told_ = true;
  if (c.epsilon) found_.epsilon = *c.epsilon;
  if (c.gelu) found_.gelu = *c.gelu;
}

// What the shapes and the file beside them say, whole.
VitConfig VitSchema::by_shapes() const {
  VitConfig c = found_;
  if (c.heads == 0) c.heads = usual_heads(c.dim);
  if (c.classes == 0) c.classes = 1;  // a headless file: whoever needs classes says how many
  if (c.image == 0 || c.patch == 0 || c.dim == 0 || c.depth == 0 || c.heads == 0 || c.mlp == 0)
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
  return model_spec(with_image(c, image));
}

std::string VitSchema::told(const ModelSpec& model) const {
  const VitConfig& c = *vit_config(model);
  return text(c.heads, " heads; LayerNorm epsilon ", c.epsilon, " and ", yes(c.gelu == GeluForm::exact));
}

std::string VitSchema::guess(const ModelSpec& model, std::string_view asked) const {
  if (heads_told_ || !asked.empty()) return {};
  const VitConfig& c = *vit_config(model);
  return text(weights_.path().string(), ": heads: ", c.heads, ", guessed from the width ", c.dim, " (", c.dim / c.heads,
              " a head), not said by the file; ", setting("model"), " says otherwise");
}

}  // namespace

std::unique_ptr<Schema> vit_schema(const Weights& weights, const Naming& naming, int64_t heads,
                                   const std::optional<ModelCard>& card) {
  return std::make_unique<VitSchema>(weights, naming, heads, card);
}

}  // namespace shear

// torchvision's VisionTransformer, which has no file beside its weights: what it is made with is told.
#include "weights/library_model.h"
#include "weights/names/names.h"

namespace shear {

LibraryModel torchvision_model(const VitConfig& c) {
  VitConfig theirs;
  theirs.image = c.image, theirs.patch = c.patch, theirs.dim = c.dim, theirs.depth = c.depth, theirs.heads = c.heads;
  theirs.classes = c.classes, theirs.mlp = c.mlp, theirs.hidden = c.hidden, theirs.epsilon = c.epsilon;
  if (!stands_for(theirs, c))
    refuse_export("torchvision",
                  {{c.channels != 3, "images but of three channels"},
                   {c.gelu != GeluForm::exact, "other GELU than the exact one"},
                   {c.pool != Pool::token, "other pooling than by the class token"},
                   {c.registers > 0, "registers"},
                   {c.layer_scale, "LayerScale"},
                   {c.norm_before, "norm before the blocks"}},
                  "timm");
  LibraryModel m{.config = theirs, .rules = rules_to_write(torchvision_naming), .prefix = {}, .idle = {}};
  m.notes.push_back(text("torchvision's model: VisionTransformer(image_size=", c.image, ", patch_size=", c.patch,
                         ", num_layers=", c.depth, ", num_heads=", c.heads, ", hidden_dim=", c.dim,
                         ", mlp_dim=", c.mlp_width(), ", num_classes=", c.classes, ')'));
  if (c.epsilon != VitConfig{}.epsilon)
    m.notes.push_back(text("torchvision's LayerNorm has an epsilon of ", VitConfig{}.epsilon,
                           ", these weights are for ", c.epsilon, ": its logits will differ in their last digits"));
  return m;
}

}  // namespace shear

// Vision Transformer (Dosovitskiy et al. 2021), parameter for parameter as timm's VisionTransformer:
// patches -> class token and positions -> pre-norm blocks -> norm -> head on the class token.
#pragma once
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "shear/api.h"
#include "shear/kernels/arguments.h"
#include "shear/model.h"

namespace SHEAR_API shear {

struct VitConfig {
  int64_t image = 224, patch = 16, dim = 768, depth = 12, heads = 12, classes = 1000, channels = 3;
  int64_t mlp = 4;        // hidden width of the MLP over dim
  float epsilon = 1e-6f;  // of LayerNorm
  float dropout = 0;      // after the embedding, the attention projection and both MLP layers
  GeluForm gelu = GeluForm::exact;

  int64_t tokens() const { return (image / patch) * (image / patch) + 1; }
  bool operator==(const VitConfig&) const = default;
};

// "vit_base_patch16_224" (also tiny, small, large; base_patch32; huge_patch14), or
// "vit:image=28,patch=4,dim=192,depth=6,heads=3,classes=10[,channels=3][,mlp=4][,eps=1e-6][,gelu=exact|tanh]".  A known
// name takes the same keys after a colon: "vit_tiny_patch16_224:classes=10".  Where a spec does not name them, epsilon
// and gelu are those of `otherwise`.  Throws Fault::usage naming the key, what was found and expected.
VitConfig parse_vit(std::string_view spec, const VitConfig& otherwise = {});
std::string spec(const VitConfig&);             // parse_vit(spec(c)) == c, but for dropout
std::string_view known_name(const VitConfig&);  // of a known model, whatever its image size; empty: it is none
VitConfig with_image(VitConfig, int64_t size);  // of --image-size; 0: as it is.  Throws Fault::usage

// As training and planning know it, and back: null where the model is of another family.
ModelSpecPtr model_spec(const VitConfig&);
const VitConfig* vit_config(const ModelSpec&);
ModelFamily vit_family();

class Vit final : public Model {
 public:
  Vit(Device&, const VitConfig&, uint64_t seed, Values = Values::drawn);

  // images (B, C, H, W) -> logits (B, classes).
  Tensor operator()(Tape&, const Tensor& images, const ForwardContext& = {}) override;

  const VitConfig& config() const { return config_; }
  Parameters& parameters() override { return parameters_; }

 private:
  struct Block {
    Block(Parameters&, const VitConfig&, int index);
    Tensor operator()(Tape&, Tensor x, const VitConfig&, const ForwardContext&, int index) const;

    std::string site, attention_site, gelu_site, add1_site, add2_site, drop_site;
    LayerNorm norm1;
    Linear qkv, proj;
    LayerNorm norm2;
    Linear fc1, fc2;
  };

  static std::deque<Block> make_blocks(Parameters&, const VitConfig&);

  VitConfig config_;
  Parameters parameters_;
  Param *cls_, *pos_, *patch_weight_, *patch_bias_;
  std::deque<Block> blocks_;
  LayerNorm norm_;
  Linear head_;
};

}  // namespace shear

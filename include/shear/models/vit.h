// The family of plain Vision Transformers (Dosovitskiy et al. 2021), parameter for parameter as timm's
// VisionTransformer: patches -> class token, registers and positions -> pre-norm blocks of one width -> norm and
// pooling -> head. What its members differ in is a field of VitConfig: CLIP's norm before the blocks, DeiT III's and
// DINOv2's LayerScale, registers and SwiGLU, means of tokens or attention in place of a class token, AIMv2's RMSNorm.
#pragma once
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "shear/api.h"
#include "shear/kernels/arguments.h"
#include "shear/model.h"

namespace SHEAR_API shear {

// The class token; the mean of the patches, or of all tokens; the first two side by side; attention over the patches
// (SigLIP, Zhai et al. 2023) or over all tokens; the class token and the first register, each with a head, whose mean
// the logits are (DeiT, Touvron et al. 2021, whose distillation token that is).
enum class Pool : uint8_t { token, mean, mean_all, token_and_mean, attention, attention_all, two_heads };
enum class LastNorm : uint8_t { tokens, pooled, none };                // timm's norm, its fc_norm
enum class Positions : uint8_t { all, but_registers, patches, none };  // the tokens that have one

// Rotary positions of the patches: none; by their index, neighbouring values turning together (Fang et al. 2023,
// EVA-02); from -1 to 1 across the image, one of each half turning together (Simeoni et al. 2025, DINOv3); by their
// index times frequencies that each head of each block learns (Heo et al. 2024).
enum class Rope : uint8_t { none, index, centred, mixed };

// A bias of scores by how far apart two patches are (BEiT, Bao et al. 2021): none; a table of each block; one for all.
enum class Relative : uint8_t { none, blocks, shared };

struct VitConfig {
  int64_t image = 224, patch = 16, dim = 768, depth = 12, heads = 12, classes = 1000, channels = 3;
  int64_t mlp = 4;        // hidden width of the MLP over dim
  float epsilon = 1e-6f;  // of LayerNorm
  float dropout = 0;      // after the embedding, the attention projection and both MLP layers
  GeluForm gelu = GeluForm::exact;

  int64_t width = 0;   // of images that are not as wide as high; 0: they are
  int64_t hidden = 0;  // width of the MLP where it is no multiple of dim; 0: mlp * dim
  bool class_token = true;
  int64_t registers = 0;  // Darcet et al. 2023
  Positions positions = Positions::all;
  bool patch_bias = true, qkv_bias = true, head_bias = true;
  bool proj_bias = true;  // of the projection behind attention, and of the MLP
  bool key_bias = true;   // false: that of the keys is zero, and stays so
  Rope rope = Rope::none;
  Relative relative = Relative::none;
  int64_t rope_temperature = 0;  // 0: 10000 by index, 100 centred
  int64_t rope_grid = 0;         // patches to a side that the index was trained on, to which it is scaled; 0: any
  int64_t rope_offset = 0;       // of the index
  bool rope_xy = false;          // the first half of the angles, or of the frequencies, is of the column
  bool norm_after = false;       // of each branch, in place of before it: Liu et al. 2022
  bool differential = false;     // attention is the difference of two: Ye et al. 2024
  bool parallel = false;         // MLP and attention of a block side by side, behind one norm: Dehghani et al. 2023
  bool swiglu = false;           // in place of GELU; the MLP is as wide as what the gate lets through: Shazeer 2020
  bool rms_norm = false;         // in place of LayerNorm: Zhang & Sennrich 2019
  bool patch_norm = false, attention_norm = false,
       mlp_norm = false;     // of patches; before the last layer of each branch
  bool qk_norm = false;      // of each head's queries and keys: Dehghani et al. 2023
  int64_t kv_heads = 0;      // that have keys and values, which as many others share: Ainslie et al. 2023; 0: all
  int64_t kv_full = 0;       // blocks at either end whose heads all have their own
  bool norm_before = false;  // of all tokens, before the blocks: CLIP's (Radford et al. 2021)
  bool layer_scale = false;  // Touvron et al. 2021
  bool mlp_scale = true;     // false: of attention alone
  Pool pool = Pool::token;
  int64_t pool_heads = 0, pool_hidden = 0;  // of attention that pools, and the width of its MLP; 0: as the blocks have
  LastNorm last_norm = LastNorm::tokens;

  int64_t image_width() const { return width > 0 ? width : image; }
  int64_t down() const { return image / patch; }
  int64_t across() const { return image_width() / patch; }
  int64_t patches() const { return down() * across(); }
  bool shares_keys(int64_t block) const { return kv_heads > 0 && block >= kv_full && block < depth - kv_full; }
  int64_t key_width(int64_t block) const { return shares_keys(block) ? dim / heads * kv_heads : dim; }
  int64_t before_patches() const { return (class_token ? 1 : 0) + registers; }  // tokens
  int64_t tokens() const { return before_patches() + patches(); }
  int64_t positioned() const;  // tokens that have a position
  // Of relative positions.
  int64_t distances() const { return HeadGrid{1, tokens(), heads, 0, across()}.distances(); }
  bool pools_class_token() const {
    return pool == Pool::token || pool == Pool::token_and_mean || pool == Pool::two_heads;
  }
  // Whether of the last block only the class token is read: behind its attention the other rows are not computed, nor
  // kept.  Not under dropout, whose draws are those of all rows.
  bool ends_in_class_token(int block) const { return pool == Pool::token && dropout == 0 && block + 1 == depth; }
  int64_t features() const { return pool == Pool::token_and_mean ? 2 * dim : dim; }  // that the head sees
  int64_t mlp_width() const { return hidden > 0 ? hidden : mlp * dim; }
  bool operator==(const VitConfig&) const = default;
};

// "vit_base_patch16_224" or another name of timm's that `shear models` lists, or
// "vit:image=28,patch=4,dim=192,depth=6,heads=3,classes=10[,channels=3][,mlp=4|,hidden=768][,eps=1e-6][,gelu=exact|tanh|quick]
//     [,cls=1|0][,registers=0][,positions=all|but-registers|patches|none]
//     [,relative=none|blocks|shared]
//     [,pool=token|mean|mean-all|token-and-mean|attention|attention-all|two-heads][,pool-heads=8][,pool-hidden=768][,norm=tokens|pooled|none]",
//     and of "norm-before",
// "norm-after", "qk-norm", "differential", "parallel", "layer-scale", "swiglu", "rms-norm", "patch-norm", "attn-norm",
// "mlp-norm" =0|1, and of "patch-bias", "qkv-bias", "key-bias", "proj-bias", "head-bias" =1|0; and
// rope=none|index|centred|mixed with rope-temperature, rope-grid, rope-offset and rope-xy=0|1 beside it. A known name
// takes the same keys after a colon: "vit_tiny_patch16_224:classes=10".  Where a spec does not name them, epsilon and
// gelu are those of `otherwise`. Throws Fault::usage naming the key, what was found and expected.
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
  Vit(Device&, const VitConfig&, uint64_t seed, const ParameterOptions& = {});

  // images (B, C, H, W) -> logits (B, classes).
  Tensor operator()(Tape&, const Tensor& images, const ForwardContext& = {}) override;

  const VitConfig& config() const { return config_; }
  Parameters& parameters() override { return parameters_; }

 private:
  // What makes of two attentions one: the weight of the second, and a norm of each head's context.
  struct Difference {
    Difference(Parameters&, const std::string& name, int64_t width, int index);

    std::string site, scale_site;
    float start;  // of the weight
    Param &q1, &k1, &q2, &k2;
    Norm norm;
  };
  // Queries and keys normed, and keys and values given to all heads that share them.
  struct Heads {
    std::string part_site, repeat_site, join_site;
    int64_t shared;  // heads that have keys and values
    std::optional<Norm> q_norm, k_norm;
    Tensor operator()(Tape&, const Tensor& qkv, const VitConfig&) const;  // (B, N, D + 2 K) -> (B, N, 3 D)
  };
  // From packed queries, keys and values to the context.
  struct Attention {
    Attention(Parameters&, const VitConfig&, const std::string& site, const std::string& parameters, int index);
    Tensor operator()(Tape&, Tensor qkv, const Vit&) const;  // (B, N, D + 2 K) -> (B, N, D)

    std::string site, rope_site;
    int index;
    Param* relative;  // a table of this block's own, or null
    std::optional<Heads> packed;
    std::optional<Difference> difference;
  };
  struct Block {
    Block(Parameters&, const VitConfig&, int index);
    Tensor operator()(Tape&, Tensor x, const Vit&, const ForwardContext&, int index) const;

    std::string site, row_site, act_site, add1_site, add2_site, drop_site;
    Norm norm1;
    Linear qkv;
    Attention attention;
    std::optional<Norm> attention_norm;
    Linear proj;
    Param* scale1;  // LayerScale, or null
    Norm norm2;
    Linear fc1;
    std::optional<Norm> mlp_norm;
    Linear fc2;
    Param* scale2;
  };
  struct ParallelBlock {
    ParallelBlock(Parameters&, const VitConfig&, int index);
    Tensor operator()(Tape&, Tensor x, const Vit&, const ForwardContext&, int index) const;

    std::string site, row_site, qkv_site, mlp_site, act_site, join_site, add_site, drop_site;
    Norm norm;
    Linear in;  // the MLP's hidden values, queries, keys and values
    Attention attention;
    std::optional<Linear> attention_out, mlp_out, out;  // the first two, or one of both
    Param* scale;
  };
  // One query's attention over the tokens, and an MLP on what it finds.
  struct AttentionPool {
    AttentionPool(Parameters&, const VitConfig&);
    Tensor operator()(Tape&, const Tensor& x, const VitConfig&) const;  // (B, N, D) -> (B, D)

    Param& latent;
    Linear q, kv, proj;
    Norm norm;
    Linear fc1, fc2;
  };

  template <class B>
  static std::deque<B> make_blocks(Parameters&, const VitConfig&, bool there);
  template <class B>
  // (B, N, D) -> (B, N, D), or (B, D) where the last one ends in the class token.
  Tensor through(Tape&, const std::deque<B>&, Tensor x, const ForwardContext&) const;
  Param* embedding(const char* name, int64_t tokens, Init);  // (1, tokens, dim), null where there are none
  std::optional<AttentionPool> pool_if(bool there);
  Tensor pooled(Tape&, Tensor x) const;  // (B, N, D) -> (B, D)
  Tensor logits(Tape&, Tensor x) const;  // (B, N, D) -> (B, classes)

  VitConfig config_;
  Parameters parameters_;
  Param *cls_, *registers_, *pos_, *patch_weight_, *patch_bias_, *relative_;  // null where there is none
  std::optional<Norm> patch_norm_, norm_before_;
  std::optional<RotaryAngles> angles_;
  Param* frequencies_;  // of rope=mixed, and the places of the patches that they are of; null: it is not
  Tensor places_;
  std::deque<Block> blocks_;
  std::deque<ParallelBlock> parallel_blocks_;  // in their place
  std::optional<Norm> norm_;                   // the last one
  std::optional<AttentionPool> attention_pool_;
  Linear head_;
  std::optional<Linear> head_2_;
};

}  // namespace shear

// Tensors in weight files that are no parameter of Shear's ViT: what they are known to be.
#include "weights/leftovers.h"

#include <fnmatch.h>

namespace shear {

namespace {

struct Leftover {
  std::string_view library;  // empty: any
  const char* pattern;       // of fnmatch
  std::string_view what;
  Unused::Loss loss = Unused::Loss::some;
};

// The first that fits.  Whatever is Loss::none must be so for every tensor that its pattern fits.
constexpr Leftover known[] = {
    // transformers' ViTModel has a pooler, which ViTForImageClassification makes do without; the others are of
    // pretraining by masked images.
    {"Hugging Face", "pooler.dense.*", "the pooler, which no classification uses", Unused::Loss::none},
    {"Hugging Face", "embeddings.mask_token", "what stands for patches that pretraining hides", Unused::Loss::none},
    {"Hugging Face", "decoder.0.*", "the head of masked image modelling", Unused::Loss::none},
    {"Hugging Face", "decoder.decoder_*", "the decoder of masked autoencoding", Unused::Loss::none},
    {"Hugging Face", "decoder.mask_token", "what stands for patches that pretraining hides", Unused::Loss::none},
    {"timm", "mask_token", "what stands for patches that pretraining hides", Unused::Loss::none},
    // A tanh layer in front of the head of Google's first models; fine-tuning leaves both behind, as vit_jax does.
    {"Google", "pre_logits/*", "a layer before the head", Unused::Loss::none_with_new_head},
    // Buffers: an index that follows from shapes, a count of steps.
    {"", "*.relative_position_index", "an index of relative positions", Unused::Loss::none},
    {"", "*.num_batches_tracked", "a count of training steps", Unused::Loss::none},

    {"", "*lambda_[12]", "LayerScale"},
    {"", "*.[qk]_norm.*", "a norm of queries or keys"},
    {"", "*MAPHead_0/*", "pooling by attention"},
    {"", "*.attn.gate.*", "a gate of attention"},
    {"", "rope.*", "rotary positions that are learned"},
    {"", "*rel_pos*", "relative positions"},
    {"", "*relative_position*", "relative positions"},
    {"", "patch_embed.backbone.*", "a convolutional stem"},
};

}  // namespace

Unused leftover(std::string_view library, const std::string& name) {
  for (const Leftover& l : known)
    if ((l.library.empty() || l.library == library) && fnmatch(l.pattern, name.c_str(), 0) == 0)
      return {name, l.what, l.loss};
  return {name, {}, Unused::Loss::some};
}

Unused leftover_beside(std::string_view library, const std::string& name) {
  // What an image and text model has for its text.
  for (const char* text_tower :
       {"text_model.*", "text_projection*", "text.*", "logit_scale", "logit_bias", "transformer.resblocks.*",
        "token_embedding.weight", "ln_final.*", "positional_embedding", "attn_mask"})
    if (fnmatch(text_tower, name.c_str(), 0) == 0) return {name, "of the text tower", Unused::Loss::none};
  return leftover(library, name);
}

bool is_state(std::string_view name) { return name.starts_with("optimizer.") || name.starts_with("policy."); }

}  // namespace shear

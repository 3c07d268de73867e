// The ops: each computes forward at once, saves what its gradient needs through the tape, and records that gradient.
//
// `site` names the place in the model ("blocks.3.mlp.fc1") for policies, reports and errors; it must outlive the
// tape's report.  M stands for the product of all dimensions but the last.  What cannot be worked with throws with op,
// site and numbers: shapes that do not fit, and what Tape::admit refuses.
#pragma once
#include <span>
#include <string_view>

#include "shear/api.h"
#include "shear/kernels/arguments.h"
#include "shear/tape.h"

namespace SHEAR_API shear {

// y = x w^T + b, to which `onto` is added where there is one.   x (..., in), w (out, in), b (out) or null, onto as y ->
// y (..., out).  Saves x where w is trainable.  An `onto` that is given away is written over.
// With a `scale` (out), y = onto + scale * (x w^T + b): LayerScale, Touvron et al. 2021, which saves nothing beside x.
Tensor linear(Tape&, Site, const Tensor& x, Param& w, Param* b, Tensor onto = {}, Param* scale = nullptr);

// y = (x - mean) / sqrt(var + epsilon) * gamma + beta over the last dimension; biased variance.  Ba et al. 2016.
// Saves x; holds mean and 1/std per row.
Tensor layernorm(Tape&, Site, const Tensor& x, Param& gamma, Param& beta, float epsilon);

// y = x / sqrt(mean(x^2) + epsilon) * gamma over the last dimension.  Zhang & Sennrich 2019.  Saves x; holds the root.
Tensor rmsnorm(Tape&, Site, const Tensor& x, Param& gamma, float epsilon);

// y = x Phi(x), by erf or one of two approximations.  Hendrycks & Gimpel 2016.  Saves x, or its slope where the policy
// prefers that.  An x that is given away is written over where it does not sleep dense.
Tensor gelu(Tape&, Site, Tensor x, GeluForm form = GeluForm::exact);

// y = a sigmoid(a) b, for a and b side by side: (..., 2 * width) -> (..., width).  SwiGLU, Shazeer 2020.  Saves x.
Tensor swiglu(Tape&, Site, const Tensor& x);

// y = max(x, 0).  Saves y.
Tensor relu(Tape&, Site, const Tensor& x);

// y = a + b.  Saves nothing.  One that is given away is written over.
Tensor add(Tape&, Site, Tensor a, Tensor b);

// y = factor * x.  Saves nothing.  An x that is given away is written over.
Tensor scaled(Tape&, Site, Tensor x, float factor);

// Inverted dropout: y = x / (1 - p) with probability 1 - p, else 0.  Saves nothing: the mask is drawn again from
// the stream in backward.  In inference and at p = 0 it is x itself.
Tensor dropout(Tape&, Site, const Tensor& x, float p, StreamKey);

// Rotary position embeddings (Su et al. 2021; Heo et al. 2024): queries and keys of packed qkv (B, N, 3 * H * width)
// are turned by the angles of their tokens, the last ones; sine and cosine (tokens, width) outlive the tape's pass.
// Saves nothing.  A qkv that is given away is written over.
struct RotaryAngles {
  Tensor sine, cosine;
  RotaryPairs pairs = RotaryPairs::neighbours;
};
Tensor rotate(Tape&, Site, Tensor qkv, int64_t heads, const RotaryAngles&);

// The same by angles that are learned (Heo et al. 2024): neighbours i of head h of a token at places (x, y) turn by x *
// frequencies[0, layer, h, i] + y * frequencies[1, layer, h, i].  frequencies (2, layers, H, width / 2); places (2,
// tokens), of the last ones, outlives the tape's pass.  Saves the result where the frequencies are trained.
Tensor rotate_learned(Tape&, Site, Tensor qkv, int64_t heads, Param& frequencies, int64_t layer, const Tensor& places);

// A bias of scores by how far the key's patch is from the query's, on a grid of patches so many `across` behind a class
// token: BEiT, Bao et al. 2021.  table ((2 down - 1) (2 across - 1) + 3, H): a row to a distance, rows before columns,
// then those of the class token to a patch, of a patch to it, and of it to itself.
struct RelativePositions {
  Param* table = nullptr;  // null: there is none
  int64_t across = 0;
};

// Multi-head self-attention on packed qkv (B, N, 3 * H * width) -> (B, N, H * width), scaled by 1/sqrt(width).
// Tiled: no N x N matrix is ever whole (Rabe & Staats 2021; Dao et al. 2022).  Saves qkv; holds the log-sum-exp
// (B * H, N) where qkv sleeps dense.  Where it sleeps pruned, backward computes the softmax anew from what is left: the
// exact gradient of attention at the pruned point (Sheared Backpropagation, PreBR++).
// Where the policy wants materialised_attention the probabilities (B, H * N, N) are whole and saved too: backward
// then is BackRazor's, dS = P (dP - rowsum(P dP)) at the pruned P.
// Relative positions are read from their table wherever scores are computed: nothing is saved for them.
Tensor attention(Tape&, Site, const Tensor& qkv, int64_t heads, const RelativePositions& = {});

// Differential attention (Ye et al. 2024) on packed qkv (B, N, 3 * H * width) -> (B, N, H * width): each head's queries
// and keys are two of half the width, and its context is (softmax of the first - weight * softmax of the second) v,
// scaled by 1/sqrt(width / 2).  weight (1).  Saves qkv and holds as attention does, of each of the two.
Tensor differential_attention(Tape&, Site, const Tensor& qkv, int64_t heads, const Tensor& weight);
// Its weight, exp(q1 . k1) - exp(q2 . k2) + start -> (1).  Holds the two powers.
Tensor differential_weight(Tape&, Site, Param& q1, Param& k1, Param& q2, Param& k2, float start);

// Attention of one query (H * width) over the tokens of each sequence from `first` on, kv (B, N, 2 * H * width) -> (B,
// H
// * width): what pools in Lee et al. 2019 and SigLIP.  Saves kv, holds the query.
Tensor attention_pool(Tape&, Site, const Tensor& query, const Tensor& kv, int64_t heads, int64_t first = 0);

// A parameter as a value that ops are given.
Tensor value_of(Tape&, Site, Param&);

// Patches of images (B, C, H, W), each times w (D, C * p * p) or (D, C, p, p), plus b, which may be null -> (B, P, D):
// a convolution of stride p, which leaves out what is beyond the last whole patch.  The patch matrix is made in bands
// and never whole.  Saves the images where w is trainable.
Tensor patch_embed(Tape&, Site, const Tensor& images, int64_t patch, Param& w, Param* b);

// A class token and R registers (Darcet et al. 2023) before the patches, and position embeddings added: (B, P, D), (1,
// 1, D) or null, (1, R, D) or null -> (B, N, D), N of all tokens.  pos: (1, N, D), of every token; (1, N - R, D), of
// all but the registers; (1, P, D), of the patches; or null.
Tensor add_tokens(Tape&, Site, const Tensor& patches, Param* cls, Param* registers, Param* pos);

// Token `index` of each sequence: (B, N, D) -> (B, D).
Tensor take_token(Tape&, Site, const Tensor& x, int64_t index);

// Columns of x from `first` on: (..., D) -> (..., count).  Saves nothing.
Tensor take_columns(Tape&, Site, const Tensor& x, int64_t first, int64_t count);

// Each head's values `times` in a row, for heads that share keys and values (Ainslie et al. 2023): (..., heads * width)
// ->
// (..., heads * times * width).  Saves nothing.
Tensor repeat_heads(Tape&, Site, const Tensor& x, int64_t heads, int64_t times);

// a and b side by side: (M, D) and (M, E) -> (M, D + E).  Saves nothing.
Tensor join(Tape&, Site, const Tensor& a, const Tensor& b);

// The mean of the tokens of each sequence from `first` on: (B, N, D) -> (B, D).  Saves nothing.
Tensor mean_tokens(Tape&, Site, const Tensor& x, int64_t first);

// Mean over the batch of the cross entropy of logits (B, C) against labels (B) I32 in [0, C), with label smoothing
// (Szegedy et al. 2016) -> (1).  Holds the logits and the labels.  Where the host can read the labels they are checked;
// what goes to another device is checked by who sends it.
Tensor cross_entropy(Tape&, Site, const Tensor& logits, const Tensor& labels, float smoothing = 0);
// Throws Fault::input where a label is not in [0, classes), naming it.
void check_labels(std::string_view op, Site, std::span<const int32_t> labels, int64_t classes);

}  // namespace shear

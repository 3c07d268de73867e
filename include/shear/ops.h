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
Tensor linear(Tape&, Site, const Tensor& x, Param& w, Param* b, Tensor onto = {});

// y = (x - mean) / sqrt(var + epsilon) * gamma + beta over the last dimension; biased variance.  Ba et al. 2016.
// Saves x; holds mean and 1/std per row.
Tensor layernorm(Tape&, Site, const Tensor& x, Param& gamma, Param& beta, float epsilon);

// y = x Phi(x), by erf or by the tanh approximation.  Hendrycks & Gimpel 2016.  Saves x, or its slope where the policy
// prefers that.  An x that is given away is written over where it does not sleep dense.
Tensor gelu(Tape&, Site, Tensor x, GeluForm form = GeluForm::exact);

// y = max(x, 0).  Saves y.
Tensor relu(Tape&, Site, const Tensor& x);

// y = a + b.  Saves nothing.  One that is given away is written over.
Tensor add(Tape&, Site, Tensor a, Tensor b);

// Inverted dropout: y = x / (1 - p) with probability 1 - p, else 0.  Saves nothing: the mask is drawn again from
// the stream in backward.  In inference and at p = 0 it is x itself.
Tensor dropout(Tape&, Site, const Tensor& x, float p, StreamKey);

// Multi-head self-attention on packed qkv (B, N, 3 * H * width) -> (B, N, H * width), scaled by 1/sqrt(width).
// Tiled: no N x N matrix is ever whole (Rabe & Staats 2021; Dao et al. 2022).  Saves qkv; holds the log-sum-exp
// (B * H, N) where qkv sleeps dense.  Where it sleeps pruned, backward computes the softmax anew from what is left: the
// exact gradient of attention at the pruned point (Sheared Backpropagation, PreBR++).
// Where the policy wants materialised_attention the probabilities (B, H * N, N) are whole and saved too: backward
// then is BackRazor's, dS = P (dP - rowsum(P dP)) at the pruned P.
Tensor attention(Tape&, Site, const Tensor& qkv, int64_t heads);

// Patches of images (B, C, H, W), each times w (D, C * p * p) or (D, C, p, p), plus b -> (B, P, D): a convolution
// of stride p.  The patch matrix is made in bands and never whole.  Saves the images where w is trainable.
Tensor patch_embed(Tape&, Site, const Tensor& images, int64_t patch, Param& w, Param& b);

// Class token before the patches, position embedding on both: (B, P, D), (1, 1, D), (1, P + 1, D) -> (B, P + 1, D).
Tensor add_tokens(Tape&, Site, const Tensor& patches, Param& cls, Param& pos);

// Token `index` of each sequence: (B, N, D) -> (B, D).
Tensor take_token(Tape&, Site, const Tensor& x, int64_t index);

// Mean over the batch of the cross entropy of logits (B, C) against labels (B) I32 in [0, C), with label smoothing
// (Szegedy et al. 2016) -> (1).  Holds the logits and the labels.  Where the host can read the labels they are checked;
// what goes to another device is checked by who sends it.
Tensor cross_entropy(Tape&, Site, const Tensor& logits, const Tensor& labels, float smoothing = 0);
// Throws Fault::input where a label is not in [0, classes), naming it.
void check_labels(std::string_view op, Site, std::span<const int32_t> labels, int64_t classes);

}  // namespace shear

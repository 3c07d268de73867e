// The kernels, on plain views.  A backend owns no tensors: what it reads and writes is handed to it.
//
// The same call gives the same bits again, on any number of threads.  A backend takes one call at a time.
//
// Matrices are row-major with a row stride in elements; vectors are one row.  Where a kernel takes `beta`, the
// result is added to beta times what is there (beta 0 does not read it).  Shapes are the caller's duty: ops check
// them once, with their site in the message.  f32 unless a view says otherwise.
#pragma once
#include <memory>
#include <string_view>

#include "shear/allocator.h"
#include "shear/api.h"
#include "shear/code.h"
#include "shear/random.h"
#include "shear/tensor.h"

namespace SHEAR_API shear {

struct ConstView {
  const void* data = nullptr;
  int64_t rows = 0, cols = 0, stride = 0;
  DType dtype = DType::f32;

  ConstView() = default;
  ConstView(const void* p, int64_t r, int64_t c, int64_t s, DType d = DType::f32)
      : data(p), rows(r), cols(c), stride(s), dtype(d) {}
  ConstView(const Tensor& t) : ConstView(t.data<void>(), t.rows(), t.cols(), t.cols(), t.dtype()) {}
  const float* row(int64_t r) const { return static_cast<const float*>(data) + r * stride; }
  int64_t elements() const { return rows * cols; }
  bool contiguous() const { return stride == cols || rows <= 1; }
  ConstView band(int64_t first, int64_t n) const {  // n rows from `first`
    return {static_cast<const char*>(data) + static_cast<size_t>(first * stride) * size_of(dtype), n, cols, stride,
            dtype};
  }
  ConstView columns(int64_t first, int64_t n) const {  // n columns from `first`
    return {static_cast<const char*>(data) + static_cast<size_t>(first) * size_of(dtype), rows, n, stride, dtype};
  }
};

struct View {
  void* data = nullptr;
  int64_t rows = 0, cols = 0, stride = 0;
  DType dtype = DType::f32;

  View() = default;
  View(void* p, int64_t r, int64_t c, int64_t s, DType d = DType::f32)
      : data(p), rows(r), cols(c), stride(s), dtype(d) {}
  View(const Tensor& t) : View(t.data<void>(), t.rows(), t.cols(), t.cols(), t.dtype()) {}
  operator ConstView() const { return {data, rows, cols, stride, dtype}; }
  float* row(int64_t r) const { return static_cast<float*>(data) + r * stride; }
  int64_t elements() const { return rows * cols; }
  View band(int64_t first, int64_t n) const {
    return {static_cast<char*>(data) + static_cast<size_t>(first * stride) * size_of(dtype), n, cols, stride, dtype};
  }
};

enum class Transposed : bool { no, yes };
// What products of matrices are computed in: bf16 rounds both operands to 8 bits of precision, adds up in f32, and
// wants half of the memory for what it reads.  LayerNorm and GELU then take their input rounded too, which is how it
// sleeps: made again from there, their outputs have the bits that they had.
enum class Precision : uint8_t { f32, bf16 };
enum class GeluForm : uint8_t { exact, tanh };  // x * Phi(x) by erf, or Hendrycks & Gimpel's tanh approximation

// The geometry of cutting images (B, C, H, W) into square patches: a patch is one row of C*p*p, channel-major,
// and an image is (H/p)*(W/p) rows in reading order, as a convolution of stride p sees them.
struct PatchGrid {
  int64_t channels, height, width, patch;
  int64_t down() const { return height / patch; }
  int64_t across() const { return width / patch; }
  int64_t count() const { return down() * across(); }
  int64_t size() const { return channels * patch * patch; }
};

// (B, N, 3, H, D) packed queries, keys and values, as one linear of 3*H*D outputs makes them.
struct HeadGrid {
  int64_t batch, tokens, heads, width;  // width of one head
  int64_t model() const { return heads * width; }
};

// A matrix asleep.  Without a mask every value is there, row by row.  With one, of each sample's sample_rows rows the
// `kept` largest magnitudes are (f32 or f16), and a set bit says where; ties go to the lowest index, row by row.  Where
// a row is `parts` tensors side by side (the queries, keys and values of one linear), each part of each sample has its
// own `kept` largest: values are (samples, parts, kept), in row order, and each part of a row begins a new mask word.
struct PackedView {
  Code code = Code::f32;
  int64_t rows = 0, cols = 0, sample_rows = 0, kept = 0, parts = 1;
  void* values = nullptr;
  uint32_t* bits = nullptr;  // (rows, parts, mask_words()) or null: no mask
  float* affine = nullptr;   // (rows, 2): offset and scale of the codes, or null

  bool masked() const { return bits != nullptr; }
  int64_t part_cols() const { return cols / parts; }
  int64_t mask_words() const { return (part_cols() + 31) / 32; }        // of one part of one row
  int64_t row_bytes() const { return (cols * bits_of(code) + 7) / 8; }  // of a row without a mask
};

// What is packed: x, or its chosen rows, or its chosen columns, gathered on the way; or the slope of a function there.
struct PackSource {
  ConstView x;
  const int32_t* row_index = nullptr;  // on the device, like the data
  const int32_t* column_index =
      nullptr;                          // (groups, cols): rows_per_group rows after another have a choice of their own
  int64_t rows_per_group = 0;           // 0: one choice for all rows
  const StreamKey* rounding = nullptr;  // codes are rounded at random, without bias; null: to the nearest
  // Slopes have a fixed grid, see slope_grid.
  Slope slope = Slope::none;
};
struct SgdStep {
  float lr, momentum, weight_decay, gradient_scale;
  bool nesterov;
};
struct AdamWStep {
  float lr, beta1, beta2, epsilon, weight_decay, gradient_scale;
  float correction1, correction2;  // 1 - beta^t
};

// Throws Fault::internal where op(a) op(b) does not fit c, or where gemm does not take such values at this precision.
void check_product(Transposed ta, ConstView a, Transposed tb, ConstView b, ConstView c, Precision);

class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::string_view name() const = 0;  // "cpu", "cuda", "shape"
  virtual bool computes() const { return true; }
  virtual Precision precision() const { return Precision::f32; }  // of gemm
  virtual Allocator& memory() = 0;
  virtual bool on_host() const { return true; }        // whether the host may read its memory as it is
  virtual size_t slab_bytes() const = 0;               // what a step's slab may take where nobody planned the step
  virtual size_t resident_bytes() const { return 0; }  // that the backend holds for itself, whatever it is asked

  // -- Memory -------------------------------------------------------------------------------------------------------
  virtual void upload(void* device, const void* host, size_t bytes) = 0;
  virtual void download(void* host, const void* device, size_t bytes) = 0;  // returns when the bytes are there
  virtual void fill(View out, float value) = 0;
  virtual void copy(ConstView x, float beta, View out) = 0;  // out = x + beta * out

  // -- Linear algebra -----------------------------------------------------------------------------------------------
  // c = op(a) op(b) + beta * c, and plus `bias` (one row, or empty) on every row.  a and b are f32, or under
  // Precision::bf16 also bf16; c and bias are f32.
  virtual void gemm(Transposed ta, ConstView a, Transposed tb, ConstView b, float beta, View c,
                    ConstView bias = {}) = 0;
  virtual void column_sums(ConstView x, float beta, View out) = 0;  // out: one row
  virtual double sum_squares(ConstView x) = 0;  // accumulated in f64, in an order fixed by the shape

  // -- Elementwise --------------------------------------------------------------------------------------------------
  virtual void add(ConstView a, ConstView b, View out) = 0;
  virtual void add_row(ConstView x, ConstView row, View out) = 0;             // out[r, c] = x[r, c] + row[c]
  virtual void multiply(ConstView a, ConstView b, float beta, View out) = 0;  // out = a * b + beta * out; may be b
  virtual void relu(ConstView x, View y) = 0;
  virtual void relu_grad(ConstView y, ConstView dy, float beta, View dx) = 0;            // dx may be dy
  virtual void gelu(GeluForm, ConstView x, View y) = 0;                                  // of x as Precision has it
  virtual void gelu_grad(GeluForm, ConstView x, ConstView dy, float beta, View dx) = 0;  // dx may be dy
  // y = x / (1 - p) where kept, else 0, plus beta * y; element i of the (contiguous) view is kept where word i of
  // the stream says so.  Forward and backward are the same kernel: no mask is stored.
  virtual void dropout(ConstView x, float p, StreamKey, float beta, View y) = 0;

  // -- Rows ---------------------------------------------------------------------------------------------------------
  // y = (x - mean) * rstd * gamma + beta, statistics over a row (biased variance); mean and rstd: one per row.  Of x as
  // Precision has it; layernorm_apply and layernorm_grad are given that.
  virtual void layernorm(ConstView x, ConstView gamma, ConstView beta, float epsilon, View y, View mean, View rstd) = 0;
  virtual void layernorm_apply(ConstView x, ConstView mean, ConstView rstd, ConstView gamma, ConstView beta,
                               View y) = 0;
  // dgamma and dbeta may be empty.  scratch: at least layernorm_scratch(cols) floats.  dx may be dy when beta is 0.
  virtual void layernorm_grad(ConstView x, ConstView mean, ConstView rstd, ConstView gamma, ConstView dy, float beta_dx,
                              View dx, float beta_params, View dgamma, View dbeta, View scratch) = 0;
  virtual int64_t layernorm_scratch(int64_t cols) const = 0;

  // losses[b] = cross entropy of logits row b against (1 - smoothing) * one-hot + smoothing / classes.
  virtual void cross_entropy(ConstView logits, ConstView labels_i32, float smoothing, View losses) = 0;
  // dlogits = (softmax - target) * scale * dloss[0] + beta * dlogits.
  virtual void cross_entropy_grad(ConstView logits, ConstView labels_i32, float smoothing, float scale, ConstView dloss,
                                  float beta, View dlogits) = 0;
  virtual void mean(ConstView x, View out) = 0;  // of all elements

  // -- Attention ----------------------------------------------------------------------------------------------------
  // context = softmax(q k^T / sqrt(width)) v per head, one tile of query rows at a time.  Writes the log-sum-exp of
  // each row of scores (B * H, N), or the probabilities (B * H * N, N), where the view is not empty; without the
  // latter no N x N matrix is ever whole.  scratch: at least attention_scratch floats.
  virtual void attention(const HeadGrid&, ConstView qkv, View context, View log_sum_exp, View probabilities,
                         View scratch) = 0;
  // The gradient at qkv, with the probabilities as given, else from the log-sum-exp, else computed anew from qkv.
  // Given probabilities may be pruned: rows then do not sum to one, and dS = P (dP - rowsum(P dP)) is taken at them.
  virtual void attention_grad(const HeadGrid&, ConstView qkv, ConstView log_sum_exp, ConstView probabilities,
                              ConstView dcontext, View dqkv, View scratch) = 0;
  virtual int64_t attention_scratch(const HeadGrid&) const = 0;

  // -- Putting to sleep and waking ----------------------------------------------------------------------------------
  // out says the shape, the code and the mask; scratch: at least pack_scratch(cols) floats.
  virtual void pack(const PackSource&, const PackedView& out, View scratch) = 0;
  virtual int64_t pack_scratch(int64_t cols) const = 0;
  virtual void unpack(const PackedView&, int64_t first_row, View out) = 0;  // as many rows as out has
  // out[r] = scale[r] * x[index[r]]
  virtual void gather_rows(ConstView x, ConstView index_i32, ConstView scale, View out) = 0;
  // out[:, index[c]] = scale[c] * x[:, c] + beta * out[:, index[c]]; with beta 0 the other columns become zero.
  // An index may come twice with scale 0: such a column is left out.
  virtual void scatter_columns(ConstView x, ConstView index_i32, ConstView scale, float beta, View out) = 0;
  virtual void column_square_sums(ConstView x, View out) = 0;

  // -- Patches ------------------------------------------------------------------------------------------------------
  // Rows first .. first + out.rows of the patch matrix (B * count, size) of images (B, C, H, W).
  virtual void gather_patches(const PatchGrid&, ConstView images, int64_t first, View out) = 0;

  // -- Optimizers: one pass over a parameter; the gradient is scaled on the way (clipping, averaging) ---------------
  // `active`: one float per column of w, whose columns at 0 are left alone with their state; empty: all are updated.
  virtual void sgd(const SgdStep&, View w, ConstView g, View velocity, ConstView active) = 0;
  virtual void adamw(const AdamWStep&, View w, ConstView g, View m, View v, ConstView active) = 0;
};

std::unique_ptr<Backend> make_cpu_backend(int threads, Precision = Precision::f32);  // 0: as many as the machine has
// Only in builds that have it: make_backend knows.  To plan with, it answers what it would ask for, and opens no
// device.
enum class CudaUse : bool { compute, plan };
std::unique_ptr<Backend> make_cuda_backend(Precision, CudaUse);
// Computes nothing, and asks for the same bytes as `like`: for planning.
std::unique_ptr<Backend> make_shape_backend(std::unique_ptr<Backend> like);

enum class DeviceKind : uint8_t { cpu, cuda };
// Throws Fault::device with a sentence where the device is not there.
std::unique_ptr<Backend> make_backend(DeviceKind, int threads, Precision = Precision::f32);
// Computes nothing, and asks for the same bytes as make_backend's.  The device need not be there, only in the build.
std::unique_ptr<Backend> make_planning_backend(DeviceKind, int threads, Precision = Precision::f32);

Precision parse_precision(std::string_view);  // "f32", "bf16"; throws Fault::usage for others

}  // namespace shear

// The bytes of device memory that each kernel moves, counted by the checker, beside the least that it must: the figures
// in the kernels' header comments.  Shapes are those of a layer of ViT-Ti/16 for two images.
#include <cuda_runtime.h>

#include "backends/kernels/asleep.h"
#include "cuda_host.h"

using namespace shear;
using namespace shear::test;

namespace {

constexpr int64_t images = 2, tokens = 197, rows = images * tokens, dim = 192, elements = rows * dim;
constexpr int64_t batch = 256, classes = 1000;
const HeadGrid heads{images, tokens, 3, 64};
const PatchGrid patch_grid{3, 224, 224, 16};

class CountSectors {
 public:
  CountSectors() : before_(cuemu::count_sectors(true)) {}
  ~CountSectors() { cuemu::count_sectors(before_); }

 private:
  bool before_;
};

struct Bytes {
  uint64_t least = 0;  // distinct bytes that a launch reads and writes
  uint64_t moved = 0;  // in sectors of 32 bytes, which lanes of a warp share if they ask for them together

  // By kernels whose names begin so, until now.
  explicit Bytes(std::string_view kernel) {
    for (const cuemu::Traffic& t : cuemu::traffic())
      if (t.kernel.starts_with(kernel)) least += t.least_read + t.least_written, moved += t.transferred;
  }
};

// What kernels of that name move when f runs on the device, as bytes for each of n elements.
template <class F>
void check_bytes(const char* kernel, int64_t n, double least, double moved, F f) {
  CAPTURE(kernel);
  const Bytes before(kernel);
  Side side(tested_backend());
  f(side);
  REQUIRE(cudaDeviceSynchronize() == cudaSuccess);
  const Bytes after(kernel);
  const auto each = [n](uint64_t bytes) { return static_cast<double>(bytes) / static_cast<double>(n); };
  CHECK(each(after.least - before.least) == doctest::Approx(least).epsilon(0.005));
  CHECK(each(after.moved - before.moved) == doctest::Approx(moved).epsilon(0.005));
}

struct Operands {
  Matrix a{rows, dim, 0, 1}, b{rows, dim, 0, 2}, c{rows, dim, 0, 3}, y{rows, dim, 0, 4};
  Matrix row{1, dim, 0, 5}, row_2{1, dim, 0, 6}, row_3{1, dim, 0, 7}, per_row{1, rows, 0, 8}, per_row_2{1, rows, 0, 9};
  Matrix one{1, 1, 0, 10}, two{1, 2, 0, 13};
};

}  // namespace

TEST_CASE("elementwise kernels move the bytes that their comments say") {
  if (!cuemu::checked()) return;
  const CountSectors count;
  const Operands o;
  const Matrix odd(rows, dim + 1, 0, 11), other_odd(rows, dim + 1, 0, 12);
  const StreamKey key{11, static_cast<uint32_t>(Purpose::dropout), 2, 3};
  check_bytes("fill_kernel", elements, 4, 4, [&](Side& s) { s.run().fill(s(o.y), 1); });
  check_bytes("map_kernel<4, Gelu>", elements, 8, 8, [&](Side& s) { s.run().gelu(GeluForm::exact, s(o.a), s(o.y)); });
  check_bytes("map_kernel<1, Gelu>", odd.rows() * odd.cols(), 8, 8,
              [&](Side& s) { s.run().gelu(GeluForm::exact, s(odd), s(other_odd)); });
  check_bytes("map_kernel<4, Same>", elements, 12, 12, [&](Side& s) { s.run().copy(s(o.a), 1, s(o.y)); });
  check_bytes("map2_kernel<4, GeluGrad>", elements, 12, 12,
              [&](Side& s) { s.run().gelu_grad(GeluForm::exact, s(o.a), s(o.b), 0, s(o.y)); });
  check_bytes("map2_kernel<4, Sum>", elements, 8.01, 12, [&](Side& s) { s.run().add_row(s(o.a), s(o.row), s(o.y)); });
  check_bytes("dropout_kernel<4>", elements, 8, 8, [&](Side& s) { s.run().dropout(s(o.a), 0.1f, key, 0, s(o.y)); });
  check_bytes("convert_kernel", elements, 6, 6, [&](Side& s) {
    View half = s(o.y);
    half.dtype = DType::bf16;
    s.run().copy(s(o.a), 0, half);
  });
  const Matrix pixels(images, 3 * 224 * 224, 0, 13), patches(images * patch_grid.count(), patch_grid.size(), 0, 14);
  check_bytes("gather_patches_kernel", patches.rows() * patches.cols(), 8, 8,
              [&](Side& s) { s.run().gather_patches(patch_grid, s(pixels), 0, s(patches)); });
}

TEST_CASE("reductions move the bytes that their comments say") {
  if (!cuemu::checked()) return;
  const CountSectors count;
  const Operands o;
  check_bytes("sum_columns_kernel", elements, 4.13, 4.13, [&](Side& s) { s.run().column_sums(s(o.a), 0, s(o.row)); });
  check_bytes("sum_columns_kernel", elements, 4.13, 4.13,
              [&](Side& s) { s.run().column_square_sums(s(o.a), s(o.row)); });
  check_bytes("sum_kernel", elements, 4, 4.02, [&](Side& s) { s.run().sum_squares(s(o.a), 0, as_f64(s(o.two))); });
  check_bytes("total_kernel", 37, 8.22, 9.51, [&](Side& s) { s.run().sum_squares(s(o.a), 0, as_f64(s(o.two))); });
  // Of the sum's blocks, 8 bytes each.
  check_bytes("mean_kernel", 37, 8.11, 9.51, [&](Side& s) { s.run().mean(s(o.a), s(o.one)); });
}

TEST_CASE("LayerNorm's kernels move the bytes that their comments say") {
  if (!cuemu::checked()) return;
  const CountSectors count;
  const Operands o;
  check_bytes("layernorm_kernel", elements, 8.06, 24.33, [&](Side& s) {
    s.run().layernorm(s(o.a), s(o.row), s(o.row_2), 1e-6f, s(o.y), s(o.per_row), s(o.per_row_2));
  });
  check_bytes("layernorm_apply_kernel", elements, 8.06, 16.33, [&](Side& s) {
    s.run().layernorm_apply(s(o.a), s(o.per_row), s(o.per_row_2), s(o.row), s(o.row_2), s(o.y));
  });
  check_bytes("layernorm_standardise_kernel", elements, 8.04, 8.33,
              [&](Side& s) { s.run().layernorm_standardise(s(o.a), s(o.per_row), s(o.per_row_2), s(o.y)); });
  const auto grad = [&](Side& s, View dgamma, View dbeta) {
    s.run().layernorm_grad(s(o.a), s(o.per_row), s(o.per_row_2), s(o.row), s(o.b), 0, s(o.y), 0, dgamma, dbeta,
                           s.scratch(s.run().layernorm_scratch(dim)));
  };
  check_bytes("layernorm_grad_kernel", elements, 17.25, 35.86, [&](Side& s) { grad(s, s(o.row_2), s(o.row_3)); });
  check_bytes("layernorm_grad_kernel", elements, 12.05, 30.67, [&](Side& s) { grad(s, {}, {}); });
}

TEST_CASE("the kernels of the loss and the optimizers move the bytes that their comments say") {
  if (!cuemu::checked()) return;
  const CountSectors count;
  const Operands o;
  const Matrix logits(batch, classes, 0, 20), dlogits(batch, classes, 0, 21), losses(1, batch, 0, 22);
  const std::vector<int32_t> labels(batch, 3);
  check_bytes("cross_entropy_kernel", batch * classes, 4.01, 12.1,
              [&](Side& s) { s.run().cross_entropy(s(logits), s(labels), 0.1f, s(losses)); });
  check_bytes("cross_entropy_grad_kernel", batch * classes, 8, 17.06,
              [&](Side& s) { s.run().cross_entropy_grad(s(logits), s(labels), 0.1f, 1, s(o.one), 0, s(dlogits)); });
  check_bytes("count_right_kernel", batch * classes, 4.01, 4.06,
              [&](Side& s) { s.run().count_right(s(logits), s(labels), 0, s(o.one)); });
  const SgdStep sgd{.lr = 0.1f, .momentum = 0.9f, .weight_decay = 0.1f, .gradient_scale = 1, .nesterov = false};
  check_bytes("update_kernel", elements, 20, 20,
              [&](Side& s) { s.run().sgd(sgd, s(o.a), s(o.b), s(o.c), ConstView{}); });
  const AdamWStep adamw{.lr = 0.1f,
                        .beta1 = 0.9f,
                        .beta2 = 0.99f,
                        .epsilon = 1e-8f,
                        .weight_decay = 0.1f,
                        .gradient_scale = 1,
                        .correction1 = 0.1f,
                        .correction2 = 0.1f};
  check_bytes("update_kernel", elements, 28, 28,
              [&](Side& s) { s.run().adamw(adamw, s(o.a), s(o.b), s(o.c), s(o.y), ConstView{}); });
  const std::vector<uint8_t> m(static_cast<size_t>(elements), 127), v(static_cast<size_t>(elements), 1);
  const Matrix scales(1, state_blocks(elements), 0, 23), more_scales(1, state_blocks(elements), 0, 24);
  check_bytes("sgd_coded_kernel", elements, 14.04, 15.13,
              [&](Side& s) { s.run().sgd_coded(sgd, s(o.a), s(o.b), s(m), s(scales), ConstView{}); });
  check_bytes("adamw_coded_kernel", elements, 16.07, 18.25, [&](Side& s) {
    s.run().adamw_coded(adamw, {}, s(o.a), s(o.b), s(m), s(scales), s(v), s(more_scales), ConstView{});
  });
  const std::vector<uint8_t> two(static_cast<size_t>(2 * elements), 63);
  const auto coarse = [&](Side& s) { return View(s(two).data, 1, elements, elements, DType::bf16); };
  check_bytes("update_kernel", elements, 16, 16,
              [&](Side& s) { s.run().sgd(sgd, {coarse(s)}, s(o.b), s(o.c), ConstView{}); });
  check_bytes("update_kernel", elements, 18, 18, [&](Side& s) {
    s.run().sgd(sgd, {coarse(s), s(m)}, s(o.b), s(o.c), ConstView{});
  });
  check_bytes("wake_weights_kernel", elements, 6, 6, [&](Side& s) { s.run().wake_weights(coarse(s), {}, s(o.y)); });
  check_bytes("wake_weights_kernel", elements, 7, 7, [&](Side& s) { s.run().wake_weights(coarse(s), s(m), s(o.y)); });
}

TEST_CASE("attention's kernels move the bytes that their comments say") {
  if (!cuemu::checked()) return;
  const CountSectors count;
  const Operands o;
  const Matrix qkv(rows, 3 * dim, 0, 30), dqkv(rows, 3 * dim, 0, 31), lse(images * heads.heads, tokens, 0, 32),
      probabilities(images * heads.heads * tokens, tokens, 0, 33);
  const auto room = [](Side& s) { return s.scratch(s.run().attention_scratch(heads)); };
  const auto forward = [&](Side& s) { s.run().attention(heads, s(qkv), {}, s(o.y), s(lse), {}, room(s)); };
  const auto whole = [&](Side& s) { s.run().attention(heads, s(qkv), {}, s(o.y), {}, s(probabilities), room(s)); };
  check_bytes("attention_kernel", elements, 16.06, 64.17, forward);
  check_bytes("attention_kernel", elements, 16.13, 64.35, whole);
  check_bytes("probabilities_kernel", elements, 20.44, 81.68, whole);
  const auto grad = [&](Side& s) {
    s.run().attention_grad(heads, s(qkv), {}, s(lse), {}, s(o.a), s(dqkv), 0, {}, room(s));
  };
  const auto grad_of_given = [&](Side& s) {
    s.run().attention_grad(heads, s(qkv), {}, {}, s(probabilities), s(o.a), s(dqkv), 0, {}, room(s));
  };
  check_bytes("dots_kernel", elements, 16.13, 65.35, grad);
  check_bytes("query_grad_kernel", elements, 20.13, 70.36, grad);
  check_bytes("key_value_grad_kernel", elements, 24.13, 102.36, grad);
  check_bytes("dots_kernel", elements, 20.38, 55.42, grad_of_given);
  check_bytes("query_grad_kernel", elements, 28.38, 88.43, grad_of_given);
  check_bytes("key_value_grad_kernel", elements, 32.38, 92.43, grad_of_given);
}

TEST_CASE("attention's kernels move the bytes that their comments say where positions are relative") {
  if (!cuemu::checked()) return;
  const CountSectors count;
  const Operands o;
  HeadGrid grid = heads;
  grid.across = 14;
  const Matrix qkv(rows, 3 * dim, 0, 60), dqkv(rows, 3 * dim, 0, 61), lse(images * heads.heads, tokens, 0, 62),
      table(grid.distances(), heads.heads, 0, 63), dtable(grid.distances(), heads.heads, 0, 64);
  const auto room = [&](Side& s) {
    return s.scratch(s.run().attention_scratch(grid) + s.run().relative_scratch(grid));
  };
  check_bytes("attention_kernel", elements, 16.2, 84.05,
              [&](Side& s) { s.run().attention(grid, s(qkv), s(table), s(o.y), s(lse), {}, room(s)); });
  const auto grad = [&](Side& s) {
    s.run().attention_grad(grid, s(qkv), s(table), s(lse), {}, s(o.a), s(dqkv), 0, s(dtable), room(s));
  };
  check_bytes("dots_kernel", elements, 16.2, 85.23, grad);
  check_bytes("query_grad_kernel", elements, 20.2, 90.24, grad);
  check_bytes("key_value_grad_kernel", elements, 24.2, 122.24, grad);
  check_bytes("score_sums_kernel", elements, 22.4, 145.86, grad);
  check_bytes("relative_sums_kernel", elements, 6.27, 49.97, grad);
}

TEST_CASE(
    "the kernels of gates, scales, means of tokens, turned and pooling attention move the bytes of their comments") {
  if (!cuemu::checked()) return;
  const CountSectors count;
  const Operands o;
  const Matrix wide(rows, 2 * dim, 0, 50), dwide(rows, 2 * dim, 0, 51), qkv(rows, 3 * dim, 0, 52),
      turned(rows, 3 * dim, 0, 53), sine(tokens - 1, heads.width, 0, 54), cosine(tokens - 1, heads.width, 0, 55),
      of_images(images, dim, 0, 56), dquery(images, dim, 0, 57);
  check_bytes("map2_kernel<4, Swiglu>", elements, 12, 12, [&](Side& s) { s.run().swiglu(s(wide), s(o.y)); });
  check_bytes("swiglu_grad_kernel<4>", elements, 20, 20,
              [&](Side& s) { s.run().swiglu_grad(s(wide), s(o.a), 0, s(dwide)); });
  check_bytes("scale_rows_kernel<4>", elements, 8.02, 9.33,
              [&](Side& s) { s.run().scale_rows(s(o.a), s(o.per_row), 0, s(o.y)); });
  check_bytes("row_dots_kernel", elements, 8.02, 8.17,
              [&](Side& s) { s.run().row_dots(s(o.a), s(o.b), 0, s(o.per_row)); });
  check_bytes("mean_tokens_kernel", elements, 4, 4,
              [&](Side& s) { s.run().mean_tokens(s(o.a), tokens, 1, s(of_images)); });
  check_bytes("mean_tokens_grad_kernel", elements, 4.02, 8,
              [&](Side& s) { s.run().mean_tokens_grad(s(of_images), tokens, 1, 0, s(o.y)); });
  check_bytes("rotate_kernel", 3 * elements, 8.44, 13.31, [&](Side& s) {
    s.run().rotate(heads, 1, RotaryPairs::halves, false, s(sine), s(cosine), s(qkv), 0, s(turned));
  });
  const Matrix angles(tokens - 1, dim / 2, 0, 58), sines(tokens - 1, dim, 0, 59), cosines(tokens - 1, dim, 0, 60);
  check_bytes("map_kernel<4, Exponential>", elements, 8, 8, [&](Side& s) { s.run().exponential(s(o.a), s(o.y)); });
  check_bytes("sine_cosine_kernel", (tokens - 1) * dim / 2, 20, 36,
              [&](Side& s) { s.run().sine_cosine(s(angles), s(sines), s(cosines)); });
  check_bytes("rotate_angles_grad_kernel", 2 * elements, 8.46, 16.42,
              [&](Side& s) { s.run().rotate_angles_grad(heads, 1, s(qkv), s(turned), 0, s(angles)); });
  const auto pool_room = [](Side& s) { return s.scratch(s.run().attention_pool_scratch(heads)); };
  check_bytes("attention_pool_kernel", elements, 8.09, 13.89,
              [&](Side& s) { s.run().attention_pool(heads, 0, s(o.row), s(wide), s(of_images), pool_room(s)); });
  check_bytes("attention_pool_grad_kernel", elements, 16.18, 31.8, [&](Side& s) {
    s.run().attention_pool_grad(heads, 0, s(o.row), s(wide), s(of_images), s(dquery), s(dwide), pool_room(s));
  });
}

TEST_CASE("the kernels that choose rows and columns move the bytes that their comments say") {
  if (!cuemu::checked()) return;
  const CountSectors count;
  const Operands o;
  std::vector<int32_t> every_other_row, every_other_column;
  for (int32_t r = 0; r < rows; r += 2) every_other_row.push_back(r);
  for (int32_t c = 0; c < dim; c += 2) every_other_column.push_back(c);
  const Matrix half_rows(rows / 2, dim, 0, 40), half_columns(rows, dim / 2, 0, 41), row_scale(1, rows / 2, 0, 42),
      column_scale(1, dim / 2, 0, 43);
  check_bytes("gather_rows_kernel", elements / 2, 8.04, 8.33,
              [&](Side& s) { s.run().gather_rows(s(o.a), s(every_other_row), s(row_scale), s(half_rows)); });
  for (const float beta : {0.f, 1.f})
    check_bytes("scatter_columns_kernel", elements / 2, 12.02, 28, [&](Side& s) {
      s.run().scatter_columns(s(half_columns), s(every_other_column), s(column_scale), beta, s(o.y));
    });
  const Nap nap{o.a, shape_of(Code::f32, rows, dim / 2, 0, 0), {}, every_other_column};
  check_bytes("pack_rows_kernel", elements / 2, 8.01, 16, [&](Side&) { Asleep(tested_backend(), nap).values(); });
}

TEST_CASE("the kernels that put to sleep and wake move the bytes that their comments say") {
  if (!cuemu::checked()) return;
  const CountSectors count;
  const Operands o;
  const auto check = [&](const char* kernel, PackedView shape, double least, double moved) {
    CAPTURE(bits_of(shape.code));
    check_bytes(kernel, elements, least, moved, [&](Side&) { Asleep(tested_backend(), {o.a, shape}).woken(); });
  };
  check("pack_rows_kernel", shape_of(Code::f16, rows, dim, 0, 0), 6, 6);
  check("unpack_rows_kernel", shape_of(Code::f16, rows, dim, 0, 0), 6, 6);
  check("encode_kernel", shape_of(Code::u8, rows, dim, 0, 0), 5.04, 9.33);
  check("encode_kernel", shape_of(Code::u4, rows, dim, 0, 0), 4.54, 8.83);
  check("encode_kernel", shape_of(Code::u2, rows, dim, 0, 0), 4.29, 8.75);
  check("decode_kernel", shape_of(Code::u8, rows, dim, 0, 0), 5.04, 5.33);
  check("decode_kernel", shape_of(Code::u4, rows, dim, 0, 0), 4.54, 5.33);
  check("decode_kernel", shape_of(Code::u2, rows, dim, 0, 0), 4.29, 5.33);
  check("encode_kernel", shape_of(Code::u3, rows, dim, 0, 0), 4.42, 9.08);
  check("decode_kernel", shape_of(Code::u3, rows, dim, 0, 0), 4.42, 6.83);
  check("encode_groups_kernel", grouped(shape_of(Code::u3, rows, dim, 0, 0), 64), 4.44, 9.04);
  check("decode_groups_kernel", grouped(shape_of(Code::u3, rows, dim, 0, 0), 64), 4.44, 10.5);
  const PackedView fifth = shape_of(Code::f32, rows, dim, tokens, tokens * dim / 5),
                   fifth_f16 = shape_of(Code::f16, rows, dim, tokens, tokens * dim / 5);
  check("count_kernel", fifth, 13.73, 14.38);
  check("pick_kernel", fifth, 1.74, 3.97);
  check("keep_kernel", fifth, 4.93, 7.63);
  check("keep_kernel", fifth_f16, 4.53, 6.87);
  check("unmask_kernel", fifth, 4.92, 8.97);
  check("unmask_kernel", fifth_f16, 4.52, 8.15);
}

// The CPU's kernels that look at whole rows, images or heads, through strided views: LayerNorm, the loss, attention,
// patches.  (That their arithmetic is right is what the ops' tests show.)
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "shear/make_backend.h"

using namespace shear;

namespace {

constexpr float unset = std::numeric_limits<float>::quiet_NaN();

// The same numbers under any row stride, with nan between the rows.
struct Rows {
  Rows(int64_t rows_, int64_t cols_, int64_t gap, uint32_t n, float scale = 1)
      : rows(rows_), cols(cols_), stride(cols_ + gap), data(static_cast<size_t>(rows_ * stride), unset) {
    Stream stream(5, Purpose::test, n);
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < cols; ++c) data[static_cast<size_t>(r * stride + c)] = scale * stream.normal();
  }
  float* row(int64_t r) { return data.data() + r * stride; }
  const float* row(int64_t r) const { return data.data() + r * stride; }
  double at(int64_t r, int64_t c) const { return static_cast<double>(row(r)[c]); }
  operator View() { return {data.data(), rows, cols, stride}; }
  operator ConstView() const { return {data.data(), rows, cols, stride}; }

  int64_t rows, cols, stride;
  std::vector<float> data;
};

// Bits, whatever the strides; and that nothing was written between the rows of either.
bool same(const Rows& a, const Rows& b) {
  if (a.rows != b.rows || a.cols != b.cols) return false;
  for (int64_t r = 0; r < a.rows; ++r) {
    if (std::memcmp(a.row(r), b.row(r), static_cast<size_t>(a.cols) * sizeof(float)) != 0) return false;
    for (const Rows* m : {&a, &b})
      for (int64_t c = m->cols; c < m->stride; ++c)
        if (!std::isnan(m->at(r, c))) return false;
  }
  return true;
}

double difference(const Rows& a, const Rows& b) {
  double worst = 0;
  for (int64_t r = 0; r < a.rows; ++r)
    for (int64_t c = 0; c < a.cols; ++c) {
      const double d = std::fabs(a.at(r, c) - b.at(r, c));
      worst = d <= worst ? worst : d;
    }
  return worst;
}

// a + beta * b
Rows plus(Rows a, float beta, const Rows& b) {
  for (int64_t r = 0; r < a.rows; ++r)
    for (int64_t c = 0; c < a.cols; ++c) a.row(r)[c] += beta * b.row(r)[c];
  return a;
}

struct Size {
  int64_t rows, cols;
};
constexpr Size sizes[] = {{1, 3}, {3, 31}, {33, 197}, {197, 33}, {50, 1000}};

struct Norm {
  Norm(Backend& cpu, Size s, int64_t gap)
      : x(s.rows, s.cols, gap, 1),
        gamma(1, s.cols, 0, 2),
        beta(1, s.cols, 0, 3),
        y(s.rows, s.cols, gap, 4),
        mean(1, s.rows, 0, 5),
        rstd(1, s.rows, 0, 6) {
    cpu.layernorm(x, gamma, beta, 1e-6f, y, mean, rstd);
  }
  Rows x, gamma, beta, y, mean, rstd;
};

}  // namespace

TEST_CASE("layer normalisation holds the mean and one over the deviation of each row, and its strides do not matter") {
  for (const int threads : {1, 2}) {
    const auto cpu = make_cpu_backend(threads);
    for (const Size& s : sizes) {
      Norm dense(*cpu, s, 0), strided(*cpu, s, 5);
      CHECK(same(dense.y, strided.y));
      CHECK(same(dense.mean, strided.mean));
      for (int64_t r = 0; r < s.rows; ++r) {
        double mean = 0, var = 0;
        for (int64_t c = 0; c < s.cols; ++c) mean += dense.x.at(r, c) / static_cast<double>(s.cols);
        for (int64_t c = 0; c < s.cols; ++c)
          var += (dense.x.at(r, c) - mean) * (dense.x.at(r, c) - mean) / static_cast<double>(s.cols);
        CHECK(std::fabs(dense.mean.at(0, r) - mean) < 1e-6);
        CHECK(dense.rstd.at(0, r) == doctest::Approx(1 / std::sqrt(var + 1e-6)).epsilon(1e-6));
      }
    }
  }
}

TEST_CASE("a layer normalisation made again from its statistics has the bits of the first") {
  for (const int threads : {1, 2}) {
    const auto cpu = make_cpu_backend(threads);
    for (const Size& s : sizes)
      for (const int64_t gap : {0, 5}) {
        Norm n(*cpu, s, 5);
        Rows again(s.rows, s.cols, gap, 9);
        cpu->layernorm_apply(n.x, n.mean, n.rstd, n.gamma, n.beta, again);
        CHECK(same(n.y, again));
      }
  }
}

TEST_CASE(
    "layer normalisation's gradients are the same strided, in place, and each without the others, and are added where "
    "beta says") {
  for (const int threads : {1, 2}) {
    const auto cpu = make_cpu_backend(threads);
    for (const Size& s : sizes) {
      const Norm n(*cpu, s, 0), strided(*cpu, s, 5);
      Rows scratch(1, cpu->layernorm_scratch(s.cols), 0, 7), dx(s.rows, s.cols, 0, 8), dgamma(1, s.cols, 0, 9),
          dbeta(1, s.cols, 0, 10);
      const Rows dy(s.rows, s.cols, 0, 11), strided_dy(s.rows, s.cols, 5, 11), dx0 = dx, dgamma0 = dgamma,
                                                                               dbeta0 = dbeta;
      cpu->layernorm_grad(n.x, n.mean, n.rstd, n.gamma, dy, 0, dx, 0, dgamma, dbeta, scratch);

      Rows other(s.rows, s.cols, 5, 12), none(1, s.cols, 0, 13);
      cpu->layernorm_grad(strided.x, n.mean, n.rstd, n.gamma, strided_dy, 0, other, 0, none, {}, scratch);
      CHECK(same(other, dx));
      CHECK(same(none, dgamma));
      cpu->layernorm_grad(n.x, n.mean, n.rstd, n.gamma, dy, 0, {}, 0, {}, none, scratch);
      CHECK(same(none, dbeta));
      Rows over = dy;
      cpu->layernorm_grad(n.x, n.mean, n.rstd, n.gamma, over, 0, over, 0, {}, {}, scratch);
      CHECK(same(over, dx));

      Rows dx1 = dx0, dgamma1 = dgamma0, dbeta1 = dbeta0;
      cpu->layernorm_grad(n.x, n.mean, n.rstd, n.gamma, dy, 1, dx1, 0.5f, dgamma1, dbeta1, scratch);
      CHECK(difference(dx1, plus(dx, 1, dx0)) < 1e-5);
      CHECK(difference(dgamma1, plus(dgamma, 0.5f, dgamma0)) < 1e-5);
      CHECK(difference(dbeta1, plus(dbeta, 0.5f, dbeta0)) < 1e-5);
    }
  }
}

TEST_CASE("the loss and its gradient are the same strided, and are added where beta says") {
  const auto cpu = make_cpu_backend(2);
  for (const Size& s : sizes) {
    std::vector<int32_t> labels;
    for (int64_t r = 0; r < s.rows; ++r) labels.push_back(static_cast<int32_t>(7 * r % s.cols));
    const ConstView label_view(labels.data(), 1, s.rows, s.rows, DType::i32);
    const Rows x(s.rows, s.cols, 0, 1), strided(s.rows, s.cols, 3, 1), up(1, 1, 0, 2);
    Rows losses(1, s.rows, 0, 3), again(1, s.rows, 0, 4), dx(s.rows, s.cols, 0, 5), other(s.rows, s.cols, 3, 6);
    cpu->cross_entropy(x, label_view, 0.1f, losses);
    cpu->cross_entropy(strided, label_view, 0.1f, again);
    CHECK(same(losses, again));
    const Rows before = dx;
    cpu->cross_entropy_grad(x, label_view, 0.1f, 0.25f, up, 0, dx);
    cpu->cross_entropy_grad(strided, label_view, 0.1f, 0.25f, up, 0, other);
    CHECK(same(dx, other));
    Rows added = before;
    cpu->cross_entropy_grad(x, label_view, 0.1f, 0.25f, up, 1, added);
    CHECK(difference(added, plus(dx, 1, before)) < 1e-6);
  }
}

TEST_CASE("attention and its gradient are the same strided, on one thread and on two") {
  for (const HeadGrid& g :
       {HeadGrid{1, 1, 1, 1}, HeadGrid{2, 5, 3, 7}, HeadGrid{3, 65, 2, 9}, HeadGrid{1, 197, 3, 8}}) {
    const int64_t rows = g.batch * g.tokens, model = g.model();
    Rows first_y(rows, model, 0, 1), first_lse(g.batch * g.heads, g.tokens, 0, 2), first_dx(rows, 3 * model, 0, 3);
    for (const int threads : {1, 2})
      for (const int64_t gap : {0, 5}) {
        const auto cpu = make_cpu_backend(threads);
        const Rows qkv(rows, 3 * model, gap, 4), dy(rows, model, gap, 5);
        Rows y(rows, model, gap, 6), lse(g.batch * g.heads, g.tokens, 0, 7), dx(rows, 3 * model, gap, 8);
        Rows scratch(1, cpu->attention_scratch(g), 0, 9);
        cpu->attention(g, qkv, y, lse, {}, scratch);
        cpu->attention_grad(g, qkv, lse, {}, dy, dx, scratch);
        if (threads == 1 && gap == 0) first_y = y, first_lse = lse, first_dx = dx;
        CHECK(same(y, first_y));
        CHECK(same(lse, first_lse));
        CHECK(same(dx, first_dx));
      }
  }
}

TEST_CASE("patches are gathered from any first row, into rows with gaps") {
  const PatchGrid g{.channels = 2, .height = 6, .width = 9, .patch = 3};
  for (const int threads : {1, 2}) {
    const auto cpu = make_cpu_backend(threads);
    const Rows images(3, 2 * 6 * 9, 0, 1);
    for (const int64_t first : {0, 4, 17}) {
      const int64_t count = std::min<int64_t>(9, 3 * g.count() - first);
      Rows out(count, g.size(), 4, 2);
      cpu->gather_patches(g, images, first, out);
      bool right = true;
      for (int64_t i = 0; i < count; ++i)
        for (int64_t c = 0; c < g.size(); ++c) {
          const int64_t image = (first + i) / 6, place = (first + i) % 6, top = place / 3 * 3, left = place % 3 * 3;
          const int64_t y = top + c % 9 / 3, x = left + c % 3;
          right = right && out.at(i, c) == images.at(image, (c / 9 * 6 + y) * 9 + x);
        }
      CHECK(right);
      for (int64_t i = 0; i < count; ++i)
        for (int64_t c = g.size(); c < out.stride; ++c) CHECK(std::isnan(out.at(i, c)));
    }
  }
}

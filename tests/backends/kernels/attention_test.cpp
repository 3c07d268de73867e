// Attention, forward and backward, from every kind of probabilities.
#include "operands.h"

using namespace shear;
using namespace shear::test;

namespace {

// One head at a time in f64.  A row of probabilities may be given, else it is the softmax.
struct Reference {
  Reference(const HeadGrid& grid, const Matrix& qkv_, const Matrix* relative = nullptr) : g(grid), qkv(qkv_) {
    const int64_t n = g.tokens;
    for (int64_t index = 0; index < g.batch * g.heads; ++index)
      for (int64_t i = 0; i < n; ++i) {
        std::vector<double> s;
        for (int64_t j = 0; j < n; ++j) {
          double dot = 0;
          for (int64_t d = 0; d < g.width; ++d) dot += at(index, i, 0, d) * at(index, j, 1, d);
          s.push_back(dot * scale() + (relative ? relative->at(distance(i, j), index % g.heads) : 0));
        }
        const double max = *std::max_element(s.begin(), s.end());
        double sum = 0;
        for (const double x : s) sum += std::exp(x - max);
        log_sum_exp.push_back(max + std::log(sum));
        for (const double x : s) p.push_back(std::exp(x - max) / sum);
      }
  }
  double scale() const { return 1 / std::sqrt(static_cast<double>(g.width)); }
  // The row of the table for a query and a key: their patches' differences, then the class token's three.
  int64_t distance(int64_t query, int64_t key) const {
    const int64_t down = (g.tokens - 1) / g.across, wide = 2 * g.across - 1, patches = (2 * down - 1) * wide;
    if (query == 0) return key == 0 ? patches + 2 : patches;
    if (key == 0) return patches + 1;
    const int64_t rows = (query - 1) / g.across - (key - 1) / g.across;
    return (rows + down - 1) * wide + (query - 1) % g.across - (key - 1) % g.across + g.across - 1;
  }
  double at(int64_t index, int64_t i, int64_t part, int64_t d) const {
    return qkv.at(index / g.heads * g.tokens + i, part * g.model() + index % g.heads * g.width + d);
  }
  double& prob(int64_t index, int64_t i, int64_t j) {
    return p[static_cast<size_t>((index * g.tokens + i) * g.tokens + j)];
  }
  Matrix context() {
    Matrix out(g.batch * g.tokens, g.model(), 0, 1);
    for (int64_t index = 0; index < g.batch * g.heads; ++index)
      for (int64_t i = 0; i < g.tokens; ++i)
        for (int64_t d = 0; d < g.width; ++d) {
          double sum = 0;
          for (int64_t j = 0; j < g.tokens; ++j) sum += prob(index, i, j) * at(index, j, 2, d);
          out(index / g.heads * g.tokens + i, index % g.heads * g.width + d) = static_cast<float>(sum);
        }
    return out;
  }
  // relative: where the sums of dS by distance are put, before the scale.
  Matrix gradient(const Matrix& up, Matrix* relative = nullptr) {
    const int64_t n = g.tokens, w = g.width;
    Matrix out(g.batch * n, 3 * g.model(), 0, 1);
    std::vector<double> ds(static_cast<size_t>(n * n)),
        by_distance(relative ? static_cast<size_t>(g.distances() * g.heads) : 0);
    for (int64_t index = 0; index < g.batch * g.heads; ++index) {
      const int64_t top = index / g.heads * n, left = index % g.heads * w;
      for (int64_t i = 0; i < n; ++i) {
        double dot = 0;
        for (int64_t j = 0; j < n; ++j) {
          double dp = 0;
          for (int64_t d = 0; d < w; ++d) dp += up.at(top + i, left + d) * at(index, j, 2, d);
          ds[static_cast<size_t>(i * n + j)] = dp;
          dot += prob(index, i, j) * dp;
        }
        for (int64_t j = 0; j < n; ++j) {
          double& x = ds[static_cast<size_t>(i * n + j)];
          x = prob(index, i, j) * (x - dot) * scale();
          if (relative) by_distance[static_cast<size_t>(distance(i, j) * g.heads + index % g.heads)] += x / scale();
        }
      }
      for (int64_t i = 0; i < n; ++i)
        for (int64_t d = 0; d < w; ++d) {
          double dq = 0, dk = 0, dv = 0;
          for (int64_t j = 0; j < n; ++j) {
            dq += ds[static_cast<size_t>(i * n + j)] * at(index, j, 1, d);
            dk += ds[static_cast<size_t>(j * n + i)] * at(index, j, 0, d);
            dv += prob(index, j, i) * up.at(top + j, left + d);
          }
          out(top + i, left + d) = static_cast<float>(dq);
          out(top + i, g.model() + left + d) = static_cast<float>(dk);
          out(top + i, 2 * g.model() + left + d) = static_cast<float>(dv);
        }
    }
    for (size_t i = 0; i < by_distance.size(); ++i)
      (*relative)(static_cast<int64_t>(i) / g.heads, static_cast<int64_t>(i) % g.heads) =
          static_cast<float>(by_distance[i]);
    return out;
  }

  HeadGrid g;
  const Matrix& qkv;
  std::vector<double> log_sum_exp, p;
};

constexpr HeadGrid grids[] = {{1, 1, 1, 1},  {2, 5, 3, 7},   {1, 31, 1, 33},  {2, 32, 2, 32},  {1, 33, 2, 64},
                              {1, 65, 1, 9}, {1, 17, 1, 96}, {1, 40, 1, 128}, {1, 197, 1, 16}, {0, 5, 2, 4}};

template <class F>
void for_grids(F f) {
  for (const HeadGrid& g : grids)
    for (const int64_t gap : {0, 5}) {
      CAPTURE(g.tokens);
      CAPTURE(g.width);
      CAPTURE(gap);
      f(g, gap);
    }
}

auto matrix_of(const Matrix& m) {
  return [&m](int64_t r, int64_t c) { return m.at(r, c); };
}

}  // namespace

TEST_CASE("attention, its log-sum-exp and its probabilities are those of the reference") {
  for_grids([](const HeadGrid& g, int64_t gap) {
    const int64_t rows = g.batch * g.tokens, heads = g.batch * g.heads;
    const Matrix qkv(rows, 3 * g.model(), gap, 1), y(rows, g.model(), gap, 2), lse(heads, g.tokens, gap, 3),
        p(heads * g.tokens, g.tokens, gap, 4), alone(rows, g.model(), gap, 5);
    Reference reference(g, qkv);
    Both both([&](Side& at) {
      const View scratch = at.scratch(at.run().attention_scratch(g));
      at.run().attention(g, at(qkv), {}, at(y), at(lse), at(p), scratch);
      at.run().attention(g, at(qkv), {}, at(alone), {}, {}, scratch);
    });
    const Matrix context = reference.context();
    both.check(y, matrix_of(context));
    both.check(alone, matrix_of(context));
    both.check(lse, [&](int64_t i, int64_t n) { return reference.log_sum_exp[static_cast<size_t>(i * g.tokens + n)]; });
    both.check(p, [&](int64_t i, int64_t j) { return reference.p[static_cast<size_t>(i * g.tokens + j)]; });
  });
}

TEST_CASE("attention's gradient is that of the reference, from the log-sum-exp, the probabilities or neither") {
  for_grids([](const HeadGrid& g, int64_t gap) {
    const int64_t rows = g.batch * g.tokens, heads = g.batch * g.heads;
    const Matrix qkv(rows, 3 * g.model(), gap, 1), dy(rows, g.model(), gap, 2), y(rows, g.model(), 0, 3),
        lse(heads, g.tokens, gap, 4), p(heads * g.tokens, g.tokens, gap, 5);
    const Matrix from_lse(rows, 3 * g.model(), gap, 6), from_p(rows, 3 * g.model(), gap, 7),
        anew(rows, 3 * g.model(), gap, 8);
    Reference reference(g, qkv);
    Both both([&](Side& at) {
      const View scratch = at.scratch(at.run().attention_scratch(g));
      at.run().attention(g, at(qkv), {}, at(y), at(lse), at(p), scratch);
      at.run().attention_grad(g, at(qkv), {}, at(lse), {}, at(dy), at(from_lse), 0, {}, scratch);
      at.run().attention_grad(g, at(qkv), {}, {}, at(p), at(dy), at(from_p), 0, {}, scratch);
      at.run().attention_grad(g, at(qkv), {}, {}, {}, at(dy), at(anew), 0, {}, scratch);
    });
    const Matrix gradient = reference.gradient(dy);
    for (const Matrix* got : {&from_lse, &from_p, &anew}) both.check(*got, matrix_of(gradient), 1e-5);
  });
}

TEST_CASE("attention's gradient is taken at pruned probabilities as they are given") {
  const HeadGrid g{2, 37, 2, 20};
  const int64_t rows = g.batch * g.tokens, heads = g.batch * g.heads;
  const Matrix qkv(rows, 3 * g.model(), 0, 1), dy(rows, g.model(), 0, 2), dqkv(rows, 3 * g.model(), 0, 3);
  Reference reference(g, qkv);
  Matrix p(heads * g.tokens, g.tokens, 0, 4);
  for (int64_t r = 0; r < p.rows(); ++r)
    for (int64_t c = 0; c < p.cols(); ++c) {
      double& known = reference.p[static_cast<size_t>(r * g.tokens + c)];
      if (known < 0.03) known = 0;
      p(r, c) = static_cast<float>(known);
    }
  Both both([&](Side& at) {
    at.run().attention_grad(g, at(qkv), {}, {}, at(p), at(dy), at(dqkv), 0, {},
                            at.scratch(at.run().attention_scratch(g)));
  });
  const Matrix gradient = reference.gradient(dy);
  both.check(dqkv, matrix_of(gradient), 1e-5);
}

TEST_CASE("attention with relative positions, and both of its gradients, are those of the reference") {
  // Grids that are no square, of one row or column, of several tiles; heads of every width that is compiled.
  for (const HeadGrid& g : {HeadGrid{1, 2, 1, 3, 1}, HeadGrid{2, 6, 2, 8, 5}, HeadGrid{3, 6, 1, 8, 1},
                            HeadGrid{2, 41, 3, 20, 8}, HeadGrid{1, 101, 2, 40, 10}, HeadGrid{1, 85, 1, 65, 7}})
    for (const int64_t gap : {0, 3}) {
      CAPTURE(g.tokens);
      CAPTURE(g.across);
      CAPTURE(gap);
      const int64_t rows = g.batch * g.tokens, heads = g.batch * g.heads;
      const Matrix qkv(rows, 3 * g.model(), gap, 1), relative(g.distances(), g.heads, gap, 2),
          y(rows, g.model(), gap, 3), lse(heads, g.tokens, gap, 4), p(heads * g.tokens, g.tokens, gap, 5),
          dy(rows, g.model(), gap, 6);
      Reference reference(g, qkv, &relative);
      const Matrix context = reference.context();
      {
        Both both([&](Side& at) {
          at.run().attention(g, at(qkv), at(relative), at(y), at(lse), at(p),
                             at.scratch(at.run().attention_scratch(g)));
        });
        both.check(y, matrix_of(context));
        both.check(lse,
                   [&](int64_t i, int64_t n) { return reference.log_sum_exp[static_cast<size_t>(i * g.tokens + n)]; });
        both.check(p, [&](int64_t i, int64_t j) { return reference.p[static_cast<size_t>(i * g.tokens + j)]; });
      }
      Matrix by_distance(g.distances(), g.heads, 0, 7);
      const Matrix gradient = reference.gradient(dy, &by_distance);
      const Matrix dqkv(rows, 3 * g.model(), gap, 8);
      for (const int from : {0, 1, 2}) {  // the log-sum-exp, the probabilities, neither
        CAPTURE(from);
        const auto grad = [&](Side& at, View drelative, float beta) {
          const View scratch = at.scratch(at.run().attention_scratch(g) + at.run().relative_scratch(g));
          at.run().attention(g, at(qkv), at(relative), at(y), at(lse), at(p), scratch);
          at.run().attention_grad(g, at(qkv), at(relative), from == 0 ? ConstView(at(lse)) : ConstView(),
                                  from == 1 ? ConstView(at(p)) : ConstView(), at(dy), at(dqkv), beta, drelative,
                                  scratch);
        };
        check_with_beta(
            g.distances(), g.heads, gap, [&](Side& at, View out, float beta) { grad(at, out, beta); },
            matrix_of(by_distance), 1e-5);
        Both both([&](Side& at) { grad(at, {}, 0); });
        both.check(dqkv, matrix_of(gradient), 1e-5);
      }
    }
}

TEST_CASE("attention over scores that differ by hundreds is the largest's value, and its gradient is finite") {
  const HeadGrid g{1, 70, 1, 8};
  Matrix qkv(g.tokens, 3 * g.model(), 0, 1, 30.f);
  const Matrix y(g.tokens, g.model(), 0, 2), lse(1, g.tokens, 0, 3), dy(g.tokens, g.model(), 0, 4),
      dqkv(g.tokens, 3 * g.model(), 0, 5), anew(g.tokens, 3 * g.model(), 0, 6);
  Reference reference(g, qkv);
  Both both([&](Side& at) {
    const View scratch = at.scratch(at.run().attention_scratch(g));
    at.run().attention(g, at(qkv), {}, at(y), at(lse), {}, scratch);
    at.run().attention_grad(g, at(qkv), {}, at(lse), {}, at(dy), at(dqkv), 0, {}, scratch);
    at.run().attention_grad(g, at(qkv), {}, {}, {}, at(dy), at(anew), 0, {}, scratch);
  });
  const Matrix context = reference.context(), gradient = reference.gradient(dy);
  both.check(y, matrix_of(context), 1e-4);
  both.check(dqkv, matrix_of(gradient), 1e-2);  // a log-sum-exp of thousands has lost what is behind its fourth digit
  both.check(anew, matrix_of(gradient), 1e-3);
}

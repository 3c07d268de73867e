// Attention of one query over the tokens of each sequence, forward and backward.
#include "operands.h"

using namespace shear;
using namespace shear::test;

TEST_CASE("attention of one query over the tokens from any of them on, and its gradients, are those of the reference") {
  for (const HeadGrid& g : {HeadGrid{1, 1, 1, 1}, HeadGrid{3, 5, 2, 7}, HeadGrid{2, 197, 3, 64}, HeadGrid{0, 4, 1, 3},
                            HeadGrid{1, 300, 1, 130}})
    for (const int64_t first : {int64_t{0}, g.tokens / 2, g.tokens - 1})
      for (const int64_t gap : {0, 3}) {
        CAPTURE(g.tokens);
        CAPTURE(g.width);
        CAPTURE(first);
        const int64_t d = g.model(), rows = g.batch * g.tokens;
        const Matrix query(1, d, 0, 1), kv(rows, 2 * d, gap, 2), up(g.batch, d, gap, 3), y(g.batch, d, gap, 4),
            dquery(g.batch, d, gap, 5), dkv(rows, 2 * d, gap, 6);
        Matrix context(g.batch, d, 0, 7), dq(g.batch, d, 0, 8), dx(rows, 2 * d, 0, 9);
        dx.fill(0);
        const double scale = 1 / std::sqrt(static_cast<double>(g.width));
        for (int64_t b = 0; b < g.batch; ++b)
          for (int64_t h = 0; h < g.heads; ++h) {
            const int64_t left = h * g.width, top = b * g.tokens;
            std::vector<double> p, dp;
            double sum = 0, dot = 0;
            for (int64_t n = first; n < g.tokens; ++n) {
              double s = 0, e = 0;
              for (int64_t c = left; c < left + g.width; ++c) {
                s += query.at(0, c) * kv.at(top + n, c);
                e += up.at(b, c) * kv.at(top + n, d + c);
              }
              p.push_back(std::exp(s * scale));
              dp.push_back(e);
              sum += p.back();
            }
            for (double& v : p) v /= sum;
            for (size_t i = 0; i < p.size(); ++i) dot += p[i] * dp[i];
            for (int64_t c = left; c < left + g.width; ++c) {
              double y_c = 0, q_c = 0;
              for (int64_t n = first; n < g.tokens; ++n) {
                const auto i = static_cast<size_t>(n - first);
                const double ds = p[i] * (dp[i] - dot) * scale;
                y_c += p[i] * kv.at(top + n, d + c);
                q_c += ds * kv.at(top + n, c);
                dx(top + n, c) = static_cast<float>(ds * query.at(0, c));
                dx(top + n, d + c) = static_cast<float>(p[i] * up.at(b, c));
              }
              context(b, c) = static_cast<float>(y_c);
              dq(b, c) = static_cast<float>(q_c);
            }
          }
        Both both([&](Side& at) {
          const View scratch = at.scratch(at.run().attention_pool_scratch(g));
          at.run().attention_pool(g, first, at(query), at(kv), at(y), scratch);
          at.run().attention_pool_grad(g, first, at(query), at(kv), at(up), at(dquery), at(dkv), scratch);
        });
        const auto of = [](const Matrix& m) { return [&m](int64_t r, int64_t c) { return m.at(r, c); }; };
        both.check(y, of(context), 1e-5);
        both.check(dquery, of(dq), 1e-5);
        both.check(dkv, of(dx), 1e-5);
      }
}

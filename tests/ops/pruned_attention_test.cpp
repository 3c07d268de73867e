// Attention's gradients at what is left of its queries, keys, values and probabilities, pruned by hand.
#include <doctest/doctest.h>

#include <array>
#include <utility>

#include "backend.h"
#include "by_hand.h"
#include "shear/policies.h"

using namespace shear;
using namespace shear::test;

namespace {

struct Grid : HeadGrid {
  double scale() const { return 1 / std::sqrt(static_cast<double>(width)); }
  Shape packed() const { return {batch, tokens, 3 * model()}; }
  // Of (B, N, 3, H, W)
  size_t at(int64_t b, int64_t n, int64_t part, int64_t h, int64_t w) const {
    return static_cast<size_t>((((b * tokens + n) * 3 + part) * heads + h) * width + w);
  }
  size_t out(int64_t b, int64_t n, int64_t h, int64_t w) const {
    return static_cast<size_t>(((b * tokens + n) * heads + h) * width + w);
  }
  size_t p(int64_t b, int64_t h, int64_t i, int64_t j) const {
    return static_cast<size_t>(((b * heads + h) * tokens + i) * tokens + j);
  }
  double dot(const Values& qkv, int64_t b, int64_t h, int64_t i, int64_t j) const {
    double sum = 0;
    for (int64_t w = 0; w < width; ++w) sum += qkv[at(b, i, 0, h, w)] * qkv[at(b, j, 1, h, w)];
    return sum;
  }
  // Of (distances, H): the bias of a query and a key.
  size_t bias(int64_t h, int64_t i, int64_t j) const {
    const int64_t rows = (i - 1) / across - (j - 1) / across, columns = (i - 1) % across - (j - 1) % across;
    const int64_t of_class = distances() - (i > 0 ? 2 : j > 0 ? 3 : 1);
    const int64_t of_patches = (rows + down() - 1) * (2 * across - 1) + columns + across - 1;
    return static_cast<size_t>((i > 0 && j > 0 ? of_patches : of_class) * heads + h);
  }
  double score(const Values& qkv, const Values& table, int64_t b, int64_t h, int64_t i, int64_t j) const {
    return scale() * dot(qkv, b, h, i, j) + (table.empty() ? 0 : table[bias(h, i, j)]);
  }
  template <class F>
  void each_head(F f) const {
    for (int64_t b = 0; b < batch; ++b)
      for (int64_t h = 0; h < heads; ++h) f(b, h);
  }
};

const Grid grid{{3, 7, 2, 5}};

Values softmax(const Grid& g, const Values& qkv, const Values& table = {}) {
  Values p(static_cast<size_t>(g.batch * g.heads * g.tokens * g.tokens));
  g.each_head([&](int64_t b, int64_t h) {
    for (int64_t i = 0; i < g.tokens; ++i) {
      double max = -1e300, sum = 0;
      for (int64_t j = 0; j < g.tokens; ++j) max = std::max(max, g.score(qkv, table, b, h, i, j));
      for (int64_t j = 0; j < g.tokens; ++j)
        sum += p[g.p(b, h, i, j)] = std::exp(g.score(qkv, table, b, h, i, j) - max);
      for (int64_t j = 0; j < g.tokens; ++j) p[g.p(b, h, i, j)] /= sum;
    }
  });
  return p;
}

// sum(context * up)
double weighted(const Grid& g, const Values& qkv, const Values& up, const Values& table = {}) {
  const Values p = softmax(g, qkv, table);
  double sum = 0;
  g.each_head([&](int64_t b, int64_t h) {
    for (int64_t i = 0; i < g.tokens; ++i)
      for (int64_t j = 0; j < g.tokens; ++j)
        for (int64_t w = 0; w < g.width; ++w)
          sum += p[g.p(b, h, i, j)] * qkv[g.at(b, j, 2, h, w)] * up[g.out(b, i, h, w)];
  });
  return sum;
}

// dV = P' dO;  dP = dO V';  dS = P (dP - rowsum(P dP));  dQ = dS K scale;  dK = dS' Q scale, all as they are given.
// of_table: where the sums of dS are put, before the scale.
Values gradient(const Grid& g, const Values& qkv, const Values& p, const Values& up, Values* of_table = nullptr) {
  Values d(qkv.size());
  g.each_head([&](int64_t b, int64_t h) {
    for (int64_t i = 0; i < g.tokens; ++i) {
      Values dp(static_cast<size_t>(g.tokens));
      double sum = 0;
      for (int64_t j = 0; j < g.tokens; ++j) {
        for (int64_t w = 0; w < g.width; ++w)
          dp[static_cast<size_t>(j)] += up[g.out(b, i, h, w)] * qkv[g.at(b, j, 2, h, w)];
        sum += p[g.p(b, h, i, j)] * dp[static_cast<size_t>(j)];
      }
      for (int64_t j = 0; j < g.tokens; ++j) {
        const double ds = p[g.p(b, h, i, j)] * (dp[static_cast<size_t>(j)] - sum) * g.scale();
        if (of_table) (*of_table)[g.bias(h, i, j)] += ds / g.scale();
        for (int64_t w = 0; w < g.width; ++w) {
          d[g.at(b, i, 0, h, w)] += ds * qkv[g.at(b, j, 1, h, w)];
          d[g.at(b, j, 1, h, w)] += ds * qkv[g.at(b, i, 0, h, w)];
          d[g.at(b, j, 2, h, w)] += p[g.p(b, h, i, j)] * up[g.out(b, i, h, w)];
        }
      }
    }
  });
  return d;
}

// The gradient at qkv that the op gives in a block under a policy.
std::vector<float> found(const Grid& g, std::string_view spec, const Operand& qkv, const Operand& up) {
  Device device(test_backend(2));
  const auto policy = make_policy(spec);
  Tape tape(device, *policy);
  Tensor x = upload(device, qkv);
  tape.watch(x);
  const Tensor weights = upload(device, up);
  const Tape::InBlock block(tape, 0);
  tape.backward(weighted_sum(tape, attention(tape, "blocks.0.attn", x, g.heads), weights));
  return device.download(tape.grad(x));
}

// With relative positions: at qkv, and at their table.
std::array<std::vector<float>, 2> found(const Grid& g, std::string_view spec, const Operand& qkv, const Operand& up,
                                        const Operand& relative) {
  Device device(test_backend(2));
  const auto policy = make_policy(spec);
  Param table = make_param(device, "blocks.0.attn.relative_position_bias_table", relative);
  Tape tape(device, *policy, {&table});
  tape.begin_step(0);
  Tensor x = upload(device, qkv);
  tape.watch(x);
  const Tensor weights = upload(device, up);
  const Tape::InBlock block(tape, 0);
  tape.backward(weighted_sum(tape, attention(tape, "blocks.0.attn", x, g.heads, {&table, g.across}), weights));
  return {device.download(tape.grad(x)), device.download(table.grad)};
}

std::vector<float> to_floats(const Values& v) { return {v.begin(), v.end()}; }

const std::vector<std::string> every_policy{"full",
                                            "full:attention=materialised",
                                            "lean",
                                            "checkpoint",
                                            "backrazor",
                                            "prebr-",
                                            "prebr",
                                            "prebr++",
                                            "tokens",
                                            "codes",
                                            "prebr:granularity=tensor",
                                            "tokens@*.mlp.*|lean"};

}  // namespace

TEST_CASE("where probabilities are pruned the rows of dS sum to (p dp)(1 - sum p), and to zero where they are not") {
  const Grid g{{1, 9, 2, 4}};
  Operand qkv = normal(g.packed(), 1);
  for (int64_t n = 0; n < g.tokens; ++n)  // of K one column is ones: dQ there is the row's sum of dS
    for (int64_t h = 0; h < g.heads; ++h) qkv.values[g.at(0, n, 1, h, 2)] = 1;
  const Operand up = normal({g.batch, g.tokens, g.model()}, 2);
  const Values dense = softmax(g, qkv.values);
  Device device(test_backend(2));
  for (const double share : {1., 0.3}) {
    CAPTURE(share);
    const Values p = pruned(dense, share, 1, g.heads * g.tokens, g.tokens);
    const Tensor x = upload(device, qkv), dy = upload(device, up),
                 probabilities = upload(device, {{g.heads * g.tokens, g.tokens}, p});
    Tensor dx = device.empty(g.packed(), Category::workspace),
           scratch = device.empty({device.run().attention_scratch(g)}, Category::workspace);
    device.run().attention_grad(g, x, {}, {}, probabilities, dy, dx, 0, {}, scratch);
    const std::vector<float> d = device.download(dx);
    double largest = 0;
    g.each_head([&](int64_t b, int64_t h) {
      for (int64_t i = 0; i < g.tokens; ++i) {
        double p_dp = 0, sum = 0;
        for (int64_t j = 0; j < g.tokens; ++j) {
          double dp = 0;
          for (int64_t w = 0; w < g.width; ++w) dp += up.values[g.out(b, i, h, w)] * qkv.values[g.at(b, j, 2, h, w)];
          p_dp += p[g.p(b, h, i, j)] * dp;
          sum += p[g.p(b, h, i, j)];
        }
        const double row = static_cast<double>(d[g.at(b, i, 0, h, 2)]) / g.scale(), expected = p_dp * (1 - sum);
        CHECK(std::fabs(row - expected) < 2e-6);
        largest = std::max(largest, std::fabs(row));
      }
    });
    CHECK((largest < 2e-6) == (share == 1));
    CHECK((largest > 0.1) == (share < 1));
  }
}

TEST_CASE("prebr++'s gradient is the exact one of attention at queries, keys and values pruned by hand") {
  const Operand qkv = short_normal(grid.packed(), 1), up = normal({grid.batch, grid.tokens, grid.model()}, 2);
  for (const double prune : {0.8, 0.5, 0.}) {
    CAPTURE(prune);
    const std::string with_prune = ":prune=" + std::to_string(prune);
    // Each tensor of each image by itself.
    const Values left = pruned(qkv.values, 1 - prune, grid.batch, grid.tokens, grid.model(), 3);
    CHECK((left != qkv.values) == (prune > 0));
    const Operand at{qkv.shape, left};
    const Values dense = gradient(grid, left, softmax(grid, left), up.values);
    Values differences(left.size());
    for (size_t i = 0; i < left.size(); ++i) {
      constexpr double h = 1e-5;
      Values x = left;
      x[i] = left[i] + h;
      const double above = weighted(grid, x, up.values);
      x[i] = left[i] - h;
      differences[i] = (above - weighted(grid, x, up.values)) / (2 * h);
    }
    CHECK(relative_error(to_floats(dense), differences) < 1e-6);
    const std::vector<float> d = found(grid, "prebr++" + with_prune, qkv, up);
    CHECK(relative_error(d, differences) < 1e-5);
    const std::vector<float> full = found(grid, "full", at, up);
    CHECK(relative_error(d, {full.begin(), full.end()}) < 1e-5);
    if (prune > 0) CHECK(relative_error(found(grid, "full", qkv, up), differences) > 0.1);
  }
}

TEST_CASE("many images wake a few at a time, and their gradients are those of each image alone") {
  const Grid many{{19, 7, 2, 5}};
  const Operand qkv = short_normal(many.packed(), 3), up = normal({many.batch, many.tokens, many.model()}, 4);
  const Values left = pruned(qkv.values, 0.2, many.batch, many.tokens, many.model(), 3);
  CHECK(relative_error(found(many, "prebr++", qkv, up), gradient(many, left, softmax(many, left), up.values)) < 1e-5);
}

TEST_CASE("backrazor's dV, dQ and dK are the formulas at the pruned P, Q, K and V") {
  for (const Grid& g : {grid, Grid{{11, 7, 2, 5}}})
    for (const char* name : {"backrazor", "prebr-", "prebr", "prebr:granularity=tensor"}) {
      CAPTURE(name);
      const Operand qkv = short_normal(g.packed(), 1), up = normal({g.batch, g.tokens, g.model()}, 2);
      Device device(test_backend(1));
      const Tensor x = upload(device, qkv);
      Tensor context = device.empty(up.shape, Category::workspace),
             p = device.empty({g.batch * g.heads * g.tokens, g.tokens}, Category::workspace),
             scratch = device.empty({device.run().attention_scratch(g)}, Category::workspace);
      device.run().attention(g, x, {}, context, {}, p, scratch);
      const std::vector<float> exact = device.download(p);  // the choice is made among these
      CHECK(relative_error(exact, softmax(g, qkv.values)) < 1e-6);
      Values left = pruned({exact.begin(), exact.end()}, 0.2, g.batch, g.heads * g.tokens, g.tokens);
      for (double& v : left) v = half(v);
      const Values qkv_left = pruned(qkv.values, 0.2, g.batch, g.tokens, g.model(), 3);
      CHECK(relative_error(found(g, name, qkv, up), gradient(g, qkv_left, left, up.values)) < 1e-5);
    }
}

TEST_CASE(
    "with relative positions prebr++'s gradients are the exact ones at what is left of queries, keys and values") {
  // In the second, images wake in two goes.
  for (const Grid& g : {Grid{{3, 7, 2, 5, 3}}, Grid{{11, 5, 2, 3, 2}}}) {
    const Operand qkv = short_normal(g.packed(), 1), up = normal({g.batch, g.tokens, g.model()}, 2),
                  table = normal({g.distances(), g.heads}, 3);
    const Values left = pruned(qkv.values, 0.2, g.batch, g.tokens, g.model(), 3);
    const auto differences = [&](Values x, auto value) {
      Values d(x.size());
      for (size_t i = 0; i < x.size(); ++i) {
        constexpr double h = 1e-5;
        const double at = std::exchange(x[i], x[i] + h), above = value(x);
        x[i] = at - h;
        d[i] = (above - value(x)) / (2 * h);
        x[i] = at;
      }
      return d;
    };
    const Values of_qkv = differences(left, [&](const Values&x) { return weighted(g, x, up.values, table.values); }),
                 of_table = differences(table.values, [&](const Values&t) { return weighted(g, left, up.values, t); });
    const auto [dqkv, dtable] = found(g, "prebr++", qkv, up, table);
    CHECK(relative_error(dqkv, of_qkv) < 1e-5);
    CHECK(relative_error(dtable, of_table) < 1e-5);
    const auto full = found(g, "full", {qkv.shape, left}, up, table);
    CHECK(relative_error(full[1], of_table) < 1e-5);
    CHECK(relative_error(found(g, "full", qkv, up, table)[1], of_table) > 0.1);
  }
}

TEST_CASE("with relative positions backrazor's gradients are the formulas at the pruned P, Q, K and V") {
  for (const Grid& g : {Grid{{3, 7, 2, 5, 3}}, Grid{{11, 5, 2, 3, 2}}})
    for (const char* name : {"backrazor", "prebr-", "prebr", "full:attention=materialised"}) {
      CAPTURE(name);
      const bool prunes = name[0] != 'f';
      const Operand qkv = short_normal(g.packed(), 1), up = normal({g.batch, g.tokens, g.model()}, 2),
                    relative = normal({g.distances(), g.heads}, 3);
      Device device(test_backend(1));
      const Tensor x = upload(device, qkv), table = upload(device, relative);
      Tensor context = device.empty(up.shape, Category::workspace),
             p = device.empty({g.batch * g.heads * g.tokens, g.tokens}, Category::workspace),
             scratch = device.empty({device.run().attention_scratch(g)}, Category::workspace);
      device.run().attention(g, x, table, context, {}, p, scratch);
      const std::vector<float> exact = device.download(p);  // the choice is made among these
      CHECK(relative_error(exact, softmax(g, qkv.values, relative.values)) < 1e-6);
      Values left(exact.begin(), exact.end()), qkv_left = qkv.values, of_table(relative.values.size());
      if (prunes) {
        left = pruned(left, 0.2, g.batch, g.heads * g.tokens, g.tokens);
        for (double& v : left) v = half(v);
        qkv_left = pruned(qkv_left, 0.2, g.batch, g.tokens, g.model(), 3);
      }
      const Values of_qkv = gradient(g, qkv_left, left, up.values, &of_table);
      const auto [dqkv, dtable] = found(g, name, qkv, up, relative);
      CHECK(relative_error(dqkv, of_qkv) < 1e-5);
      CHECK(relative_error(dtable, of_table) < 1e-5);
    }
}

TEST_CASE("under every policy keys with a common offset give no nan and no infinity") {
  const Grid g{{2, 70, 2, 9}};
  for (const double offset : {300., -300., 1e4, 1e5, 1e15})
    for (const std::string& policy : every_policy) {
      CAPTURE(offset);
      CAPTURE(policy);
      Operand qkv = normal(g.packed(), 1);
      for (size_t i = 0; i < qkv.values.size(); ++i)
        if (static_cast<int64_t>(i) / g.model() % 3 == 1)
          qkv.values[i] = static_cast<double>(static_cast<float>(qkv.values[i] + offset));
      bool finite = true;
      for (const float v : found(g, policy, qkv, normal({g.batch, g.tokens, g.model()}, 2)))
        finite = finite && std::isfinite(v);
      CHECK(finite);
    }
}

TEST_CASE("what the keys of an image have in common takes nothing from the range of their codes") {
  const Grid g{{2, 70, 2, 16}};
  const Operand up = normal({g.batch, g.tokens, g.model()}, 2);
  double errors[2];
  for (const bool common : {false, true}) {
    Operand qkv = normal(g.packed(), 1);
    for (size_t i = 0; i < qkv.values.size(); ++i)
      if (common && static_cast<int64_t>(i) / g.model() % 3 == 1) {
        // Of each image another: they lie in one group of 64 tokens.
        const double offset = (i < qkv.values.size() / 2 ? 8 : -8) * std::sin(static_cast<double>(i % 32));
        qkv.values[i] = static_cast<double>(static_cast<float>(qkv.values[i] + offset));
      }
    const std::vector<float> exact = found(g, "full", qkv, up);
    errors[common] = relative_error(found(g, "codes", qkv, up), {exact.begin(), exact.end()});
  }
  CHECK(errors[0] > 0.01);
  CHECK(errors[1] < 1.1 * errors[0]);
}

TEST_CASE("every documented policy is among those of the test above") {
  for (const PolicyDoc& doc : policy_docs()) CHECK(std::count(every_policy.begin(), every_policy.end(), doc.name) == 1);
}

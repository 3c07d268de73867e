// Whole steps on a tape: the order of questions, what a step leaves behind, and the same gradients every time.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "allocation_counter.h"
#include "backend.h"
#include "by_hand.h"
#include "scripted_policy.h"
#include "shear/policies.h"

using namespace shear;
using namespace shear::test;

namespace {

// A small transformer with every op, on parameters of its own.
class Net {
 public:
  explicit Net(Device& device) : device_(device), images_(upload(device, normal({batch, 1, 8, 8}, 1))) {
    const std::vector<int32_t> labels{1, 0, 2};
    labels_ = upload_labels(device, labels);
    uint32_t n = 10;
    for (const Shape& s : {Shape{dim, 16}, Shape{dim}, Shape{1, 1, dim}, Shape{1, 5, dim}, Shape{dim}, Shape{dim},
                           Shape{3 * dim, dim}, Shape{3 * dim}, Shape{dim, dim}, Shape{4 * dim, dim}, Shape{4 * dim},
                           Shape{dim, 4 * dim}, Shape{dim}, Shape{3, dim}}) {
      params_.push_back(make_param(device, "p" + std::to_string(n), normal(s, n, 0.3)));
      ++n;
    }
  }
  Tensor loss(Tape& tape) {
    size_t next = 0;
    const auto p = [&]() -> Param& { return params_[next++]; };
    Param &patch_w = p(), &patch_b = p(), &cls = p(), &pos = p(), &gamma = p(), &beta = p(), &qkv_w = p(), &qkv_b = p(),
          &proj = p();
    Param &w1 = p(), &b1 = p(), &w2 = p(), &b2 = p(), &head = p();
    Tensor x = add_tokens(tape, "pos", patch_embed(tape, "patch", images_, 4, patch_w, &patch_b), &cls, nullptr, &pos);
    Tensor h = layernorm(tape, "norm1", x, gamma, beta, 1e-6f);
    h = attention(tape, "attn", linear(tape, "qkv", h, qkv_w, &qkv_b), 3);
    x = add(tape, "add1", x, linear(tape, "proj", h, proj, nullptr));
    h = layernorm(tape, "norm2", x, gamma, beta, 1e-6f);
    h = gelu(tape, "act", linear(tape, "fc1", h, w1, &b1));
    h = dropout(tape, "drop", h, 0.2f, {1, 2, 3, 4});
    x = add(tape, "add2", x, relu(tape, "relu", linear(tape, "fc2", h, w2, &b2)));
    return cross_entropy(tape, "loss", linear(tape, "head", take_token(tape, "cls", x, 0), head, nullptr), labels_,
                         0.1f);
  }
  std::deque<Param>& params() { return params_; }
  size_t input_bytes() const { return images_.storage().bytes() + labels_.storage().bytes(); }
  std::vector<std::vector<float>> gradients() const {
    std::vector<std::vector<float>> all;
    for (const Param& p : params_) all.push_back(device_.download(p.grad));
    return all;
  }
  void forget_gradients() {
    for (Param& p : params_) p.writes = 0;
  }

 private:
  static constexpr int64_t batch = 3, dim = 15;
  Device& device_;
  Tensor images_, labels_;
  std::deque<Param> params_;
};

}  // namespace

TEST_CASE("a policy is asked in forward order, and told of each parameter once its gradient is complete") {
  Device device(test_backend(1));
  Scripted policy(Keep{});
  Tape tape(device, policy);
  Net net(device);
  tape.backward(net.loss(tape));
  CHECK(policy.asked == std::vector<std::string>{"patch: other", "norm1: norm input", "qkv: linear input, recomputable",
                                                 "attn: queries, keys and values", "proj: linear input",
                                                 "norm2: norm input", "fc1: linear input, recomputable",
                                                 "act: activation input", "fc2: linear input", "relu: other",
                                                 "head: linear input"});
  CHECK(policy.observed.size() == net.params().size());
  CHECK(tape.touched().size() == net.params().size());
  CHECK(policy.observed.front() == net.params().back().name);  // backward order
  for (const Param& p : net.params()) {
    CAPTURE(p.name);
    CHECK(std::count(policy.observed.begin(), policy.observed.end(), p.name) == 1);
  }
}

TEST_CASE("the report's bytes are the meter's") {
  for (const char* name : {"full", "lean"}) {
    CAPTURE(name);
    Device device(test_backend(1));
    const auto policy = make_policy(name);
    Tape tape(device, *policy);
    Net net(device);
    const Tensor loss = net.loss(tape);
    size_t bytes = 0;
    for (const SaveRow& row : tape.report()) {
      bytes += row.saved_bytes;
      CHECK(row.saved_bytes <= aligned(row.dense_bytes));
    }
    CHECK(bytes == device.meter().live(Category::saved));
    tape.backward(loss);
    CHECK(device.meter().live(Category::saved) == 0);
  }
}

TEST_CASE(
    "after backward and reset the slab is empty, and later steps need no more of it and nothing from operator new") {
  for (const int threads : {1, 2})
    for (const char* name : {"full", "lean"}) {
      CAPTURE(name);
      Device device(test_backend(threads));
      const auto policy = make_policy(name);
      Tape tape(device, *policy);
      Net net(device);
      const auto step = [&] {
        net.forget_gradients();
        tape.backward(net.loss(tape));
        tape.reset();
      };
      CHECK(device.arena().live() == net.input_bytes());
      step();
      CHECK(device.arena().live() == net.input_bytes());
      CHECK(device.meter().live(Category::saved) == 0);
      const size_t high = device.arena().high_water();
      const std::vector<std::vector<float>> first = net.gradients();
      const uint64_t system = device.meter().allocations();
      step();
      const uint64_t per_step = device.meter().allocations() - system;
      CHECK(per_step > 0);
      const AllocationCounter counter;
      step();
      step();
      if (test_device() == DeviceKind::cpu) CHECK(counter.count() == 0);  // a launch may allocate
      CHECK(device.meter().allocations() == system + 3 * per_step);
      CHECK(device.arena().high_water() == high);
      CHECK(device.arena().live() == net.input_bytes());
      CHECK(net.gradients() == first);  // to the bit
    }
}

TEST_CASE("a step that is given up half way is forgotten by reset") {
  Device device(test_backend(1));
  const auto policy = make_policy("full");
  Tape tape(device, *policy);
  Net net(device);
  tape.backward(net.loss(tape));
  tape.reset();
  const std::vector<std::vector<float>> expected = net.gradients();
  net.forget_gradients();
  net.loss(tape);  // and no backward
  tape.reset();
  CHECK(device.arena().live() == net.input_bytes());
  CHECK(device.meter().live(Category::saved) == 0);
  CHECK(tape.report().empty());
  tape.backward(net.loss(tape));
  tape.reset();
  CHECK(net.gradients() == expected);
}

TEST_CASE("what the loss does not depend on gets no gradient and is forgotten by reset") {
  Device device(test_backend(1));
  const auto policy = make_policy("full");
  Tape tape(device, *policy);
  Net net(device);
  Param aside = make_param(device, "aside", normal({7, 3}, 2));
  {
    const Tensor x = upload(device, normal({5, 3}, 1)), loss = net.loss(tape),
                 y = linear(tape, "aside", x, aside, nullptr);
    tape.backward(loss);
  }
  CHECK(aside.writes == 0);
  tape.reset();
  CHECK(device.arena().live() == net.input_bytes());
}

TEST_CASE(
    "lean's gradients have full's bits on the CPU, and full's values on a device, over bands and in a transformer") {
  std::vector<std::vector<float>> found[2];
  size_t saved[2];
  for (const size_t i : {0u, 1u}) {
    Device device(test_backend(2));
    const auto policy = make_policy(i == 0 ? "full" : "lean");
    Tape tape(device, *policy);
    Net net(device);
    tape.backward(net.loss(tape));
    found[i] = net.gradients();
    tape.reset();

    Tensor x = upload(device, normal({2500, 9}, 1));  // three bands
    tape.watch(x);
    Param gamma = make_param(device, "gamma", normal({9}, 2)), beta = make_param(device, "beta", normal({9}, 3));
    Param w1 = make_param(device, "w1", normal({13, 9}, 4)), w2 = make_param(device, "w2", normal({7, 13}, 5));
    Tensor h = linear(tape, "fc1", layernorm(tape, "norm", x, gamma, beta, 1e-6f), w1, nullptr);
    h = linear(tape, "fc2", gelu(tape, "act", h), w2, nullptr);
    saved[i] = device.meter().live(Category::saved);
    tape.backward(weighted_sum(tape, h, upload(device, normal({2500, 7}, 6))));
    for (const Param* p : {&gamma, &beta, &w1, &w2}) found[i].push_back(device.download(p->grad));
    found[i].push_back(device.download(tape.grad(x)));
  }
  if (test_device() == DeviceKind::cpu) CHECK(found[0] == found[1]);
  // A device's products promise no order of their sums, and bands are summed one after the other.
  for (size_t i = 0; i < found[0].size(); ++i)
    CHECK(relative_error(found[1][i], Values(found[0][i].begin(), found[0][i].end())) < 1e-6);
  CHECK(saved[0] == saved[1] + aligned(2500 * 9 * 4) + aligned(2500 * 13 * 4));
}

TEST_CASE("gradients of two passes add up until they are forgotten") {
  Device device(test_backend(1));
  const auto policy = make_policy("full");
  Tape tape(device, *policy);
  Net net(device);
  const auto pass = [&](float seed) {
    tape.backward(net.loss(tape), seed);
    tape.reset();
  };
  pass(1);
  const auto once = net.gradients();
  pass(0.5f);
  const auto sum = net.gradients();
  for (size_t i = 0; i < once.size(); ++i)
    for (size_t e = 0; e < once[i].size(); ++e)
      CHECK(std::fabs(sum[i][e] - 1.5f * once[i][e]) <= 1e-5f * std::fabs(once[i][e]) + 1e-6f);
  net.forget_gradients();
  pass(1);
  CHECK(net.gradients() == once);
}

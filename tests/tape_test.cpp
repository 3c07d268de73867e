// The tape: what sleeps and how often, who decides, what wakes, and that a step leaves nothing behind.
#include "shear/tape.h"

#include <doctest/doctest.h>

#include <cmath>
#include <type_traits>

#include "allocation_counter.h"
#include "errors.h"
#include "gradcheck.h"
#include "shear/policies.h"

using namespace shear;
using namespace shear::test;

namespace {

// A gradient that captures a Tensor is not trivially copyable, and so Tape::record refuses to compile it.
static_assert(!std::is_trivially_copyable_v<Tensor>);
static_assert(std::is_trivially_copyable_v<Slot> && std::is_trivially_copyable_v<Saved> &&
              std::is_trivially_copyable_v<Shape>);

// Gives one answer to everything, and remembers what it was asked and told.
class Scripted final : public MemoryPolicy {
 public:
  explicit Scripted(Verdict answer) : answer_(answer) {}
  std::string name() const override { return "scripted"; }
  Verdict decide(const SaveRequest& r) override {
    asked.push_back(std::string(r.op) + " " + std::string(r.site) + (r.recomputable ? " recomputable" : ""));
    return answer_;
  }
  void observe(const Param& p) override { observed.push_back(p.name); }

  std::vector<std::string> asked, observed;

 private:
  Verdict answer_;
};

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
    Tensor x = add_tokens(tape, "pos", patch_embed(tape, "patch", images_, 4, patch_w, patch_b), cls, pos);
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

const SaveRow& last_row(const Tape& tape) { return tape.report().back(); }

}  // namespace

// -- What sleeps -----------------------------------------------------------------------------------------------------

TEST_CASE("a value that several ops save sleeps once") {
  Device device(make_cpu_backend(1));
  Scripted policy(Keep{});
  Tape tape(device, policy);
  Tensor x = upload(device, normal({5, 33}, 1));
  tape.watch(x);
  Param q = make_param(device, "q", normal({7, 33}, 2)), k = make_param(device, "k", normal({7, 33}, 3));
  const Tensor a = linear(tape, "q", x, q, nullptr);
  const size_t after_one = device.meter().live(Category::saved);
  const Tensor b =
      linear(tape, "k", x.reshaped({1, 5, 33}), k, nullptr);  // under another shape it is still the same value
  const Tensor c = gelu(tape, "act", x);
  CHECK(after_one == aligned(5 * 33 * 4));
  CHECK(device.meter().live(Category::saved) == after_one);
  REQUIRE(tape.report().size() == 3);
  CHECK(tape.report()[0].got == "dense");
  for (const size_t i : {1u, 2u}) {
    CHECK(tape.report()[i].asked == "-");
    CHECK(tape.report()[i].got == "shared");
    CHECK(tape.report()[i].saved_bytes == 0);
  }
  CHECK(policy.asked == std::vector<std::string>{"linear q"});  // once per value
}

TEST_CASE("a value that is saved and held sleeps once, until the last of them wakes") {
  Device device(make_cpu_backend(1));
  Scripted policy(Keep{});
  Tape tape(device, policy);
  Tensor x = upload(device, normal({3, 10}, 1));
  tape.watch(x);
  const std::vector<int32_t> labels{0, 1, 2};
  const Tensor logits = relu(tape, "act", x);  // saves its output, which the loss holds
  const Tensor loss = cross_entropy(tape, "loss", logits, upload_labels(device, labels));
  size_t bytes = 0;
  for (const SaveRow& row : tape.report()) bytes += row.saved_bytes;
  CHECK(bytes == device.meter().live(Category::saved));
  CHECK(bytes == aligned(3 * 10 * 4) + aligned(3 * 4));
  tape.backward(loss);
  CHECK(device.meter().live(Category::saved) == 0);
}

TEST_CASE("another value at a used address is another value") {
  Device device(make_cpu_backend(1));
  const auto policy = make_policy("lean");
  Tape tape(device, *policy);
  Tensor x1 = upload(device, normal({5, 33}, 1)), x2 = upload(device, normal({5, 33}, 2));
  tape.watch(x1);
  tape.watch(x2);
  Param gamma = make_param(device, "gamma", normal({33}, 3)), beta = make_param(device, "beta", normal({33}, 4));
  Param w = make_param(device, "w", normal({7, 33}, 5));
  Tensor h = layernorm(tape, "norm1", x1, gamma, beta, 1e-6f);
  const void* address = h.data();
  const Tensor y1 = linear(tape, "fc1", h, w, nullptr);
  CHECK(last_row(tape).got == "recomputed");
  h = {};  // nobody keeps it: it is made again in backward
  h = layernorm(tape, "norm2", x2, gamma, beta, 1e-6f);
  REQUIRE(h.data() == address);
  const Tensor y2 = linear(tape, "fc2", h, w, nullptr);
  CHECK(last_row(tape).got == "recomputed");
  CHECK(last_row(tape).asked == "recompute");
}

TEST_CASE("the strictest consumer decides, whether it comes first or last") {
  for (const bool strict_first : {false, true}) {
    CAPTURE(strict_first);
    Problem p;
    p.inputs = {normal({5, 33}, 1)};
    p.params = {normal({33}, 2, 0.3, 1), normal({33}, 3), normal({33, 33}, 4, 0.3)};
    p.op = [=](Tape& tape, std::span<const Tensor> x, std::span<Param*> params) {
      const Tensor h = layernorm(tape, "norm", x[0], *params[0], *params[1], 1e-6f);
      const size_t before = tape.report().size();
      const auto strict = [&] { return gelu(tape, "act", h); };  // opens dense values only
      const auto lenient = [&] { return linear(tape, "fc", h, *params[2], nullptr); };
      Tensor a = strict_first ? strict() : lenient(), b = strict_first ? lenient() : strict();
      const SaveRow &first = tape.report()[before], &second = tape.report()[before + 1];
      if (strict_first) {
        CHECK(first.got == "dense");
        CHECK(second.got == "shared");
      } else if (first.asked == "recompute") {
        CHECK(first.got == "recomputed");
        CHECK(first.saved_bytes == 0);
        CHECK(second.got == "dense");
        CHECK(second.why == "a later consumer of this value opens nothing else");
        CHECK(second.saved_bytes == aligned(5 * 33 * 4));
      }
      return add(tape, "sum", a, b);
    };
    p.reference = [](std::span<const Values> x, std::span<const Values> params) {
      Values y(x[0].size());
      for (size_t r = 0; r < 5; ++r) {
        Values h(33);
        double mean = 0, var = 0;
        for (size_t i = 0; i < 33; ++i) mean += x[0][r * 33 + i] / 33;
        for (size_t i = 0; i < 33; ++i) var += (x[0][r * 33 + i] - mean) * (x[0][r * 33 + i] - mean) / 33;
        for (size_t i = 0; i < 33; ++i)
          h[i] = (x[0][r * 33 + i] - mean) / std::sqrt(var + 1e-6) * params[0][i] + params[1][i];
        for (size_t o = 0; o < 33; ++o) {
          y[r * 33 + o] = 0.5 * h[o] * std::erfc(-h[o] / std::sqrt(2.0));
          for (size_t i = 0; i < 33; ++i) y[r * 33 + o] += h[i] * params[2][o * 33 + i];
        }
      }
      return y;
    };
    check_gradients(p);
  }
}

// -- What was asked and what it got ----------------------------------------------------------------------------------

TEST_CASE("a verdict that cannot be carried out is reported: asked, got and why") {
  Device device(make_cpu_backend(1));
  Scripted policy(Recompute{});
  Tape tape(device, policy);
  Tensor x = upload(device, normal({5, 33}, 1));
  Param w = make_param(device, "w", normal({7, 33}, 2));
  const Tensor y = linear(tape, "fc", x, w, nullptr);
  CHECK(last_row(tape).asked == "recompute");
  CHECK(last_row(tape).got == "dense");
  CHECK(last_row(tape).why == "there is no recipe from exact values that this op opens");
  CHECK(last_row(tape).saved_bytes == aligned(5 * 33 * 4));
  tape.backward(weighted_sum(tape, y, upload(device, normal({5, 7}, 3))));
  CHECK(w.writes == 1);
}

TEST_CASE("what is made again is made from exact values only") {
  Device device(make_cpu_backend(1));
  Scripted policy(Recompute{});
  Tape tape(device, policy);
  const Forms either = Form::dense | Form::recomputed;
  const auto make = [](Backward&, int64_t, View) {};
  const Tensor a = upload(device, normal({3}, 1)), b = upload(device, normal({3}, 2)),
               c = upload(device, normal({3}, 3));
  const Saved of_a = tape.save("a", "test", a, either);
  CHECK(last_row(tape).got == "dense");
  tape.recipe(b, {of_a}, make);
  const Saved of_b = tape.save("b", "test", b, either);
  CHECK(last_row(tape).got == "recomputed");
  tape.recipe(c, {of_b}, make);
  tape.save("c", "test", c, either);
  CHECK(last_row(tape).asked == "recompute");
  CHECK(last_row(tape).got == "dense");
  CHECK(policy.asked == std::vector<std::string>{"test a", "test b recomputable", "test c"});
  CHECK(tape.report()[1].saved_bytes == 0);
}

TEST_CASE("a policy is asked in forward order, and told of each parameter once its gradient is complete") {
  Device device(make_cpu_backend(1));
  Scripted policy(Keep{});
  Tape tape(device, policy);
  Net net(device);
  tape.backward(net.loss(tape));
  CHECK(policy.asked == std::vector<std::string>{"patch_embed patch", "layernorm norm1", "linear qkv recomputable",
                                                 "attention attn", "linear proj", "layernorm norm2",
                                                 "linear fc1 recomputable", "gelu act", "linear fc2", "relu relu",
                                                 "linear head"});
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
    Device device(make_cpu_backend(1));
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

// -- What a step leaves behind ---------------------------------------------------------------------------------------

TEST_CASE(
    "after backward and reset the slab is empty, and later steps need no more of it and nothing from operator new") {
  for (const int threads : {1, 2})
    for (const char* name : {"full", "lean"}) {
      CAPTURE(name);
      Device device(make_cpu_backend(threads));
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
      CHECK(counter.count() == 0);
      CHECK(device.meter().allocations() == system + 3 * per_step);
      CHECK(device.arena().high_water() == high);
      CHECK(device.arena().live() == net.input_bytes());
      CHECK(net.gradients() == first);  // to the bit
    }
}

TEST_CASE("a step that is given up half way is forgotten by reset") {
  Device device(make_cpu_backend(1));
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
  Device device(make_cpu_backend(1));
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

TEST_CASE("lean's gradients have full's bits, over bands of rows and in a transformer") {
  std::vector<std::vector<float>> found[2];
  size_t saved[2];
  for (const size_t i : {0u, 1u}) {
    Device device(make_cpu_backend(2));
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
  CHECK(found[0] == found[1]);
  CHECK(saved[0] == saved[1] + aligned(2500 * 9 * 4) + aligned(2500 * 13 * 4));
}

TEST_CASE("gradients of two passes add up until they are forgotten") {
  Device device(make_cpu_backend(1));
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

// -- Inference and misuse --------------------------------------------------------------------------------------------

TEST_CASE("an inference tape computes the same and keeps nothing") {
  Device device(make_cpu_backend(1));
  const auto policy = make_policy("full");
  Tape training(device, *policy), inference(device);
  Param w = make_param(device, "w", normal({7, 33}, 1)), gamma = make_param(device, "gamma", normal({33}, 2));
  Param beta = make_param(device, "beta", normal({33}, 3));
  Tensor x = upload(device, normal({5, 33}, 4));
  const auto forward = [&](Tape& tape) {
    return gelu(tape, "act", linear(tape, "fc", layernorm(tape, "norm", x, gamma, beta, 1e-6f), w, nullptr));
  };
  CHECK(device.download(forward(training)) == device.download(forward(inference)));
  training.reset();
  inference.watch(x);  // asks in vain
  const Tensor y = forward(inference);
  CHECK_FALSE(y.slot.wanted());
  CHECK(inference.report().empty());
  CHECK(device.meter().live(Category::saved) == 0);
  CHECK(device.arena().live() == x.storage().bytes() + y.storage().bytes());
  CHECK(sentence(Fault::internal, [&] { inference.save("fc", "linear", x, Form::dense); }) ==
        "linear fc: an inference tape saves nothing");
  CHECK(sentence(Fault::internal, [&] { inference.backward(y); }).find("backward:") == 0);
}

TEST_CASE("misuse of the tape is refused with a sentence") {
  Device device(make_cpu_backend(1));
  const auto policy = make_policy("full");
  Tape tape(device, *policy);
  Tensor x = upload(device, normal({5, 33}, 1));
  CHECK(sentence(Fault::internal, [&] { tape.grad(x); }) == "grad: this value was not watched");
  CHECK(sentence(Fault::internal, [&] { tape.backward(x); }) ==
        "backward: this value was not computed from anything that wants a gradient");
  Param w = make_param(device, "blocks.0.w", normal({7, 33}, 2));
  const Tensor y = linear(tape, "fc", x, w, nullptr);
  CHECK(sentence(Fault::internal, [&] { tape.backward(y); }) == "backward: a loss has one element, found (5, 7)");
  w.grad = {};
  const Tensor loss = weighted_sum(tape, y, y);
  CHECK(sentence(Fault::internal, [&] { tape.backward(loss); }) ==
        "backward: blocks.0.w has no gradient buffer; call make_gradients first");
  tape.reset();

  Backward bw(tape);
  const Saved s = tape.save("fc", "linear", x, Form::dense);
  bw.close(s);
  CHECK(sentence(Fault::internal, [&] { bw.close(s); }) ==
        "tape: a ticket was closed more often than its value was saved");
}

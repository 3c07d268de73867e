// The tape: what sleeps and how often, who decides, what is refused and why.
#include "shear/tape.h"

#include <doctest/doctest.h>

#include <cmath>
#include <type_traits>

#include "backend.h"
#include "errors.h"
#include "gradcheck.h"
#include "scripted_policy.h"
#include "shear/policies.h"

using namespace shear;
using namespace shear::test;

namespace {

// A gradient that captures a Tensor is not trivially copyable, and so Tape::record refuses to compile it.
static_assert(!std::is_trivially_copyable_v<Tensor>);
static_assert(std::is_trivially_copyable_v<Slot> && std::is_trivially_copyable_v<Saved> &&
              std::is_trivially_copyable_v<Shape>);

const SaveRow& last_row(const Tape& tape) { return tape.report().back(); }

// LayerNorm over rows of 33.
Values reference_norm(const Values& x, const Values& gamma, const Values& beta) {
  Values h(x.size());
  for (size_t first = 0; first < x.size(); first += 33) {
    double mean = 0, var = 0;
    for (size_t i = 0; i < 33; ++i) mean += x[first + i] / 33;
    for (size_t i = 0; i < 33; ++i) var += (x[first + i] - mean) * (x[first + i] - mean) / 33;
    for (size_t i = 0; i < 33; ++i) h[first + i] = (x[first + i] - mean) / std::sqrt(var + 1e-6) * gamma[i] + beta[i];
  }
  return h;
}

// y = h w^T with w (33, 33)
Values reference_product(const Values& h, const Values& w) {
  Values y(h.size());
  for (size_t first = 0; first < h.size(); first += 33)
    for (size_t o = 0; o < 33; ++o)
      for (size_t i = 0; i < 33; ++i) y[first + o] += h[first + i] * w[o * 33 + i];
  return y;
}

std::vector<Operand> norm_and_weight() { return {normal({33}, 2, 0.3, 1), normal({33}, 3), normal({33, 33}, 4, 0.3)}; }

}  // namespace

// -- What sleeps ----------------------------------------------------------------------------------------------------

TEST_CASE("a value that several ops save sleeps once") {
  Device device(test_backend(1));
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
  CHECK(policy.asked == std::vector<std::string>{"q: linear input"});  // once per value
}

TEST_CASE("a value that is saved and held sleeps once, until the last of them wakes") {
  Device device(test_backend(1));
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
  Device device(test_backend(1));
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

TEST_CASE("keys sleep less their mean only where attention alone opens them") {
  for (const bool attention_first : {false, true}) {
    CAPTURE(attention_first);
    Device device(test_backend(1));
    Scripted policy(Pack{1, Code::u8, false});
    const Operand values = normal({2, 9, 24}, 1), up = normal({2, 9, 5}, 3);
    Param w = make_param(device, "w", normal({5, 24}, 2));
    Tape tape(device, policy, {&w});
    tape.begin_step(0);
    Operand shifted = values;
    for (size_t i = 0; i < shifted.values.size(); ++i)
      if (i / 8 % 3 == 1) shifted.values[i] += 4;
    Tensor qkv = upload(device, shifted);
    tape.watch(qkv);
    Tensor y;
    const auto product = [&] { y = linear(tape, "fc", qkv, w, nullptr); };
    if (!attention_first) product();
    const Tensor context = attention(tape, "attn", qkv, 2);
    CHECK(last_row(tape).got == (attention_first ? "packed" : "shared"));
    if (attention_first) {
      product();
      CHECK(last_row(tape).got == "dense");
      CHECK(last_row(tape).why == "a later consumer of this value needs its mean too");
    }
    tape.backward(weighted_sum(tape, y, upload(device, up)));
    // dW = dY^T X, which has the mean in it.
    const auto dw = device.download(w.grad);
    for (size_t o = 0; o < 5; ++o)
      for (size_t i = 0; i < 24; ++i) {
        double sum = 0;
        for (size_t r = 0; r < 18; ++r) sum += up.values[r * 5 + o] * shifted.values[r * 24 + i];
        CHECK(std::abs(static_cast<double>(dw[o * 24 + i]) - sum) < 0.2);
      }
  }
}

TEST_CASE("the strictest consumer decides, whether it comes first or last") {
  for (const bool strict_first : {false, true}) {
    CAPTURE(strict_first);
    Problem p;
    p.inputs = {normal({5, 33}, 1)};
    p.params = norm_and_weight();
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
      const Values h = reference_norm(x[0], params[0], params[1]);
      Values y = reference_product(h, params[2]);
      for (size_t i = 0; i < y.size(); ++i) y[i] += 0.5 * h[i] * std::erfc(-h[i] / std::sqrt(2.0));
      return y;
    };
    check_gradients(p);
  }
}

TEST_CASE("a weight whose input is made again, once or twice, gets the reference's gradient") {
  Problem p;
  p.inputs = {normal({5, 33}, 1)};
  p.params = norm_and_weight();
  p.op = [](Tape& tape, std::span<const Tensor> x, std::span<Param*> params) {
    const Tensor h = layernorm(tape, "norm", x[0], *params[0], *params[1], 1e-6f);
    return linear(tape, "fc", h, *params[2], nullptr);
  };
  p.reference = [](std::span<const Values> x, std::span<const Values> params) {
    return reference_product(reference_norm(x[0], params[0], params[1]), params[2]);
  };
  check_gradients(p);
}

TEST_CASE("a value that woke for the last time is put to sleep anew when it is saved again") {
  Device device(test_backend(1));
  Scripted policy(Keep{});
  Tape tape(device, policy);
  const Tensor x = upload(device, normal({5, 33}, 1));
  Backward bw(tape);
  const Saved first = tape.save("a", "test", x, Role::other, Form::dense);
  bw.close(first);
  CHECK(device.meter().live(Category::saved) == 0);
  const Saved second = tape.save("b", "test", x, Role::other, Form::dense);
  CHECK(last_row(tape).got == "dense");
  CHECK(bw.dense(second).serial() == x.serial());
  CHECK(device.meter().live(Category::saved) == x.storage().bytes());
}

// -- What was asked and what it got ---------------------------------------------------------------------------------

TEST_CASE("a verdict that cannot be carried out is reported: asked, got and why") {
  Device device(test_backend(1));
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
  Device device(test_backend(1));
  Scripted policy(Recompute{});
  Tape tape(device, policy);
  const Forms either = Form::dense | Form::recomputed;
  const auto make = [](Backward&, int64_t, View) {};
  const Tensor a = upload(device, normal({3}, 1)), b = upload(device, normal({3}, 2)),
               c = upload(device, normal({3}, 3));
  const Saved of_a = tape.save("a", "test", a, Role::other, either);
  CHECK(last_row(tape).got == "dense");
  tape.recipe(b, {of_a}, make);
  const Saved of_b = tape.save("b", "test", b, Role::other, either);
  CHECK(last_row(tape).got == "recomputed");
  tape.recipe(c, {of_b}, make);
  tape.save("c", "test", c, Role::other, either);
  CHECK(last_row(tape).asked == "recompute");
  CHECK(last_row(tape).got == "dense");
  CHECK(policy.asked == std::vector<std::string>{"a: other", "b: other, recomputable", "c: other"});
  CHECK(tape.report()[1].saved_bytes == 0);
}

// -- Inference and misuse -------------------------------------------------------------------------------------------

TEST_CASE("an inference tape computes the same and keeps nothing") {
  Device device(test_backend(1));
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
  CHECK(sentence(Fault::internal, [&] { inference.save("fc", "linear", x, Role::linear_input, Form::dense); }) ==
        "linear fc: an inference tape saves nothing");
  CHECK(sentence(Fault::internal, [&] { inference.backward(y); }).find("backward:") == 0);
}

TEST_CASE("misuse of the tape is refused with a sentence") {
  Device device(test_backend(1));
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
  const Saved s = tape.save("fc", "linear", x, Role::linear_input, Form::dense);
  bw.close(s);
  CHECK(sentence(Fault::internal, [&] { bw.close(s); }) ==
        "tape: a ticket was closed more often than its value was saved");
}

TEST_CASE("a gradient works at the site of the op that recorded it") {
  struct Look {
    Slot y;
    std::string_view* seen;
    void operator()(Backward&) const { *seen = At::site(); }
  };
  Device device(test_backend(1));
  Scripted policy(Keep{});
  Tape tape(device, policy);
  Tensor loss = tape.empty({1});
  std::string_view seen;
  {
    const At here("blocks.0");
    const At inner("blocks.0.mlp.fc1");
    tape.record(loss, Look{{}, &seen});
  }
  CHECK(At::site().empty());
  tape.backward(loss);
  CHECK(seen == "blocks.0.mlp.fc1");
  CHECK(At::site().empty());
}

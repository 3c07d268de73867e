// What the C++ interface is not for is refused with one sentence: empty tensors, other devices, tapes out of their
// turn, labels that no class has.
#include <doctest/doctest.h>

#include <functional>

#include "backend.h"
#include "errors.h"
#include "gradcheck.h"
#include "shear/make_backend.h"
#include "shear/models/vit.h"
#include "shear/policies.h"
#include "shear/train.h"

using namespace shear;
using namespace shear::test;

namespace {

std::string refused(const std::function<void()>& f) { return sentence(Fault::internal, f); }

// Every op, and of what it is given one at a time is replaced: inputs first, then parameters.
struct Op {
  std::string name;
  std::vector<Shape> inputs;
  std::vector<Shape> params;
  std::function<Tensor(Tape&, std::vector<Tensor>&, std::deque<Param>&)> run;
};

const std::vector<Op>& every_op() {
  using Tensors = std::vector<Tensor>;
  using Params = std::deque<Param>;
  static const std::vector<Op> ops{
      {"add", {{2, 3}, {2, 3}}, {}, [](Tape& t, Tensors& x, Params&) { return add(t, "a", x[0], x[1]); }},
      {"attention", {{2, 3, 12}}, {}, [](Tape& t, Tensors& x, Params&) { return attention(t, "a", x[0], 2); }},
      {"dropout", {{2, 3}}, {}, [](Tape& t, Tensors& x, Params&) { return dropout(t, "a", x[0], 0.5f, {}); }},
      {"gelu", {{2, 3}}, {}, [](Tape& t, Tensors& x, Params&) { return gelu(t, "a", x[0]); }},
      {"layernorm",
       {{2, 3}},
       {{3}, {3}},
       [](Tape& t, Tensors& x, Params& p) { return layernorm(t, "a", x[0], p[0], p[1], 1e-6f); }},
      {"linear",
       {{2, 3}, {2, 5}},
       {{5, 3}, {5}},
       [](Tape& t, Tensors& x, Params& p) { return linear(t, "a", x[0], p[0], &p[1], x[1]); }},
      {"cross_entropy",
       {{2, 3}},
       {},
       [](Tape& t, Tensors& x, Params&) {
         return cross_entropy(t, "a", x[0], upload_labels(t.device(), std::vector<int32_t>{0, 2}));
       }},
      {"patch_embed",
       {{2, 1, 4, 4}},
       {{5, 4}, {5}},
       [](Tape& t, Tensors& x, Params& p) { return patch_embed(t, "a", x[0], 2, p[0], &p[1]); }},
      {"relu", {{2, 3}}, {}, [](Tape& t, Tensors& x, Params&) { return relu(t, "a", x[0]); }},
      {"add_tokens",
       {{2, 4, 3}},
       {{1, 1, 3}, {1, 5, 3}},
       [](Tape& t, Tensors& x, Params& p) { return add_tokens(t, "a", x[0], &p[0], nullptr, &p[1]); }},
      {"take_token", {{2, 4, 3}}, {}, [](Tape& t, Tensors& x, Params&) { return take_token(t, "a", x[0], 0); }},
  };
  return ops;
}

// An op and all that it is given, on a device.
struct Call {
  Call(Device& device, const Op& o) : op(o) {
    uint32_t n = 0;
    for (const Shape& s : op.inputs) inputs.push_back(upload(device, normal(s, ++n)));
    for (const Shape& s : op.params) {
      ++n;
      params.push_back(make_param(device, "p" + std::to_string(n), normal(s, n)));
    }
  }
  Tensor operator()(Tape& tape) { return op.run(tape, inputs, params); }

  const Op& op;
  std::vector<Tensor> inputs;
  std::deque<Param> params;
};

}  // namespace

TEST_CASE("every op refuses an empty tensor, and a parameter without values, whichever it is") {
  Device device(test_backend(1));
  const auto policy = make_policy("full");
  for (const bool training : {true, false}) {
    Tape tape = training ? Tape(device, *policy) : Tape(device);
    for (const Op& op : every_op()) {
      CAPTURE(op.name);
      CHECK_NOTHROW(Call(device, op)(tape));
      for (size_t i = 0; i < op.inputs.size(); ++i) {
        Call call(device, op);
        call.inputs[i] = {};
        if (op.name == "linear" && i == 1) {
          CHECK_NOTHROW(call(tape));  // nothing to add to
          continue;
        }
        CHECK(refused([&] { call(tape); }) ==
              op.name + " a: input " + std::to_string(i + 1) + " is an empty tensor, expected a value");
      }
      for (size_t i = 0; i < op.params.size(); ++i) {
        Call call(device, op);
        call.params[i].value = {};
        CHECK(refused([&] { call(tape); }) ==
              op.name + " a: parameter " + call.params[i].name + " is an empty tensor, expected a value");
      }
    }
    tape.reset();
  }
}

TEST_CASE("every op refuses what lies on another device, and numbers of another type") {
  Device device(test_backend(1), small_step), other(test_backend(1), small_step);
  const auto policy = make_policy("full");
  Tape tape(device, *policy);
  for (const Op& op : every_op()) {
    CAPTURE(op.name);
    for (size_t i = 0; i < op.inputs.size(); ++i) {
      Call call(device, op), elsewhere(other, op);
      call.inputs[i] = elsewhere.inputs[i];
      CHECK(refused([&] { call(tape); }) ==
            op.name + " a: input " + std::to_string(i + 1) + " lies on another device than the tape");
      call.inputs[i] = device.empty(op.inputs[i], Category::workspace, DType::i32);
      CHECK(refused([&] { call(tape); }) ==
            op.name + " a: input " + std::to_string(i + 1) + " is I32 " + op.inputs[i].str() + ", expected F32");
    }
    for (size_t i = 0; i < op.params.size(); ++i) {
      Call call(device, op), elsewhere(other, op);
      call.params[i].value = elsewhere.params[i].value;
      CHECK(refused([&] { call(tape); }) ==
            op.name + " a: parameter " + call.params[i].name + " lies on another device than the tape");
    }
  }
  tape.reset();
  Tensor x = upload(other, normal({2, 3}, 1)), nothing;
  CHECK(refused([&] { tape.watch(x); }) == "watch: input 1 lies on another device than the tape");
  CHECK(refused([&] { tape.watch(nothing); }) == "watch: input 1 is an empty tensor, expected a value");
  CHECK(refused([&] { device.download(x); }) == "download: the tensor lies on another device");
  CHECK(refused([&] { device.download(nothing); }) == "download: the tensor is empty, expected a value");
  Parameters parameters(other, 1);
  parameters.add("w", {2, 3}, Init::ones, true);
  CHECK(refused([&] { make_sgd(device, decay_groups(parameters, 0)); }) ==
        "optimizer: parameter w lies on another device");
  CHECK(refused([&] { make_adamw(device, decay_groups(parameters, 0)); }) ==
        "optimizer: parameter w lies on another device");
}

TEST_CASE("every op refuses a value of another tape, of before a reset, or that backward went through") {
  Device device(test_backend(1));
  const auto policy = make_policy("full"), second = make_policy("full");
  for (const Op& op : every_op())
    for (size_t i = 0; i < op.inputs.size(); ++i) {
      if (op.name == "patch_embed") continue;  // takes no value that wants a gradient
      CAPTURE(op.name);
      Tape tape(device, *policy), other(device, *second), inference(device);
      Call call(device, op);
      const std::string input = op.name + " a: input " + std::to_string(i + 1);
      const auto made_by = [&](Tape& t) {
        Tensor x = upload(device, normal(op.inputs[i], 9));
        t.watch(x);
        call.inputs[i] = relu(t, "b", x);
        return call.inputs[i];
      };
      made_by(other);
      CHECK(refused([&] { call(tape); }) == input + " was computed on another tape, or before this one was reset");
      CHECK_NOTHROW(call(inference));  // there is no way back to be lost
      made_by(tape);
      tape.reset();
      CHECK(refused([&] { call(tape); }) == input + " was computed on another tape, or before this one was reset");
      const Tensor y = made_by(tape), ones = upload(device, normal(op.inputs[i], 3));
      tape.backward(weighted_sum(tape, y, ones));
      CHECK(refused([&] { call(tape); }) ==
            input + " was computed before backward, which went through it; expected a reset after backward");
      tape.reset();
      made_by(tape);
      CHECK_NOTHROW(call(tape));
      tape.reset();
      other.reset();
    }
}

TEST_CASE("backward goes through a loss once, of its own tape, since the last reset") {
  Device device(test_backend(1));
  const auto policy = make_policy("full"), second = make_policy("full");
  Tape tape(device, *policy), other(device, *second);
  Param w = make_param(device, "w", normal({5, 3}, 1));
  const Tensor ones = upload(device, normal({2, 5}, 3));
  const auto loss_on = [&](Tape& t) {
    return weighted_sum(t, linear(t, "fc", upload(device, normal({2, 3}, 2)), w, nullptr), ones);
  };
  const std::string stale = "this value was computed on another tape, or before this one was reset";
  const Tensor loss = loss_on(tape);
  CHECK(refused([&] { other.backward(loss); }) == "backward: " + stale);
  tape.backward(loss);
  const std::vector<float> gradient = device.download(w.grad);
  CHECK(refused([&] { tape.backward(loss); }) ==
        "backward: went through this value already; expected a reset after backward, and the loss computed anew");
  CHECK(w.writes == 1);
  CHECK(device.download(w.grad) == gradient);
  tape.backward(loss_on(tape));  // a loss of its own
  CHECK(w.writes == 2);
  tape.reset();
  CHECK(refused([&] { tape.backward(loss); }) == "backward: " + stale);

  Tensor x = upload(device, normal({2, 3}, 4));
  tape.watch(x);
  tape.backward(weighted_sum(tape, linear(tape, "fc", x, w, nullptr), ones));
  CHECK(tape.grad(x).shape() == x.shape());
  CHECK(refused([&] { other.grad(x); }) ==
        "grad: this value was watched on another tape, or before this one was reset");
  tape.reset();
  CHECK(refused([&] { tape.grad(x); }) == "grad: this value was watched on another tape, or before this one was reset");
  CHECK(refused([&] { tape.backward({}); }) ==
        "backward: this value was not computed from anything that wants a gradient");

  w.grad = {};
  const Tensor broken = loss_on(tape);
  CHECK(refused([&] { tape.backward(broken); }).find("no gradient buffer") != std::string::npos);
  CHECK(refused([&] { tape.backward(broken); }) ==
        "backward: the last one broke off; expected a reset, and the loss computed anew");
  tape.reset();
}

TEST_CASE("a label that no class has is refused where the host can read it") {
  Device device(make_cpu_backend(1));
  Tape tape(device);
  const Tensor logits = upload(device, normal({3, 4}, 1));
  for (const int32_t label : {-1, 4, INT32_MIN, INT32_MAX}) {
    const Tensor labels = upload_labels(device, std::vector<int32_t>{3, label, 0});
    CHECK(sentence(Fault::input, [&] { cross_entropy(tape, "loss", logits, labels); }) ==
          "cross_entropy loss: label 1 is " + std::to_string(label) + ", expected 0 to 3");
  }
  CHECK_NOTHROW(cross_entropy(tape, "loss", logits, upload_labels(device, std::vector<int32_t>{3, 1, 0})));
  CHECK(refused([&] { rank_of(std::vector<float>{1, 2}, 2); }) == "rank: label 2, expected 0 to 1");
  CHECK(refused([&] { rank_of(std::vector<float>{1, 2}, -1); }) == "rank: label -1, expected 0 to 1");
}

TEST_CASE(
    "a training step refuses labels that no class has and batches that are cut short, and the next one is right") {
  const VitConfig config{.image = 8, .patch = 4, .dim = 12, .depth = 1, .heads = 2, .classes = 3, .channels = 1};
  struct Run {
    explicit Run(const VitConfig& c)
        : device(test_backend(1), small_step),
          vit(device, c, 1),
          policy(make_policy("lean")),
          optimizer(make_optimizer(device, vit.parameters(), {.name = "sgd"})),
          step(device, vit.parameters(), std::ref(vit), *policy, *optimizer, {.input = {1, 8, 8}, .accumulate = 2}) {}
    Device device;
    Vit vit;
    std::unique_ptr<MemoryPolicy> policy;
    std::unique_ptr<Optimizer> optimizer;
    TrainStep step;
  };
  Batch batch;
  batch.count = 4;
  batch.labels = {0, 1, 2, 0};
  for (int i = 0; i < 4 * 64; ++i) batch.images.push_back(static_cast<float>(i % 7) - 3);
  Run good(config), bad(config);
  for (const int32_t label : {3, -1}) {
    Batch wrong = batch;
    wrong.labels[3] = label;
    CHECK(sentence(Fault::input, [&] { bad.step(0, 0.1f, wrong); }) ==
          "train step: label 3 is " + std::to_string(label) + ", expected 0 to 2");
  }
  Batch few = batch;
  few.labels.pop_back();
  CHECK(refused([&] { bad.step(0, 0.1f, few); }) ==
        "train step: 256 values and 3 labels, expected 256 and 4 for 4 images");
  few = batch;
  few.images.pop_back();
  CHECK(refused([&] { bad.step(0, 0.1f, few); }) ==
        "train step: 255 values and 4 labels, expected 256 and 4 for 4 images");
  CHECK(good.step(0, 0.1f, batch).gradient_norm == bad.step(0, 0.1f, batch).gradient_norm);
  auto other = bad.vit.parameters().begin();
  for (const Param& p : good.vit.parameters())
    CHECK(good.device.download(p.value) == bad.device.download((*other++).value));
}

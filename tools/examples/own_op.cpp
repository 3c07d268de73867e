// An op of one's own: its forward, what it keeps for backward, its gradient, and a check by central differences.
#include <cmath>
#include <cstdio>

#include "shear/make_backend.h"
#include "shear/op.h"
#include "shear/ops.h"
#include "shear/policies.h"

using namespace shear;

// What runs in backward.  It knows slots of gradients and tickets of saved values, never a tensor.
struct GateGrad {
  Slot a, b, y;
  Saved kept_a, kept_b;
  void operator()(Backward& bw) const {
    const Tensor& dy = bw.grad(y);
    const auto add = [&](Slot to, Saved other) {  // da = dy * b, db = dy * a
      if (to.wanted()) {
        auto [into, beta] = bw.sink(to, dy.shape());  // beta is 1 where others have added theirs
        bw.run().multiply(bw.dense(other), dy, beta, into);
      }
      bw.close(other);
    };
    add(a, kept_b);
    add(b, kept_a);
  }
};

// y = a * b, element by element: the gate of a gated linear unit (Dauphin et al. 2017).
Tensor gate(Tape& tape, Site site, const Tensor& a, const Tensor& b) {
  const OpScope op(tape, "gate", site, {a, b});  // whatever fails from here on names them
  op.expect(a.shape() == b.shape(), a.shape(), " and ", b.shape(), ", expected one shape");
  Tensor y = op.empty(a.shape());
  tape.run().multiply(a, b, 0, y);
  if (op.wanted()) {
    const Saved kept_a = op.save(a, Role::other, Form::dense), kept_b = op.save(b, Role::other, Form::dense);
    op.record(y, GateGrad{a.slot, b.slot, {}, kept_a, kept_b});
  }
  return y;
}

int main() try {
  Device device(make_cpu_backend(/*threads=*/1));
  const auto policy = make_policy("full");
  Tape tape(device, *policy);
  const Tensor labels = device.upload({2}, Category::workspace, std::vector<int32_t>{2, 0});
  const std::vector<float> at{0.5f, -1.2f, 0.3f, 0.9f, 1.5f, -0.4f};
  const Tensor b = device.upload({2, 3}, Category::workspace, std::vector<float>{1.1f, 0.2f, -0.7f, 0.6f, -0.3f, 0.8f});
  std::vector<float> gradient;  // of the last loss
  const auto loss_at = [&](const std::vector<float>& values) {
    Tensor a = device.upload({2, 3}, Category::workspace, values);
    tape.watch(a);  // an input: its gradient is asked for
    const Tensor loss = cross_entropy(tape, "loss", gate(tape, "gate", a, b), labels);
    tape.backward(loss);
    gradient = device.download(tape.grad(a));
    tape.reset();
    return static_cast<double>(device.download(loss)[0]);
  };
  loss_at(at);
  const std::vector<float> exact = gradient;
  double furthest = 0;
  for (size_t i = 0; i < at.size(); ++i) {
    std::vector<float> above = at, below = at;
    above[i] += 0.01f, below[i] -= 0.01f;
    const double slope = (loss_at(above) - loss_at(below)) / 0.02, ours = static_cast<double>(exact[i]);
    std::printf("element %zu: gradient %+.5f, by differences %+.5f\n", i, ours, slope);
    furthest = std::max(furthest, std::abs(slope - ours));
  }
  // The library tells of what cannot be worked with, with the op and its site.
  try {
    gate(tape, "blocks.0.gate", labels, Tensor());
  } catch (const Error& e) {
    std::printf("refused: %s\n", e.what());
    return furthest < 1e-3 && std::string_view(e.what()).find("blocks.0.gate") != std::string_view::npos ? 0 : 1;
  }
  return 1;
} catch (const std::exception& e) {
  std::fprintf(stderr, "own_op: %s\n", e.what());
  return 1;
}

// A policy of one's own: it has a budget of bytes for the activations of a step, keeps what it meets first as it is,
// and once the budget is spent lets the rest sleep in 8 bits.  The gradient hardly changes, which is checked here.
#include <cmath>
#include <cstdio>

#include "shear/make_backend.h"
#include "shear/models/vit.h"
#include "shear/policies.h"

using namespace shear;

class Budget final : public MemoryPolicy {
 public:
  explicit Budget(int64_t bytes) : bytes_(bytes) {}
  std::string name() const override { return "budget"; }
  void begin_step(int64_t) override { left_ = bytes_; }

  // One question per value that an op wants to keep, in forward order; the tape carries the answer out.
  Verdict decide(const SaveRequest& request) override {
    const int64_t bytes = request.shape.elements() * 4;
    if (bytes <= left_) {
      left_ -= bytes;
      return Keep{};
    }
    // An op may know how to make its output again from what its input became.  Then nothing is stored at all.
    if (request.recipe != SaveRequest::Recipe::none) return Recompute{.exact = false};
    return Pack{.keep = 1, .code = Code::u8, .stochastic = true};  // of each row an offset, a scale, and codes
  }

 private:
  int64_t bytes_, left_ = 0;
};

struct Outcome {
  std::vector<float> gradient;  // of all parameters, one after another
  size_t saved = 0;             // bytes of the activations that it kept
};

// One forward and backward pass of the same model on the same images under a policy.
Outcome run(MemoryPolicy& policy) {
  Device device(make_cpu_backend(/*threads=*/1));
  Vit model(device, parse_vit("vit:image=16,patch=4,dim=48,depth=3,heads=4,classes=10,channels=1"), /*seed=*/1);
  Tape tape(device, policy, model.parameters());
  std::vector<float> pixels(4 * 16 * 16);
  Stream numbers(7, Purpose::test);
  for (float& p : pixels) p = numbers.normal();
  const Tensor images = device.upload({4, 1, 16, 16}, Category::workspace, pixels);
  const Tensor labels = device.upload({4}, Category::workspace, std::vector<int32_t>{0, 3, 1, 2});

  tape.begin_step(0);
  const Tensor loss = cross_entropy(tape, "loss", model(tape, images), labels);
  Outcome outcome;
  for (const SaveRow& row : tape.report()) outcome.saved += row.saved_bytes;
  tape.backward(loss);
  for (const Param& p : model.parameters())
    for (const float g : device.download(p.grad)) outcome.gradient.push_back(g);
  return outcome;
}

int main() try {
  Budget budget(20 * 1024);
  const auto full = make_policy("full");
  const Outcome exact = run(*full), ours = run(budget);
  double dot = 0, squares[2] = {0, 0};
  for (size_t i = 0; i < exact.gradient.size(); ++i) {
    const double a = static_cast<double>(exact.gradient[i]), b = static_cast<double>(ours.gradient[i]);
    dot += a * b, squares[0] += a * a, squares[1] += b * b;
  }
  const double cosine = dot / std::sqrt(squares[0] * squares[1]);
  std::printf("full    keeps %7zu bytes of activations\nbudget  keeps %7zu; cosine of the gradients %.5f\n",
              exact.saved, ours.saved, cosine);
  return ours.saved * 2 < exact.saved && cosine > 0.99 ? 0 : 1;
} catch (const std::exception& e) {
  std::fprintf(stderr, "own_policy: %s\n", e.what());
  return 1;
}

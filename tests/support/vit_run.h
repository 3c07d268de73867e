// Steps of a small ViT under a policy, as training runs them but with no update: parameters stay what they were.
#pragma once
#include <cmath>
#include <string>
#include <vector>

#include "shear/backend.h"
#include "shear/models/vit.h"
#include "shear/policies.h"

namespace shear::test {

// |found - expected| / |expected|, of gradients.
inline double relative_error(const std::vector<float>& found, const std::vector<float>& expected) {
  double difference = 0, size = 0;
  for (size_t i = 0; i < found.size(); ++i) {
    difference += std::pow(static_cast<double>(found[i]) - static_cast<double>(expected[i]), 2);
    size += std::pow(static_cast<double>(expected[i]), 2);
  }
  return std::sqrt(difference / size);
}

// Which parameters are trained.
inline bool every_param(const Param&) { return true; }

class VitRun {
 public:
  VitRun(std::unique_ptr<Backend> backend, const VitConfig& config, int64_t batch, std::string_view spec,
         uint64_t seed = 1, bool (*trained)(const Param&) = every_param)
      : device(std::move(backend)),
        model(device, config, 1),
        images(device.empty({batch, config.channels, config.image, config.image_width()}, Category::workspace)),
        labels(device.empty({batch}, Category::workspace, DType::i32)),
        policy(make_policy(spec, seed)),
        tape(device, *policy, chosen(model.parameters(), trained), {.seed = seed}) {
    // As they are made, weights are small, biases are zero and gradients are tiny: stir them.
    Stream stream(3, Purpose::test);
    for (Param& p : model.parameters()) {
      if (!device.run().computes()) continue;
      const float deviation = p.value.shape().rank() == 1 ? 0.1f : 0.2f;
      std::vector<float> values = device.download(p.value);
      for (float& v : values) v += deviation * stream.normal();
      device.run().upload(p.value.data<void>(), values.data(), p.value.bytes());
    }
    if (device.run().computes()) {
      std::vector<float> pixels(static_cast<size_t>(images.elements()));
      for (float& v : pixels) v = stream.normal();
      device.run().upload(images.data<void>(), pixels.data(), images.bytes());
      std::vector<int32_t> classes;
      for (int64_t i = 0; i < batch; ++i) classes.push_back(static_cast<int32_t>(i % config.classes));
      device.run().upload(labels.data<void>(), classes.data(), labels.bytes());
    }
  }

  Tensor forward(int64_t step) { return cross_entropy(tape, "loss", model(tape, images, {5, step}), labels, 0.1f); }
  void begin(int64_t step, int passes = 1) { tape.begin_step(step, passes); }
  // The gradients add up over the passes; the tape keeps its report if asked to.
  void step(int64_t step, int passes = 1, bool reset = true) {
    begin(step, passes);
    for (int i = 0; i < passes; ++i) {
      tape.backward(forward(passes * step + i), 1.f / static_cast<float>(passes));
      if (reset || i + 1 < passes) tape.reset();
    }
  }

  std::vector<std::vector<float>> gradients() {
    std::vector<std::vector<float>> all;
    for (const Param& p : model.parameters())
      if (p.trainable) all.push_back(device.download(p.grad));
    return all;
  }
  std::vector<std::vector<float>> gradients_of(int64_t at) {
    step(at);
    return gradients();
  }
  size_t input_bytes() const { return images.storage().bytes() + labels.storage().bytes(); }

  Device device;
  Vit model;
  Tensor images, labels;
  std::unique_ptr<MemoryPolicy> policy;
  Tape tape;

 private:
  static Parameters& chosen(Parameters& parameters, bool (*trained)(const Param&)) {
    for (Param& p : parameters) p.trainable = trained(p);
    return parameters;
  }
};

}  // namespace shear::test

// A training loop: a small MLP learns to tell images of ten classes apart, and its step is metered.
//
//   training_loop            ten patterns under noise, drawn here
//   training_loop FOLDER     an IDX data set of 28 x 28 grey images, such as /usr/share/datasets/fashion-mnist
//
// Ends with status 0 where the loss has halved.
#include <cstdio>

#include "shear/data.h"
#include "shear/make_backend.h"
#include "shear/models/mlp.h"
#include "shear/optim.h"
#include "shear/policies.h"

using namespace shear;

// A data set of one's own: what there is, and how an image of it is read.
class Patterns final : public Dataset {
 public:
  int64_t size() const override { return 2000; }
  int channels() const override { return 1; }
  const std::vector<std::string>& classes() const override { return classes_; }
  int label(int64_t index) const override { return static_cast<int>(index % 10); }
  Image read(int64_t index) const override {
    Stream pattern(1, Purpose::test, static_cast<uint64_t>(label(index)));  // the same numbers for all of a class
    Stream noise(2, Purpose::test, static_cast<uint64_t>(index));
    Image image{28, 28, 1, {}};
    for (int i = 0; i < 28 * 28; ++i)
      image.pixels.push_back(static_cast<uint8_t>((pattern.below(256) + 3 * noise.below(256)) / 4));
    return image;
  }
  std::string describe(int64_t index) const override { return "pattern " + std::to_string(index); }

 private:
  std::vector<std::string> classes_{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};
};

int main(int argc, char** argv) try {
  const std::unique_ptr<Dataset> opened = argc > 1 ? open_data(argv[1]).train : std::make_unique<Patterns>();
  const Dataset& data = *opened;

  Loader::Options reading;  // on a thread of its own, ahead of the training, shuffled anew in every epoch
  reading.batch = 50;
  reading.training = true;
  reading.preprocess.image = 28;
  reading.preprocess.channels = 1;
  reading.augment.random_crop = reading.augment.flip = false;
  Loader loader(data, reading);
  loader.start(/*epoch=*/0);

  Device device(make_cpu_backend(/*threads=*/1));
  Mlp model(device, {28 * 28, 64, static_cast<int64_t>(data.classes().size())}, /*seed=*/1);
  const auto optimizer = make_sgd(device, decay_groups(model.parameters(), /*weight_decay=*/1e-4f));
  const auto policy = make_policy("lean");         // how activations wait for backward: "full", "prebr++", ...
  Tape tape(device, *policy, model.parameters());  // one tape serves every step

  const CosineSchedule schedule{.peak = 0.05f, .floor = 0, .warmup = 10, .steps = 200};
  float first = 0, last = 0;
  for (int64_t step = 0; step < schedule.steps; ++step) {
    const Batch& batch = *loader.next();
    const Tensor images = device.upload({batch.count, 28 * 28}, Category::workspace, batch.images);
    const Tensor labels = device.upload({batch.count}, Category::workspace, batch.labels);
    tape.begin_step(step);
    const Tensor loss = cross_entropy(tape, "loss", model(tape, images), labels);
    tape.backward(loss);  // fills the gradients, newest op first
    optimizer->step(step, schedule.at(step), clip_scale(gradient_norm(model.parameters()), /*max_norm=*/1));
    last = device.download(loss)[0];
    if (step == 0) first = last;
    if (step % 40 == 0) std::printf("step %3d  loss %.4f\n", static_cast<int>(step), static_cast<double>(last));
    tape.reset();  // forgets the step and keeps its memory for the next
  }
  const MemoryUse use = device.peak();
  std::printf("loss %.4f -> %.4f, %zu bytes at the peak of a step, %zu of them saved activations\n",
              static_cast<double>(first), static_cast<double>(last), use.peak, use.saved);
  return last < first / 2 ? 0 : 1;
} catch (const std::exception& e) {  // of the library: shear::Error, a sentence and whose fault it was
  std::fprintf(stderr, "training_loop: %s\n", e.what());
  return 1;
}

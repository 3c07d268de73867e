// bench_step: training steps on random images, without a loader, for timing.  Reads numbers from standard input; to
// each it answers, after as many steps, with one line of JSON: what each step took, the bytes of a step, this process's
// peak. So whoever asks can give several such processes their turns.
#include <chrono>
#include <iostream>
#include <nlohmann/json.hpp>

#include "shear/train.h"
#include "tools/shear/exit_code.h"
#include "tools/shear/options.h"

namespace shear::tool {

namespace {

struct Flags {
  std::string model, policy = "full";
  int64_t batch = 8;
  OptimizerOptions optimizer{.name = "sgd"};
  std::string state = "f32", update = "after", weights_as = "f32", lora;
  DeviceFlags device;
};

Batch random_batch(const ModelSpec& model, int64_t count) {
  Batch batch;
  batch.count = count;
  batch.images.resize(static_cast<size_t>(count * model.input().elements()));
  batch.labels.resize(static_cast<size_t>(count));
  Stream stream(1, Purpose::test);
  for (float& pixel : batch.images) pixel = stream.normal();
  for (int32_t& label : batch.labels)
    label = static_cast<int32_t>(stream.below(static_cast<uint32_t>(model.classes())));
  return batch;
}

// Until the update of a parameter, which a device may have put off, is done.
void wait_for(Device& device, const Param& p) {
  float value = 0;
  device.run().download(&value, p.value.data<void>(), sizeof value);
}

void serve(const Flags& flags) {
  const ModelSpecPtr spec = parse_model(flags.model);
  PlanOptions how{.model = spec,
                  .policy = flags.policy,
                  .batch = flags.batch,
                  .optimizer = flags.optimizer,
                  .weights_as = parse_weights_as(flags.weights_as),
                  .lora = parse_lora(flags.lora),
                  .update_in_backward = parse_update(flags.update),
                  .precision = parse_precision(flags.device.precision),
                  .device = parse_device(flags.device.device),
                  .threads = flags.device.threads};
  how.optimizer.state = parse_state(flags.state);
  Device device(flags.device.make(), {.step_bytes = plan_training(how).step_bytes});
  const std::unique_ptr<Model> model = spec->make(device, /*seed=*/1, {Values::drawn, how.weights_as, how.lora});
  choose_trainable(model->parameters(), how.train);
  const auto policy = make_policy(flags.policy);
  const auto optimizer = make_optimizer(device, model->parameters(), how.optimizer);
  const StepOptions options{.input = spec->input(), .update_in_backward = how.update_in_backward};
  TrainStep train(device, model->parameters(), std::ref(*model), *policy, *optimizer, options);
  const Batch batch = random_batch(*spec, flags.batch);

  int64_t step = 0;
  for (int64_t count = 0; std::cin >> count;) {
    std::vector<double> seconds;
    double loss = 0;
    for (int64_t i = 0; i < count; ++i) {
      const auto start = std::chrono::steady_clock::now();
      loss = train(step++, /*lr=*/1e-3f, batch).loss;
      wait_for(device, *model->parameters().begin());
      seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
    const MemoryUse use = device.peak();
    const nlohmann::ordered_json answer{{"seconds", seconds},
                                        {"loss", loss},
                                        {"peak_bytes", use.peak},
                                        {"saved_bytes", use.saved},
                                        {"rss_peak_bytes", rss_peak_bytes()}};
    std::cout << answer.dump() << std::endl;
  }
}

}  // namespace

}  // namespace shear::tool

int main(int argc, char** argv) {
  shear::tool::Flags flags;
  CLI::App app("Times training steps on random images: reads numbers of steps, answers each with a line of JSON.",
               "bench_step");
  app.add_option("--model", flags.model, "as for shear train")->required();
  app.add_option("--batch", flags.batch, "images per step")->capture_default_str()->check(CLI::PositiveNumber);
  app.add_option("--policy", flags.policy, "as for shear train")->capture_default_str();
  app.add_option("--optimizer", flags.optimizer.name, "sgd, with momentum, or adamw")->capture_default_str();
  shear::tool::add_state(app, flags.state);
  shear::tool::add_update(app, flags.update);
  shear::tool::add_weights_as(app, flags.weights_as);
  shear::tool::add_lora(app, flags.lora);
  flags.device.add(app);
  CLI11_PARSE(app, argc, argv);
  try {
    shear::tool::serve(flags);
  } catch (const shear::Error& e) {
    std::cerr << "bench_step: " << e.what() << std::endl;
    return shear::tool::exit_code(e.fault());
  }
  return 0;
}

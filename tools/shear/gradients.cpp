// shear gradients: one forward and backward on given tensors
#include <iostream>
#include <nlohmann/json.hpp>

#include "command.h"
#include "model.h"
#include "numbers.h"
#include "output.h"
#include "shear/backend.h"
#include "table.h"

namespace shear::tool {

namespace {

struct GradientsFlags {
  WeightFlags weights;
  std::string batch, out, policy = "full";
  uint64_t seed = 0;
  double smoothing = 0;
  DeviceFlags device;
  bool json = false;
};

const TensorView& named(const SafeTensors& file, const char* name) {
  const TensorView* t = file.find(name);
  if (!t) fail(Fault::input, file.path().string(), ": has no tensor \"", name, "\", expected images and labels");
  return *t;
}

int run_gradients(const GradientsFlags& flags) {
  const auto policy = make_policy(flags.policy, flags.seed);
  const auto loaded = load_model(flags.weights, {}, flags.device);
  Device& device = loaded->device;
  Parameters& parameters = loaded->model->parameters();
  const Shape input = loaded->spec->input();
  const int64_t known = loaded->spec->classes();

  const SafeTensors file(flags.batch);
  const TensorView &images_in = named(file, "images"), &labels_in = named(file, "labels");
  const Shape& s = images_in.shape;
  if (s.rank() != 4 || s[0] < 1 || s[1] != input[0] || s[2] != input[1] || s[3] != input[2])
    fail(Fault::input, flags.batch, ": images have the shape ", s, ", the model expects (B, ", input[0], ", ", input[1],
         ", ", input[2], ")");
  if (labels_in.shape != Shape({s[0]}))
    fail(Fault::input, flags.batch, ": labels have the shape ", labels_in.shape, ", expected ", Shape({s[0]}));
  std::vector<int32_t> classes;
  for (int64_t label : read_integers(file, labels_in)) {
    if (label < 0 || label >= known)
      fail(Fault::input, flags.batch, ": a label is ", label, ", expected 0 to ", known - 1);
    classes.push_back(static_cast<int32_t>(label));
  }

  Tape tape(device, *policy, parameters, {.seed = flags.seed});
  tape.begin_step(0);
  std::vector<float> logits_out;
  float loss_out = 0;
  {
    Tensor loss;
    {
      const Tensor images = device.upload(s, Category::workspace, read_floats(file, images_in));
      const Tensor labels = device.empty({s[0]}, Category::workspace, DType::i32);
      device.run().upload(labels.data<void>(), classes.data(), labels.bytes());
      const Tensor logits = (*loaded->model)(tape, images, {flags.seed, 0});
      loss = cross_entropy(tape, "loss", logits, labels, static_cast<float>(flags.smoothing));
      logits_out = device.download(logits);
      loss_out = device.download(loss)[0];
    }
    tape.backward(loss);
  }
  tape.reset();

  // Under the names of the weights' file, and laid out as there.
  std::map<std::string, Weights::Named> gradients;
  for (const Param& p : parameters) {
    require(p.writes > 0, "gradients: ", p.name, " got no gradient");
    loaded->weights->give_back(p.name, p.value.shape(), device.download(p.grad), gradients);
  }
  std::vector<TensorToWrite> out;
  for (const auto& [name, g] : gradients) out.push_back({name, DType::f32, g.shape, g.values.data()});
  out.push_back({"logits", DType::f32, {s[0], known}, logits_out.data()});
  out.push_back({"loss", DType::f32, {}, &loss_out});
  write_safetensors(flags.out, out,
                    {{"format", "pt"}, {"shear.model", loaded->card.model}, {"shear.policy", flags.policy}});

  const double norm = gradient_norm(parameters);
  const MemoryUse use = device.peak();
  if (flags.json) {
    const nlohmann::ordered_json j{{"policy", flags.policy}, {"loss", loss_out},         {"gradient_norm", norm},
                                   {"peak_bytes", use.peak}, {"saved_bytes", use.saved}, {"out", flags.out}};
    print_json(j);
    return 0;
  }
  Table table({"policy", "loss", "gradient norm", "peak MiB", "saved MiB"});
  table.add({flags.policy, fixed(loss_out, 6), fixed(norm, 6), mib(use.peak), mib(use.saved)});
  std::cout << table;
  return 0;
}

}  // namespace

void add_gradients(CLI::App& app, Run& chosen) {
  auto flags = std::make_shared<GradientsFlags>();
  CLI::App* cmd = app.add_subcommand("gradients", "logits, loss and every parameter's gradient for a given batch");
  flags->weights.add(*cmd);
  cmd->add_option("--batch", flags->batch, "safetensors with images F32 (B, C, H, W), normalised, and labels I64 (B)")
      ->required()
      ->type_name("FILE");
  offer_policies(cmd->add_option("--policy", flags->policy, "what the tape remembers, see below")
                     ->capture_default_str()
                     ->type_name("NAME"));
  add_recipe_number(*cmd, "--seed", flags->seed, "of whatever is drawn");
  add_recipe_number(*cmd, "--smoothing", flags->smoothing, "of the labels");
  cmd->add_option("--out", flags->out, "each parameter's gradient under its name, logits and loss")
      ->required()
      ->type_name("FILE");
  flags->device.add(*cmd);
  cmd->add_flag("--json", flags->json, "prints one JSON object");
  cmd->footer(
      policy_help() +
      example("shear gradients --weights run/model.safetensors --batch batch.safetensors --out gradients.safetensors"));
  cmd->callback([&chosen, flags] { chosen = [flags] { return run_gradients(*flags); }; });
}

}  // namespace shear::tool

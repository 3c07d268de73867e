// All of a training's state in one safetensors file: parameters under their own names, optimizer state under
// "optimizer.NAME", policy state under "policy.NAME", the rest as JSON in the metadata.
#include "train/checkpoint.h"

#include "train/json.h"
#include "train/tensors.h"

namespace shear {

static constexpr std::string_view state_prefix = "optimizer.", policy_prefix = "policy.";

static std::string progress_json(const Progress& p) {
  nlohmann::ordered_json j;
  j["step"] = p.step;
  j["steps"] = p.steps;
  j["evaluated_step"] = p.evaluated_step;
  j["accuracy"] = p.accuracy;
  j["loss"] = p.loss;
  j["best_accuracy"] = p.best_accuracy;
  j["best_step"] = p.best_step;
  j["train_samples"] = p.train_samples;
  j["val_samples"] = p.val_samples;
  j["threads"] = p.threads;
  return j.dump();
}

static Progress progress_from(const nlohmann::json& j) {
  Progress p;
  p.step = j.at("step");
  p.steps = j.at("steps");
  p.evaluated_step = j.at("evaluated_step");
  p.accuracy = j.at("accuracy");
  p.loss = j.at("loss").is_null() ? std::numeric_limits<double>::quiet_NaN() : j.at("loss").get<double>();
  p.best_accuracy = j.at("best_accuracy");
  p.best_step = j.at("best_step");
  p.train_samples = j.at("train_samples");
  p.val_samples = j.at("val_samples");
  p.threads = j.at("threads");
  return p;
}

static std::map<std::string, std::string> origin_of(const CheckpointInfo& info) {
  auto metadata = to_metadata(info.card);
  metadata["shear.policy"] = info.recipe.policy;
  metadata["shear.recipe"] = to_json(info.recipe);
  return metadata;
}

void save_checkpoint(const std::filesystem::path& path, const Parameters& parameters, Optimizer& optimizer,
                     MemoryPolicy& policy, const CheckpointInfo& info) {
  TensorList list(parameters.device());
  for (const Param& p : parameters) list.add(p.name, p.value);
  const std::vector<StateTensor> state = optimizer.state();
  for (const StateTensor& s : state) list.add(std::string(state_prefix) + s.name, s.value);
  auto metadata = origin_of(info);
  metadata["shear.progress"] = progress_json(info.progress);
  std::vector<TensorToWrite> tensors(list.tensors().begin(), list.tensors().end());
  for (const PolicyState& s : policy.state())
    tensors.push_back(
        {std::string(policy_prefix) + s.name, DType::f32, {static_cast<int64_t>(s.values.size())}, s.values.data()});
  write_safetensors(path, tensors, metadata);
}

void save_result(const std::filesystem::path& path, const Parameters& parameters, const CheckpointInfo& info) {
  auto metadata = origin_of(info);
  metadata["shear.step"] = std::to_string(info.progress.step);
  if (info.progress.evaluated_step == info.progress.step)
    metadata["shear.accuracy"] = nlohmann::json(info.progress.accuracy).dump();
  save_weights(path, parameters, metadata);
}

CheckpointInfo read_checkpoint_info(const SafeTensors& file) {
  const std::string path = file.path().string();
  const auto text_of = [&](const std::string& key) -> const std::string& {
    const auto found = file.metadata().find(key);
    if (found == file.metadata().end())
      fail(Fault::input, path, ": is not a checkpoint of a training, its metadata has no ", key);
    return found->second;
  };
  CheckpointInfo info;
  info.recipe = recipe_from_json(text_of("shear.recipe"));
  parse_json(path + ": shear.progress", text_of("shear.progress"),
             [&](const nlohmann::json& j) { info.progress = progress_from(j); });
  info.card = read_card(file).value();
  return info;
}

void load_checkpoint(const SafeTensors& file, Parameters& parameters, Optimizer& optimizer, MemoryPolicy& policy) {
  std::vector<std::pair<std::string, Tensor>> wanted;
  for (const Param& p : parameters) wanted.emplace_back(p.name, p.value);
  for (const StateTensor& s : optimizer.state()) wanted.emplace_back(std::string(state_prefix) + s.name, s.value);
  for (const auto& [name, value] : wanted) {
    const TensorView* t = file.find(name);
    if (!t) fail(Fault::input, file.path().string(), ": ", name, " is not there, expected all state of the training");
    if (t->shape != value.shape())
      fail(Fault::input, file.path().string(), ": ", name, " has the shape ", t->shape, ", expected ", value.shape());
    read_tensor(file, *t, parameters.device(), value);
  }
  load_policy_state(file, policy);
}

void load_policy_state(const SafeTensors& file, MemoryPolicy& policy) {
  for (const PolicyState& s : policy.state()) {
    const std::string name = std::string(policy_prefix) + s.name;
    const TensorView* t = file.find(name);
    if (!t)
      fail(Fault::input, file.path().string(), ": ", name, " is not there, expected all state of the policy ",
           policy.name());
    const Shape expected{static_cast<int64_t>(s.values.size())};
    if (t->shape != expected)
      fail(Fault::input, file.path().string(), ": ", name, " has the shape ", t->shape, ", expected ", expected);
    read_floats(file, *t, s.values);
  }
}

}  // namespace shear

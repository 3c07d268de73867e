// All of a training's state in one safetensors file: parameters under their own names, optimizer state under
// "optimizer.NAME", policy state under "policy.NAME", the rest as JSON in the metadata.
#include "train/checkpoint.h"

#include "io/device_tensors.h"
#include "weights/json.h"

namespace shear {

namespace fs = std::filesystem;

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
  j["train_data"] = p.train_data;
  j["val_data"] = p.val_data;
  j["first_step"] = p.first_step;
  j["first_epoch"] = p.first_epoch;
  j["epochs_before"] = p.epochs_before;
  if (p.last_norm) j["last_norm"] = *p.last_norm;
  j["checksums"] = true;  // so that a file that has lost them is known
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
  // Checkpoints of before 0.2 lack the rest.
  p.train_data = j.value("train_data", "");
  p.val_data = j.value("val_data", "");
  p.first_step = j.value("first_step", int64_t{0});
  p.first_epoch = j.value("first_epoch", int64_t{0});
  p.epochs_before = j.value("epochs_before", 0.);
  if (j.contains("last_norm")) p.last_norm = j.at("last_norm").get<double>();
  return p;
}

static std::map<std::string, std::string> origin_of(const CheckpointInfo& info) {
  auto metadata = to_metadata(info.card);
  metadata["shear.policy"] = info.recipe.policy;
  metadata["shear.recipe"] = to_json(info.recipe);
  return metadata;
}

void save_checkpoint(const fs::path& path, const Parameters& parameters, Optimizer& optimizer, MemoryPolicy& policy,
                     const CheckpointInfo& info, const fs::path& previous) {
  TensorList list(parameters.device());
  for (const Param& p : parameters) list.add(p);
  const std::vector<StateTensor> state = optimizer.state();
  for (const StateTensor& s : state) list.add(std::string(state_prefix) + s.name, s.value);
  auto metadata = origin_of(info);
  metadata["shear.progress"] = progress_json(info.progress);
  std::vector<TensorToWrite> tensors(list.tensors().begin(), list.tensors().end());
  for (const PolicyState& s : policy.state())
    tensors.push_back(
        {std::string(policy_prefix) + s.name, DType::f32, {static_cast<int64_t>(s.values.size())}, s.values.data()});
  add_checksums(tensors, metadata);
  write_safetensors(path, tensors, metadata, {.check = verify_safetensors, .keep_old_as = previous});
}

void save_result(const fs::path& path, const Parameters& parameters, const CheckpointInfo& info) {
  auto metadata = origin_of(info);
  metadata["shear.step"] = std::to_string(info.progress.step);
  if (info.progress.evaluated_step == info.progress.step)
    metadata["shear.accuracy"] = nlohmann::json(info.progress.accuracy).dump();
  save_weights(path, parameters, metadata);
}

static const std::string& text_of(const SafeTensors& file, const std::string& key) {
  const auto found = file.metadata().find(key);
  if (found == file.metadata().end())
    fail(Fault::input, file.path().string(), ": is not a checkpoint of a training, its metadata has no ", key);
  return found->second;
}

CheckpointInfo read_checkpoint_info(const SafeTensors& file) {
  const std::string path = file.path().string();
  CheckpointInfo info;
  info.recipe = recipe_from_json(text_of(file, "shear.recipe"));
  parse_json(path + ": shear.progress", text_of(file, "shear.progress"),
             [&](const nlohmann::json& j) { info.progress = progress_from(j); });
  info.card = read_card(file).value();
  return info;
}

static std::unique_ptr<SafeTensors> open_whole(const fs::path& path, Verify what) {
  auto file = std::make_unique<SafeTensors>(path);
  if (verify_checksums(*file, what)) return file;
  parse_json(path.string() + ": shear.progress", text_of(*file, "shear.progress"), [&](const nlohmann::json& j) {
    if (j.contains("checksums"))
      fail(Fault::input, path.string(), ": has lost its checksums, expected a file without damage");
  });
  return file;  // of before there were any
}

std::unique_ptr<SafeTensors> open_checkpoint(const fs::path& directory, const fs::path& from, Verify what) {
  const fs::path last = from.empty() ? directory / "last.safetensors" : from;
  const fs::path before = directory / "previous.safetensors";
  std::error_code ignored;
  try {
    if (!fs::exists(last, ignored))
      fail(Fault::input, setting("resume"), " ", directory.string(), ": there is no ", last.filename().string(),
           ", expected the directory of a run");
    return open_whole(last, what);
  } catch (const Error& damage) {
    if (last == before || !fs::exists(before, ignored)) throw;
    int64_t step = 0;
    try {
      step = read_checkpoint_info(*open_whole(before, Verify::all)).progress.step;
    } catch (const Error&) {
      throw damage;  // that one cannot be offered
    }
    fail(damage.fault(), damage.what(), "; the checkpoint before it, of step ", step, ", is whole: ", setting("resume"),
         " ", before.string(), " goes on from there");
  }
}

static const TensorView& state_in(const SafeTensors& file, const std::string& name, const Shape& shape, DType dtype) {
  const TensorView* t = file.find(name);
  if (!t) fail(Fault::input, file.path().string(), ": ", name, " is not there, expected all state of the training");
  if (t->shape != shape)
    fail(Fault::input, file.path().string(), ": ", name, " has the shape ", t->shape, ", expected ", shape);
  if (t->dtype != dtype && dtype != DType::f32)
    fail(Fault::input, file.path().string(), ": ", name, " is ", shear::name(t->dtype), ", expected ",
         shear::name(dtype));
  return *t;
}

void load_parameters(const SafeTensors& file, Parameters& parameters) {
  Device& device = parameters.device();
  for (const Param& p : parameters) {
    const TensorView& t = state_in(file, p.name, p.value.shape(), DType::f32);
    if (p.value.dtype() == DType::f32)
      read_tensor(file, t, device, p.value);
    else
      assign(device, p, read_floats(file, t));
  }
}

void load_checkpoint(const SafeTensors& file, Parameters& parameters, Optimizer& optimizer, MemoryPolicy& policy) {
  load_parameters(file, parameters);
  for (const StateTensor& s : optimizer.state())
    read_tensor(file, state_in(file, std::string(state_prefix) + s.name, s.value.shape(), s.value.dtype()),
                parameters.device(), s.value);
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

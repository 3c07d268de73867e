// How far a policy turns the gradient: at the end of a run, against exact gradients on the same batches.
#include "shear/make_backend.h"
#include "train/gradient_reader.h"
#include "train/run_directory.h"
#include "train/setup.h"

namespace shear {

namespace fs = std::filesystem;

namespace {

void add(GradientCosine& sum, const Gradients& exact, const Gradients& found) {
  Products all;
  for (size_t i = 0; i < exact.size(); ++i) {
    const Products p = products(exact[i].second, found[i].second);
    if (sum.parameters.size() == i) sum.parameters.emplace_back(exact[i].first, 0);
    sum.parameters[i].second += p.cosine();
    all += p;
  }
  sum.overall += all.cosine();
}

}  // namespace

std::optional<GradientCosine> gradient_cosine(const fs::path& directory, const CosineOptions& options) {
  require(options.batches > 0, "gradient cosine: ", options.batches, " batches, expected 1 or more");
  const std::unique_ptr<const SafeTensors> opened = open_checkpoint(directory);
  const SafeTensors& checkpoint = *opened;
  CheckpointInfo info = read_checkpoint_info(checkpoint);
  Recipe recipe = info.recipe;
  recipe.dropout = 0;
  RunOptions run;
  run.threads = options.threads > 0 ? options.threads : info.progress.threads;
  run.loader_threads = options.loader_threads;
  std::unique_ptr<Backend> backend = make_backend(options.device, run.threads, parse_precision(recipe.precision));
  Setup setup = prepare(recipe, run, &info.card, info.progress);
  setup.training.augment = {.random_crop = false, .flip = false};

  Device device(std::move(backend));
  const std::unique_ptr<Model> model =
      setup.model->make(device, recipe.seed, {Values::undefined, WeightsAs::f32, setup.plan_options.lora});
  Parameters& parameters = model->parameters();
  choose_trainable(parameters, recipe.train);
  load_parameters(checkpoint, parameters);
  const auto exact = make_policy("full"), policy = make_policy(recipe.policy, recipe.seed);
  Gradients expected = room_for_gradients(parameters), found = room_for_gradients(parameters);
  GradientReader exact_step(device, *model, *exact, setup.step, expected),
      policy_step(device, *model, *policy, setup.step, found);
  load_policy_state(checkpoint, *policy);

  Loader loader(*setup.data.train, setup.training);
  loader.start(0);
  GradientCosine sum;
  constexpr int64_t apart = steps_apart;
  const int64_t first = (info.progress.step / apart + 1) * apart;
  for (int64_t i = 0; i < options.batches; ++i) {
    if (options.stop && options.stop->load(std::memory_order_relaxed)) return std::nullopt;
    const Batch& batch = *loader.next();
    exact_step(first + i * apart, batch);
    policy_step(first + i * apart, batch);
    add(sum, expected, found);
  }
  const double n = static_cast<double>(options.batches);
  sum.overall /= n;
  for (auto& [name, cosine] : sum.parameters) cosine /= n;
  return sum;
}

}  // namespace shear

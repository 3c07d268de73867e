// How far a policy turns the gradient: at the end of a run, against exact gradients on the same batches.
#include <algorithm>
#include <cmath>

#include "shear/make_backend.h"
#include "train/checkpoint.h"
#include "train/run_directory.h"
#include "train/setup.h"
#include "weights/json.h"

namespace shear {

namespace fs = std::filesystem;

namespace {

// The gradient of a step, one vector per parameter that is trained, in the model's order.
using Gradients = std::vector<std::pair<std::string, std::vector<float>>>;

// Steps under a policy, whose gradients are read and change nothing.
class GradientReader {
 public:
  GradientReader(Device& device, Model& model, MemoryPolicy& policy, StepOptions options)
      : sink_([this](const Param& p, std::span<const float> gradient) { add(p, gradient); }),
        step_(device, model.parameters(), std::ref(model), policy, sink_, unclipped(options)) {
    for (const Param& p : model.parameters())
      if (p.trainable) {
        place_.emplace(&p, gradients_.size());
        gradients_.emplace_back(p.name, std::vector<float>(static_cast<size_t>(p.value.elements())));
      }
  }

  const Gradients& operator()(int64_t step, const Batch& batch) {
    for (auto& [name, values] : gradients_) std::ranges::fill(values, 0.f);
    step_(step, 0, batch);
    return gradients_;
  }

 private:
  static StepOptions unclipped(StepOptions options) {
    options.clip = 0;
    options.update_in_backward = false;
    return options;
  }
  void add(const Param& p, std::span<const float> gradient) {  // of one pass
    std::vector<float>& sum = gradients_[place_.at(&p)].second;
    for (size_t i = 0; i < sum.size(); ++i) sum[i] += gradient[i];
  }

  ReadGradients sink_;
  TrainStep step_;
  Gradients gradients_;
  std::map<const Param*, size_t> place_;
};

struct Products {
  double ab = 0, aa = 0, bb = 0;
  void operator+=(const Products& other) { ab += other.ab, aa += other.aa, bb += other.bb; }
  // Of two zero vectors the direction is the same; of a zero and another one there is none.
  double cosine() const { return aa > 0 && bb > 0 ? ab / std::sqrt(aa * bb) : aa == bb ? 1 : 0; }
};

Products products(std::span<const float> a, std::span<const float> b) {
  Products p;
  for (size_t i = 0; i < a.size(); ++i) {
    const double x = a[i], y = b[i];
    p += {x * y, x * x, y * y};
  }
  return p;
}

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
  GradientReader exact_step(device, *model, *exact, setup.step), policy_step(device, *model, *policy, setup.step);
  load_policy_state(checkpoint, *policy);

  Loader loader(*setup.data.train, setup.training);
  loader.start(0);
  GradientCosine sum;
  // A policy that holds its choice for some steps makes a new one for each batch: these steps are far apart.
  constexpr int64_t apart = 1000;
  const int64_t first = (info.progress.step / apart + 1) * apart;
  for (int64_t i = 0; i < options.batches; ++i) {
    if (options.stop && options.stop->load(std::memory_order_relaxed)) return std::nullopt;
    const Batch& batch = *loader.next();
    add(sum, exact_step(first + i * apart, batch), policy_step(first + i * apart, batch));
  }
  const double n = static_cast<double>(options.batches);
  sum.overall /= n;
  for (auto& [name, cosine] : sum.parameters) cosine /= n;
  return sum;
}

}  // namespace shear

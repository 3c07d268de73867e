// What policies do to the gradient of weights as they are: all of them on the same batches, nothing is trained.
#include "train/gradient_fidelity.h"

#include <algorithm>
#include <numeric>

#include "shear/make_backend.h"
#include "train/gradient_reader.h"
#include "train/setup.h"

namespace shear {

namespace {

struct Under {
  Under(const std::string& spec, const Recipe& recipe, Device& device, Model& model, const StepOptions& options,
        Gradients& into)
      : policy(make_policy(spec, recipe.seed)), step(device, model, *policy, options, into) {}

  std::unique_ptr<MemoryPolicy> policy;
  GradientReader step;
  Products all, blocks;
  std::vector<double> apart, exact;  // squares over the batches, of each channel of the weights in blocks
  std::vector<double> seconds;
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t n = values.size();
  return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

bool is_block_weight(const Param& p) {
  return p.trainable && p.block >= 0 && p.value.shape().rank() == 2 && p.name.ends_with(".weight");
}

// Squares of the columns of a weight's gradient, and of what is off them, added up from channel `first` on.
void add_channels(std::span<const float> exact, std::span<const float> found, size_t cols, size_t first, Under& under) {
  under.apart.resize(std::max(under.apart.size(), first + cols));
  under.exact.resize(under.apart.size());
  for (size_t row = 0; row < exact.size(); row += cols)
    for (size_t c = 0; c < cols; ++c) {
      const double x = exact[row + c], off = static_cast<double>(found[row + c]) - x;
      under.exact[first + c] += x * x;
      under.apart[first + c] += off * off;
    }
}

void compare(const Parameters& parameters, const Gradients& exact, const Gradients& found, Under& under) {
  size_t i = 0, channels = 0;
  for (const Param& p : parameters) {
    if (!p.trainable) continue;
    const Products products = shear::products(exact[i].second, found[i].second);
    under.all += products;
    if (is_block_weight(p)) {
      const auto cols = static_cast<size_t>(p.value.cols());
      under.blocks += products;
      add_channels(exact[i].second, found[i].second, cols, channels, under);
      channels += cols;
    }
    ++i;
  }
}

// Channels that hardly a gradient reaches have no say.
double channel_error(const Under& under) {
  double sum = 0, channels = 0;
  const double mean =
      std::accumulate(under.exact.begin(), under.exact.end(), 0.) / static_cast<double>(under.exact.size());
  for (size_t c = 0; c < under.exact.size(); ++c)
    if (under.exact[c] > 1e-9 * mean) sum += under.apart[c] / under.exact[c], ++channels;
  return channels > 0 ? std::sqrt(sum / channels) : 0;
}

}  // namespace

std::optional<GradientFidelities> gradient_fidelity(const Recipe& recipe, const RunOptions& run, int64_t batches,
                                                    std::span<const std::string> policies, TrainObserver& observer) {
  const auto asked = [&](const PlanOptions&) { return std::vector(policies.begin(), policies.end()); };
  return gradient_fidelity(recipe, run, batches, asked, observer);
}

std::optional<GradientFidelities> gradient_fidelity(const Recipe& asked, const RunOptions& run, int64_t batches,
                                                    const PoliciesFor& policies, TrainObserver& observer) {
  require(batches > 0, "gradient fidelity: ", batches, " batches, expected 1 or more");
  Recipe recipe = asked;
  recipe.dropout = 0;
  std::unique_ptr<Backend> backend = make_backend(run.device, run.threads, parse_precision(recipe.precision));
  Progress progress;
  Setup setup = prepare(recipe, run, nullptr, progress);
  setup.training.augment = {.random_crop = false, .flip = false};

  // `full` is the measure, asked for or not.
  std::vector<std::string> specs{"full"};
  for (const std::string& p : policies(setup.plan_options))
    if (p != "full") specs.push_back(p);
  GradientFidelities result{setup.card.model, recipe.batch, {}};
  size_t room = setup.training.decoding_room;
  for (const std::string& spec : specs) {
    setup.plan_options.policy = spec;
    result.policies.push_back({spec, plan_within(setup, run.memory_limit).use});
    room = spec == specs.front() ? setup.training.decoding_room : std::min(room, setup.training.decoding_room);
  }
  setup.training.decoding_room = room;
  for (const std::string& note : setup.data.notes) observer.warn(note);
  for (const std::string& warning : setup.warnings) observer.warn(warning);

  Device device(std::move(backend), {.memory_limit = run.memory_limit});
  const std::unique_ptr<Model> model = setup.model->make(
      device, recipe.seed,
      {setup.weights ? Values::undefined : Values::drawn, setup.plan_options.weights_as, setup.plan_options.lora});
  Parameters& parameters = model->parameters();
  choose_trainable(parameters, recipe.train);
  if (std::none_of(parameters.begin(), parameters.end(), is_block_weight))
    fail(Fault::usage, setting("train"), " ", recipe.train,
         ": trains no weight of a linear in blocks, expected one whose gradient can be compared");
  load_first_weights(setup, recipe, parameters, observer);
  Gradients expected = room_for_gradients(parameters), found = room_for_gradients(parameters);
  std::vector<std::unique_ptr<Under>> under;
  for (const std::string& spec : specs)
    under.push_back(
        std::make_unique<Under>(spec, recipe, device, *model, setup.step, under.empty() ? expected : found));

  Loader loader(*setup.data.train, setup.training);
  loader.start(0);
  const int64_t warm = batches > 1 ? 1 : 0;  // the first steps take memory from the system
  int64_t done = 0;
  for (int64_t i = 0; i < batches; ++i) {
    const Batch& batch = *loader.next();
    for (const auto& u : under) {
      if (run.stop && run.stop->load(std::memory_order_relaxed)) return std::nullopt;
      if (u->policy->remembers_images()) u->step(i * steps_apart, batch);  // so that it has seen them once
      const double seconds = u->step(i * steps_apart, batch);
      if (i >= warm) u->seconds.push_back(seconds);
      compare(parameters, expected, u == under.front() ? expected : found, *u);
      observer.measuring(++done, batches * static_cast<int64_t>(under.size()));
    }
    if (under.front()->blocks.aa == 0)
      fail(Fault::input, recipe.weights, recipe.weights.empty() ? "" : ": ",
           "the gradient of every weight in blocks is zero, as under a head that is new and zero; expected weights "
           "whose head was trained");
  }
  for (size_t i = 0; i < specs.size(); ++i) {
    GradientFidelity& f = result.policies[i];
    f.error = under[i]->all.error(), f.cosine = under[i]->all.cosine();
    f.block_error = under[i]->blocks.error(), f.block_cosine = under[i]->blocks.cosine();
    f.channel_error = channel_error(*under[i]);
    f.step_seconds = median(under[i]->seconds);
  }
  return result;
}

}  // namespace shear

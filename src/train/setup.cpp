// From a recipe to what a training needs.
#include "train/setup.h"

#include <algorithm>
#include <filesystem>
#include <iomanip>

#include "shear/machine.h"
#include "shear/make_backend.h"
#include "train/changes.h"

namespace shear {

// The model that the recipe names, or that the weights are for, with as many classes as the data has.
static ModelSpecPtr choose_model(const Recipe& recipe, const Weights* weights,
                                 const std::vector<std::string>& classes) {
  const int64_t count = static_cast<int64_t>(classes.size()), size = recipe.image.size.value_or(0);
  if (recipe.model.empty() && !weights)
    fail(Fault::usage, setting("model"), " is missing: expected a name such as vit_tiny_patch16_224, or vit:image=...");
  const std::string asked = recipe.model.empty() ? recipe.model : with_classes(recipe.model, count);
  ModelSpecPtr model = weights ? weights->model(asked, size) : parse_model(asked)->with_image(size);
  if (recipe.model.empty()) model = model->with_classes(count);
  if (model->classes() != count)
    fail(Fault::input, setting("model"), " ", recipe.model, ": ", model->classes(), " classes, but the data has ",
         count, "; expected the same (leave classes out to take the data's)");
  return model;
}

static Preprocess choose_preprocess(const Recipe& recipe, const Weights* weights, const ModelSpec& model) {
  expect_square(model);
  Preprocess p = weights ? weights->preprocess(model) : default_preprocess(model);
  apply(recipe.image, p);
  return p;
}

static Augment choose_augment(const Recipe& recipe, const ModelSpec& model) {
  Augment a;
  a.random_crop = recipe.augment == "crop";
  a.flip = recipe.augment != "none";
  a.pad = recipe.augment == "pad" ? static_cast<int>(std::max<int64_t>(1, model.input()[1] / 8)) : 0;
  return a;
}

Setup prepare(const Recipe& recipe, const RunOptions& run, const ModelCard* stored, Progress& progress) {
  Setup s;
  if (!recipe.model.empty())
    parse_model(with_classes(recipe.model, 1))
        ->with_dropout(static_cast<float>(recipe.dropout));  // a wrong flag is told of before anything is read
  if (!is_auto(recipe.policy) || run.budget == 0) make_policy(recipe.policy);
  if (!stored && !recipe.weights.empty()) s.weights = std::make_unique<const Weights>(recipe.weights);
  DataOptions read = recipe.read;
  read.own = run.out;
  if (stored) read.classes = stored->classes;
  s.data = open_data(recipe.data, recipe.val, read);
  const std::vector<std::string>& classes = s.data.train->classes();
  if (stored) {
    if (stored->classes != classes)
      fail(Fault::input, recipe.data, ": its ", classes.size(), " classes are not the ", stored->classes.size(),
           " that the run began with, expected the same data");
    s.card = *stored;
    s.model = parse_model(stored->model);
  } else {
    s.model = choose_model(recipe, s.weights.get(), classes);
    s.card = {s.model->str(), classes, choose_preprocess(recipe, s.weights.get(), *s.model),
              s.weights ? s.weights->kind() : std::string()};
  }
  s.model = s.model->with_dropout(static_cast<float>(recipe.dropout));

  s.training.batch = recipe.batch;
  s.training.training = true;
  s.training.seed = recipe.seed;
  s.training.threads = run.loader_threads;
  s.training.preprocess = s.card.preprocess;
  s.training.augment = choose_augment(recipe, *s.model);
  s.evaluation = s.training;
  s.evaluation.training = false;
  s.evaluation.batch = recipe.batch / recipe.accumulate;

  s.per_epoch = s.data.train->size() / recipe.batch;
  if (s.per_epoch == 0)
    fail(Fault::input, recipe.data, ": ", s.data.train->size(), " training images, expected at least one batch of ",
         recipe.batch, " (", setting("batch"), ")");
  if (stored) s.warnings = note_changes(progress, s.data, recipe);
  note_data(progress, s.data);
  s.steps = steps_of(recipe, s.per_epoch, progress);
  if (s.steps < progress.step)
    fail(Fault::usage, "the run has done ", progress.step, " steps, expected ", setting("steps"), " or ",
         setting("epochs"), " for at least as many, not ", s.steps);
  if (const auto most = static_cast<int64_t>(recipe_range("steps").high); s.steps > most)
    fail(Fault::usage, setting("epochs"), " ", recipe.epochs.value_or(0), ": makes ", s.steps,
         " steps, expected at most ", most);
  s.eval_every = recipe.eval_every > 0 ? recipe.eval_every : s.per_epoch;
  s.checkpoint_every = recipe.checkpoint_every > 0 ? recipe.checkpoint_every : s.per_epoch;
  s.schedule = {
      .peak = static_cast<float>(*recipe.lr), .warmup = recipe.warmup.value_or(s.steps / 20), .steps = s.steps};

  s.in_flight = Loader::bytes(s.training) + (s.data.val ? Loader::bytes(s.evaluation) : 0);
  s.step = {.input = s.model->input(),
            .accumulate = recipe.accumulate,
            .smoothing = static_cast<float>(recipe.smoothing),
            .clip = static_cast<float>(recipe.clip),
            .update_in_backward = parse_update(recipe.update),
            .seed = recipe.seed,
            .images = s.data.train->size()};
  if (!recipe.clip_by.empty()) s.step.clip_by = parse_clip_by(recipe.clip_by);
  s.plan_options = {.model = s.model,
                    .policy = recipe.policy,
                    .batch = recipe.batch,
                    .accumulate = recipe.accumulate,
                    .optimizer = {recipe.optimizer, static_cast<float>(recipe.momentum),
                                  static_cast<float>(*recipe.weight_decay), parse_state(recipe.state), recipe.seed},
                    .train = recipe.train,
                    .weights_as = parse_weights_as(recipe.weights_as),
                    .lora = parse_lora(recipe.lora),
                    .update_in_backward = s.step.update_in_backward,
                    .precision = parse_precision(recipe.precision),
                    .device = run.device,
                    .threads = run.threads};
  return s;
}

void load_first_weights(Setup& setup, const Recipe& recipe, Parameters& parameters, TrainObserver& observer) {
  if (!setup.weights) return;
  LoadOptions options{
      .matching = Matching::fine_tuning, .allow_mismatch = recipe.allow_mismatch, .classes = setup.card.classes};
  if (!recipe.positions.empty()) options.positions = parse_position_resize(recipe.positions);
  for (const std::string& line : setup.weights->describe(*setup.model, setup.card.preprocess)) observer.note(line);
  if (const std::string guess = setup.weights->heads_guess(*setup.model, recipe.model); !guess.empty())
    observer.warn(guess);
  const WeightsReport report = load_weights(*setup.weights, parameters, options);
  for (const std::string& note : report.notes) observer.note(note);
  for (const std::string& warning : report.warnings) observer.warn(warning);
  setup.weights.reset();
}

std::string mib(size_t bytes) {
  std::ostringstream out;
  out << std::fixed << std::setprecision(1) << static_cast<double>(bytes) / (1 << 20) << " MiB";
  return out.str();
}

std::string keep_within(Setup& setup, Recipe& recipe, size_t budget, const MeasuredBlocks* measured) {
  PlanOptions& options = setup.plan_options;
  std::optional<std::string> flags;
  std::string told;
  if (is_auto(recipe.policy)) {
    if (const auto choice = choose_policy(options, budget, measured)) {
      flags = choice->lowered;
      recipe.policy = choice->policy;
      told = text("policy ", choice->policy, " (of what fits, that of least gradient error: ",
                  choice->error == 0 ? "none" : text("about ", std::round(100 * choice->error), "%"), ")");
    }
  } else {
    flags = lower_floor(options, budget);
  }
  if (!flags) {
    const std::string help = what_would_fit(options, budget);
    fail(Fault::memory, setting("budget"), " ", mib(budget), ": a training step of ", options.batch, " images under ",
         options.policy, " needs ", mib(plan_training(options).use.peak), help.empty() ? "" : "; " + help);
  }
  if (options.update_in_backward && recipe.clip_by == "norm")
    fail(Fault::usage, setting("budget"), " ", mib(budget),
         ": takes updates in backward, where the norm of all gradients", " is not known in time, expected ",
         setting("clip-by"), " previous or tensor, or a larger budget");
  if (options.update_in_backward) recipe.update = "in-backward";
  if (options.optimizer.state == StateAs::codes) recipe.state = "8bit";
  if (options.weights_as == WeightsAs::split) recipe.weights_as = "bf16+8";
  setup.step.update_in_backward = options.update_in_backward;
  if (told.empty() || !flags->empty())
    told += text(told.empty() ? "" : ", ", flags->empty() ? "the step fits as it is" : "takes " + *flags);
  return text(setting("budget"), " ", mib(budget), ": ", told);
}

Plan plan_within(Setup& setup, size_t limit) {
  const PlanOptions& options = setup.plan_options;
  Plan plan = plan_training(options);
  const std::string step =
      text("a training step of ", options.batch, " images under ", options.policy, " needs ", mib(plan.use.peak));
  const auto refuse = [&](const std::string& allowed, size_t budget) {
    const std::string help = what_would_fit(options, budget);
    fail(Fault::memory, step, ", ", allowed, help.empty() ? "; no batch of this model fits" : "; " + help);
  };
  if (limit > 0 && plan.use.peak > limit) refuse(text(setting("memory-limit"), " allows ", mib(limit)), limit);
  const MemoryLeft left = memory_left();
  const size_t beside = setup.in_flight, on_host = options.device == DeviceKind::cpu ? plan.use.peak : 0;
  if (on_host + beside <= left.bytes) {
    constexpr size_t least = size_t{64} << 20;  // what is left now is an estimate: no ordinary photo is refused by it
    setup.training.decoding_room = setup.evaluation.decoding_room = std::max(least, left.bytes - on_host - beside);
    return plan;
  }
  const std::string has = text("and images in flight ", mib(beside), ", ", left.of, " has ", mib(left.bytes), " left");
  if (limit == 0) refuse(has, left.bytes > beside ? left.bytes - beside : 0);
  setup.warnings.push_back(text(step, ", ", has, ": the system may end the run"));
  return plan;
}

}  // namespace shear

// The trainer: steps, evaluations and checkpoints in an order that does not depend on when it was interrupted.
#include <algorithm>
#include <chrono>
#include <numeric>

#include "shear/make_backend.h"
#include "shear/threads.h"
#include "train/changes.h"
#include "train/median.h"
#include "train/metrics.h"
#include "train/policy_snapshot.h"
#include "train/run_directory.h"
#include "train/setup.h"

namespace shear {

namespace fs = std::filesystem;

namespace {

using Clock = std::chrono::steady_clock;
double since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

class Training {
 public:
  // `before`: what the checkpoint says that the run goes on from; null: a fresh run.
  Training(const Recipe&, const RunOptions&, std::unique_ptr<Backend>, const CheckpointInfo* before, RunDirectory&,
           TrainObserver&);
  void begin();
  void resume(const SafeTensors& checkpoint, const Recipe& before);
  TrainOutcome run();

 private:
  TrainOutcome go_on();
  void rescue();  // writes what an error would lose
  void train_one();
  bool evaluate_now();  // false: interrupted
  void save();
  std::string finish();
  bool stop_requested() const { return run_.stop && run_.stop->load(std::memory_order_relaxed); }
  int64_t steps_here() const { return progress_.step - progress_.first_step; }  // on the data that is there now
  bool due(int64_t every) const {
    return steps_here() > 0 && (steps_here() % every == 0 || progress_.step == setup_.steps);
  }
  double epoch() const {
    return progress_.epochs_before + static_cast<double>(steps_here()) / static_cast<double>(setup_.per_epoch);
  }
  CheckpointInfo info() const { return {setup_.card, recipe_, progress_}; }

  Recipe recipe_;
  RunOptions run_;
  Progress progress_;
  RunDirectory& directory_;
  TrainObserver& observer_;
  Setup setup_;
  std::string within_;  // what the budget took
  Plan plan_;
  Device device_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<MemoryPolicy> policy_;
  std::unique_ptr<Optimizer> optimizer_;
  TrainStep step_;
  Loader loader_;
  History history_;
  std::optional<MetricsLog> metrics_;
  PolicySnapshot policy_before_;
  bool in_step_ = false, told_of_decoding_ = false;
  int64_t saved_step_ = -1, tried_step_ = -1;  // tried: whether or not it could be written
  bool last_is_ours_ = false;                  // last.safetensors is whole, and of this run
  MemoryUse peak_;
  Clock::time_point start_;
};

void list(TrainObserver& observer, const std::string& what, const std::vector<std::string>& names) {
  if (names.empty()) return;
  std::string line = what;
  constexpr size_t shown = 8;
  for (size_t i = 0; i < std::min(names.size(), shown); ++i) line += (i ? ", " : " ") + names[i];
  if (names.size() > shown) line += text(" and ", names.size() - shown, " more");
  observer.warn(line);
}

// A class that the validation part lacks is no fault of the labels, which go by name, but its accuracy is not measured.
void warn_of_missing(const Dataset& val, TrainObserver& observer) {
  std::vector<bool> seen(val.classes().size());
  for (int64_t i = 0; i < val.size(); ++i) seen[static_cast<size_t>(val.label(i))] = true;
  std::vector<std::string> missing;
  for (size_t c = 0; c < seen.size(); ++c)
    if (!seen[c]) missing.push_back(val.classes()[c]);
  list(observer, "the validation part has no image of the class", missing);
}

// The optimizer sees which parameters are trainable when it is made.
std::unique_ptr<Optimizer> optimizer_for(Device& device, Model& model, const PlanOptions& options) {
  choose_trainable(model.parameters(), options.train);
  return make_optimizer(device, model.parameters(), options.optimizer);
}

Training::Training(const Recipe& recipe, const RunOptions& run, std::unique_ptr<Backend> backend,
                   const CheckpointInfo* before, RunDirectory& directory, TrainObserver& observer)
    : recipe_(recipe),
      run_(run),
      progress_(before ? before->progress : Progress{}),
      directory_(directory),
      observer_(observer),
      setup_(prepare(recipe_, run_, before ? &before->card : nullptr, progress_)),
      within_(run_.budget > 0
                  ? keep_within(setup_, recipe_, run_.budget, run_.measured_blocks ? &*run_.measured_blocks : nullptr)
                  : std::string()),
      plan_(plan_within(setup_, run_.memory_limit)),
      device_(std::move(backend), {.memory_limit = run_.memory_limit, .step_bytes = plan_.step_bytes}),
      model_(setup_.model->make(device_, recipe_.seed,
                                {setup_.weights || before ? Values::undefined : Values::drawn,
                                 setup_.plan_options.weights_as, setup_.plan_options.lora})),
      policy_(make_policy(recipe_.policy, recipe_.seed)),
      optimizer_(optimizer_for(device_, *model_, setup_.plan_options)),
      step_(device_, model_->parameters(), std::ref(*model_), *policy_, *optimizer_, setup_.step),
      loader_(*setup_.data.train, setup_.training) {
  observer_.note(text(recipe_.data, ": ", setup_.data.kind, ", ", progress_.train_samples, " training and ",
                      progress_.val_samples, " validation images, ", setup_.card.classes.size(), " classes"));
  for (const std::string& note : setup_.data.notes) observer_.warn(note);
  for (const std::string& warning : setup_.warnings) observer_.warn(warning);
  observer_.note(text(setup_.card.model, ": ", model_->parameters().elements(), " parameters, ", setup_.steps,
                      " steps of ", recipe_.batch, " images (", setup_.per_epoch, " per epoch), policy ",
                      recipe_.policy));
  if (!within_.empty()) observer_.note(within_);
  if (setup_.step.update_in_backward && setup_.step.clip > 0)
    observer_.note(text("updates in backward: clipped by the norm of ",
                        setup_.step.clip_by == ClipBy::tensor ? "each parameter's own gradient" : "the step before"));
  if (setup_.data.val)
    warn_of_missing(*setup_.data.val, observer_);
  else
    observer_.note(text("no validation part: accuracy is that of the training batches (", setting("val-share"),
                        " 0.1 would hold one out)"));
  progress_.steps = setup_.steps;
  progress_.threads = run_.threads;
  policy_before_.watch(*policy_);
  history_.reserve(setup_.steps);
}

void Training::begin() {
  load_first_weights(setup_, recipe_, model_->parameters(), observer_);
  // The first checkpoint is written before the first step: a directory that cannot hold one is told of now.  An earlier
  // run is forgotten once it stands.
  save();
  directory_.forget_earlier();
  metrics_.emplace(directory_.metrics(), 0, 0, history_);
}

void Training::resume(const SafeTensors& checkpoint, const Recipe& before) {
  load_checkpoint(checkpoint, model_->parameters(), *optimizer_, *policy_);
  step_.set_last_norm(progress_.last_norm);
  last_is_ours_ = checkpoint.path().filename() == directory_.last().filename();
  if (progress_.step == 0 && last_is_ours_) directory_.forget_earlier();  // where the start of a run was cut short
  metrics_.emplace(directory_.metrics(), progress_.step, progress_.evaluated_step, history_);
  saved_step_ = progress_.step;
  observer_.note(text("resumed after step ", progress_.step, " of ", setup_.steps));
  if (before.steps == recipe_.steps && before.epochs == recipe_.epochs) return;
  observer_.note("from here on the learning rate is that of a run of this length");
  save();  // what the run once ended with is no longer its end
  for (const fs::path& file : {directory_.summary(), directory_.model()}) {
    std::error_code ignored;
    fs::remove(file, ignored);
  }
}

TrainOutcome Training::run() {
  try {
    return go_on();
  } catch (const NotFinite& why) {
    rescue();
    metrics_->not_finite(progress_.step + 1, why.what());
    throw;
  } catch (...) {
    rescue();
    throw;
  }
}

void Training::rescue() {
  if (step_.half_done()) {
    observer_.warn(
        text("what follows ends the run between two updates of a step; the last checkpoint is of step ", saved_step_));
    return;
  }
  if (saved_step_ == progress_.step || tried_step_ == progress_.step) return;
  try {
    if (in_step_) policy_before_.restore();
    save();
    observer_.warn(text("what follows ends the run; a checkpoint of step ", progress_.step, " was written before"));
  } catch (const std::exception& e) {
    observer_.warn(text("what follows ends the run; no checkpoint of step ", progress_.step, " could be written (",
                        e.what(), "), the last one is of step ", saved_step_));
  }
}

TrainOutcome Training::go_on() {
  start_ = Clock::now();
  observer_.begins({progress_.step, setup_.steps, setup_.eval_every, recipe_.batch, progress_.val_samples});
  loader_.start(progress_.first_epoch + steps_here() / setup_.per_epoch, steps_here() % setup_.per_epoch);
  while (true) {
    const bool evaluates = setup_.data.val && progress_.evaluated_step != progress_.step && due(setup_.eval_every);
    // Before the evaluation: what stops that, a broken image or a signal, loses no step.
    if ((evaluates || due(setup_.checkpoint_every)) && saved_step_ != progress_.step) save();
    const bool whole = !evaluates || evaluate_now();
    const bool last = progress_.step == setup_.steps;
    const bool stop =
        !whole || (!last && (stop_requested() || (run_.stop_after > 0 && progress_.step >= run_.stop_after)));
    if (stop && saved_step_ != progress_.step) save();
    if (stop) return {TrainEnd::interrupted, progress_.step, {}};
    if (last) return {TrainEnd::finished, progress_.step, finish()};
    train_one();
  }
}

void Training::train_one() {
  const Clock::time_point began = Clock::now();
  const Batch* batch = loader_.next();
  const float lr = setup_.schedule.at(progress_.step);
  policy_before_.take();
  in_step_ = true;
  const StepResult result = step_(progress_.step, lr, *batch);
  in_step_ = false;
  const MemoryUse use = device_.peak();
  if (use.peak > peak_.peak) peak_ = use;
  ++progress_.step;
  progress_.last_norm = step_.last_norm();
  const double took = since(began), images = static_cast<double>(batch->count);
  const double accuracy = static_cast<double>(result.correct) / images;
  history_.add(result.loss, accuracy, took);
  const StepMetrics line{progress_.step,       setup_.steps,  epoch(), result.loss, accuracy, lr,
                         result.gradient_norm, images / took, took,    peak_.peak};
  metrics_->step(line);
  if (progress_.step % 20 == 1 || progress_.step == setup_.steps)
    if (const std::vector<SamplingReport> sampling = policy_->report(); !sampling.empty())
      metrics_->policy(progress_.step, sampling);
  if (const size_t decoding = loader_.decoding_peak();
      run_.memory_limit > 0 && decoding > run_.memory_limit && !std::exchange(told_of_decoding_, true))
    observer_.warn(text("decoding an image took ", decoding >> 20, " MiB for a moment, which ", setting("memory-limit"),
                        " does not count: it is of the training step"));
  observer_.step(line);
}

bool Training::evaluate_now() {
  const Clock::time_point began = Clock::now();
  const auto go_on = [&](int64_t done, int64_t total) {
    observer_.evaluating(done, total);
    return !stop_requested();
  };
  const auto found =
      evaluate(device_, std::ref(*model_), *setup_.data.val, setup_.evaluation, setup_.model->classes(), {}, go_on);
  device_.restart_peak();  // what is reported is the training step's
  if (!found) return false;
  progress_.evaluated_step = progress_.step;
  progress_.accuracy = found->accuracy;
  progress_.loss = found->loss;
  const bool best = found->accuracy > progress_.best_accuracy;
  const EvalMetrics line{progress_.step, epoch(),        found->loss,  found->accuracy,
                         found->top5,    found->samples, since(began), best};
  metrics_->evaluated(line);
  if (best) {
    progress_.best_accuracy = found->accuracy;
    progress_.best_step = progress_.step;
    save_result(directory_.best(), model_->parameters(), info());
  }
  observer_.evaluated(line);
  return true;
}

void Training::save() {
  if (metrics_) metrics_->flush();
  tried_step_ = progress_.step;
  const auto write = [&] {
    save_checkpoint(directory_.last(), model_->parameters(), *optimizer_, *policy_, info(),
                    last_is_ours_ ? directory_.previous() : fs::path());
  };
  try {
    write();
  } catch (const Error&) {
    // A full disk may have room for it without the one before the last.
    std::error_code ignored;
    if (!last_is_ours_ || !fs::remove(directory_.previous(), ignored)) throw;
    write();
  }
  last_is_ours_ = true;
  saved_step_ = progress_.step;
}

double mean_of_last(const std::vector<float>& values, int64_t n) {
  const size_t count = std::min(values.size(), static_cast<size_t>(n));
  return count == 0 ? 0
                    : std::accumulate(values.end() - static_cast<std::ptrdiff_t>(count), values.end(), 0.) /
                          static_cast<double>(count);
}

std::string Training::finish() {
  save_result(directory_.model(), model_->parameters(), info());
  Summary s;
  s.policy = recipe_.policy;
  s.model = setup_.card.model;
  s.steps = progress_.step;
  s.validated = setup_.data.val != nullptr;
  s.accuracy = s.validated ? progress_.accuracy : mean_of_last(history_.accuracy, setup_.per_epoch);
  s.loss = s.validated ? progress_.loss : mean_of_last(history_.loss, setup_.per_epoch);
  s.best_accuracy = progress_.best_accuracy;
  s.best_step = progress_.best_step;
  s.seconds = history_.seconds_before + since(start_);
  s.step_seconds_median = median(history_.seconds);
  s.memory = peak_.peak > 0 ? peak_ : plan_.use;  // a run that had only its last files to write
  s.planned_peak_bytes = plan_.use.peak;
  s.in_flight_bytes = setup_.in_flight;
  s.decoding_peak_bytes = loader_.decoding_peak();
  s.rss_peak_bytes = rss_peak_bytes();
  const std::string summary = to_json(s);
  write_text_atomically(directory_.summary(), summary + '\n');
  std::error_code ignored;
  fs::remove(directory_.previous(), ignored);
  return summary;
}

}  // namespace

Recipe read_recipe(const fs::path& directory, const fs::path& from) {
  return read_checkpoint_info(*open_checkpoint(directory, from, Verify::header)).recipe;
}

TrainOutcome train(const Recipe& asked, const RunOptions& options, TrainObserver& observer) {
  RunOptions run = options;
  Recipe recipe = asked;
  resolve_defaults(recipe);
  std::unique_ptr<SafeTensors> checkpoint;
  CheckpointInfo before;
  if (run.resume && run.budget > 0)
    fail(Fault::usage, setting("budget"), " and ", setting("resume"),
         " are both given, expected one of them: a run goes on as it began");
  if (run.resume) {
    checkpoint = open_checkpoint(run.out, run.from);
    before = read_checkpoint_info(*checkpoint);
    if (!may_go_on(before.recipe, recipe))
      fail(Fault::usage, setting("resume"), " ", run.out.string(),
           ": the run began with other options, expected the same but for ", setting("data"), ", ", setting("val"),
           ", ", setting("epochs"), " and ", setting("steps"), "; a new run can begin with its weights");
    if (run.threads == 0) run.threads = before.progress.threads;
  } else if (run.threads == 0) {
    run.threads = default_threads();
  }
  std::unique_ptr<Backend> backend =
      make_backend(run.device, run.threads, parse_precision(recipe.precision));  // first: the device may not be there
  RunDirectory directory(run.out);
  if (run.resume) {
    const Progress& done = before.progress;
    if (done.step == done.steps && before.recipe.steps == recipe.steps && before.recipe.epochs == recipe.epochs &&
        fs::exists(directory.summary()) && fs::exists(directory.model()))
      return {TrainEnd::finished_before, done.step, read_text(directory.summary())};
  } else if (directory.holds_run() && !run.overwrite) {
    fail(Fault::input, setting("out"), " ", run.out.string(), ": holds a run already, expected another directory, ",
         setting("resume"), " or ", setting("overwrite"));
  }
  directory.claim();
  Training training(recipe, run, std::move(backend), run.resume ? &before : nullptr, directory, observer);
  if (run.resume) {
    training.resume(*checkpoint, before.recipe);
    checkpoint.reset();
  } else {
    training.begin();
  }
  return training.run();
}

}  // namespace shear

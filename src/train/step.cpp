// One training step: passes over parts of the batch, then one update.
#include <algorithm>
#include <cmath>

#include "shear/backend.h"
#include "shear/train.h"
#include "train/policy_snapshot.h"

namespace shear {

namespace {

// What updates while backward goes on, where that is asked for.
std::unique_ptr<UpdateInBackward> update_in_backward(Optimizer& optimizer, const StepOptions& o) {
  if (!o.update_in_backward) {
    if (o.clip > 0 && o.clip_by && *o.clip_by != ClipBy::norm)
      fail(Fault::usage, setting("clip-by"), ": is for ", setting("update"),
           " in-backward; after backward the norm of all gradients is known, expected norm");
    return nullptr;
  }
  if (o.clip > 0 && o.clip_by == ClipBy::norm)
    fail(Fault::usage, setting("clip-by"),
         " norm: updates in backward come before the norm of all gradients is known, "
         "expected previous or tensor");
  if (o.accumulate > 1 && !optimizer.adds_passes())
    fail(Fault::usage, setting("update"), " in-backward: ", optimizer.name(), " cannot take the ", o.accumulate,
         " passes of a step one by one, expected ", setting("accumulate"), " 1 or ", setting("optimizer"), " sgd");
  if (o.accumulate > 1 && o.clip > 0)
    fail(Fault::usage, setting("update"), " in-backward: of a step of ", o.accumulate,
         " passes the norm is never known, expected ", setting("clip"), " 0 or ", setting("accumulate"), " 1");
  return std::make_unique<UpdateInBackward>(optimizer, o.clip, o.clip_by.value_or(ClipBy::previous));
}

}  // namespace

TrainStep::TrainStep(Device& device, Parameters& parameters, Forward forward, MemoryPolicy& policy,
                     Optimizer& optimizer, const StepOptions& options)
    : TrainStep(device, parameters, std::move(forward), policy, &optimizer, update_in_backward(optimizer, options),
                accumulate_gradients(), options) {}

TrainStep::TrainStep(Device& device, Parameters& parameters, Forward forward, MemoryPolicy& policy, GradientSink& sink,
                     const StepOptions& options)
    : TrainStep(device, parameters, std::move(forward), policy, nullptr, nullptr, sink, options) {
  require(options.clip == 0, "train step: clips at ", options.clip,
          ", but a sink has the gradients before their norm is known");
}

TrainStep::TrainStep(Device& device, Parameters& parameters, Forward forward, MemoryPolicy& policy,
                     Optimizer* optimizer, std::unique_ptr<UpdateInBackward> in_backward, GradientSink& sink,
                     const StepOptions& options)
    : device_(device),
      parameters_(parameters),
      forward_(std::move(forward)),
      policy_(policy),
      optimizer_(optimizer),
      in_backward_(std::move(in_backward)),
      options_(options),
      tape_(device, policy, parameters, {.seed = options.seed, .sink = in_backward_ ? in_backward_.get() : &sink}) {
  require(options.input.rank() == 3, "train step: an image is (C, H, W), found ", options.input);
  require(options.accumulate > 0, "train step: ", options.accumulate, " passes, expected at least one");
  if (options.images > 0 && policy.remembers_images()) policy.know_images(options.images);
}

StepResult TrainStep::operator()(int64_t step, float lr, const Batch& batch) {
  require(batch.count > 0 && batch.count % options_.accumulate == 0, "train step: ", batch.count,
          " images do not divide into ", options_.accumulate, " passes");
  const auto floats = static_cast<size_t>(batch.count * options_.input.elements());
  require(!device_.run().computes() ||
              (batch.images.size() == floats && batch.labels.size() == static_cast<size_t>(batch.count)),
          "train step: ", batch.images.size(), " values and ", batch.labels.size(), " labels, expected ", floats,
          " and ", batch.count, " for ", batch.count, " images");
  tape_.reset();  // what a step that broke off has left behind
  half_done_ = false;
  StepResult result;
  {
    // What came of the passes: the count of right rows, then a loss for each.
    const Tensor outcome = tape_.empty({1 + options_.accumulate});
    passes(step, lr, scale_before(step, batch, outcome), batch, outcome, result);
  }
  if (!optimizer_) {
    if (!std::isfinite(result.loss)) not_finite(step, result.loss);
    return result;
  }
  if (std::exchange(first_, false)) check_first();
  if (in_backward_) {
    result.gradient_norm = in_backward_->norm();
    if (options_.clip > 0 && options_.clip_by != ClipBy::tensor) last_norm_ = result.gradient_norm;
    half_done_ = false;
    return result;
  }
  result.gradient_norm = gradient_norm(parameters_);
  if (!std::isfinite(result.loss) || !std::isfinite(result.gradient_norm)) not_finite(step, result.loss);
  optimizer_->step(step, lr, clip_scale(result.gradient_norm, options_.clip));
  return result;
}

void TrainStep::passes(int64_t step, float lr, float scale, const Batch& batch, const Tensor& outcome,
                       StepResult& result) {
  tape_.begin_step(step, options_.accumulate);
  for (int64_t i = 0; i < options_.accumulate; ++i) {
    if (in_backward_) in_backward_->begin_pass({step, lr, scale, i, options_.accumulate});
    pass(step, i, batch.count / options_.accumulate, batch, outcome);
  }
  read(outcome, result);
}

// What clips updates in backward by the norm of the step before.
float TrainStep::scale_before(int64_t step, const Batch& batch, const Tensor& outcome) {
  if (!in_backward_ || options_.clip == 0 || options_.clip_by == ClipBy::tensor) return 1;
  if (!last_norm_) {
    PolicySnapshot before;
    before.watch(policy_);
    in_backward_->measure(true);
    StepResult ignored;
    passes(step, 0, 1, batch, outcome, ignored);
    in_backward_->measure(false);
    before.restore();
    last_norm_ = in_backward_->norm();
  }
  return clip_scale(*last_norm_, options_.clip);
}

void TrainStep::read(const Tensor& outcome, StepResult& result) {
  if (!device_.run().computes()) return;
  outcome_.resize(static_cast<size_t>(outcome.elements()));
  device_.run().download(outcome_.data(), outcome.data<void>(), outcome.bytes());
  result.correct = static_cast<int64_t>(outcome_[0]);
  for (size_t i = 1; i < outcome_.size(); ++i)
    result.loss += static_cast<double>(outcome_[i]) / static_cast<double>(options_.accumulate);
}

void TrainStep::pass(int64_t step, int64_t index, int64_t count, const Batch& batch, const Tensor& outcome) {
  const Shape& in = options_.input;
  Backend& run = device_.run();
  const auto first = static_cast<size_t>(index * count);
  Tensor loss;
  {
    // The batch lives in the step's slab: where no gradient wants the images their room is free after the forward pass.
    const Tensor images = tape_.empty({count, in[0], in[1], in[2]});
    const Tensor labels = tape_.empty({count}, DType::i32);
    if (run.computes()) {
      run.upload(images.data<void>(), batch.images.data() + index * count * in.elements(), images.bytes());
      run.upload(labels.data<void>(), batch.labels.data() + index * count, labels.bytes());
    }
    see(batch, first, static_cast<size_t>(count));
    const Tensor logits = forward_(tape_, images, {options_.seed, step * options_.accumulate + index});
    if (run.computes()) check_labels("train step", "", batch.labels, logits.cols());
    if (numbered(batch)) tell_distances(logits, std::span(batch.labels).subspan(first, static_cast<size_t>(count)));
    loss = cross_entropy(tape_, "loss", logits, labels, options_.smoothing);
    const View out = Tensor(outcome);
    run.count_right(logits, labels, index == 0 ? 0.f : 1.f, out.columns(0, 1));
    run.copy(loss, 0, out.columns(1 + index, 1));
  }
  if (in_backward_) {
    float value = 0;
    run.download(&value, loss.data<void>(), sizeof value);
    if (!std::isfinite(value)) not_finite(step, static_cast<double>(value));
    if (!in_backward_->measures()) half_done_ = true;
  }
  tape_.backward(loss, 1.f / static_cast<float>(options_.accumulate));
  loss = {};
  if (after_pass) after_pass(tape_);
  tape_.reset();
}

bool TrainStep::numbered(const Batch& batch) const {
  return options_.images > 0 && policy_.remembers_images() && device_.run().computes() && !batch.indices.empty();
}

void TrainStep::see(const Batch& batch, size_t first, size_t count) {
  if (!policy_.remembers_images()) return;
  const auto known = [&](int64_t i) { return i >= 0 && i < options_.images; };
  require(!numbered(batch) || (batch.indices.size() == static_cast<size_t>(batch.count) &&
                               std::all_of(batch.indices.begin(), batch.indices.end(), known)),
          "train step: numbers of ", batch.indices.size(), " images, expected ", batch.count, " below ",
          options_.images);
  policy_.see_images(numbered(batch) ? std::span(batch.indices).subspan(first, count) : std::span<const int64_t>());
}

// |softmax - target| of each image.
void TrainStep::tell_distances(const Tensor& logits, std::span<const int32_t> labels) {
  logits_.resize(static_cast<size_t>(logits.elements()));
  device_.run().download(logits_.data(), logits.data<void>(), logits.bytes());
  const auto classes = static_cast<size_t>(logits.cols());
  distances_.resize(labels.size());
  for (size_t i = 0; i < labels.size(); ++i)
    distances_[i] =
        distance_from_target(std::span(logits_).subspan(i * classes, classes), labels[i], options_.smoothing);
  policy_.learn_distances(distances_);
}

void TrainStep::check_first() const {
  for (const Param& p : parameters_)
    require(!p.trainable || p.writes > 0, "train step: ", p.name,
            " is trainable but got no gradient in the first step: the loss does not depend on it");
}

void TrainStep::not_finite(int64_t step, double loss) const {
  if (!optimizer_ || in_backward_)
    throw NotFinite(text("step ", step + 1, ": the loss is ", loss, ", expected a finite value"));
  for (const Param& p : parameters_)
    if (p.trainable && !std::isfinite(gradient_norm(device_, p.grad)))
      throw NotFinite(text("step ", step + 1, ": the loss is ", loss,
                           ", and the first parameter whose gradient is not finite is ", p.name,
                           "; expected finite values: a lower ", setting("lr"), ", a longer ", setting("warmup"),
                           " or a ", setting("clip"), " may help"));
  throw NotFinite(
      text("step ", step + 1, ": the loss is ", loss, ", expected a finite value, and every gradient is finite"));
}

float distance_from_target(std::span<const float> logits, int64_t label, float smoothing) {
  const double highest = static_cast<double>(*std::max_element(logits.begin(), logits.end()));
  double sum = 0, squares = 0;
  for (const float l : logits) sum += std::exp(static_cast<double>(l) - highest);
  const double off = static_cast<double>(smoothing) / static_cast<double>(logits.size());
  for (size_t c = 0; c < logits.size(); ++c) {
    const double target = off + (static_cast<int64_t>(c) == label ? 1 - static_cast<double>(smoothing) : 0);
    squares += std::pow(std::exp(static_cast<double>(logits[c]) - highest) / sum - target, 2);
  }
  return static_cast<float>(std::sqrt(squares));
}

int64_t rank_of(std::span<const float> logits, int64_t label) {
  require(label >= 0 && label < static_cast<int64_t>(logits.size()), "rank: label ", label, ", expected 0 to ",
          static_cast<int64_t>(logits.size()) - 1);
  const float own = logits[static_cast<size_t>(label)];
  if (std::isnan(own)) return static_cast<int64_t>(logits.size()) - 1;
  int64_t above = 0;
  for (size_t i = 0; i < logits.size(); ++i)
    above += logits[i] > own || (logits[i] == own && i < static_cast<size_t>(label));
  return above;
}

}  // namespace shear

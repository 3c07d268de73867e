// The tape, forward: steps, what ops are given, tickets and sleeping values.
#include "shear/tape.h"

#include <algorithm>
#include <atomic>

#include "shear/backend.h"
#include "shear/parameters.h"
#include "tape/pack.h"
#include "tape/param_info.h"

namespace shear {

// No two tapes have the same, nor one tape before and after a reset.
static uint32_t next_pass() {
  static std::atomic<uint32_t> last = 0;
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

static std::vector<Param*> all_of(Parameters& parameters) {
  std::vector<Param*> all;
  for (Param& p : parameters) all.push_back(&p);
  return all;
}

Tape::Tape(Device& device, MemoryPolicy& policy, Parameters& parameters, const TapeOptions& options)
    : Tape(device, policy, all_of(parameters), options) {}

Tape::Tape(Device& device, MemoryPolicy& policy, std::vector<Param*> params, const TapeOptions& options)
    : device_(device),
      policy_(&policy),
      sink_(options.sink ? options.sink : &accumulate_gradients()),
      params_(std::move(params)),
      seed_(options.seed),
      pass_(next_pass()) {
  std::vector<ParamInfo> trained;
  for (const Param* p : params_)
    if (p->trainable) trained.push_back(info(*p));
  sink_->prepare(device_, params_);
  policy_->prepare(trained);
}

Tape::Tape(Device& device) : device_(device), pass_(next_pass()) {}

// -- Steps ----------------------------------------------------------------------------------------------------------

// The stream that codes are rounded with, fresh for each value of each pass.
static StreamKey rounding(uint64_t seed, int64_t pass) {
  return {seed, static_cast<uint32_t>(Purpose::policy), static_cast<uint32_t>(pass), 0};
}

void Tape::begin_step(int64_t step, int64_t passes) {
  require(training(), "tape: an inference tape has no steps");
  require(step >= 0 && passes > 0, "tape: step ", step, " of ", passes,
          " passes, expected one from 0 on, of 1 or more");
  require(!in_backward_ && nodes_.empty(), "tape: step ", step, " begins within a pass; expected a reset before it");
  step_ = step;
  passes_ = passes;
  passes_done_ = 0;
  rounding_ = rounding(seed_, step * passes);
  policy_->begin_step(step);
  sink_->begin_step(params_, passes);
  mark_active();
}

// Tells the optimizer which columns the policy leaves out of this step.
void Tape::mark_active() {
  for (Param* p : params_) {
    const std::span<const float> active = policy_->active_columns(info(*p));
    if (active.empty()) continue;
    require(static_cast<int64_t>(active.size()) == p->value.cols(), "tape: ", active.size(), " flags for the ",
            p->value.cols(), " columns of ", p->name);
    if (!p->active) p->active = device_.empty({p->value.cols()}, Category::optimizer);
    run().upload(p->active.data<void>(), active.data(), active.size_bytes());
  }
}

// A step that nobody began would go on with the choices of the one before.
void Tape::check_begun(std::string_view op, std::string_view site) {
  if (params_.empty()) {
    if (step_ < 0) begin_step(0);
    return;
  }
  require(step_ >= 0, op, " ", site, ": no step has begun; expected begin_step before the first op");
  require(passes_done_ < passes_ || in_backward_, op, " ", site, ": step ", step_, " had its ", passes_,
          passes_ == 1 ? " pass" : " passes", "; expected begin_step before the next");
}

// -- Forward --------------------------------------------------------------------------------------------------------

void Tape::admit(std::string_view op, std::string_view site, std::initializer_list<Given> all) const {
  int input = 0;
  for (const Given& given : all) {
    if (!given.parameter) ++input;
    if (!given.tensor) continue;
    const auto refuse = [&](const auto&... why) {
      const std::string_view gap = site.empty() ? "" : " ";
      if (given.parameter) fail(Fault::internal, op, gap, site, ": parameter ", given.param->name, why...);
      fail(Fault::internal, op, gap, site, ": input ", input, why...);
    };
    const Tensor& t = *given.tensor;
    if (!t) refuse(" is an empty tensor, expected a value");
    if (t.dtype() != given.dtype && !(given.may_sleep && t.dtype() == DType::bf16))
      refuse(" is ", name(t.dtype()), " ", t.shape(), ", expected ", name(given.dtype));
    if (!device_.owns(t)) refuse(" lies on another device than the tape");
    if (!training() || !t.slot.wanted()) continue;
    if (!current(t.slot)) refuse(" was computed on another tape, or before this one was reset");
    if (passed(t.slot)) refuse(" was computed before backward, which went through it; expected a reset after backward");
  }
}

Tensor Tape::awake(const Param& p) {
  if (p.value.dtype() == DType::f32) return p.value;
  Tensor whole = empty(p.value.shape());
  run().wake_weights(p.value, p.fine ? ConstView(p.fine) : ConstView(), whole);
  return whole;
}

Tensor Tape::factor(const Param& p) { return run().precision() == Precision::bf16 ? p.value : awake(p); }

Tensor Tape::empty(const Shape& shape, DType dtype) { return device_.empty(shape, Category::workspace, dtype); }

bool Tape::enter(std::string_view op, std::string_view site, std::initializer_list<Given> all) {
  admit(op, site, all);
  if (!training()) return false;
  check_begun(op, site);
  const auto trained = [](const Given& g) { return g.param && g.param->trainable; };
  const bool wanted = std::any_of(all.begin(), all.end(), [&](const Given& g) {
    return g.parameter ? trained(g) : g.tensor && g.tensor->slot.wanted();
  });
  if (!wanted) return false;
  // What is made again in backward was counted when it was computed first.
  if (!in_backward_)
    for (const Given& g : all)
      if (trained(g)) {
        Use& use = use_of(*g.param);
        if (use.done) use = {g.param};  // for another backward of this pass
        ++use.ops;
      }
  would_record_ |= paused_;
  return !paused_;
}

Tape::Use& Tape::use_of(Param& p) {
  const auto at = std::find_if(uses_.begin(), uses_.end(), [&](const Use& u) { return u.param == &p; });
  return at != uses_.end() ? *at : uses_.emplace_back(Use{&p});
}

Slot Tape::new_slot(const Shape& shape) {
  grads_.emplace_back();
  shapes_.push_back(shape);
  passed_.push_back(false);
  return {static_cast<int>(grads_.size()) - 1, pass_};
}

void Tape::watch(Tensor& x) {
  admit("watch", "", {Given(x, x.dtype())});
  if (recording()) x.slot = new_slot(x.shape());
}

// A dense value keeps its bytes: they change from workspace to saved, and back when the last ticket is closed.
static Dense keep(const Tensor& value) {
  if (value.storage().category() == Category::workspace) value.storage().relabel(Category::saved);
  Dense kept{value};
  kept.values.slot = {};
  return kept;
}

// Somebody else may still hold a value that was kept dense: it is theirs now.
static void give_back(const Kept& kept) {
  const auto* dense = std::get_if<Dense>(&kept);
  if (!dense || !dense->values) return;
  const Storage& bytes = dense->values.storage();
  if (bytes.category() == Category::saved) bytes.relabel(Category::workspace);
}

// The ticket of a value that sleeps already, or none.  Newest first, since consumers stand close together.
Saved Tape::share(const Tensor& value, Forms accepts, int free_part, SaveRow& row) {
  for (size_t i = entries_.size(); i-- > 0;) {
    Entry& e = entries_[i];
    if (e.serial != value.serial() || e.uses == 0) continue;
    const auto* packed = std::get_if<Packed>(&e.kept);
    const bool lacks = packed && packed->centred >= 0 && packed->centred != free_part;
    if (lacks || !accepts.has(form_of(e.kept))) {  // the strictest consumer decides: the value is still here, dense
      release_sources(e.kept);
      e.kept = keep(value);
      row.got = "dense";
      row.why = lacks ? "a later consumer of this value needs its mean too"
                      : "a later consumer of this value opens nothing else";
      row.saved_bytes = value.storage().bytes();
    }
    ++e.uses;
    return {static_cast<int>(i)};
  }
  return {};
}

Saved Tape::save(std::string_view site, std::string_view op, const Tensor& value, Role role, Forms accepts,
                 const SaveOptions& options) {
  require(recording(), op, " ", site, ": an inference tape saves nothing");
  SaveRow& row = report_.emplace_back(SaveRow{site, op, "-", "shared", "", value.bytes(), 0});
  if (in_backward_) row.why = "made again in backward";
  if (const Saved known = share(value, accepts, options.free_part, row); known.valid()) return known;
  const ParamInfo weight = options.weight ? info(*options.weight) : ParamInfo{};
  SaveRequest request{{site, block_}, role, value.shape(), accepts, options.weight ? &weight : nullptr};
  request.parts = options.parts;
  request.slope = options.slope;
  Kept kept = put_to_sleep(value, request, options.free_part, row);
  entries_.emplace_back(std::move(kept), value.serial(), 1);
  return {static_cast<int>(entries_.size()) - 1};
}

// How a value was made, where an op has said so.
const Tape::Recipe* Tape::recipe_of(const Tensor& value) const {
  const auto recipe =
      std::find_if(recipes_.rbegin(), recipes_.rend(), [&](const Recipe& r) { return r.serial == value.serial(); });
  return recipe == recipes_.rend() ? nullptr : &*recipe;
}

// What a recipe is worth, by how its sources sleep.
SaveRequest::Recipe Tape::quality(const Recipe* recipe) const {
  if (!recipe) return SaveRequest::Recipe::none;
  SaveRequest::Recipe quality = SaveRequest::Recipe::exact;
  for (Saved s : recipe->sources) {
    if (!s.valid() || form(s) == Form::dense) continue;
    const auto* packed = std::get_if<Packed>(&entries_[static_cast<size_t>(s.id)].kept);
    if (!packed) return SaveRequest::Recipe::none;  // a part of the rows or columns makes nothing
    // In a run of this precision bf16 is how a kept value sleeps, and how it was taken.
    const bool as_kept = packed->code == Code::bf16 && device_.run().precision() == Precision::bf16;
    if (!as_kept) quality = recipe->how == InSources::linear ? SaveRequest::Recipe::linear : SaveRequest::Recipe::lossy;
  }
  return quality;
}

// Carries out the policy's verdict, or says in the report why not.
Kept Tape::put_to_sleep(const Tensor& value, SaveRequest& request, int free_part, SaveRow& row) {
  const Recipe* recipe = request.accepts.has(Form::recomputed) ? recipe_of(value) : nullptr;
  request.recipe = quality(recipe);
  const Verdict verdict = policy_->decide(request);
  StreamKey rounding = rounding_;
  rounding.b = static_cast<uint32_t>(entries_.size());
  const auto dense = [&](std::string_view why) -> Kept {
    if (!why.empty()) row.why = why;
    return keep(value);
  };
  const auto accepts = [&](Form f) { return request.accepts.has(f); };
  static constexpr std::string_view refused = "this op does not open that form";
  Kept kept = std::visit(
      match{
          [&](const Keep& k) {
            if (!k.why.empty()) row.why = k.why;
            if (run().precision() == Precision::f32 || !accepts(Form::packed)) return dense("");
            row.why = "kept in the precision of this run";
            return Kept{pack_all(*this, value, {.code = Code::bf16}, rounding, 1)};
          },
          [&](const Recompute& r) {
            const SaveRequest::Recipe least = r.exact ? SaveRequest::Recipe::exact : SaveRequest::Recipe::lossy;
            if (request.recipe < least) return dense("there is no recipe from exact values that this op opens");
            for (Saved s : recipe->sources)
              if (s.valid()) ++entries_[static_cast<size_t>(s.id)].uses;
            return Kept{Recomputed{static_cast<int>(recipe - recipes_.data()), value.rows(), value.cols()}};
          },
          [&](const Pack& p) {
            return accepts(Form::packed) ? Kept{pack_all(*this, value, p, rounding, request.parts, free_part)}
                                         : dense(refused);
          },
          [&](const TopColumns& c) {
            return accepts(Form::columns) ? Kept{pack_top_columns(*this, value, c)} : dense(refused);
          },
          [&](const SampleColumns& c) {
            return accepts(Form::columns) ? Kept{pack_columns(*this, value, c, rounding)} : dense(refused);
          },
          [&](const SampleRows& r) {
            return accepts(Form::rows) ? Kept{pack_rows(*this, value, r, rounding)} : dense(refused);
          },
          [&](const PackSlope& s) {
            return accepts(Form::slopes) ? Kept{pack_slopes(*this, value, request.slope, s.code)} : dense(refused);
          },
      },
      verdict);
  row.asked = name(verdict);
  row.got = name(kept);
  row.saved_bytes = bytes_of(kept);
  return kept;
}

std::vector<float>& Tape::host_floats(int64_t n) {
  host_floats_.resize(static_cast<size_t>(n));
  return host_floats_;
}
std::vector<int32_t>& Tape::host_indices(int64_t n) {
  host_indices_.resize(static_cast<size_t>(n));
  return host_indices_;
}

Saved Tape::hold(std::string_view site, std::string_view op, const Tensor& exact) {
  require(recording(), op, " ", site, ": an inference tape holds nothing");
  SaveRow& row = report_.emplace_back(SaveRow{site, op, "-", "held", "", exact.bytes(), 0});
  if (const Saved known = share(exact, Form::dense, -1, row); known.valid()) return known;
  row.saved_bytes = exact.storage().bytes();
  entries_.emplace_back(keep(exact), exact.serial(), 1);
  return {static_cast<int>(entries_.size()) - 1};
}

void Tape::release_sources(const Kept& kept) {
  const auto* made = std::get_if<Recomputed>(&kept);
  if (!made) return;
  for (Saved s : recipes_[static_cast<size_t>(made->recipe)].sources)
    if (s.valid()) release(s);
}

void Tape::release(Saved saved) {
  Entry& e = entries_[static_cast<size_t>(saved.id)];
  require(e.uses > 0, "tape: a ticket was closed more often than its value was saved");
  if (--e.uses > 0) return;
  release_sources(e.kept);
  give_back(e.kept);
  e.kept = Dense{};
}

void Tape::reset() {
  for (const Entry& e : entries_) give_back(e.kept);
  entries_.clear();
  nodes_.clear();
  recipes_.clear();
  grads_.clear();
  shapes_.clear();
  passed_.clear();
  report_.clear();
  touched_.clear();
  uses_.clear();
  banded_.clear();
  band_ = 0;
  in_band_ = false;
  blocks_ = 0;
  block_ = -1;
  rounding_ = rounding(seed_, std::max<int64_t>(step_, 0) * passes_ + std::min(passes_done_, passes_ - 1));
  paused_ = in_backward_ = false;
  pass_ = next_pass();
}

}  // namespace shear

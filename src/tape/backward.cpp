// The tape, backward: newest first, gradients by slot, and those of parameters until they are complete.
#include <algorithm>

#include "shear/backend.h"
#include "shear/error.h"
#include "shear/tape.h"
#include "tape/param_info.h"

namespace shear {

// A gradient as a policy sees it.
class Tape::Observation final : public GradientView {
 public:
  Observation(Tape& tape, const Param& param) : tape_(tape), param_(param) {}
  ParamInfo param() const override { return info(param_); }
  std::span<const float> column_square_sums() override {
    const Tensor& gradient = tape_.sink_->gradient(param_);
    std::vector<float>& sums = tape_.host_floats(gradient.cols());
    Tensor on_device = tape_.empty({gradient.cols()});
    tape_.run().column_square_sums(gradient, on_device);
    tape_.run().download(sums.data(), on_device.data<void>(), on_device.bytes());
    return sums;
  }

 private:
  Tape& tape_;
  const Param& param_;
};

void Tape::backward(const Tensor& loss, float seed) {
  require(recording() && loss.slot.wanted(),
          "backward: this value was not computed from anything that wants a gradient");
  require(current(loss.slot), "backward: this value was computed on another tape, or before this one was reset");
  require(!in_backward_, "backward: the last one broke off; expected a reset, and the loss computed anew");
  require(!passed(loss.slot),
          "backward: went through this value already; expected a reset after backward, and the loss computed anew");
  require(loss.elements() == 1, "backward: a loss has one element, found ", loss.shape());
  Tensor& at_loss = grads_[static_cast<size_t>(loss.slot.id)];
  at_loss = empty(loss.shape());
  run().fill(at_loss, seed);
  Backward bw(*this);
  in_backward_ = true;
  while (!nodes_.empty()) {  // a segment that is made again appends to them
    const Node node = nodes_.back();
    nodes_.pop_back();
    const auto out = static_cast<size_t>(node.out.id);
    passed_[out] = true;
    const At here(node.site);
    if (grads_[out]) {  // else an output that the loss does not depend on
      node.run(node.grad.data(), bw);
      if (!node.goes_on) grads_[out] = {};
    }
    finish(node);
  }
  for (size_t i = 0; i < uses_.size(); ++i)  // of an op in a segment that the loss does not depend on
    if (uses_[i].opened && !uses_[i].done) complete(uses_[i]);
  in_backward_ = false;
  ++passes_done_;
}

// The op's gradient has returned: of what it used, whatever no other op will add to is complete.
void Tape::finish(const Node& node) {
  for (Param* p : node.params) {
    if (!p) break;
    Use& use = use_of(*p);
    if (--use.ops == 0 && use.opened) complete(use);
  }
}

void Tape::complete(Use& use) {
  use.done = true;
  Param& p = *use.param;
  Observation seen(*this, p);
  policy_->observe(seen);
  sink_->complete(device_, p);
}

const Tensor& Tape::grad(const Tensor& watched) const {
  require(watched.slot.wanted(), "grad: this value was not watched");
  require(current(watched.slot), "grad: this value was watched on another tape, or before this one was reset");
  return grads_[static_cast<size_t>(watched.slot.id)];
}

Backward::Sink Backward::sink(Slot x, const Shape& shape) {
  require(x.wanted(), "backward: a gradient for a value that wants none");
  Tensor& into = tape_.grads_[static_cast<size_t>(x.id)];
  if (!into) {
    into = tape_.empty(tape_.shapes_[static_cast<size_t>(x.id)]);
    return {into.reshaped(shape), 0};
  }
  if (!into.storage().unique()) {  // shared with another value (see `pass`): what is added here is not theirs
    Tensor own = tape_.empty(into.shape());
    run().copy(into, 0, own);
    into = std::move(own);
  }
  return {into.reshaped(shape), 1};
}

Backward::Sink Backward::sink(Param& p) {
  Tape::Use& use = tape_.use_of(p);
  require(!use.done, "backward: ", p.name, " gets a gradient from an op that did not name it when it began");
  if (!std::exchange(use.opened, true) &&
      std::find(tape_.touched_.begin(), tape_.touched_.end(), &p) == tape_.touched_.end())
    tape_.touched_.push_back(&p);
  return tape_.sink_->open(tape_.device_, p);
}

Backward::Sink Backward::sink_over(Slot x, Slot y) {
  Tensor& into = tape_.grads_[static_cast<size_t>(x.id)];
  Tensor& from = tape_.grads_[static_cast<size_t>(y.id)];
  if (into || !from.storage().unique()) return sink(x, from.shape());
  into = from.reshaped(tape_.shapes_[static_cast<size_t>(x.id)]);
  return {into.reshaped(from.shape()), 0};  // as the op has it, which may have reshaped x
}

void Backward::pass(Slot y, Slot x) {
  if (!x.wanted()) return;
  Tensor& into = tape_.grads_[static_cast<size_t>(x.id)];
  const Tensor& from = tape_.grads_[static_cast<size_t>(y.id)];
  if (!into) {
    into = from.reshaped(tape_.shapes_[static_cast<size_t>(x.id)]);
    return;
  }
  Sink to = sink(x, from.shape());
  run().copy(from, 1, to.into);
}

const Kept& Backward::open(Saved s) const { return tape_.entries_[static_cast<size_t>(s.id)].kept; }

const Tensor& Backward::dense(Saved s) const {
  const auto* kept = std::get_if<Dense>(&open(s));
  require(kept && kept->values, "backward: a dense value was expected to sleep here");
  return kept->values;
}

ConstView Backward::rows(const Kept& kept, int64_t first, View room) {
  return std::visit(match{
                        [&](const Dense& d) { return ConstView(d.values).band(first, room.rows); },
                        [&](const Recomputed& r) {
                          remake(r, first, room);
                          return ConstView(room);
                        },
                        [&](const Packed& p) {
                          run().unpack(p.view(), first, room);
                          return ConstView(room);
                        },
                        [&](const auto&) -> ConstView {
                          fail(Fault::internal, "backward: only some of this value's rows or columns sleep");
                        },
                    },
                    kept);
}

void Backward::close(Saved s) { tape_.release(s); }

void Backward::remake(const Recomputed& value, int64_t first_row, View band) {
  const Tape::Recipe& r = tape_.recipes_[static_cast<size_t>(value.recipe)];
  r.run(r.make.data(), *this, first_row, band);
}

Tensor Backward::scratch(const Shape& shape) { return tape_.empty(shape); }

}  // namespace shear

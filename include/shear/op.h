// An op of one's own: what every op begins with, here and outside of this tree.
//
//   Tensor square(Tape& tape, Site site, const Tensor& x) {
//     const OpScope op(tape, "square", site, {x});
//     Tensor y = op.empty(x.shape());
//     tape.run().multiply(x, x, 0, y);
//     if (op.wanted()) op.record(y, SquareGrad{x.slot, {}, op.save(x, Role::other, Form::dense)});
//     return y;
//   }
//
// tools/examples/own_op.cpp is a whole one, with its gradient.
#pragma once
#include <array>
#include <span>
#include <string_view>

#include "shear/api.h"
#include "shear/backend.h"
#include "shear/tape.h"

namespace SHEAR_API shear {

// Until it goes out of scope, work is for this op's site.  Everything that the op works with is named here: tensors in
// their order, then parameters; null is nothing.  Throws Fault::internal with op and site where something cannot be
// worked with, see Tape::admit.
class OpScope {
 public:
  OpScope(Tape& tape, std::string_view op, Site site, std::initializer_list<Given> given)
      : tape_(tape), op_(op), site_(site), here_(site), wanted_(tape.enter(op, site, given)) {
    for (const Given& g : given)
      if (g.parameter && g.param && g.param->trainable) {
        shear::require(count_ < params_.size(), op, " ", site, ": more than ", params_.size(), " parameters");
        params_[count_++] = g.param;
      }
  }

  // Whether the tape will come back through this op: training, and something that it was given wants a gradient.
  bool wanted() const { return wanted_; }
  // Throws Fault::internal, with op and site in front, where `holds` is not so.
  template <class... Why>
  void expect(bool holds, const Why&... why) const {
    shear::require(holds, op_, " ", site_, ": ", why...);
  }
  Tensor empty(const Shape& shape) const { return tape_.empty(shape); }  // an activation, contents undefined
  bool wants(Way way) const { return tape_.wants(way, site_); }

  // See Tape.  Only where `wanted`.
  Saved save(const Tensor& value, Role role, Forms accepts, const SaveOptions& options = {}) const {
    return tape_.save(site_, options.op.empty() ? op_ : options.op, value, role, accepts, options);
  }
  Saved hold(const Tensor& exact) const { return tape_.hold(site_, op_, exact); }
  template <class Grad>
  void record(Tensor& out, Grad grad) const {
    tape_.record(out, grad, std::span(params_).first(count_));
  }
  template <class Make>
  void recipe(const Tensor& out, std::initializer_list<Saved> sources, Make make,
              InSources how = InSources::nonlinear) const {
    tape_.recipe(out, sources, make, how);
  }

 private:
  Tape& tape_;
  std::string_view op_;
  Site site_;
  At here_;
  bool wanted_;
  std::array<Param*, Tape::most_params> params_{};  // trainable ones
  size_t count_ = 0;
};

}  // namespace shear

// Updates while backward goes on.
#include <cmath>
#include <utility>

#include "shear/error.h"
#include "shear/optim.h"

namespace shear {

UpdateInBackward::UpdateInBackward(Optimizer& optimizer, float max_norm, ClipBy by)
    : optimizer_(optimizer), max_norm_(static_cast<double>(max_norm)), by_(by) {
  require(max_norm == 0 || by != ClipBy::norm, "update in backward: the norm of all gradients is not known in time");
}

void UpdateInBackward::begin_step(std::span<Param* const> params, int64_t passes) {
  require(passes == 1 || optimizer_.adds_passes(), "update in backward: a step of ", passes, " passes under ",
          optimizer_.name(), ", expected one: the first would update already");
  require(passes == 1 || max_norm_ == 0, "update in backward: the norm of ", passes,
          " passes' sum is not known, expected no clipping");
  GradientsInStep::begin_step(params, passes);
  for (Param* p : params) p->writes = 0;
  squares_ = before_ = 0;
}

void UpdateInBackward::begin_pass(const Update& update) {
  update_ = update;
  before_ += std::sqrt(std::exchange(squares_, 0));
}

double UpdateInBackward::norm() const { return before_ + std::sqrt(squares_); }

void UpdateInBackward::use(Device& device, Param& p, const Tensor& gradient) {
  const double norm = gradient_norm(device, gradient);
  if (!std::isfinite(norm))
    fail(Fault::input, "step ", update_.step + 1, ": the gradient of ", p.name,
         " is not finite; expected finite values: a lower ", setting("lr"), ", a longer ", setting("warmup"), " or a ",
         setting("clip"), " may help");
  squares_ += norm * norm;
  ++p.writes;
  if (measuring_) return;
  Update update = update_;
  if (by_ == ClipBy::tensor) update.gradient_scale *= clip_scale(norm, max_norm_);
  optimizer_.update(update, p, gradient);
}

}  // namespace shear

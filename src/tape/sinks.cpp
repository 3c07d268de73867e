// The sinks of gradients that belong to no optimizer.
#include <algorithm>

#include "shear/backend.h"
#include "shear/error.h"
#include "shear/gradient_sink.h"

namespace shear {

namespace {

class Accumulate final : public GradientSink {
 public:
  void prepare(Device& device, std::span<Param* const> params) override {
    for (Param* p : params)
      if (p->trainable && !p->grad) p->grad = device.empty(p->value.shape(), Category::gradients);
  }
  void begin_step(std::span<Param* const> params, int64_t) override {
    for (Param* p : params) p->writes = 0;
  }
  Room open(Device&, Param& p) override {
    require(static_cast<bool>(p.grad), "backward: ", p.name, " has no gradient buffer; call make_gradients first");
    return {p.grad, p.writes++ == 0 ? 0.f : 1.f};
  }
  const Tensor& gradient(const Param& p) const override { return p.grad; }
  void complete(Device&, Param&) override {}
};

}  // namespace

GradientSink& accumulate_gradients() {
  static Accumulate sink;
  return sink;
}

// A pass that broke off leaves some open.
void GradientsInStep::begin_step(std::span<Param* const>, int64_t) { open_.clear(); }

GradientSink::Room GradientsInStep::open(Device& device, Param& p) {
  for (const Open& o : open_)
    if (o.param == &p) return {o.gradient, 1};
  open_.push_back({&p, device.empty(p.value.shape(), Category::workspace)});
  return {open_.back().gradient, 0};
}

const Tensor& GradientsInStep::gradient(const Param& p) const {
  const auto at = std::find_if(open_.begin(), open_.end(), [&](const Open& o) { return o.param == &p; });
  require(at != open_.end(), "gradient sink: ", p.name, " has no gradient that is not complete");
  return at->gradient;
}

void GradientsInStep::complete(Device& device, Param& p) {
  const auto at = std::find_if(open_.begin(), open_.end(), [&](const Open& o) { return o.param == &p; });
  require(at != open_.end(), "gradient sink: ", p.name, " is complete, but was not opened");
  use(device, p, at->gradient);
  open_.erase(at);
}

void ReadGradients::use(Device& device, Param& p, const Tensor& gradient) {
  host_.resize(static_cast<size_t>(gradient.elements()));
  device.run().download(host_.data(), gradient.data<void>(), gradient.bytes());
  read_(p, host_);
}

}  // namespace shear

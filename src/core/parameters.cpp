// Named parameters: made, drawn, found.
#include "shear/parameters.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "shear/backend.h"
#include "shear/error.h"

namespace shear {

// FNV-1a: a parameter's stream is named by its name, not by its place.
static uint64_t hash(std::string_view name) {
  uint64_t h = 14695981039346656037u;
  for (const char c : name) h = (h ^ static_cast<unsigned char>(c)) * 1099511628211u;
  return h;
}

static std::vector<float> drawn(int64_t n, Init init, Stream stream) {
  std::vector<float> values(static_cast<size_t>(n), init == Init::ones ? 1.f : 0.f);
  if (init == Init::layer_scale) std::fill(values.begin(), values.end(), 1e-5f);
  if (init == Init::normal || init == Init::tiny_normal)
    for (float& v : values) v = (init == Init::normal ? 0.1f : 1e-6f) * stream.normal();
  if (init == Init::trunc_normal)
    for (float& v : values) {
      do v = stream.normal();
      while (std::abs(v) > 2);
      v *= 0.02f;
    }
  return values;
}

// Powers of a tenth along two axes, which are turned by an angle of each layer's and head's own: Heo et al. 2024.
static std::vector<float> drawn_frequencies(const Shape& s, Stream stream) {
  const int64_t heads = s[1] * s[2], half = s[3], quarter = std::max<int64_t>(half / 2, 1);
  std::vector<float> values(static_cast<size_t>(2 * heads * half));
  for (int64_t h = 0; h < heads; ++h) {
    const double angle = 2 * std::numbers::pi * static_cast<double>(stream.uniform());
    for (int64_t i = 0; i < half; ++i) {
      const double size = std::pow(10., -2. * static_cast<double>(i % quarter) / static_cast<double>(half)),
                   turned = i < quarter ? angle : angle + std::numbers::pi / 2;
      values[static_cast<size_t>(h * half + i)] = static_cast<float>(size * std::cos(turned));
      values[static_cast<size_t>((heads + h) * half + i)] = static_cast<float>(size * std::sin(turned));
    }
  }
  return values;
}

Param& Parameters::add(std::string name, const Shape& shape, Init init, bool decay) {
  require(!find(name), "parameters: ", name, " is there already");
  Param& p = params_.emplace_back();
  p.name = std::move(name);
  p.decay = decay;
  p.block = block_;
  p.head = in_head_;
  p.value = device_.empty(shape, Category::parameters);
  inits_.push_back(init);
  if (values_ == Values::drawn) draw(p);
  return p;
}

void Parameters::draw(Param& p) {
  if (!device_.run().computes()) return;
  const auto at = std::find_if(params_.begin(), params_.end(), [&](const Param& other) { return &other == &p; });
  require(at != params_.end(), "parameters: ", p.name, " is not one of these");
  const Init init = inits_[static_cast<size_t>(at - params_.begin())];
  const uint64_t h = hash(p.name);
  const Stream stream(seed_, Purpose::init, h, h >> 32);
  const std::vector<float> values =
      init == Init::frequencies ? drawn_frequencies(p.value.shape(), stream) : drawn(p.value.elements(), init, stream);
  device_.run().upload(p.value.data<void>(), values.data(), p.value.bytes());
}

Param* Parameters::find(std::string_view name) {
  const auto it = std::find_if(params_.begin(), params_.end(), [&](const Param& p) { return p.name == name; });
  return it == params_.end() ? nullptr : &*it;
}

int64_t Parameters::elements() const {
  int64_t n = 0;
  for (const Param& p : params_) n += p.value.elements();
  return n;
}

void Parameters::make_gradients() {
  for (Param& p : params_)
    if (p.trainable && !p.grad) p.grad = device_.empty(p.value.shape(), Category::gradients);
}

void Parameters::forget_gradients() {
  for (Param& p : params_) p.writes = 0;
}

}  // namespace shear

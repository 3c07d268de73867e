// Named parameters: made, drawn, found.
#include "shear/parameters.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numbers>

#include "shear/backend.h"
#include "shear/error.h"
#include "shear/pattern.h"

namespace shear {

// FNV-1a: a parameter's stream is named by its name, not by its place.
static uint64_t hash(std::string_view name) {
  uint64_t h = 14695981039346656037u;
  for (const char c : name) h = (h ^ static_cast<unsigned char>(c)) * 1099511628211u;
  return h;
}

static std::vector<float> drawn(int64_t n, int64_t columns, Init init, Stream stream) {
  std::vector<float> values(static_cast<size_t>(n), init == Init::ones ? 1.f : 0.f);
  if (init == Init::layer_scale) std::fill(values.begin(), values.end(), 1e-5f);
  if (init == Init::normal || init == Init::tiny_normal)
    for (float& v : values) v = (init == Init::normal ? 0.1f : 1e-6f) * stream.normal();
  if (init == Init::fan_in)
    for (float& v : values) v = stream.uniform(-1, 1) / std::sqrt(static_cast<float>(columns));
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

WeightsAs parse_weights_as(std::string_view word) {
  if (word == "f32") return WeightsAs::f32;
  if (word == "bf16") return WeightsAs::bf16;
  if (word == "bf16+8") return WeightsAs::split;
  fail(Fault::usage, setting("weights-as"), " ", word, ": expected f32, bf16 or bf16+8");
}

void assign(Device& device, const Param& p, std::span<const float> values) {
  require(static_cast<int64_t>(values.size()) == p.value.elements(), "parameter ", p.name, ": ", values.size(),
          " values for ", p.value.shape());
  if (p.value.dtype() == DType::f32)
    return device.run().upload(p.value.data<void>(), values.data(), values.size_bytes());
  std::vector<uint16_t> coarse(values.size());
  std::vector<uint8_t> fine(p.fine ? values.size() : 0);
  for (size_t i = 0; i < values.size(); ++i) {
    if (fine.empty()) {
      coarse[i] = short_weight(values[i], half_up(values[i], 16));
    } else {
      const SplitWeight w = split_weight(values[i], half_up(values[i], 8));
      coarse[i] = w.coarse, fine[i] = w.fine;
    }
  }
  device.run().upload(p.value.data<void>(), coarse.data(), p.value.bytes());
  if (p.fine) device.run().upload(p.fine.data<void>(), fine.data(), p.fine.bytes());
}

void read_values(Device& device, const Param& p, std::span<float> out) {
  require(static_cast<int64_t>(out.size()) == p.value.elements(), "parameter ", p.name, ": room for ", out.size(),
          " values of ", p.value.shape());
  if (p.value.dtype() == DType::f32) return device.run().download(out.data(), p.value.data<void>(), p.value.bytes());
  std::vector<uint16_t> coarse(out.size());
  std::vector<uint8_t> fine(p.fine ? out.size() : 0);
  device.run().download(coarse.data(), p.value.data<void>(), p.value.bytes());
  if (p.fine) device.run().download(fine.data(), p.fine.data<void>(), p.fine.bytes());
  for (size_t i = 0; i < out.size(); ++i)
    out[i] = fine.empty() ? joined_weight(coarse[i]) : joined_weight(coarse[i], fine[i]);
}

std::vector<float> read_values(Device& device, const Param& p) {
  std::vector<float> values(static_cast<size_t>(p.value.elements()));
  read_values(device, p, values);
  return values;
}

Param& Parameters::add(std::string name, const Shape& shape, Init init, bool decay) {
  require(!find(name), "parameters: ", name, " is there already");
  Param& p = params_.emplace_back();
  p.name = std::move(name);
  p.decay = decay;
  p.block = block_;
  p.head = in_head_;
  constexpr int64_t least_short = 4096;
  const bool whole = options_.weights == WeightsAs::f32 || !decay || shape.elements() < least_short;
  p.value = device_.empty(shape, Category::parameters, whole ? DType::f32 : DType::bf16);
  if (!whole && options_.weights == WeightsAs::split) p.fine = device_.empty(shape, Category::parameters, DType::u8);
  inits_.push_back(init);
  if (options_.values == Values::drawn) draw(p);
  return p;
}

void Parameters::draw(Param& p) {
  if (!device_.run().computes()) return;
  const auto at = std::find_if(params_.begin(), params_.end(), [&](const Param& other) { return &other == &p; });
  require(at != params_.end(), "parameters: ", p.name, " is not one of these");
  const Init init = inits_[static_cast<size_t>(at - params_.begin())];
  const uint64_t h = hash(p.name);
  const Stream stream(seed_, Purpose::init, h, h >> 32);
  const std::vector<float> values = init == Init::frequencies ? drawn_frequencies(p.value.shape(), stream)
                                                              : drawn(p.value.elements(), p.value.cols(), init, stream);
  assign(device_, p, values);
}

const LowRank* Parameters::adapt(const std::string& name, Param& weight) {
  const Lora& lora = options_.lora;
  if (lora.rank == 0 || !takes(lora.on, name)) return nullptr;
  const int64_t out = weight.value.rows(), in = weight.value.cols();
  if (lora.rank > std::min(out, in))
    fail(Fault::usage, setting("lora"), " ", lora.rank, ": ", weight.name, " is ", weight.value.shape(),
         ", expected a rank of at most ", std::min(out, in));
  Param& a = add(name + ".lora_a.weight", {lora.rank, in}, Init::fan_in, true);
  Param& b = add(name + ".lora_b.weight", {out, lora.rank}, Init::zeros, true);
  a.low_rank = b.low_rank = true;
  return &low_rank_.emplace_back(
      LowRank{&weight, &a, &b, static_cast<float>(lora.alpha / static_cast<double>(lora.rank))});
}

Lora parse_lora(std::string_view asked) {
  if (asked.empty()) return {};
  const auto refuse = [&](const auto&... why) {
    fail(Fault::usage, setting("lora"), " ", asked, ": ", why..., ", expected RANK[:alpha=A,on=PATTERN]");
  };
  const auto number = [&](std::string_view word, auto& into) {
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), into);
    return error == std::errc() && end == word.data() + word.size();
  };
  Lora lora{0, 0, "blocks.*"};
  const size_t colon = asked.find(':');
  if (!number(asked.substr(0, colon), lora.rank) || lora.rank < 1 || lora.rank > 65536)
    refuse("the rank is not a whole number from 1 to 65536");
  lora.alpha = static_cast<double>(lora.rank);
  for (size_t at = colon; at != asked.npos;) {
    const size_t end = asked.find(',', at + 1);
    const std::string_view pair = asked.substr(at + 1, end == asked.npos ? end : end - at - 1);
    at = end;
    if (pair.starts_with("alpha=")) {
      if (!number(pair.substr(6), lora.alpha) || !(lora.alpha > 0) || lora.alpha > 1e6)
        refuse("alpha is not a number above 0, to 1000000");
    } else if (pair.starts_with("on=") && pair.size() > 3) {
      lora.on = pair.substr(3);
    } else {
      refuse(pair, " is not known");
    }
  }
  return lora;
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

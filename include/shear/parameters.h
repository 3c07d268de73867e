// The parameters of a model: named values with their gradients.
//
// For one thread at a time, as their device is: a tape's backward, an optimizer and whoever reads them take turns.
#pragma once
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shear/api.h"
#include "shear/device.h"

namespace SHEAR_API shear {

// As timm: trunc_normal has std 0.02 and is cut at two std, normal has std 0.1 and tiny_normal 1e-6, layer_scale is
// 1e-5; fan_in is uniform within 1/sqrt(columns), as PyTorch's linears begin; frequencies are those of rotary positions
// in turned axes, (2, layers, heads, half a head).
enum class Init : uint8_t { zeros, ones, trunc_normal, normal, tiny_normal, layer_scale, fan_in, frequencies };

// What the values of new parameters are: drawn, or, where a file will give most of them, not yet anything.
enum class Values : bool { drawn, undefined };

// How weights sleep between their uses, where there is much to save: those that products read, of 4,096 elements or
// more.  What else there is (biases, norms, embeddings) is f32.  An op wakes what it reads; an optimizer's update is
// rounded at random, right in the mean.
enum class WeightsAs : uint8_t {
  f32,
  bf16,   // 2 bytes an element
  split,  // 3: bf16, and 8 bits of what it leaves out (24 of f32's 32 bits)
};
WeightsAs parse_weights_as(std::string_view);  // "f32", "bf16", "bf16+8"; throws Fault::usage for anything else

// Low-rank adaptation (Hu et al., "LoRA", ICLR 2022, eq. 3): a linear computes W x + b + (alpha / rank) B A x.
struct Lora {
  int64_t rank = 0;  // 0: none
  double alpha = 0;
  std::string on;  // a pattern of the names of linears, or of what they are in
};
// "RANK[:alpha=A,on=PATTERN]", alpha as the rank, on all linears in blocks; empty: none.  Throws Fault::usage.
Lora parse_lora(std::string_view);

// How parameters are made.
struct ParameterOptions {
  Values values;
  WeightsAs weights;
  Lora lora;

  ParameterOptions(Values v = Values::drawn, WeightsAs w = WeightsAs::f32, Lora l = {})
      : values(v), weights(w), lora(std::move(l)) {}
};

// What LoRA adds to the weight of a linear, (out, in).
struct LowRank {
  Param *weight, *a, *b;  // a (rank, in), drawn; b (out, rank), zero
  float scale;            // alpha / rank
};

// A parameter's values from the host and to it; where they sleep in fewer bits, rounded to the nearest.
void assign(Device&, const Param&, std::span<const float>);
std::vector<float> read_values(Device&, const Param&);
void read_values(Device&, const Param&, std::span<float>);

// The parameters of a model, in the order of their making, which is timm's.  Addresses are stable.
class Parameters {
 public:
  // Values come from (seed, name) alone, so that a model's other parts do not change them.
  Parameters(Device& device, uint64_t seed, const ParameterOptions& options = {})
      : device_(device), seed_(seed), options_(options) {}
  Parameters(const Parameters&) = delete;

  Param& add(std::string name, const Shape&, Init, bool decay);
  // Where the options say so, the two matrices beside the weight of the linear of this name; else null.
  const LowRank* adapt(const std::string& name, Param& weight);
  const std::deque<LowRank>& low_rank() const { return low_rank_; }
  const ParameterOptions& options() const { return options_; }
  void set_block(int block) { block_ = block; }  // of what is added from here on; -1: of none
  Parameters& head() {                           // what is added from here on is the model's head: see Param::head
    in_head_ = true;
    return *this;
  }
  void draw(Param&);  // as `add` does where values are drawn
  Param* find(std::string_view name);

  auto begin() { return params_.begin(); }
  auto end() { return params_.end(); }
  auto begin() const { return params_.begin(); }
  auto end() const { return params_.end(); }
  size_t size() const { return params_.size(); }
  int64_t elements() const;

  // Gradient buffers for every trainable parameter that lacks one.
  void make_gradients();
  void forget_gradients();  // the next backward overwrites
  Device& device() const { return device_; }

 private:
  Device& device_;
  uint64_t seed_;
  ParameterOptions options_;
  int block_ = -1;
  bool in_head_ = false;
  std::deque<Param> params_;
  std::deque<Init> inits_;  // as params_
  std::deque<LowRank> low_rank_;
};

}  // namespace shear

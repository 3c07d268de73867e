// Gradient checks: an op in f32 on a real tape, against a naive forward in f64 written beside the test.
//
// The reference's gradient comes from central differences in f64, so that no derivative is written down twice.
#pragma once
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "shear/backend.h"
#include "shear/ops.h"

namespace shear::test {

using Values = std::vector<double>;

// A differentiable input or a parameter.  Its values are exact in f32, so that op and reference see the same.
struct Operand {
  Shape shape;
  Values values;
  bool wanted = true;  // whether its gradient is asked for; a parameter's `trainable`
};
// Normal numbers, those of the n-th stream.
Operand normal(const Shape&, uint32_t n, double deviation = 1, double mean = 0);
Operand frozen(Operand);

struct Problem {
  std::vector<Operand> inputs, params;
  // The op on `inputs` and `params`, in their order.
  std::function<Tensor(Tape&, std::span<const Tensor> inputs, std::span<Param*> params)> op;
  // The same in f64: every element of the result, row-major.
  std::function<Values(std::span<const Values> inputs, std::span<const Values> params)> reference;
  double tolerance = 1e-5;  // relative to the largest element
};

// A backend and a policy whose gradients are exact: every op must agree with its reference under each.
struct Setup {
  std::string name;
  std::function<std::unique_ptr<Backend>()> backend;
  std::string policy;
};
std::span<const Setup> setups();

// Under every setup: the forward values, the gradient of everything wanted, the same gradients added up when the
// op is used twice, no gradient for what is frozen, no read of memory that was not written, and nothing left behind in
// the step's slab.  Every element of small operands is probed; of large ones a sample, and random directions.
void check_gradients(const Problem&);

// sum(x * weights) as a loss with no value: what arrives at x in backward is `weights`.  They must outlive backward.
Tensor weighted_sum(Tape&, const Tensor& x, const Tensor& weights);

// A tensor in the step's slab.
Tensor upload(Device&, const Operand&);
Tensor upload_labels(Device&, std::span<const int32_t>);
// A parameter with a gradient buffer where trainable.
Param make_param(Device&, std::string name, const Operand&);

}  // namespace shear::test

// Gradient checks; see the header.
#include "gradcheck.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "backend.h"
#include "shear/policies.h"

namespace shear::test {

// -- Operands -------------------------------------------------------------------------------------------------------

Operand normal(const Shape& shape, uint32_t n, double deviation, double mean) {
  Stream stream(7, Purpose::test, n);
  Operand x{shape, Values(static_cast<size_t>(shape.elements()))};
  for (double& v : x.values)
    v = static_cast<double>(static_cast<float>(mean + deviation * static_cast<double>(stream.normal())));
  return x;
}

Operand frozen(Operand x) {
  x.wanted = false;
  return x;
}

Tensor upload(Device& device, const Operand& x) {
  const std::vector<float> values(x.values.begin(), x.values.end());
  return device.upload(x.shape, Category::workspace, values);
}

Tensor upload_labels(Device& device, std::span<const int32_t> labels) {
  const Tensor t = device.empty({static_cast<int64_t>(labels.size())}, Category::workspace, DType::i32);
  device.run().upload(t.data<void>(), labels.data(), t.bytes());
  return t;
}

Param make_param(Device& device, std::string name, const Operand& x) {
  const std::vector<float> values(x.values.begin(), x.values.end());
  Param p;
  p.name = std::move(name);
  if (p.name.starts_with("blocks.")) p.block = std::stoi(p.name.substr(7));
  p.value = device.upload(x.shape, Category::parameters, values);
  p.trainable = x.wanted;
  if (x.wanted) p.grad = device.empty(x.shape, Category::gradients);
  return p;
}

// -- A loss with a chosen gradient ----------------------------------------------------------------------------------

namespace {

struct WeightedSumGrad {
  Slot x, y;
  Shape shape;
  const float* weights;

  void operator()(Backward& bw) const {
    auto [dx, beta] = bw.sink(x, shape);
    bw.run().copy(ConstView(weights, shape.rows(), shape.cols(), shape.cols()), beta, dx);
  }
};

}  // namespace

Tensor weighted_sum(Tape& tape, const Tensor& x, const Tensor& weights) {
  Tensor loss = tape.empty({1});
  tape.run().fill(loss, 0);
  if (x.slot.wanted()) tape.record(loss, WeightedSumGrad{x.slot, {}, x.shape(), weights.data()});
  return loss;
}

// -- Setups ---------------------------------------------------------------------------------------------------------

std::span<const Setup> setups() {
  static const std::array all{
      Setup{"cpu, 1 thread, full", [] { return test_backend(1); }, "full"},
      Setup{"cpu, 2 threads, full", [] { return test_backend(2); }, "full"},
      Setup{"cpu, 2 threads, lean", [] { return test_backend(2); }, "lean"},
  };
  return all;
}

// -- The reference's gradient ---------------------------------------------------------------------------------------

namespace {

double largest(std::span<const double> values) {
  double max = 0;
  for (const double v : values) max = std::max(max, std::fabs(v));
  return max;
}

// A change of one operand, and how fast sum(reference * dy) changes along it.
struct Probe {
  size_t operand;  // inputs, then params
  size_t element;  // or
  Values direction;
  double derivative;
};

class Reference {
 public:
  explicit Reference(const Problem& p) : problem_(p) {
    for (const Operand& x : p.inputs) inputs_.push_back(x.values);
    for (const Operand& x : p.params) params_.push_back(x.values);
    y_ = p.reference(inputs_, params_);
    dy_ = normal({static_cast<int64_t>(y_.size())}, 1000).values;
    Stream choice(7, Purpose::test, 1001);
    for (size_t i = 0; i < p.inputs.size() + p.params.size(); ++i)
      if (operand(i).wanted) probe(i, choice);
  }

  const Values& y() const { return y_; }
  const Values& dy() const { return dy_; }
  const std::vector<Probe>& probes() const { return probes_; }

 private:
  static constexpr size_t exhaustive = 200, sampled = 24, directions = 3;

  const Operand& operand(size_t i) const {
    return i < problem_.inputs.size() ? problem_.inputs[i] : problem_.params[i - problem_.inputs.size()];
  }
  Values& values(size_t i) { return i < inputs_.size() ? inputs_[i] : params_[i - inputs_.size()]; }

  void probe(size_t i, Stream& choice) {
    const size_t n = operand(i).values.size();
    const auto add_element = [&](size_t e) {
      Values along(n, 0.0);
      along[e] = 1;
      probes_.push_back({i, e, {}, slope(i, along)});
    };
    if (n <= exhaustive) {
      for (size_t e = 0; e < n; ++e) add_element(e);
      return;
    }
    add_element(0);
    add_element(n - 1);
    for (size_t k = 2; k < sampled; ++k) add_element(choice.below(static_cast<uint32_t>(n)));
    for (size_t k = 0; k < directions; ++k) {
      Values along(n);
      for (double& v : along) v = static_cast<double>(choice.normal());
      const double s = slope(i, along);
      probes_.push_back({i, 0, std::move(along), s});
    }
  }

  double slope(size_t i, const Values& along) {
    constexpr double h = 1e-5;
    const Values at = values(i);
    const auto sum_at = [&](double step) {
      for (size_t e = 0; e < at.size(); ++e) values(i)[e] = at[e] + step * along[e];
      const Values y = problem_.reference(inputs_, params_);
      double sum = 0;
      for (size_t e = 0; e < y.size(); ++e) sum += y[e] * dy_[e];
      return sum;
    };
    const double s = (sum_at(h) - sum_at(-h)) / (2 * h);
    values(i) = at;
    return s;
  }

  const Problem& problem_;
  std::vector<Values> inputs_, params_;
  Values y_, dy_;
  std::vector<Probe> probes_;
};

// What an op gave on a tape.
struct Run {
  std::vector<float> y;
  std::vector<std::vector<float>> grads;  // inputs, then params; empty where there is none
};

// Memory that was never written is nan, so that reading it shows.
void poison(Device& device) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  device.run().fill(device.empty({1 << 20}, Category::workspace), nan);
}

Run run(Tape& tape, const Problem& problem, const Values& dy, int uses) {
  Device& device = tape.device();
  std::vector<Tensor> inputs;
  for (const Operand& x : problem.inputs) {
    inputs.push_back(upload(device, x));
    if (x.wanted) tape.watch(inputs.back());
  }
  std::deque<Param> params;
  std::vector<Param*> pointers;
  for (const Operand& x : problem.params) {
    params.push_back(make_param(device, "param " + std::to_string(params.size()), x));
    if (x.wanted) device.run().fill(params.back().grad, std::numeric_limits<float>::quiet_NaN());
    pointers.push_back(&params.back());
  }

  Run result;
  Tensor y = problem.op(tape, inputs, pointers);
  REQUIRE(y.elements() == static_cast<int64_t>(dy.size()));
  const Tensor weights = upload(device, {y.shape(), dy});
  result.y = device.download(y);
  Tensor loss = weighted_sum(tape, y, weights);
  for (int use = 1; use < uses; ++use) {
    y = problem.op(tape, inputs, pointers);
    loss = add(tape, "uses", loss, weighted_sum(tape, y, weights));
  }
  y = {};
  tape.backward(loss);
  CHECK(device.meter().live(Category::saved) == 0);  // every ticket was closed

  for (size_t i = 0; i < inputs.size(); ++i) {
    const bool wanted = problem.inputs[i].wanted;
    if (wanted) REQUIRE(tape.grad(inputs[i]).shape() == inputs[i].shape());
    result.grads.push_back(wanted ? device.download(tape.grad(inputs[i])) : std::vector<float>{});
  }
  for (const Param& p : params) {
    CHECK((p.writes > 0) == p.trainable);
    result.grads.push_back(p.trainable ? device.download(p.grad) : std::vector<float>{});
  }
  return result;
}

// The gradient that a run found, as a probe sees it.
double seen_by(const Probe& probe, const Values& grad) {
  if (probe.direction.empty()) return grad[probe.element];
  double along = 0;
  for (size_t e = 0; e < grad.size(); ++e) along += grad[e] * probe.direction[e];
  return along;
}

void compare(const Problem& problem, const Reference& reference, const Run& found, int uses) {
  REQUIRE(found.y.size() == reference.y().size());
  double worst = 0;
  for (size_t e = 0; e < found.y.size(); ++e) {
    const double error = std::fabs(static_cast<double>(found.y[e]) - reference.y()[e]);
    worst = error <= worst ? worst : error;  // nan wins, and stays
  }
  CHECK(worst <= problem.tolerance * std::max(largest(reference.y()), 1e-2));

  // One line for the worst probe: a wrong gradient is wrong everywhere.
  struct {
    size_t operand = 0, element = 0;
    double expected = 0, got = 0, error = 0, allowed = 1;
  } worst_probe;
  for (const Probe& probe : reference.probes()) {
    const Values grad(found.grads[probe.operand].begin(), found.grads[probe.operand].end());
    const double expected = uses * probe.derivative, got = seen_by(probe, grad), error = std::fabs(got - expected);
    // Along a direction the errors of rounding add up as a random walk.
    const double steps = probe.direction.empty() ? 1 : 2 * std::sqrt(static_cast<double>(grad.size()));
    const double allowed = problem.tolerance * steps * std::max(largest(grad), 1e-2);
    if (!(error / allowed <= worst_probe.error / worst_probe.allowed))
      worst_probe = {probe.operand, probe.element, expected, got, error, allowed};
    if (std::isnan(error)) break;
  }
  CAPTURE(worst_probe.operand);
  CAPTURE(worst_probe.element);
  CAPTURE(worst_probe.expected);
  CAPTURE(worst_probe.got);
  CHECK(worst_probe.error <= worst_probe.allowed);
}

}  // namespace

void check_gradients(const Problem& problem) {
  const Reference reference(problem);
  for (const Setup& setup : setups()) {
    CAPTURE(setup.name);
    Device device(setup.backend());
    const auto policy = make_policy(setup.policy);
    Tape tape(device, *policy);
    for (const int uses : {1, 2}) {
      CAPTURE(uses);
      poison(device);
      compare(problem, reference, run(tape, problem, reference.dy(), uses), uses);
      tape.reset();
      CHECK(device.arena().live() == 0);
      CHECK(device.meter().live(Category::saved) == 0);
    }
  }
}

}  // namespace shear::test

// Optimizers against PyTorch's numbers and against their formulas in f64, groups, clipping and the schedule.
#include "shear/optim.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "allocation_counter.h"
#include "backend.h"

using namespace shear;
using namespace shear::test;

namespace {

// One parameter of five values, and four steps of gradients of changing size and sign.
struct Run {
  Device device{test_backend(2)};
  Parameters parameters{device, 0};
  Param* w = &parameters.add("w", {5}, Init::zeros, true);

  Run() {
    set(w->value, {0.5f, -1.25f, 2.f, -0.125f, 0.75f});
    parameters.make_gradients();
  }
  void set(const Tensor& t, std::initializer_list<float> v) {
    device.run().upload(t.data<void>(), std::data(v), t.bytes());
  }
  std::vector<float> four_steps(Optimizer& optimizer, float gradient_scale = 1) {
    for (int t = 0; t < 4; ++t) {
      const float f = (1 + 0.5f * static_cast<float>(t)) * (t == 2 ? -1.f : 1.f) / gradient_scale;
      set(w->grad, {0.3f * f, -0.2f * f, 0.05f * f, 1.5f * f, -0.7f * f});
      w->writes = 1;
      optimizer.step(t, 0.1f, gradient_scale);
      CHECK(w->writes == 0);
    }
    return device.download(w->value);
  }
};

void check_close(const std::vector<float>& found, const std::vector<double>& expected) {
  REQUIRE(found.size() == expected.size());
  for (size_t i = 0; i < found.size(); ++i)
    CHECK(static_cast<double>(found[i]) == doctest::Approx(expected[i]).epsilon(2e-6));
}

using MakeOptimizer = std::function<std::unique_ptr<Optimizer>(Device&, std::vector<ParamGroup>)>;

// What one element of a parameter goes through: its value and what the optimizer keeps beside it.
struct Element {
  double w, first = 0, second = 0;
};
struct Setting {
  double lr, weight_decay;
  int64_t step;
};
using Formula = std::function<void(Element&, double g, const Setting&)>;

// Parameters of which one is large enough for all threads; and one of each kind.
struct Model {
  Device device{test_backend(2), small_step};
  Parameters parameters{device, 11};
  Param &weight = parameters.add("weight", {130, 131}, Init::trunc_normal, true),
        &bias = parameters.add("bias", {7}, Init::ones, false),
        &other = parameters.add("other", {3, 5}, Init::ones, true);

  Model() { parameters.make_gradients(); }
  void draw_gradients(int64_t step) {
    for (Param& p : parameters) {
      std::vector<float> g(static_cast<size_t>(p.grad.elements()));
      Stream stream(1, Purpose::test, static_cast<uint64_t>(step), static_cast<uint64_t>(p.grad.elements()));
      for (float& v : g) v = 0.1f * stream.normal();
      device.run().upload(p.grad.data<void>(), g.data(), p.grad.bytes());
      p.writes = 1;
    }
  }
  std::vector<std::vector<float>> values() {
    std::vector<std::vector<float>> all;
    for (const Param& p : parameters) all.push_back(device.download(p.value));
    return all;
  }
};

// Eight steps with a changing learning rate, gradients scaled by a half, biases learning at a quarter of the rate.
void check_formula(const MakeOptimizer& make, const Formula& formula) {
  Model model;
  auto groups = decay_groups(model.parameters, 0.1f);
  groups[1].lr_scale = 0.25f;
  const auto optimizer = make(model.device, groups);
  std::vector<std::vector<Element>> expected;
  for (const auto& values : model.values()) {
    expected.emplace_back();
    for (const float v : values) expected.back().push_back({static_cast<double>(v)});
  }
  for (int64_t step = 0; step < 8; ++step) {
    const float lr = 0.05f / static_cast<float>(step + 1);
    model.draw_gradients(step);
    auto parameter = expected.begin();
    for (const Param& p : model.parameters) {
      const std::vector<float> g = model.device.download(p.grad);
      const Setting setting{static_cast<double>(lr) * (p.decay ? 1 : 0.25), p.decay ? static_cast<double>(0.1f) : 0,
                            step};
      for (size_t i = 0; i < g.size(); ++i) formula((*parameter)[i], static_cast<double>(g[i]) * 0.5, setting);
      ++parameter;
    }
    optimizer->step(step, lr, 0.5f);
  }
  const auto found = model.values();
  for (size_t p = 0; p < found.size(); ++p) {
    CAPTURE(p);
    double worst = 0, largest = 0;
    for (size_t i = 0; i < found[p].size(); ++i) {
      worst = std::max(worst, std::fabs(static_cast<double>(found[p][i]) - expected[p][i].w));
      largest = std::max(largest, std::fabs(expected[p][i].w));
    }
    CHECK(worst < 2e-6 * largest);
  }
}

const std::vector<std::pair<std::string, MakeOptimizer>> both{
    {"sgd", [](Device& d, std::vector<ParamGroup> groups) { return make_sgd(d, std::move(groups)); }},
    {"adamw", [](Device& d, std::vector<ParamGroup> groups) { return make_adamw(d, std::move(groups)); }},
    {"sgd", [](Device& d,
               std::vector<ParamGroup> groups) { return make_sgd(d, std::move(groups), {.state = StateAs::codes}); }},
    {"adamw", [](Device& d, std::vector<ParamGroup> groups) {
       return make_adamw(d, std::move(groups), {.state = StateAs::codes, .seed = 1});
     }}};

std::vector<char> bytes_of(Device& device, const Tensor& t) {
  std::vector<char> bytes(t.bytes());
  device.run().download(bytes.data(), t.data<void>(), bytes.size());
  return bytes;
}

}  // namespace

TEST_CASE("SGD follows its formula with and without momentum, by group") {
  for (const float momentum : {0.f, 0.9f})
    for (const bool nesterov : {false, true}) {
      CAPTURE(momentum);
      CAPTURE(nesterov);
      const double mu = static_cast<double>(momentum);
      check_formula(
          [=](Device& d, std::vector<ParamGroup> groups) {
            return make_sgd(d, std::move(groups), {momentum, nesterov});
          },
          [=](Element& e, double g, const Setting& s) {
            g += s.weight_decay * e.w;
            e.first = mu * e.first + g;
            e.w -= s.lr * (nesterov ? g + mu * e.first : e.first);
          });
    }
}

TEST_CASE("AdamW follows its formula, by group") {
  for (const AdamWOptions options : {AdamWOptions{}, AdamWOptions{.beta1 = 0.5f, .beta2 = 0.75f, .epsilon = 0.01f}}) {
    CAPTURE(options.beta1);
    const double beta1 = static_cast<double>(options.beta1), beta2 = static_cast<double>(options.beta2);
    check_formula([=](Device& d, std::vector<ParamGroup> groups) { return make_adamw(d, std::move(groups), options); },
                  [=](Element& e, double g, const Setting& s) {
                    const double t = static_cast<double>(s.step + 1);
                    e.first = beta1 * e.first + (1 - beta1) * g;
                    e.second = beta2 * e.second + (1 - beta2) * g * g;
                    const double m = e.first / (1 - std::pow(beta1, t)), v = e.second / (1 - std::pow(beta2, t));
                    e.w -= s.lr * (m / (std::sqrt(v) + static_cast<double>(options.epsilon)) + s.weight_decay * e.w);
                  });
  }
}

TEST_CASE("AdamW's state is the mean gradient and the mean square, under those names") {
  Run run;
  const auto adamw = make_adamw(run.device, decay_groups(run.parameters, 0));
  run.set(run.w->grad, {1, -2, 0, 4, 0.5f});
  run.w->writes = 1;
  adamw->step(0, 0.1f, 1);
  const std::vector<double> g{1, -2, 0, 4, 0.5};
  for (const StateTensor& s : adamw->state()) {
    CAPTURE(s.name);
    const bool first = s.name == "first_moment.w";
    const std::vector<float> found = run.device.download(s.value);
    for (size_t i = 0; i < g.size(); ++i)
      CHECK(static_cast<double>(found[i]) == doctest::Approx(first ? 0.1 * g[i] : 0.001 * g[i] * g[i]).epsilon(1e-4));
  }
}

TEST_CASE("an optimizer with another's state goes on as that one, bit for bit") {
  for (const auto& [name, make] : both) {
    CAPTURE(name);
    Model a, b;
    const auto first = make(a.device, decay_groups(a.parameters, 0.1f)),
               second = make(b.device, decay_groups(b.parameters, 0.1f));
    CHECK(first->name() == name);
    const auto run = [](Model& model, Optimizer& optimizer, int64_t from, int64_t to) {
      for (int64_t t = from; t < to; ++t) {
        model.draw_gradients(t);
        optimizer.step(t, 0.01f, 1);
      }
    };
    run(a, *first, 0, 3);
    const auto copy = [&](const Tensor& from, const Tensor& to) {
      b.device.run().upload(to.data<void>(), bytes_of(a.device, from).data(), to.bytes());
    };
    for (const Param& p : a.parameters) copy(p.value, b.parameters.find(p.name)->value);
    const auto from = first->state(), to = second->state();
    REQUIRE(from.size() == to.size());
    const size_t coded = from[1].name.find("_scales") != std::string::npos ? 1 : 0;
    REQUIRE(from.size() == (name == "sgd" ? 1 : 2) * (3 + coded));
    for (size_t i = 0; i < from.size(); ++i) {
      CHECK(from[i].name == to[i].name);
      copy(from[i].value, to[i].value);
    }
    run(a, *first, 3, 6);
    run(b, *second, 3, 6);
    CHECK(a.values() == b.values());
  }
}

TEST_CASE("a parameter that misses a step keeps its value and its state, and the others move") {
  for (const auto& [name, make] : both) {
    CAPTURE(name);
    Model model;
    const auto optimizer = make(model.device, decay_groups(model.parameters, 0.1f));
    model.draw_gradients(0);
    optimizer->step(0, 0.01f, 1);
    const auto values = model.values();
    std::vector<std::vector<char>> state;
    for (const StateTensor& s : optimizer->state()) state.push_back(bytes_of(model.device, s.value));
    model.draw_gradients(1);
    model.weight.writes = 0;
    optimizer->step(1, 0.01f, 1);
    const auto now = model.values();
    CHECK(now[0] == values[0]);
    CHECK(now[1] != values[1]);
    CHECK(now[2] != values[2]);
    size_t i = 0;
    for (const StateTensor& s : optimizer->state()) {
      CAPTURE(s.name);
      CHECK((bytes_of(model.device, s.value) == state[i++]) == (s.name.ends_with(".weight")));
    }
  }
}

TEST_CASE("two hundred steps with state in 8 bits go where those with state in f32 go") {
  // A quadratic of a curvature that spans two decades, and noise as large as the gradient.
  const auto trained = [](const std::string& name, StateAs as) {
    Model model;
    const auto optimizer =
        name == "sgd" ? make_sgd(model.device, decay_groups(model.parameters, 0.01f), {.state = as})
                      : make_adamw(model.device, decay_groups(model.parameters, 0.01f), {.state = as, .seed = 5});
    for (int64_t step = 0; step < 200; ++step) {
      for (Param& p : model.parameters) {
        const std::vector<float> w = model.device.download(p.value);
        std::vector<float> g(w.size());
        Stream noise(1, Purpose::test, static_cast<uint64_t>(step), w.size());
        for (size_t i = 0; i < g.size(); ++i) {
          const float curvature = std::pow(10.f, -2.f * static_cast<float>(i % 97) / 97);
          g[i] = curvature * (w[i] - 1.f + noise.normal());
        }
        model.device.run().upload(p.grad.data<void>(), g.data(), p.grad.bytes());
        p.writes = 1;
      }
      optimizer->step(step, name == "sgd" ? 0.02f : 0.005f, 1);
    }
    return model.values()[0];
  };
  const auto distance = [](const std::vector<float>& a, const std::vector<float>& b) {
    double sum = 0;
    for (size_t i = 0; i < a.size(); ++i) sum += std::pow(static_cast<double>(a[i]) - static_cast<double>(b[i]), 2);
    return std::sqrt(sum);
  };
  const auto objective = [](const std::vector<float>& w) {
    double sum = 0;
    for (size_t i = 0; i < w.size(); ++i)
      sum += std::pow(10., -2. * static_cast<double>(i % 97) / 97) * std::pow(static_cast<double>(w[i]) - 1, 2);
    return sum;
  };
  const std::vector<float> begun = Model().values()[0];
  for (const std::string name : {"sgd", "adamw"}) {
    CAPTURE(name);
    const std::vector<float> f32 = trained(name, StateAs::f32), codes = trained(name, StateAs::codes);
    const double way = distance(f32, begun), off = distance(codes, f32);
    CAPTURE(off / way);
    CHECK(off > 0);
    CHECK(off < 0.05 * way);
    CHECK(objective(codes) == doctest::Approx(objective(f32)).epsilon(0.02));
  }
}

TEST_CASE("state in 8 bits takes a byte an element and a scale for 256, and small parameters keep f32") {
  for (const std::string name : {"sgd", "adamw"}) {
    CAPTURE(name);
    Model model;
    const auto optimizer = make_optimizer(model.device, model.parameters, {.name = name, .state = StateAs::codes});
    size_t codes = 0, scales = 0, floats = 0;
    for (const StateTensor& s : optimizer->state()) {
      CAPTURE(s.name);
      const bool large = s.name.ends_with(".weight");
      const bool is_scales = s.name.find("_scales.") != std::string::npos;
      CHECK((s.value.dtype() == DType::u8) == (large && !is_scales));
      (is_scales ? scales : s.value.dtype() == DType::u8 ? codes : floats) += s.value.bytes();
    }
    const size_t moments = name == "sgd" ? 1 : 2;
    CHECK(codes == moments * 130 * 131);
    CHECK(scales == moments * 4 * ((130 * 131 + 255) / 256));
    CHECK(floats == moments * 4 * (7 + 15));
  }
}

TEST_CASE("a step takes no memory") {
  for (const auto& [name, make] : both) {
    CAPTURE(name);
    Model model;
    const auto optimizer = make(model.device, decay_groups(model.parameters, 0.1f));
    model.draw_gradients(0);
    optimizer->step(0, 0.01f, 1);  // the threads start
    model.draw_gradients(1);
    const test::AllocationCounter counter;
    const float scale = clip_scale(gradient_norm(model.parameters), 1);  // whose sum lies in the step's slab
    const uint64_t before = model.device.meter().allocations();
    optimizer->step(1, 0.01f, scale);
    if (test_device() == DeviceKind::cpu) CHECK(counter.count() == 0);  // a launch may allocate
    CHECK(model.device.meter().allocations() == before);
  }
}

TEST_CASE("a clipped step is the step of a gradient as long as the clip allows") {
  Model clipped, scaled;
  const auto a = make_sgd(clipped.device, decay_groups(clipped.parameters, 0)),
             b = make_sgd(scaled.device, decay_groups(scaled.parameters, 0));
  clipped.draw_gradients(0);
  scaled.draw_gradients(0);
  const double norm = gradient_norm(clipped.parameters);
  CHECK(norm > 5);
  for (Param& p : scaled.parameters) {
    std::vector<float> g = scaled.device.download(p.grad);
    for (float& v : g) v = static_cast<float>(static_cast<double>(v) * 2 / norm);
    scaled.device.run().upload(p.grad.data<void>(), g.data(), p.grad.bytes());
  }
  CHECK(gradient_norm(scaled.parameters) == doctest::Approx(2).epsilon(1e-6));
  a->step(0, 0.1f, clip_scale(norm, 2));
  b->step(0, 0.1f, clip_scale(gradient_norm(scaled.parameters), 2.001));
  const auto x = clipped.values(), y = scaled.values();
  for (size_t p = 0; p < x.size(); ++p)
    for (size_t i = 0; i < x[p].size(); ++i) {
      const float difference = std::fabs(x[p][i] - y[p][i]);
      if (difference > 1e-6f) FAIL_CHECK("parameter ", p, " element ", i, " differs by ", difference);
    }
}

// The expected values are torch.optim's in f64 (PyTorch 2.15), with the same gradients.
TEST_CASE("SGD with momentum and weight decay is PyTorch's") {
  Run run;
  const auto sgd = make_sgd(run.device, decay_groups(run.parameters, 0.01f));
  check_close(run.four_steps(*sgd), {0.309744096, -1.114880485, 1.950973261, -1.052562183, 1.176613021});
}

TEST_CASE("SGD with Nesterov momentum is PyTorch's") {
  Run run;
  const auto sgd = make_sgd(run.device, decay_groups(run.parameters, 0.01f), {.momentum = 0.9f, .nesterov = true});
  check_close(run.four_steps(*sgd), {0.237295082, -1.063762724, 1.933005367, -1.406736322, 1.339767661});
}

TEST_CASE("AdamW is PyTorch's") {
  Run run;
  const auto adamw = make_adamw(run.device, decay_groups(run.parameters, 0.05f));
  check_close(run.four_steps(*adamw), {0.247860615, -0.982972744, 1.718084899, -0.364732828, 0.977326265});
}

TEST_CASE("the gradient is scaled on the way into the update") {
  Run run;
  const auto sgd = make_sgd(run.device, decay_groups(run.parameters, 0.01f));
  check_close(run.four_steps(*sgd, 0.25f), {0.309744096, -1.114880485, 1.950973261, -1.052562183, 1.176613021});
}

TEST_CASE("a parameter without a gradient is left alone") {
  Run run;
  const auto sgd = make_sgd(run.device, decay_groups(run.parameters, 0.01f));
  const auto before = run.device.download(run.w->value);
  sgd->step(0, 0.1f, 1);
  CHECK(run.device.download(run.w->value) == before);
}

TEST_CASE("only weights decay, and frozen parameters are in no group") {
  Device device(test_backend(1));
  Parameters parameters(device, 0);
  parameters.add("a.weight", {2, 2}, Init::zeros, true);
  parameters.add("a.bias", {2}, Init::zeros, false);
  parameters.add("b.weight", {2, 2}, Init::zeros, true).trainable = false;
  const auto groups = decay_groups(parameters, 0.05f);
  REQUIRE(groups.size() == 2);
  REQUIRE(groups[0].params.size() == 1);
  CHECK(groups[0].params[0]->name == "a.weight");
  CHECK(groups[0].weight_decay == 0.05f);
  REQUIRE(groups[1].params.size() == 1);
  CHECK(groups[1].params[0]->name == "a.bias");
  CHECK(groups[1].weight_decay == 0.f);
}

TEST_CASE("optimizer state has a name for each parameter and starts at zero") {
  Run run;
  const auto adamw = make_adamw(run.device, decay_groups(run.parameters, 0));
  const auto state = adamw->state();
  REQUIRE(state.size() == 2);
  CHECK(state[0].name == "first_moment.w");
  CHECK(state[1].name == "second_moment.w");
  for (const StateTensor& s : state) CHECK(run.device.download(s.value) == std::vector<float>(5, 0.f));
  CHECK(run.device.meter().live(Category::optimizer) == 2 * aligned(5 * 4));
}

TEST_CASE("the gradient's norm is over all parameters that have one") {
  Device device(test_backend(2));
  Parameters parameters(device, 0);
  Param& a = parameters.add("a", {3, 4}, Init::zeros, true);
  Param& b = parameters.add("b", {5}, Init::zeros, true);
  parameters.make_gradients();
  device.run().fill(a.grad, 2);
  device.run().fill(b.grad, 3);
  a.writes = 1;
  CHECK(gradient_norm(parameters) == doctest::Approx(std::sqrt(12 * 4.0)));
  b.writes = 1;
  CHECK(gradient_norm(parameters) == doctest::Approx(std::sqrt(12 * 4.0 + 5 * 9.0)));
  device.run().fill(b.grad, std::nanf(""));
  CHECK_FALSE(std::isfinite(gradient_norm(parameters)));
}

TEST_CASE("clipping scales a gradient down to the largest norm and never up") {
  CHECK(clip_scale(4, 1) == 0.25f);
  CHECK(clip_scale(0.5, 1) == 1.f);
  CHECK(clip_scale(4, 0) == 1.f);
}

TEST_CASE("the schedule warms up in equal steps and then follows half a cosine to its floor") {
  const CosineSchedule schedule{.peak = 1, .floor = 0.1f, .warmup = 4, .steps = 104};
  for (int t = 0; t < 4; ++t) CHECK(schedule.at(t) == doctest::Approx((t + 1) / 5.0));
  CHECK(schedule.at(4) == doctest::Approx(1));
  CHECK(schedule.at(54) == doctest::Approx(0.55));
  CHECK(schedule.at(104) == doctest::Approx(0.1));
  CHECK(schedule.at(200) == doctest::Approx(0.1));
  CHECK(CosineSchedule{.peak = 1, .floor = 0, .warmup = 0, .steps = 10}.at(0) == 1.f);
}

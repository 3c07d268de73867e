// codes: what a norm and the linear behind it share, and that it is right in the mean.
#include <doctest/doctest.h>

#include <cmath>

#include "backend.h"
#include "gradcheck.h"
#include "shear/ops.h"
#include "shear/policies.h"
#include "vit_run.h"

using namespace shear;
using namespace shear::test;

namespace {

constexpr int64_t batch = 3, tokens = 11, in = 70, out = 13;

struct Gradients {
  std::vector<float> dx, dgamma, dw;
  std::vector<SaveRow> report;
};

// x -> norm -> linear, in a block.
class NormAndLinear {
 public:
  explicit NormAndLinear(const std::string& policy, bool centred = true)
      : centred_(centred),
        policy_(make_policy(policy, 3)),
        gamma_(make_param(device_, "blocks.0.norm1.weight", some_zero(normal({in}, 2, 0.2, 1)))),
        beta_(make_param(device_, "blocks.0.norm1.bias", normal({in}, 3))),
        w_(make_param(device_, "blocks.0.attn.qkv.weight", normal({out, in}, 4))),
        tape_(device_, *policy_, {&gamma_, &beta_, &w_}, {.seed = 5}),
        x_(normal({batch, tokens, in}, 1)),
        up_(upload(device_, normal({batch, tokens, out}, 6))) {}

  Gradients step(int64_t step) {
    tape_.begin_step(step);
    Gradients found;
    {
      const Tape::InBlock block(tape_, 0);
      Tensor x = upload(device_, x_);
      tape_.watch(x);
      const Tensor y = centred_ ? layernorm(tape_, "blocks.0.norm1", x, gamma_, beta_, 1e-6f)
                                : rmsnorm(tape_, "blocks.0.norm1", x, gamma_, 1e-6f);
      tape_.backward(weighted_sum(tape_, linear(tape_, "blocks.0.attn.qkv", y, w_, nullptr), up_));
      found = {device_.download(tape_.grad(x)),
               device_.download(gamma_.grad),
               device_.download(w_.grad),
               {tape_.report().begin(), tape_.report().end()}};
    }
    tape_.reset();
    for (Param* p : {&gamma_, &beta_, &w_}) p->writes = 0;
    return found;
  }

 private:
  static Operand some_zero(Operand gamma) {
    gamma.values[7] = 0;  // of what the norm puts out there nothing comes back
    return gamma;
  }

  Device device_{test_backend(2)};
  bool centred_;
  std::unique_ptr<MemoryPolicy> policy_;
  Param gamma_, beta_, w_;
  Tape tape_;
  Operand x_;
  Tensor up_;
};

}  // namespace

TEST_CASE("a norm and the linear behind it share one code, from which both gradients are right in the mean") {
  for (const bool centred : {true, false}) {
    CAPTURE(centred);
    const Gradients exact = NormAndLinear("full", centred).step(0);
    NormAndLinear run("codes:bits=2", centred);
    const Gradients once = run.step(0);
    REQUIRE(once.report.size() >= 3);
    CHECK(once.report.front().got == "packed");
    int remade = 0;
    for (const SaveRow& row : once.report)
      if (row.site == std::string_view("blocks.0.attn.qkv")) {
        CHECK(row.got == "recomputed");
        CHECK(row.saved_bytes == 0);
        ++remade;
      }
    CHECK(remade == 1);
    const double first = relative_error(once.dw, exact.dw), first_gamma = relative_error(once.dgamma, exact.dgamma);
    CHECK(first > 0.05);
    constexpr int draws = 64;
    std::vector<double> dw(exact.dw.size()), dgamma(exact.dgamma.size());
    double squares = 0;  // of the draws at gamma = 0
    for (int step = 0; step < draws; ++step) {
      const Gradients one = run.step(step);
      for (size_t i = 0; i < dw.size(); ++i) dw[i] += static_cast<double>(one.dw[i]) / draws;
      for (size_t i = 0; i < dgamma.size(); ++i) dgamma[i] += static_cast<double>(one.dgamma[i]) / draws;
      squares += std::pow(static_cast<double>(one.dgamma[7] - exact.dgamma[7]), 2) / draws;
    }
    CHECK(relative_error({dw.begin(), dw.end()}, exact.dw) < 1.4 * first / std::sqrt(draws));
    CHECK(relative_error({dgamma.begin(), dgamma.end()}, exact.dgamma) < 1.4 * first_gamma / std::sqrt(draws));
    const double error_there = std::abs(dgamma[7] - static_cast<double>(exact.dgamma[7]));
    CHECK(squares > 0);
    CHECK(error_there < 4 * std::sqrt(squares / draws));  // nor is anything lost where gamma is zero
    // The norm's own gradient has the product of two codes in it: right but for their variance over a row's length.
    CHECK(relative_error(once.dx, exact.dx) < 0.25);
  }
}

TEST_CASE("what is not linear in a code is not made again from one") {
  Device device(test_backend(2));
  const auto policy = make_policy("codes", 3);
  Param w = make_param(device, "blocks.0.mlp.fc2.weight", normal({out, in}, 4));
  Tape tape(device, *policy, {&w}, {.seed = 5});
  tape.begin_step(0);
  const Tape::InBlock block(tape, 0);
  Tensor x = upload(device, normal({batch, tokens, 2 * in}, 1));
  tape.watch(x);
  const Tensor y = linear(tape, "blocks.0.mlp.fc2", swiglu(tape, "blocks.0.mlp", x), w, nullptr);
  for (const SaveRow& row : tape.report()) CHECK(row.got == "packed");
  CHECK(tape.report().size() == 2);
}

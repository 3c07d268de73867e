// auto: of what is exact and of codes, the policy of least gradient error whose step fits in a budget.
//
// Errors of values that are rounded each by itself add up as variances. How much each kind of value contributes was
// measured once (tools/docs/results.md); how it changes with the code follows from the steps of the code: half as wide,
// a quarter of the variance. So the error of every spelling of `codes` is known beforehand, and its bytes are planned.
#include <algorithm>
#include <array>
#include <cmath>

#include "shear/train.h"

namespace shear {

namespace {

// The variance that a code adds to a gradient, over that of 3 bits in groups of 64.
double of_code(int bits, int group) {
  if (bits >= 16) return 1e-6;  // a few digits of f16
  const double step = 7 / (std::exp2(bits) - 1);
  // The range of 32 normal values is smaller than that of 64, by what these squares say; measured on activations.
  const double range = group == 32 ? 0.66 : group == 64 ? 1 : group == 128 ? 1.5 : 2.2;
  return step * step * range;
}
// The same of a slope on its grid, over that of 4 bits.
double of_slope(int bits) {
  switch (bits) {
    case 2:
      return 12.5;
    case 3:
      return 5.9;
    case 4:
      return 1;
    case 8:
      return 0.004;
    default:
      return 1e-6;
  }
}

struct Candidate {
  int bits, qkv, gelu, group;
  double error = 0;
  double bytes = 0;  // about, to order candidates by

  std::string spec() const { return text("codes:bits=", bits, ",group=", group, ",qkv=", qkv, ",gelu=", gelu); }
};

// Bytes that a step keeps under codes grow by these for each bit more of a kind of value, whatever ops keep it.
struct BytesPerBit {
  double coded, attention, slopes;
};

BytesPerBit bytes_per_bit(PlanOptions options) {
  const auto kept = [&](const Candidate& c) {
    options.policy = c.spec();
    double bytes = 0;
    for (const PlannedSave& s : plan_training(options).saves) bytes += static_cast<double>(s.saved_bytes);
    return bytes;
  };
  const double least = kept({2, 2, 2, 256});
  return {(kept({8, 2, 2, 256}) - least) / 6, (kept({2, 8, 2, 256}) - least) / 6, (kept({2, 2, 8, 256}) - least) / 6};
}

std::vector<Candidate> candidates(const BytesPerBit& each) {
  std::vector<Candidate> all;
  const auto width = [](int bits, int group) { return bits >= 16 ? 16 : bits + 32. / group; };
  for (const int bits : {2, 3, 4, 8, 16})
    for (const int qkv : {2, 3, 4, 8, 16})
      for (const int gelu : {2, 3, 4, 8, 16})
        for (const int group : code_groups) {
          Candidate c{bits, qkv, gelu, group};
          c.error = usual_code_error(bits, qkv, gelu, group);
          c.bytes = each.coded * width(bits, group) + each.attention * width(qkv, group) + each.slopes * gelu;
          all.push_back(c);
        }
  // Of those that keep more bytes only the ones of less error are of use.
  std::sort(all.begin(), all.end(), [](const Candidate& a, const Candidate& b) {
    return a.bytes != b.bytes ? a.bytes < b.bytes : a.error < b.error;
  });
  std::vector<Candidate> useful;
  for (const Candidate& c : all)
    if (useful.empty() || c.error < useful.back().error) useful.push_back(c);
  return useful;
}

std::optional<Plan> within(PlanOptions options, const std::string& policy, size_t budget) {
  options.policy = policy;
  try {
    Plan plan = plan_training(options);
    if (plan.use.peak <= budget) return plan;
  } catch (const Error& error) {
    if (error.fault() != Fault::memory) throw;
  }
  return {};
}

}  // namespace

double usual_code_error(int bits, int qkv, int gelu, int group) {
  constexpr double of_linears = 0.0376, of_attention = 0.0618, of_slopes = 0.0037;
  return std::sqrt(of_linears * of_code(bits, group) + of_attention * of_code(qkv, group) + of_slopes * of_slope(gelu));
}

std::optional<PolicyChoice> choose_policy(PlanOptions& options, size_t budget) {
  PolicyChoice choice;
  const auto takes = [&](const std::string& policy, double error) {
    auto plan = within(options, policy, budget);
    if (!plan) return false;
    choice.policy = options.policy = policy, choice.error = error, choice.plan = std::move(*plan);
    return true;
  };
  for (const char* exact : {"full", "lean"})
    if (takes(exact, 0)) return choice;
  const std::vector<Candidate> all = candidates(bytes_per_bit(options));
  options.policy = all.front().spec();
  const auto lowered = lower_floor(options, budget);
  if (!lowered) return {};
  choice.lowered = *lowered;
  // Bytes as they were estimated and the peak of a plan grow together, but for a little: after the last that fits those
  // next to it are tried too, from the best on.
  const auto fits = [&](const Candidate& c) { return within(options, c.spec(), budget).has_value(); };
  const auto last = std::partition_point(all.begin(), all.end(), fits);
  constexpr std::ptrdiff_t beside = 3;
  for (auto c = last + std::min(beside, all.end() - last); c != all.begin();)
    if (--c; takes(c->spec(), c->error)) return choice;
  return {};
}

bool is_auto(std::string_view policy) { return policy == "auto"; }

}  // namespace shear

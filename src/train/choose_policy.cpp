// auto: of what is exact and of codes, the policy of least gradient error whose step fits in a budget.
//
// What every block's values add to the error is known beforehand (code_errors.h) or measured, their bytes are planned.
// Which bits each block should have is a knapsack: for a price of a byte each block takes what costs least, and the
// price is as high as it takes for the step to fit.
#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "shear/train.h"
#include "train/code_errors.h"

namespace shear {

namespace {

constexpr std::array widths{2, 3, 4, 8, 16};
constexpr CodeBits shortest{2, 2, 2, 256};

// Bytes that a step keeps under codes grow by these for each bit more of a kind of value, whatever ops keep it.
struct BytesPerBit {
  double coded = 0, attention = 0, slopes = 0;

  double of(const CodeBits& c) const {
    const auto width = [&](int bits) { return bits >= 16 ? 16 : bits + 32. / c.group; };
    return coded * width(c.bits) + attention * width(c.qkv) + slopes * c.gelu;
  }
};

// Of each block, and last of all that lies in none.
std::vector<BytesPerBit> bytes_per_bit(PlanOptions options) {
  const auto kept = [&](const CodeBits& c) {
    options.policy = c.spec();
    return plan_training(options).saves;
  };
  std::vector<BytesPerBit> each(1);
  const auto add = [&](const CodeBits& c, double share, double BytesPerBit::*kind) {
    for (const PlannedSave& s : kept(c)) {
      const int64_t block = block_of(s.site), blocks = static_cast<int64_t>(each.size()) - 1;
      if (block >= blocks) each.insert(each.end() - 1, static_cast<size_t>(block + 1 - blocks), BytesPerBit{});
      BytesPerBit& of = block < 0 ? each.back() : each[static_cast<size_t>(block)];
      of.*kind += share * static_cast<double>(s.saved_bytes);
    }
  };
  for (const auto& [longer, kind] : {std::pair(CodeBits{8, 2, 2, 256}, &BytesPerBit::coded),
                                     std::pair(CodeBits{2, 8, 2, 256}, &BytesPerBit::attention),
                                     std::pair(CodeBits{2, 2, 8, 256}, &BytesPerBit::slopes)}) {
    add(longer, 1. / 6, kind);
    add(shortest, -1. / 6, kind);
  }
  return each;
}

// Bits for each block, and those of the last for all that lies in none.
struct Mixture {
  std::vector<CodeBits> blocks;
  double error = 0;  // squared

  std::string spec() const {
    std::string all;
    for (size_t first = 0, end; first < blocks.size(); first = end) {
      for (end = first; end < blocks.size() && blocks[end] == blocks[first];) ++end;
      all += (all.empty() ? "" : "|") + blocks[first].spec();
      if (end == blocks.size()) break;
      all += end - first == 1 ? text("@blocks.", first, ".*") : text("@blocks.{", first, "..", end - 1, "}.*");
    }
    return all;
  }
};

class Mixtures {
 public:
  Mixtures(std::vector<BytesPerBit> bytes, std::vector<BlockErrors> errors)
      : bytes_(std::move(bytes)), errors_(std::move(errors)) {
    // Where no block has a name, all that there is stands for the last.
    BytesPerBit& last = errors_.size() < bytes_.size() ? bytes_[errors_.size() - 1] : bytes_.back();
    if (&last != &bytes_.back()) {
      const BytesPerBit& rest = bytes_.back();
      last.coded += rest.coded, last.attention += rest.attention, last.slopes += rest.slopes;
    }
  }

  // The same bits for all, from the fewest bytes on: of those that keep more only the ones of less error are of use.
  std::vector<Mixture> uniform() const {
    std::vector<std::pair<double, Mixture>> all;
    for (const int group : code_groups)
      each_of(group, [&](const CodeBits& c) {
        Mixture m{std::vector(errors_.size(), c), 0};
        double bytes = 0;
        for (size_t b = 0; b < errors_.size(); ++b) m.error += error_under(errors_[b], c), bytes += bytes_[b].of(c);
        all.emplace_back(bytes, std::move(m));
      });
    std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) {
      return a.first != b.first ? a.first < b.first : a.second.error < b.second.error;
    });
    std::vector<Mixture> useful;
    for (auto& [bytes, m] : all)
      if (useful.empty() || m.error < useful.back().error) useful.push_back(std::move(m));
    return useful;
  }

  // What each block takes where a byte costs so much error, all with groups of one length.
  Mixture at(double price, int group) const {
    Mixture m;
    for (size_t b = 0; b < errors_.size(); ++b) {
      CodeBits best = shortest;
      double least = HUGE_VAL;
      each_of(group, [&](const CodeBits& c) {
        const double cost = error_under(errors_[b], c) + price * bytes_[b].of(c);
        if (cost < least) least = cost, best = c;
      });
      m.blocks.push_back(best);
      m.error += error_under(errors_[b], best);
    }
    return m;
  }

  // At the lower every block takes the most bits, at the higher the fewest.
  std::pair<double, double> prices(int group) const {
    double most = 0, least = HUGE_VAL;
    for (size_t b = 0; b < errors_.size(); ++b) {
      most = std::max(most, error_under(errors_[b], {2, 2, 2, group}));
      for (const double bytes : {bytes_[b].coded, bytes_[b].attention, bytes_[b].slopes})
        if (bytes > 0) least = std::min(least, bytes);
    }
    const double high = least < HUGE_VAL ? most / least : 1;
    return {1e-12 * high, high};
  }

 private:
  template <class F>
  static void each_of(int group, F f) {
    for (const int bits : widths)
      for (const int qkv : widths)
        for (const int gelu : widths) f(CodeBits{bits, qkv, gelu, group});
  }

  std::vector<BytesPerBit> bytes_;
  std::vector<BlockErrors> errors_;
};

// Plans by policy: what fits in a budget.
class Within {
 public:
  Within(const PlanOptions& options, size_t budget) : options_(options), budget_(budget) {}

  // The plan, or null where it does not fit; each policy is planned once.
  const Plan* operator()(const std::string& policy) {
    const auto [at, added] = plans_.try_emplace(policy);
    if (added) {
      options_.policy = policy;
      try {
        at->second = plan_training(options_);
      } catch (const Error& error) {
        if (error.fault() != Fault::memory) throw;
      }
    }
    return at->second && at->second->use.peak <= budget_ ? &*at->second : nullptr;
  }

 private:
  PlanOptions options_;
  size_t budget_;
  std::map<std::string, std::optional<Plan>> plans_;
};

}  // namespace

// Of another number of classes or another image size a model has the same blocks.
static void check_model(const MeasuredBlocks& measured, const ModelSpec& model) {
  const auto blocks_of = [&](const ModelSpec& m) { return m.with_classes(1)->with_image(model.input()[1])->str(); };
  if (blocks_of(*parse_model(measured.model)) != blocks_of(model))
    fail(Fault::input, setting("block-errors"), ": they are of ", measured.model, ", expected those of ", model.str());
}

std::optional<PolicyChoice> choose_policy(PlanOptions& options, size_t budget, const MeasuredBlocks* measured) {
  if (measured) check_model(*measured, *options.model);
  PolicyChoice choice;
  const auto take = [&](const std::string& policy, double error, const Plan& plan) {
    choice.policy = options.policy = policy, choice.error = error, choice.plan = plan;
  };
  Within as_asked(options, budget);
  for (const char* exact : {"full", "lean"})
    if (const Plan* plan = as_asked(exact)) return take(exact, 0, *plan), choice;
  options.policy = shortest.spec();
  const auto lowered = lower_floor(options, budget);
  if (!lowered) return {};
  choice.lowered = *lowered;

  std::vector<BytesPerBit> bytes = bytes_per_bit(options);
  const auto blocks = std::max<int64_t>(static_cast<int64_t>(bytes.size()) - 1, 1);
  if (measured && static_cast<int64_t>(measured->blocks.size()) != blocks)
    fail(Fault::input, setting("block-errors"), ": of ", measured->blocks.size(), " blocks, expected ", blocks);
  const Mixtures mixtures(std::move(bytes), measured ? measured->blocks : usual_errors(blocks));
  Within within(options, budget);
  const auto fits = [&](const Mixture& m) { return within(m.spec()) != nullptr; };
  const auto takes = [&](const Mixture& m) {
    const Plan* plan = within(m.spec());
    if (plan && (choice.policy.empty() || std::sqrt(m.error) < choice.error)) take(m.spec(), std::sqrt(m.error), *plan);
    return plan != nullptr;
  };
  // Bytes as they were estimated and the peak of a plan grow together, but for a little: after the last that fits those
  // next to it are tried too, from the best on.
  const std::vector<Mixture> uniform = mixtures.uniform();
  const auto last = std::partition_point(uniform.begin(), uniform.end(), fits);
  constexpr std::ptrdiff_t beside = 3;
  for (auto m = last + std::min(beside, uniform.end() - last); m != uniform.begin();)
    if (takes(*--m)) break;
  // Other bits for each block, where that is better: at the lowest price at which what the blocks take fits.
  for (const int group : code_groups) {
    auto [low, high] = mixtures.prices(group);
    while (mixtures.at(low, group).blocks != mixtures.at(high, group).blocks && high > 1.0001 * low) {
      const double price = std::sqrt(low) * std::sqrt(high);
      (takes(mixtures.at(price, group)) ? high : low) = price;
    }
  }
  if (choice.policy.empty()) return {};
  return choice;
}

bool is_auto(std::string_view policy) { return policy == "auto"; }

}  // namespace shear

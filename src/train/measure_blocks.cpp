// What codes add to the gradient of a model at hand, block by block.
#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "train/code_errors.h"
#include "train/gradient_fidelity.h"

namespace shear {

// Codes of one kind of one block: the others in 16 bits, whose errors do not count beside it, all other blocks exact.
static std::array<std::string, 3> kinds(int64_t block) {
  std::array<std::string, 3> specs;
  size_t i = 0;
  for (const CodeBits& c : {CodeBits{.bits = 3, .qkv = 16, .gelu = 16}, CodeBits{.bits = 16, .qkv = 4, .gelu = 16},
                            CodeBits{.bits = 16, .qkv = 16, .gelu = 4}})
    specs[i++] = text(c.spec(), "@blocks.", block, ".*|lean");
  return specs;
}

static std::vector<std::string> by_block(PlanOptions options) {
  options.policy = "codes";
  int64_t last = -1;
  for (const PlannedSave& s : plan_training(options).saves) last = std::max(last, block_of(s.site));
  if (last < 0) fail(Fault::usage, setting("by-block"), ": the model has no blocks, expected one that has");
  std::vector<std::string> specs;
  for (int64_t b = 0; b <= last; ++b)
    for (std::string& spec : kinds(b)) specs.push_back(std::move(spec));
  return specs;
}

std::optional<MeasuredBlocks> measure_blocks(const Recipe& recipe, const RunOptions& run, int64_t batches,
                                             TrainObserver& observer) {
  const auto found = gradient_fidelity(recipe, run, batches, PoliciesFor(by_block), observer);
  if (!found) return std::nullopt;
  MeasuredBlocks measured{found->model, found->batch * batches, {}};
  for (size_t i = 1; i < found->policies.size(); i += 3) {  // behind `full`
    const auto squared = [&](size_t kind) { return std::pow(found->policies[i + kind].block_error, 2); };
    measured.blocks.push_back({squared(0), squared(1), squared(2)});
  }
  return measured;
}

// What shares a range in the codes that were measured.
static constexpr const char* ranges = "columns of tokens";

std::string to_json(const MeasuredBlocks& m) {
  nlohmann::ordered_json j{{"model", m.model}, {"images", m.images}, {"ranges", ranges}};
  for (const BlockErrors& e : m.blocks)
    j["blocks"].push_back({{"linears", e.linears}, {"attention", e.attention}, {"slopes", e.slopes}});
  return j.dump(2);
}

MeasuredBlocks measured_blocks_from_json(std::string_view text) {
  try {
    const auto j = nlohmann::json::parse(text);
    MeasuredBlocks m{j.at("model").get<std::string>(), 0, {}};
    parse_model(m.model);
    if (j.value("ranges", "") != ranges)
      fail(Fault::input, "errors of codes as another version had them, expected what this one measures");
    if (!j.at("images").is_number_unsigned()) fail(Fault::input, "\"images\" is no whole number");
    m.images = j.at("images").get<int64_t>();
    for (const auto& one : j.at("blocks")) {
      const BlockErrors e{one.at("linears").get<double>(), one.at("attention").get<double>(),
                          one.at("slopes").get<double>()};
      constexpr double least = 1e-30, most = 1e30;  // of what is not 0
      for (const double squared : {e.linears, e.attention, e.slopes})
        if (squared != 0 && !(squared >= least && squared <= most))
          fail(Fault::input, "an error of ", squared, ", expected 0 or ", least, " to ", most);
      m.blocks.push_back(e);
    }
    if (m.blocks.empty()) fail(Fault::input, "errors of no block");
    return m;
  } catch (const nlohmann::json::exception&) {
    fail(Fault::input, "not the errors of blocks that shear compare --by-block writes");
  }
}

}  // namespace shear

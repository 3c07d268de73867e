// Policies by name.
#include <algorithm>
#include <array>
#include <charconv>

#include "policies/policies_list.h"
#include "shear/error.h"
#include "shear/policies.h"

namespace shear {

namespace {

struct Entry {
  PolicyDoc doc;
  std::unique_ptr<MemoryPolicy> (*make)(PolicyKeys&);
};

constexpr std::array entries{
    Entry{{"full", "every value dense, as PyTorch eager keeps it", ""}, make_full},
    Entry{{"lean", "exact gradients: LayerNorm and GELU outputs are made again in backward", ""}, make_lean},
};

std::string known_names() {
  std::string names;
  for (const Entry& e : entries) names += (names.empty() ? "" : ", ") + std::string(e.doc.name);
  return names;
}

}  // namespace

PolicyKeys::PolicyKeys(std::string_view spec) {
  const size_t colon = spec.find(':');
  policy_ = spec.substr(0, colon);
  std::string_view rest = colon == std::string_view::npos ? "" : spec.substr(colon + 1);
  if (colon != std::string_view::npos && rest.empty())
    fail(Fault::usage, "policy ", spec, ": expected key=value after the colon, found nothing");
  while (!rest.empty()) {
    const std::string_view item = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), item.size() + 1));
    const size_t equals = item.find('=');
    if (equals == std::string_view::npos || equals == 0)
      fail(Fault::usage, "policy ", spec, ": expected key=value, found \"", item, "\"");
    if (!left_.emplace(item.substr(0, equals), item.substr(equals + 1)).second)
      fail(Fault::usage, "policy ", spec, ": key ", item.substr(0, equals), " is given twice");
  }
}

double PolicyKeys::number(const std::string& key, double otherwise, double low, double high) {
  const auto it = left_.find(key);
  if (it == left_.end()) return otherwise;
  const std::string text = it->second;
  left_.erase(it);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !(value >= low && value <= high))
    fail(Fault::usage, "policy ", policy_, ": ", key, "=", text, ", expected a number from ", low, " to ", high);
  return value;
}

void PolicyKeys::done() const {
  if (!left_.empty()) fail(Fault::usage, "policy ", policy_, ": unknown key ", left_.begin()->first);
}

std::unique_ptr<MemoryPolicy> make_policy(std::string_view spec) {
  PolicyKeys keys(spec);
  for (const Entry& e : entries)
    if (e.doc.name == keys.policy()) return e.make(keys);
  fail(Fault::usage, "policy ", keys.policy(), ": unknown, expected one of ", known_names());
}

std::vector<PolicyDoc> policy_docs() {
  std::vector<PolicyDoc> docs;
  for (const Entry& e : entries) docs.push_back(e.doc);
  return docs;
}

}  // namespace shear

// Policies by name.
#include <algorithm>
#include <array>
#include <charconv>

#include "policies/policies_list.h"
#include "shear/error.h"
#include "shear/policies.h"
#include "shear/suggest.h"

namespace shear {

namespace {

struct Entry {
  PolicyDoc doc;
  std::unique_ptr<MemoryPolicy> (*make)(PolicyKeys&);
};

constexpr std::array entries{
    Entry{{"full", "exact: every value dense, as PyTorch eager keeps it", "attention=tiled|materialised"}, make_full},
    Entry{{"lean", "exact: LayerNorm and GELU outputs are made again in backward", ""}, make_lean},
    Entry{{"checkpoint", "exact: of each block the input alone, the block is made again", ""}, make_checkpoint},
    Entry{{"backrazor", "the largest elements of each image, by a bitmask", "prune=0.8"}, make_backrazor},
    Entry{{"prebr-", "the input columns of largest norm", "prune=0.8"}, make_prebackrazor_minus},
    Entry{{"prebr", "input columns drawn by a bandit before they are pruned",
           "prune=0.8,sample=1-prune,granularity=column|tensor,period=20,pmin=0.05,groups=1,draw=fixed|bernoulli,"
           "learn=1,normalise=1,rate=0.2,scale=1,frozen=zero|skip"},
          make_prebackrazor},
    Entry{{"prebr++", "prebr, with attention recomputed from pruned queries, keys and values", "as prebr"},
          make_prebackrazor},
    Entry{{"tokens", "a stratified sample of each image's tokens, unbiased", "keep=0.5,bits=4"}, make_tokens},
};

std::string listed(const std::vector<std::string>& names) {
  std::string all;
  for (const std::string& name : names) all += (all.empty() ? "" : ", ") + name;
  return all;
}

}  // namespace

PolicyKeys::PolicyKeys(std::string_view spec, uint64_t seed) : spec_(spec), seed_(seed) {
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

void PolicyKeys::note(const std::string& key) {
  if (std::find(known_.begin(), known_.end(), key) == known_.end()) known_.push_back(key);
}

double PolicyKeys::number(const std::string& key, double otherwise, double low, double high) {
  note(key);
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

double PolicyKeys::peek(const std::string& key, double otherwise) const {
  PolicyKeys copy = *this;
  return copy.number(key, otherwise, -1e300, 1e300);
}

std::string PolicyKeys::choice(const std::string& key, std::initializer_list<std::string_view> words) {
  note(key);
  const auto it = left_.find(key);
  if (it == left_.end()) return std::string(*words.begin());
  const std::string text = it->second;
  left_.erase(it);
  std::string known;
  for (std::string_view word : words) {
    if (word == text) return text;
    known += (known.empty() ? "" : " or ") + std::string(word);
  }
  fail(Fault::usage, "policy ", policy_, ": ", key, "=", text, ", expected ", known);
}

Code PolicyKeys::bits(const std::string& key, Code otherwise) {
  const double asked = number(key, bits_of(otherwise), 2, 32);
  for (const Code c : {Code::f32, Code::f16, Code::u8, Code::u4, Code::u2})
    if (bits_of(c) == asked) return c;
  fail(Fault::usage, "policy ", policy_, ": ", key, "=", asked, ", expected 2, 4, 8, 16 or 32");
}

void PolicyKeys::done() const {
  if (left_.empty()) return;
  const std::string& key = left_.begin()->first;
  fail(Fault::usage, "policy ", policy_, ": unknown key ", key, did_you_mean(key, known_),
       known_.empty() ? ", it has none" : ", expected one of ", listed(known_));
}

std::unique_ptr<MemoryPolicy> make_policy(std::string_view spec, uint64_t seed) {
  if (spec.find_first_of("@|") != std::string_view::npos) return make_by_site(spec, seed);
  PolicyKeys keys(spec, seed);
  std::vector<std::string> names;
  for (const Entry& e : entries) {
    if (e.doc.name == keys.policy()) return e.make(keys);
    names.emplace_back(e.doc.name);
  }
  fail(Fault::usage, "policy ", keys.policy(), ": unknown", did_you_mean(keys.policy(), names), ", expected one of ",
       listed(names));
}

std::vector<PolicyDoc> policy_docs() {
  std::vector<PolicyDoc> docs;
  for (const Entry& e : entries) docs.push_back(e.doc);
  return docs;
}

}  // namespace shear

// The keys of a policy.
#include "policies/keys.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "shear/error.h"
#include "shear/suggest.h"

namespace shear {

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

int64_t PolicyKeys::whole(const std::string& key, int64_t otherwise, int64_t low, int64_t high) {
  const double value = number(key, static_cast<double>(otherwise), static_cast<double>(low), static_cast<double>(high));
  if (value != std::floor(value))
    fail(Fault::usage, "policy ", policy_, ": ", key, "=", value, ", expected a whole number from ", low, " to ", high);
  return static_cast<int64_t>(value);
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
  for (const Code c : all_codes)
    if (format_of(c).by_bits && bits_of(c) == asked) return c;
  fail(Fault::usage, "policy ", policy_, ": ", key, "=", asked, ", expected 2, 3, 4, 8, 16 or 32");
}

void PolicyKeys::done() const {
  if (left_.empty()) return;
  const std::string& key = left_.begin()->first;
  fail(Fault::usage, "policy ", policy_, ": unknown key ", key, did_you_mean(key, known_),
       known_.empty() ? ", it has none" : ", expected one of ", listed(known_));
}

}  // namespace shear

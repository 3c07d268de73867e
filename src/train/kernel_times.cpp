// What calls of kernels took, and so what others like them will.
#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "shear/train.h"

namespace shear {

namespace {

using Size = std::array<int64_t, 3>;

double apart(int64_t a, int64_t b) {
  return std::abs(
      std::log(static_cast<double>(std::max<int64_t>(a, 1)) / static_cast<double>(std::max<int64_t>(b, 1))));
}
double apart(const Size& a, const Size& b) { return apart(a[0], b[0]) + apart(a[1], b[1]) + apart(a[2], b[2]); }

// Whether what one call took says what the other will.
bool alike(const KernelCall& call, const KernelCall& known) {
  const double same = std::log(1.5);
  int alike = 0;
  for (size_t i = 0; i < 3; ++i) alike += apart(call.size[i], known.size[i]) < same;
  if (call.kind.starts_with("gemm ")) return alike >= 2;  // the rows of a product are the batch's
  if (call.kind.starts_with("attention"))
    return apart(call.size[1], known.size[1]) < same && call.size[2] == known.size[2];
  // Beyond what a cache holds time grows in proportion; below it what a call costs at all counts, and is little.
  constexpr double many = 0x1p18, times = 256;
  const double work = call.work(), other = known.work();
  return (work <= many || other >= std::min(many, work / times)) && other <= times * std::max(work, many);
}

}  // namespace

void KernelTimes::add(const KernelCall& call, double seconds) {
  auto& of_kind = known_[call.kind];
  const auto at = std::find_if(of_kind.begin(), of_kind.end(), [&](const Known& k) { return k.size == call.size; });
  if (at != of_kind.end())
    at->seconds = seconds;
  else
    of_kind.push_back({call.size, seconds});
}

void KernelTimes::add(const KernelTimes& newer) {
  for (const auto& [kind, all] : newer.known_)
    for (const Known& k : all) add({kind, k.size}, k.seconds);
}

bool KernelTimes::knows(const KernelCall& call) const {
  const auto of_kind = known_.find(call.kind);
  return of_kind != known_.end() && std::any_of(of_kind->second.begin(), of_kind->second.end(),
                                                [&](const Known& k) { return k.size == call.size; });
}

std::optional<double> KernelTimes::of(const KernelCall& call) const {
  KernelCall best;
  double seconds = 0, distance = std::numeric_limits<double>::infinity();
  const auto look = [&](const std::string& kind, const std::vector<Known>& all) {
    for (const Known& k : all) {
      const KernelCall known{kind, k.size};
      const double d = apart(k.size, call.size);
      if (d < distance && alike(call, known)) best = known, seconds = k.seconds, distance = d;
    }
  };
  if (const auto same = known_.find(call.kind); same != known_.end()) look(call.kind, same->second);
  // To add to what is there costs little more or less than not to.
  const auto whether_it_adds = [](std::string kind) {
    std::replace(kind.begin(), kind.end(), '+', '=');
    return kind;
  };
  if (best.kind.empty())
    for (const auto& [kind, all] : known_)
      if (whether_it_adds(kind) == whether_it_adds(call.kind)) look(kind, all);
  if (best.kind.empty()) return {};
  const double work = best.work();
  return work > 0 ? seconds * call.work() / work : seconds;
}

std::string KernelTimes::to_json() const {
  nlohmann::json j = nlohmann::json::object();
  for (const auto& [kind, all] : known_)
    for (const Known& k : all) j[kind].push_back({k.size[0], k.size[1], k.size[2], k.seconds});
  return j.dump(1);
}

KernelTimes KernelTimes::from_json(std::string_view text) {
  KernelTimes times;
  try {
    const auto j = nlohmann::json::parse(text);
    for (const auto& [kind, all] : j.items())
      for (const auto& k : all) {
        Size size;
        for (size_t i = 0; i < 3; ++i) {
          if (!k.at(i).is_number_integer())
            fail(Fault::input, "times of kernels: ", kind, " has a size that is no whole number");
          size[i] = k.at(i);
        }
        const double seconds = k.at(3);
        if (*std::min_element(size.begin(), size.end()) < 0 || !(seconds >= 0 && seconds < 1e9))
          fail(Fault::input, "times of kernels: ", kind, " is out of range");
        times.add({kind, size}, seconds);
      }
  } catch (const nlohmann::json::exception& error) {
    fail(Fault::input, "times of kernels: ", error.what());
  }
  return times;
}

}  // namespace shear

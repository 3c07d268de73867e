// shear compare, as its tests call it.
#pragma once
#include "shell.h"

namespace shear::test {

// Two policies, two seeds, six steps; `more` adds to the flags or replaces them.
inline Args compare(const Shell& shear, const Args& more = {}) {
  Args args{"compare"};
  for (const auto& [flag, value] : std::vector<std::pair<std::string, std::string>>{{"--data", shear.path("data")},
                                                                                    {"--model", tiny_model},
                                                                                    {"--batch", "16"},
                                                                                    {"--steps", "6"},
                                                                                    {"--policy", "full;lean"},
                                                                                    {"--seeds", "2"},
                                                                                    {"--threads", "1"},
                                                                                    {"--out", shear.path("cmp")},
                                                                                    {"--cosine-batches", "2"}})
    if (std::find(more.begin(), more.end(), flag) == more.end()) args.insert(args.end(), {flag, value});
  args.insert(args.end(), more.begin(), more.end());
  return args;
}

inline size_t circles_in(const std::string& svg) {
  size_t circles = 0;
  for (size_t at = 0; (at = svg.find("<circle", at)) != std::string::npos; ++at) ++circles;
  return circles;
}

}  // namespace shear::test

// Counts the bytes of device memory that kernels move.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "cuda_host.h"
#include "shadow.h"

namespace cuemu {

class TrafficCount {
 public:
  void launch_begins(const std::string& kernel);
  void block_begins();
  // A thread's access at an instruction, to cells of a shadow as they are before it; since: when the launch began.
  void access(unsigned thread, uint32_t code, const char*, size_t bytes, bool reads, bool writes);
  void cell(const Cell&, size_t bytes, bool reads, bool writes, uint32_t since);
  std::vector<Traffic> all() const;

 private:
  std::map<std::string, Traffic> kernels_;
  Traffic* now_ = nullptr;
  // Of the block that runs: how often a thread came by an instruction, and what its warp asked for when it did.
  std::unordered_map<uint64_t, uint32_t> turns_;
  std::unordered_set<uint64_t> sectors_;
};

}  // namespace cuemu

// The checker: a model of which accesses of a kernel are ordered by what.
//
// Kernels are compiled with -fsanitize=thread, which puts a call before each access to memory; the calls end here
// (checker_hooks.cpp) and not in ThreadSanitizer's own library.  For each four bytes of device and shared memory (each
// byte, once something narrower was seen) there stands who wrote them last and who read them last.
//
// An access comes after another if a launch, a barrier of the block, or a barrier or shuffle of the warp lies between
// them, or if the same thread made both.  Blocks of a launch are not ordered: what passes from one to another inside a
// launch is reported even where a fence would order it.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "elf_symbols.h"
#include "emulation.h"
#include "shadow.h"
#include "traffic_count.h"

namespace cuemu {

enum class Access : uint8_t { read, write, atomic };

class AccessChecker final : public Checker {
 public:
  AccessChecker();

  // By the thread that runs, at the instruction before `code`.
  void access(const char*, size_t bytes, Access, bool may_be_unaligned, const void* code);

  void launch_begins(const Launch&) override;
  void launch_ends() override;
  void block_begins(unsigned threads) override;
  void block_barrier() override;
  void warp_barrier(unsigned warp, unsigned lanes) override;
  void allocated(char*, size_t bytes) override;
  void freed(char*) override;
  void written_by_host(const void*, size_t bytes) override;
  void copied(const void* to, const void* from, size_t bytes) override;
  void touched(const void*, size_t bytes, bool written, const void* code) override;
  void reports_were_taken() override { told_.clear(); }
  std::vector<Traffic> traffic() const override { return traffic_.all(); }

 private:
  enum class Finding : uint8_t { misaligned, out_of_bounds, foreign, uninitialised, race };

  Shadow* device_shadow(const char*);
  Shadow* checked_shadow(const char*, size_t bytes, Access, const void* code);
  bool in_shared(const char*) const;
  bool in_index_variable(const char*) const;
  bool of_another_kernel(const ElfSymbols::Symbol& shared_variable);
  bool ordered(const Event&, bool global) const;
  void look_at_cell(Cell&, const Event&, Access, const char* address, const void* code, bool global);
  void tell(Finding, const char* what, const char* address, const void* code, const Event* other = nullptr,
            const char* other_did = nullptr);
  std::string described(const char* address);
  std::string thread_name(unsigned thread) const;

  const ElfSymbols symbols_;
  std::map<const char*, Shadow> device_;
  Shadow* last_found_ = nullptr;
  Shadow shared_;  // over the executable's thread_local variables, of which shared memory is a part

  const Launch* launch_ = nullptr;
  std::string kernel_symbol_;                       // of the launch
  std::set<std::pair<std::string, uint64_t>> own_;  // kernels' symbols, and starts of shared variables that are theirs
  TrafficCount traffic_;
  // Moments are numbered: a launch, a block and a barrier of a block each begin one.
  uint32_t now_ = 1, launch_began_ = 1, block_began_ = 1;
  // clocks_[w][l][k]: up to which barrier of warp w's lane k its lane l comes after it, since the block's last barrier.
  std::vector<uint32_t> clocks_;
  uint32_t* clocks_of(unsigned warp) { return &clocks_[warp * 1024]; }
  const uint32_t* clocks_of(unsigned warp) const { return &clocks_[warp * 1024]; }
  void reset_clocks();

  std::set<std::pair<Finding, const void*>> told_;
};

AccessChecker& access_checker();

}  // namespace cuemu

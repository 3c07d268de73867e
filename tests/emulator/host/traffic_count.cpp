// Lanes of a warp run one after another here, on a device at once: what they ask for at the same instruction, each for
// the n-th time, is one request.
#include "traffic_count.h"

#include "emulation.h"

namespace cuemu {
namespace {

constexpr uint64_t sector_bytes = 32;

uint64_t mixed(uint64_t a, uint64_t b) {
  a ^= b + 0x9e3779b97f4a7c15 + (a << 6) + (a >> 2);
  return (a ^ (a >> 29)) * 0xbf58476d1ce4e5b9;
}

}  // namespace

void TrafficCount::launch_begins(const std::string& kernel) {
  now_ = &kernels_[kernel];
  now_->kernel = kernel;
  ++now_->launches;
}

void TrafficCount::block_begins() {
  turns_.clear();
  sectors_.clear();
}

void TrafficCount::access(unsigned thread, uint32_t code, const char* p, size_t bytes, bool reads, bool writes) {
  if (reads) now_->read += bytes;
  if (writes) now_->written += bytes;
  if (!options().traffic) return;
  const uint32_t turn = turns_[uint64_t{thread} << 32 | code]++;
  const uint64_t request = mixed(mixed(thread / 32, code), turn);
  const auto from = reinterpret_cast<uintptr_t>(p);
  for (uint64_t sector = from / sector_bytes; sector <= (from + bytes - 1) / sector_bytes; ++sector)
    if (sectors_.insert(mixed(request, sector)).second) now_->transferred += sector_bytes * (reads && writes ? 2 : 1);
}

void TrafficCount::cell(const Cell& cell, size_t bytes, bool reads, bool writes, uint32_t since) {
  const bool written = cell.write.moment >= since;
  const bool read = cell.read.moment >= since || cell.other_read.moment >= since;
  if (writes && !written) now_->least_written += bytes;
  if (reads && !written && !read) now_->least_read += bytes;
}

std::vector<Traffic> TrafficCount::all() const {
  std::vector<Traffic> out;
  for (const auto& [name, traffic] : kernels_) out.push_back(traffic);
  return out;
}

}  // namespace cuemu

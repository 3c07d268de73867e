// Asks addr2line, which comes with every compiler.
#include "source_lines.h"

#include <unistd.h>

#include <cstdio>
#include <memory>
#include <vector>

namespace cuemu {
namespace {

// "/somewhere/kernels/sums.cu:31 (discriminator 2)" -> "sums.cu:31"
std::string shortened(std::string line) {
  line = line.substr(0, line.find_first_of(" \n"));
  line = line.substr(line.find_last_of('/') + 1);
  // GCC 12 names, for some instructions, the file that includes the kernel's; the line is the kernel's all the same.
  if (const size_t wrapped = line.find(".cu.cpp:"); wrapped != line.npos) line.erase(wrapped + 3, 4);
  return line;
}
bool in_kernel_source(const std::string& line) {
  const std::string file = line.substr(0, line.find(':'));
  return file.ends_with(".cu") || file.ends_with(".cuh");
}

}  // namespace

std::string source_line(uint64_t offset) {
  char executable[4096];
  const ssize_t length = readlink("/proc/self/exe", executable, sizeof executable - 1);
  if (length <= 0) return "an unknown line";
  executable[length] = 0;
  char command[4200];
  std::snprintf(command, sizeof command, "addr2line -ie '%s' 0x%llx 2>/dev/null", executable,
                static_cast<unsigned long long>(offset));
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command, "r"), pclose);
  if (!pipe) return "an unknown line";
  std::vector<std::string> frames;  // innermost first
  for (char line[1024]; std::fgets(line, sizeof line, pipe.get());) frames.push_back(shortened(line));
  std::string chain;
  for (const std::string& frame : frames)
    if (in_kernel_source(frame)) chain += (chain.empty() ? "" : " < ") + frame;
  if (!chain.empty()) return chain;
  return frames.empty() || frames[0].starts_with("?") ? "an unknown line" : frames[0];
}

}  // namespace cuemu

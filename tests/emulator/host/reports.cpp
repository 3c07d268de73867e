// What the emulation and the checker have to say.

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <set>
#include <utility>

#include "elf_symbols.h"
#include "emulation.h"

namespace cuemu {
namespace {

constexpr size_t most = 100;  // until somebody takes them

struct Reports {
  std::vector<std::string> kept;
  std::set<std::string> said;
  bool print = true;
};
Reports& all() {
  static Reports reports;
  return reports;
}

}  // namespace

void report(const char* format, ...) {
  char sentence[2048];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(sentence, sizeof sentence, format, arguments);
  va_end(arguments);

  Reports& r = all();
  if (r.kept.size() >= most || !r.said.insert(sentence).second) return;
  r.kept.emplace_back(sentence);
  if (r.print) std::fprintf(stderr, "cuda: %s\n", sentence);
  if (options().abort) std::abort();
}

std::vector<std::string> take_reports() {
  if (checker) checker->reports_were_taken();
  all().said.clear();
  return std::exchange(all().kept, {});
}
size_t report_count() { return all().kept.size(); }
void print_reports(bool print) { all().print = print; }
bool checked() { return checker != nullptr; }
std::vector<Traffic> traffic() { return checker ? checker->traffic() : std::vector<Traffic>{}; }

std::string place(const Site& site) {
  const char* slash = std::strrchr(site.file, '/');
  return std::string(slash ? slash + 1 : site.file) + ":" + std::to_string(site.line);
}

std::string kernel_name(const void* kernel) {
  static const ElfSymbols symbols = read_own_symbols();
  return symbols.function_at(kernel);
}

}  // namespace cuemu

// The symbol table of the running executable: names of kernels, and where shared variables lie.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace cuemu {

struct ElfSymbols {
  struct Symbol {
    uint64_t start, bytes;  // from the executable's base, or from the start of its block of thread_local variables
    std::string name;       // mangled
  };
  const char *low = nullptr, *high = nullptr;  // of the executable as it is loaded
  const char* base = nullptr;
  uint64_t tls_bytes = 0, tls_alignment = 1;
  std::vector<Symbol> functions, tls;  // sorted by start

  static const Symbol* find(const std::vector<Symbol>&, uint64_t offset);
  std::string function_at(const void*) const;  // without its parameters
};
ElfSymbols read_own_symbols();
std::string demangled(const std::string& name);

}  // namespace cuemu

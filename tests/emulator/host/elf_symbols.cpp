// The running executable read as an ELF file.
#include "elf_symbols.h"

#include <cxxabi.h>
#include <elf.h>
#include <link.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>

namespace cuemu {
namespace {

int note_executable(dl_phdr_info* info, size_t, void* out) {  // the first object is the executable
  ElfSymbols& s = *static_cast<ElfSymbols*>(out);
  s.base = reinterpret_cast<const char*>(info->dlpi_addr);
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = info->dlpi_phdr[i];
    if (segment.p_type == PT_TLS) {
      s.tls_bytes = segment.p_memsz;
      s.tls_alignment = std::max<uint64_t>(1, segment.p_align);
    }
    if (segment.p_type != PT_LOAD) continue;
    const char* const from = s.base + segment.p_vaddr;
    if (!s.low || from < s.low) s.low = from;
    s.high = std::max(s.high, from + segment.p_memsz);
  }
  return 1;
}

template <class T>
T read_at(const std::vector<char>& file, size_t offset) {
  T value{};
  if (offset + sizeof value <= file.size()) std::memcpy(&value, file.data() + offset, sizeof value);
  return value;
}

}  // namespace

ElfSymbols read_own_symbols() {
  ElfSymbols s;
  dl_iterate_phdr(note_executable, &s);
  std::ifstream in("/proc/self/exe", std::ios::binary);
  const std::vector<char> file{std::istreambuf_iterator<char>(in), {}};
  const auto header = read_at<ElfW(Ehdr)>(file, 0);
  for (size_t i = 0; i < header.e_shnum; ++i) {
    const auto section = read_at<ElfW(Shdr)>(file, header.e_shoff + i * sizeof(ElfW(Shdr)));
    if (section.sh_type != SHT_SYMTAB) continue;
    const auto names = read_at<ElfW(Shdr)>(file, header.e_shoff + section.sh_link * sizeof(ElfW(Shdr)));
    for (size_t at = 0; at < section.sh_size; at += sizeof(ElfW(Sym))) {
      const auto symbol = read_at<ElfW(Sym)>(file, section.sh_offset + at);
      const auto type = ELF64_ST_TYPE(symbol.st_info);
      if (symbol.st_shndx == 0 || (type != STT_FUNC && type != STT_TLS)) continue;
      auto& list = type == STT_FUNC ? s.functions : s.tls;
      list.push_back({symbol.st_value, symbol.st_size, file.data() + names.sh_offset + symbol.st_name});
    }
  }
  const auto by_start = [](const ElfSymbols::Symbol& a, const ElfSymbols::Symbol& b) { return a.start < b.start; };
  std::sort(s.functions.begin(), s.functions.end(), by_start);
  std::sort(s.tls.begin(), s.tls.end(), by_start);
  return s;
}

const ElfSymbols::Symbol* ElfSymbols::find(const std::vector<Symbol>& list, uint64_t offset) {
  auto after = std::upper_bound(list.begin(), list.end(), offset,
                                [](uint64_t value, const Symbol& symbol) { return value < symbol.start; });
  if (after == list.begin()) return nullptr;
  const Symbol& symbol = *--after;
  return offset < symbol.start + symbol.bytes ? &symbol : nullptr;
}

std::string demangled(const std::string& name) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> plain(abi::__cxa_demangle(name.c_str(), nullptr, nullptr, &status),
                                                     std::free);
  return status == 0 ? plain.get() : name;
}

std::string ElfSymbols::function_at(const void* address) const {
  const Symbol* symbol = find(functions, static_cast<uint64_t>(static_cast<const char*>(address) - base));
  if (!symbol) return "a kernel";
  std::string name = demangled(symbol->name);
  if (name.starts_with("void ")) name.erase(0, 5);
  for (const char* space : {"(anonymous namespace)::", "shear::", "cuda::"})
    for (size_t at; (at = name.find(space)) != name.npos;) name.erase(at, std::strlen(space));
  return name.substr(0, name.find('('));
}

}  // namespace cuemu

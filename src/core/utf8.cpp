// UTF-8 by utf8proc.
#include "shear/utf8.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <new>

namespace shear {

namespace {

// The code point that `rest` begins with, and its length; a length below 1: there is none.
struct Next {
  utf8proc_int32_t code;
  utf8proc_ssize_t bytes;
};
Next next_of(std::string_view rest) {
  Next next{};
  next.bytes = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(rest.data()),
                                static_cast<utf8proc_ssize_t>(rest.size()), &next.code);
  return next;
}

size_t width_of(const Next& next) {
  return next.bytes < 1 ? 1 : static_cast<size_t>(std::max(0, utf8proc_charwidth(next.code)));
}

bool is_control(utf8proc_int32_t code) { return code < 0x20 || (code >= 0x7f && code < 0xa0); }

}  // namespace

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const Next next = next_of(text);
    if (next.bytes < 1) return false;
    text.remove_prefix(static_cast<size_t>(next.bytes));
  }
  return true;
}

std::string printable(std::string_view text) {
  std::string shown;
  while (!text.empty()) {
    const Next next = next_of(text);
    const size_t bytes = next.bytes < 1 ? 1 : static_cast<size_t>(next.bytes);
    for (const char c : text.substr(0, bytes)) {
      if (next.bytes < 1 || is_control(next.code)) {
        char hex[8];
        std::snprintf(hex, sizeof hex, "\\x%02x", static_cast<unsigned char>(c));
        shown += hex;
      } else {
        shown += c;
      }
    }
    text.remove_prefix(bytes);
  }
  return shown;
}

std::string cut_to_width(std::string_view text, size_t columns) {
  size_t taken = 0, width = 0;
  while (taken < text.size()) {
    const Next next = next_of(text.substr(taken));
    width += width_of(next);
    if (width > columns) break;
    taken += next.bytes < 1 ? 1 : static_cast<size_t>(next.bytes);
  }
  return std::string(text.substr(0, taken));
}

size_t display_width(std::string_view text) {
  size_t width = 0;
  while (!text.empty()) {
    const Next next = next_of(text);
    width += width_of(next);
    text.remove_prefix(next.bytes < 1 ? 1 : static_cast<size_t>(next.bytes));
  }
  return width;
}

std::string look_alike_key(std::string_view text) {
  utf8proc_uint8_t* mapped = nullptr;
  const utf8proc_ssize_t bytes = utf8proc_map(
      reinterpret_cast<const utf8proc_uint8_t*>(text.data()), static_cast<utf8proc_ssize_t>(text.size()), &mapped,
      static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT | UTF8PROC_CASEFOLD |
                                     UTF8PROC_IGNORE));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(mapped, &std::free);
  if (bytes == UTF8PROC_ERROR_NOMEM) throw std::bad_alloc();
  if (bytes < 0) return std::string(text);
  std::string key;
  for (const char c : std::string_view(reinterpret_cast<const char*>(mapped), static_cast<size_t>(bytes))) {
    const bool blank = c == ' ' || (c >= '\t' && c <= '\r');  // NFKC made the others of these
    if (blank && (key.empty() || key.back() == ' ')) continue;
    key += blank ? ' ' : c;
  }
  if (!key.empty() && key.back() == ' ') key.pop_back();
  return key;
}

}  // namespace shear

// PTX text as words: names ("%r1", "ld.global.f32", "$L__BB0_2"), numbers, strings, and single signs.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "shear/error.h"

namespace shear::ptx {

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}

  bool at_end();
  std::string_view peek();
  std::string_view next();
  bool take(std::string_view word);  // takes the next word if it is this one
  void expect(std::string_view word);
  void skip_line();
  uint64_t number();
  int line() const { return line_; }
  template <class... Parts>
  [[noreturn]] void refuse(const Parts&... parts) const {
    fail(Fault::input, "ptx line ", line_, ": ", parts...);
  }

 private:
  void skip_blanks();

  std::string_view text_;
  size_t at_ = 0;
  int line_ = 1;
};

bool is_number(std::string_view word);
// 12, 0x1f, -3, 0f3F800000 and 0d3FF0000000000000: the bits.
uint64_t number_of(std::string_view word);

}  // namespace shear::ptx

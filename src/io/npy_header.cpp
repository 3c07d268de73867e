// .npy: "\x93NUMPY", version, length, then a Python dictionary such as
// {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }
#include "io/npy_header.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <optional>
#include <string_view>
#include <vector>

#include "io/safetensors_header.h"
#include "shear/error.h"

namespace shear {

namespace {

struct Spelling {
  std::string_view descr;
  DType dtype;
};
constexpr std::array spellings{
    Spelling{"<f4", DType::f32},  Spelling{"<f8", DType::f64},     Spelling{"<f2", DType::f16},
    Spelling{"|V2", DType::bf16}, Spelling{"<V2", DType::bf16},    Spelling{"|i1", DType::i8},
    Spelling{"|u1", DType::u8},   Spelling{"<i2", DType::i16},     Spelling{"<u2", DType::u16},
    Spelling{"<i4", DType::i32},  Spelling{"<u4", DType::u32},     Spelling{"<i8", DType::i64},
    Spelling{"<u8", DType::u64},  Spelling{"|b1", DType::boolean},
};

// Reads the part of Python's syntax that these dictionaries are written in.
class Literal {
 public:
  Literal(std::string_view text, const std::string& what) : left_(text), whole_(text.size()), what_(what) {}

  bool take(char c) {
    skip_spaces();
    if (!left_.starts_with(c)) return false;
    left_.remove_prefix(1);
    return true;
  }
  void expect(char c) {
    if (!take(c)) refuse(text('\'', c, '\''));
  }
  std::string_view string() {
    skip_spaces();
    if (left_.empty() || (left_.front() != '\'' && left_.front() != '"')) refuse("a string in quotes");
    const size_t end = left_.find(left_.front(), 1);
    if (end == left_.npos) refuse("the end of a string");
    const std::string_view value = left_.substr(1, end - 1);
    left_.remove_prefix(end + 1);
    return value;
  }
  bool boolean() {
    skip_spaces();
    for (const bool value : {false, true})
      if (const std::string_view word = value ? "True" : "False"; left_.starts_with(word)) {
        left_.remove_prefix(word.size());
        return value;
      }
    refuse("True or False");
  }
  int64_t number() {
    skip_spaces();
    int64_t value = 0;
    const auto [end, error] = std::from_chars(left_.data(), left_.data() + left_.size(), value);
    if (error != std::errc() || value < 0) refuse("a whole number from 0 to 9223372036854775807");
    left_.remove_prefix(static_cast<size_t>(end - left_.data()));
    if (left_.starts_with('L')) left_.remove_prefix(1);  // Python 2's long
    return value;
  }
  void end() {
    skip_spaces();
    if (!left_.empty()) refuse("the end");
  }
  [[noreturn]] void refuse(const std::string& expected) const {
    fail(Fault::input, what_, ": the header has ", in_quotes(left_.substr(0, 24)), " at its byte ",
         whole_ - left_.size(), ", expected ", expected);
  }

 private:
  void skip_spaces() { left_.remove_prefix(std::min(left_.find_first_not_of(" \t\r\n"), left_.size())); }

  std::string_view left_;
  size_t whole_;
  const std::string& what_;
};

DType read_type(Literal& in, const std::string& what) {
  if (in.take('[')) in.refuse("one type, not several fields");
  const std::string_view descr = in.string();
  for (const Spelling& s : spellings)
    if (s.descr == descr) return s.dtype;
  std::string known;
  for (const Spelling& s : spellings) known += text(known.empty() ? "" : ", ", s.descr);
  fail(Fault::input, what, " is stored as ", in_quotes(descr), ", which ",
       descr.starts_with('>') ? "is big-endian" : "Shear cannot read", ", expected one of ", known);
}

Shape read_shape(Literal& in, const std::string& what) {
  std::vector<int64_t> dims;
  in.expect('(');
  while (!in.take(')')) {
    dims.push_back(in.number());
    if (in.take(')')) break;
    in.expect(',');
  }
  if (dims.size() > Shape::max_rank)
    fail(Fault::input, what, " has ", dims.size(), " dimensions, expected at most ", Shape::max_rank);
  return Shape(dims);
}

}  // namespace

NpyHeader parse_npy(std::span<const std::byte> file, const std::string& what) {
  const std::string_view all(reinterpret_cast<const char*>(file.data()), file.size());
  constexpr std::string_view mark = "\x93NUMPY";
  if (!all.starts_with(mark) || all.size() < mark.size() + 2)
    fail(Fault::input, what, " begins with ", in_quotes(all.substr(0, 8)), ", expected a NumPy array (\\x93NUMPY)");
  const int version = static_cast<unsigned char>(all[mark.size()]);
  if (version < 1 || version > 3)
    fail(Fault::input, what, " is of version ", version, " of NumPy's format, expected 1, 2 or 3");
  const size_t length_bytes = version == 1 ? 2 : 4, before = mark.size() + 2 + length_bytes;
  uint32_t length = 0;
  if (all.size() >= before) std::memcpy(&length, all.data() + mark.size() + 2, length_bytes);
  if (all.size() < before || length > all.size() - before)
    fail(Fault::input, what, " is cut short in its header: ", all.size(), " bytes, expected ", before + length);

  NpyHeader header;
  header.bytes = before + length;
  std::optional<DType> dtype;
  std::optional<bool> fortran;
  std::optional<Shape> shape;
  Literal in(all.substr(before, length), what);
  in.expect('{');
  while (!in.take('}')) {
    const std::string_view key = in.string();
    in.expect(':');
    if (key == "descr" && !dtype)
      dtype = read_type(in, what);
    else if (key == "fortran_order" && !fortran)
      fortran = in.boolean();
    else if (key == "shape" && !shape)
      shape = read_shape(in, what);
    else
      fail(Fault::input, what, ": the header has the key ", in_quotes(key),
           ", expected descr, fortran_order and shape, each once");
    if (in.take('}')) break;
    in.expect(',');
  }
  in.end();
  if (!dtype || !fortran || !shape)
    fail(Fault::input, what, ": the header lacks ", !dtype ? "descr" : !fortran ? "fortran_order" : "shape");
  header.dtype = *dtype;
  header.fortran_order = *fortran;
  header.shape = *shape;
  return header;
}

}  // namespace shear

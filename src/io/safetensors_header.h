// The JSON header of a safetensors file: what it claims, read and written.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shear/shape.h"

namespace shear {

struct HeaderEntry {
  std::string name;
  DType dtype = DType::f32;
  Shape shape;
  uint64_t begin = 0, end = 0;  // bytes behind the header; begin <= end
};

struct Header {
  static constexpr uint64_t max_bytes = 100'000'000;  // the format's own limit
  static constexpr std::string_view metadata_key = "__metadata__";

  std::vector<HeaderEntry> entries;  // in the order of their bytes
  std::map<std::string, std::string> metadata;
};

inline constexpr size_t header_length_bytes = sizeof(uint64_t);

// How long the text is, by the first bytes of a file of `file_bytes`; throws Fault::input where it cannot be.
size_t header_length(std::span<const std::byte> first, uint64_t file_bytes, const std::string& file);

// Checks what can be known from the text alone, except that names may repeat.  Throws Fault::input, naming `file`.
Header parse_header(std::string_view json, const std::string& file);

// That the entries, in the order of their bytes, fill the data behind the header from end to end; throws Fault::input.
void check_layout(const std::vector<HeaderEntry>&, uint64_t data_bytes, const std::string& file);

// Throws Fault::input, naming `file`, for names and metadata that are not UTF-8.
std::string write_header(const Header&, const std::string& file);

// A name for an error sentence: in quotes, on one line and not endless, whatever the file holds.
std::string in_quotes(std::string_view);

}  // namespace shear

// The bytes of a safetensors file, put together by hand.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "shear/io.h"

inline std::string length_prefix(uint64_t n) { return {reinterpret_cast<const char*>(&n), sizeof n}; }

inline std::string raw(std::string_view header, std::string_view data) {
  return length_prefix(header.size()) + std::string(header) + std::string(data);
}

inline std::string_view bytes_of(const shear::TensorView& t) {
  return {reinterpret_cast<const char*>(t.bytes.data()), t.bytes.size()};
}

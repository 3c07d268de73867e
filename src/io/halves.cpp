// The short floating-point types to and from f32, and tensors of a file as numbers.
#include <bit>
#include <cstring>

#include "shear/error.h"
#include "shear/io.h"

namespace shear {

// f16: 1 sign, 5 exponent (bias 15), 10 mantissa bits.  f32: 1, 8 (bias 127), 23.
float f16_to_f32(uint16_t h) {
  const uint32_t sign = (h & 0x8000u) << 16;
  const uint32_t magnitude = h & 0x7fffu;
  uint32_t bits;
  if (magnitude >= 0x7c00u)  // infinity, nan
    bits = (magnitude << 13) | 0x7f800000u;
  else if (magnitude >= 0x0400u)
    bits = (magnitude << 13) + ((127u - 15u) << 23);
  else  // zero and subnormals: a multiple of 2^-24, exact in f32
    bits = std::bit_cast<uint32_t>(static_cast<float>(magnitude) * 0x1p-24f);
  return std::bit_cast<float>(sign | bits);
}

uint16_t f32_to_f16(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  const uint32_t magnitude = bits & 0x7fffffffu;
  uint32_t h;
  if (magnitude > 0x7f800000u)  // nan stays nan: the quiet bit is set, so that no payload can be lost to zero
    h = 0x7e00u | ((magnitude >> 13) & 0x03ffu);
  else if (magnitude >= 0x47800000u)  // 2^16 and more
    h = 0x7c00u;
  else if (magnitude >= 0x38800000u)  // 2^-14 and more: normal; a carry may step the exponent, up to infinity's
    h = (magnitude - ((127u - 15u) << 23) + 0x0fffu + ((magnitude >> 13) & 1u)) >> 13;
  else  // the neighbours of 0.5 lie 2^-24 apart, as f16's subnormals do: the addition rounds
    h = std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) - std::bit_cast<uint32_t>(0.5f);
  return static_cast<uint16_t>(((bits >> 16) & 0x8000u) | h);
}

float bf16_to_f32(uint16_t h) { return std::bit_cast<float>(static_cast<uint32_t>(h) << 16); }

uint16_t f32_to_bf16(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>((bits >> 16) | 0x0040u);
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

namespace {

// A file promises no alignment, so each value is copied out.
template <class Stored, class Out, class Convert>
void read_each(const TensorView& t, std::span<Out> out, Convert convert) {
  for (size_t i = 0; i < out.size(); ++i) {
    Stored stored;
    std::memcpy(&stored, t.bytes.data() + i * sizeof(Stored), sizeof(Stored));
    out[i] = convert(stored);
  }
}

[[noreturn]] void refuse(const TensorFile& file, const TensorView& t, const char* expected) {
  fail(Fault::input, file.path().string(), ": tensor \"", t.name, "\" is stored as ", name(t.dtype), ", expected ",
       expected);
}

}  // namespace

void read_floats(const TensorFile& file, const TensorView& t, std::span<float> out) {
  require(static_cast<int64_t>(out.size()) == t.shape.elements(), "read_floats: tensor \"", t.name, "\" is ", t.shape,
          ", which does not fit ", out.size(), " values");
  switch (t.dtype) {
    case DType::f32:
      if (!out.empty()) std::memcpy(out.data(), t.bytes.data(), t.bytes.size());
      break;
    case DType::f64:
      read_each<double>(t, out, [](double x) { return static_cast<float>(x); });
      break;
    case DType::f16:
      read_each<uint16_t>(t, out, f16_to_f32);
      break;
    case DType::bf16:
      read_each<uint16_t>(t, out, bf16_to_f32);
      break;
    default:
      refuse(file, t, "F32, F16, BF16 or F64");
  }
  file.let_go(t.bytes);
}

std::vector<float> read_floats(const TensorFile& file, const TensorView& t) {
  std::vector<float> out(static_cast<size_t>(t.shape.elements()));
  read_floats(file, t, out);
  return out;
}

std::vector<int64_t> read_integers(const TensorFile& file, const TensorView& t) {
  std::vector<int64_t> out(static_cast<size_t>(t.shape.elements()));
  const std::span<int64_t> to(out);
  const auto widen = [](auto x) { return static_cast<int64_t>(x); };
  switch (t.dtype) {
    case DType::i64:
      read_each<int64_t>(t, to, widen);
      break;
    case DType::i32:
      read_each<int32_t>(t, to, widen);
      break;
    case DType::u8:
      read_each<uint8_t>(t, to, widen);
      break;
    default:
      refuse(file, t, "I64, I32 or U8");
  }
  file.let_go(t.bytes);
  return out;
}

}  // namespace shear

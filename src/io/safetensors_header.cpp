// The JSON header of a safetensors file: what it claims, read and written.
#include "io/safetensors_header.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <tuple>
#include <utility>

#include "io/tensor_bytes.h"
#include "shear/error.h"

namespace shear {

namespace {

using Json = nlohmann::json;

constexpr std::array held = {DType::f32, DType::f64, DType::f16, DType::bf16, DType::i8,  DType::u8,     DType::i16,
                             DType::u16, DType::i32, DType::u32, DType::i64,  DType::u64, DType::boolean};
constexpr std::array<std::string_view, 9> not_held = {"F4",      "F6_E2M3",     "F6_E3M2",     "F8_E5M2", "F8_E4M3",
                                                      "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "C64"};

std::string clipped(std::string_view s) {
  constexpr size_t limit = 120;
  size_t n = std::min(s.size(), limit);
  while (n > 0 && n < s.size() && (static_cast<unsigned char>(s[n]) & 0xc0) == 0x80) --n;  // not inside a character
  std::string out(s.substr(0, n));
  for (char& c : out)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  return n < s.size() ? out + "..." : out;
}

// Called by the parser for each piece of text in turn.  It knows where it is and accepts only what may stand there, so
// that nothing is stored, nested or looked for that the format does not have.
class HeaderReader {
 public:
  HeaderReader(const std::string& file, Header& header) : file_(file), header_(header) {}

  bool null() { unexpected("null"); }
  bool boolean(bool value) { unexpected(value ? "true" : "false"); }
  bool number_integer(int64_t value) {
    unexpected(text('-', -static_cast<uint64_t>(value)));
  }  // only those with a sign
  bool number_float(double, const std::string& spelt) { unexpected(clipped(spelt)); }
  bool binary(Json::binary_t&) { unexpected("binary"); }

  bool number_unsigned(uint64_t value) {
    if (at_ == At::shape) {
      if (value > std::numeric_limits<int64_t>::max()) unexpected(std::to_string(value));
      if (numbers_ < dims_.size()) dims_[numbers_] = static_cast<int64_t>(value);
    } else if (at_ == At::offsets) {
      if (numbers_ < offsets_.size()) offsets_[numbers_] = value;
    } else {
      unexpected(std::to_string(value));
    }
    ++numbers_;
    return true;
  }

  bool string(std::string& value) {
    if (at_ == At::metadata) {
      if (!header_.metadata.emplace(key_, std::move(value)).second)
        fail(Fault::input, file_, ": ", Header::metadata_key, " holds ", in_quotes(key_), " twice");
    } else if (at_ == At::tensor && key_ == "dtype") {
      entry().dtype = dtype(value);
    } else {
      unexpected(in_quotes(value));
    }
    return true;
  }

  bool start_object(size_t) {
    if (at_ == At::outside) {
      at_ = At::file;
    } else if (at_ == At::file && key_ == Header::metadata_key) {
      if (metadata_seen_) fail(Fault::input, file_, ": the header holds ", Header::metadata_key, " twice");
      metadata_seen_ = true;
      at_ = At::metadata;
    } else if (at_ == At::file) {
      header_.entries.emplace_back().name = std::move(key_);
      seen_ = {};
      at_ = At::tensor;
    } else {
      unexpected("an object");
    }
    return true;
  }

  bool key(std::string& value) {
    key_ = std::move(value);
    if (at_ != At::tensor) return true;
    for (size_t i = 0; i < fields.size(); ++i) {
      if (key_ != fields[i]) continue;
      if (std::exchange(seen_[i], true)) fail(Fault::input, tensor(), " has ", fields[i], " twice");
      return true;
    }
    fail(Fault::input, tensor(), " has ", in_quotes(key_), ", expected only dtype, shape and data_offsets");
  }

  bool end_object() {
    if (at_ == At::tensor)
      for (size_t i = 0; i < fields.size(); ++i)
        if (!seen_[i]) fail(Fault::input, tensor(), " has no ", fields[i]);
    at_ = at_ == At::file ? At::outside : At::file;
    return true;
  }

  bool start_array(size_t) {
    if (at_ != At::tensor || key_ == "dtype") unexpected("an array");
    at_ = key_ == "shape" ? At::shape : At::offsets;
    numbers_ = 0;
    return true;
  }

  bool end_array() {
    if (at_ == At::shape) {
      if (numbers_ > dims_.size())
        fail(Fault::input, tensor(), " has ", numbers_, " dimensions, expected at most ", Shape::max_rank);
      entry().shape = Shape(std::span<const int64_t>(dims_).first(numbers_));
    } else {
      if (numbers_ != 2)
        fail(Fault::input, tensor(), ": data_offsets holds ", numbers_,
             " numbers, expected 2, where the tensor begins and ends");
      std::tie(entry().begin, entry().end) = std::tie(offsets_[0], offsets_[1]);
      if (entry().begin > entry().end)
        fail(Fault::input, tensor(), ": data_offsets are [", entry().begin, ", ", entry().end,
             "], expected begin <= end");
    }
    at_ = At::tensor;
    return true;
  }

  bool parse_error(size_t position, const std::string& last, const Json::exception&) {
    fail(Fault::input, file_, ": the header is not JSON at its byte ", position, ", near ", in_quotes(last));
  }

 private:
  enum class At { outside, file, metadata, tensor, shape, offsets };
  static constexpr std::array<std::string_view, 3> fields = {"dtype", "shape", "data_offsets"};

  HeaderEntry& entry() { return header_.entries.back(); }
  std::string tensor() { return text(file_, ": tensor ", in_quotes(entry().name)); }

  DType dtype(std::string_view spelt) {
    for (const DType t : held)
      if (name(t) == spelt) return t;
    std::string known;
    for (const DType t : held) known += text(known.empty() ? "" : ", ", name(t));
    const bool ours = std::find(not_held.begin(), not_held.end(), spelt) != not_held.end();
    fail(Fault::input, tensor(), " is stored as ", in_quotes(spelt), ", which ",
         ours ? "Shear cannot read" : "is no safetensors type", ", expected one of ", known);
  }

  [[noreturn]] void unexpected(const std::string& found) {
    switch (at_) {
      case At::outside:
        fail(Fault::input, file_, ": the header is ", found, ", expected an object");
      case At::file:
        fail(Fault::input, file_, ": ", in_quotes(key_), " is ", found, ", expected an object");
      case At::metadata:
        fail(Fault::input, file_, ": ", Header::metadata_key, " holds ", in_quotes(key_), " as ", found,
             ", expected a string");
      case At::tensor:
        fail(Fault::input, tensor(), ": ", key_, " is ", found, ", expected ",
             key_ == "dtype" ? "a string" : "an array of whole numbers");
      case At::shape:
        fail(Fault::input, tensor(), ": shape holds ", found, ", expected whole numbers from 0 to ",
             std::numeric_limits<int64_t>::max());
      case At::offsets:
        fail(Fault::input, tensor(), ": data_offsets holds ", found, ", expected whole numbers from 0 to ",
             std::numeric_limits<uint64_t>::max());
    }
    fail(Fault::internal, file_, ": the header's reader is lost");
  }

  const std::string& file_;
  Header& header_;
  At at_ = At::outside;
  std::string key_;
  bool metadata_seen_ = false;
  std::array<bool, fields.size()> seen_{};
  size_t numbers_ = 0;  // in the array at hand; those beyond its room are only counted
  std::array<int64_t, Shape::max_rank> dims_{};
  std::array<uint64_t, 2> offsets_{};
};

}  // namespace

std::string in_quotes(std::string_view s) { return text('"', clipped(s), '"'); }

size_t header_length(std::span<const std::byte> first, uint64_t file_bytes, const std::string& file) {
  if (file_bytes < header_length_bytes)
    fail(Fault::input, file, ": ", file_bytes, " bytes, expected at least the ", header_length_bytes,
         " that begin a safetensors file");
  uint64_t length;
  std::memcpy(&length, first.data(), header_length_bytes);
  if (length > Header::max_bytes)
    fail(Fault::input, file, ": the header claims ", length, " bytes, expected at most ", Header::max_bytes);
  if (length > file_bytes - header_length_bytes)
    fail(Fault::input, file, ": the header claims ", length, " bytes, but only ", file_bytes - header_length_bytes,
         " follow its length");
  return static_cast<size_t>(length);
}

Header parse_header(std::string_view json, const std::string& file) {
  if (json.empty() || json.front() != '{')
    fail(Fault::input, file, ": the header begins with ", in_quotes(json.substr(0, 1)), ", expected \"{\"");
  // The parser takes a zero byte for the end of the text.
  if (const size_t zero = json.find('\0'); zero != json.npos)
    fail(Fault::input, file, ": the header is not JSON at its byte ", zero + 1, ", which is zero");
  Header header;
  HeaderReader reader(file, header);
  Json::sax_parse(json.begin(), json.end(), &reader);
  // By their places: std's moves of entries would be exported, for what they return is named shear::.
  std::vector<HeaderEntry> in_text = std::move(header.entries);
  std::vector<size_t> order(in_text.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return std::tie(in_text[a].begin, in_text[a].end) < std::tie(in_text[b].begin, in_text[b].end);
  });
  header.entries.clear();
  for (const size_t i : order) header.entries.push_back(std::move(in_text[i]));
  return header;
}

// Whether the shape and the type make as many bytes as the offsets span.
static void check_size(const HeaderEntry& e, const std::string& path) {
  const std::optional<uint64_t> bytes = bytes_of(e.dtype, e.shape);
  if (!bytes)
    fail(Fault::input, path, ": tensor ", in_quotes(e.name), ": the bytes of ", name(e.dtype), " ", e.shape,
         " are too many to count");
  if (*bytes != e.end - e.begin)
    fail(Fault::input, path, ": tensor ", in_quotes(e.name), ": data_offsets span ", e.end - e.begin, " bytes, but ",
         name(e.dtype), " ", e.shape, " takes ", *bytes);
}

void check_layout(const std::vector<HeaderEntry>& entries, uint64_t data_bytes, const std::string& path) {
  for (const HeaderEntry& e : entries) check_size(e, path);
  uint64_t filled = 0;
  const HeaderEntry* before = nullptr;
  for (const HeaderEntry& e : entries) {
    if (e.end > data_bytes)
      fail(Fault::input, path, ": tensor ", in_quotes(e.name), " ends at byte ", e.end, " of the data, but only ",
           data_bytes, " follow the header");
    if (e.begin < filled)
      fail(Fault::input, path, ": tensor ", in_quotes(e.name), " begins at byte ", e.begin, " of the data, inside ",
           in_quotes(before->name), ", which ends at ", filled);
    if (e.begin > filled)
      fail(Fault::input, path, ": tensor ", in_quotes(e.name), " begins at byte ", e.begin, " of the data, expected ",
           filled, ": the bytes between belong to no tensor");
    filled = e.end;
    before = &e;
  }
  if (filled < data_bytes)
    fail(Fault::input, path, ": ", data_bytes, " bytes follow the header, but the tensors end at ", filled);
}

std::string write_header(const Header& header, const std::string& file) {
  const auto json = [&](const std::string& s) {
    try {
      return Json(s).dump();
    } catch (const Json::exception&) {
      fail(Fault::input, "cannot write ", file, ": ", in_quotes(s), " is not UTF-8");
    }
  };
  std::string out;
  for (const auto& [key, value] : header.metadata) out += text(out.empty() ? "" : ",", json(key), ":", json(value));
  if (!out.empty()) out = text('"', Header::metadata_key, "\":{", out, "}");
  for (const HeaderEntry& e : header.entries) {
    std::string dims;
    for (const int64_t d : e.shape) dims += text(dims.empty() ? "" : ",", d);
    out += text(out.empty() ? "" : ",", json(e.name), ":{\"dtype\":\"", name(e.dtype), "\",\"shape\":[", dims,
                "],\"data_offsets\":[", e.begin, ",", e.end, "]}");
  }
  return text('{', out, '}');
}

}  // namespace shear

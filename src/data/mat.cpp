// MAT-files, level 5: a header of 128 bytes, then elements, each with a tag of type and size.
//
//   header     116 bytes of text, 8 of no use here, the version 00 01, "IM" where the machine was little-endian
//   element    type (u32), bytes (u32), data padded to 8 bytes; or, of up to 4 bytes, type (u16), bytes (u16), data
//   matrix     an element of elements: flags (class in the lowest byte), dimensions, name, values
//   compressed an element that unpacks, by zlib, to one matrix; not padded
//
// Values are stored in the smallest type that holds them, whatever the matrix's class.  Own code, not libmatio, which
// sets aside what a file claims before it looks: a broken file of 400 bytes made it ask for terabytes.
#include "data/mat.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>

#include "data/files.h"
#include "shear/error.h"

namespace shear {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr size_t header_bytes = 128;
constexpr size_t max_bytes = size_t{1} << 26;  // of a file, and of what an element unpacks to
enum Type : uint32_t { compressed = 15, matrix = 14, int8 = 1, int32 = 5, uint32 = 6 };

template <class T>
T number(Bytes bytes, size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

struct Element {
  uint32_t type;
  Bytes data;
};

// Elements one after another.
class Elements {
 public:
  Elements(Bytes bytes, const std::string& name) : rest_(bytes), name_(name) {}

  bool at_end() const { return rest_.empty(); }

  Element take(const char* what) {
    if (rest_.size() < 8) broken(what, "the ", rest_.size(), " bytes that are left hold no tag of 8");
    const uint32_t first = number<uint32_t>(rest_, 0);
    if (const uint32_t small = first >> 16; small != 0) {
      if (small > 4) broken(what, "it is a small element of ", small, " bytes, expected at most 4");
      const Element element{first & 0xffff, rest_.subspan(4, small)};
      rest_ = rest_.subspan(8);
      return element;
    }
    const size_t bytes = number<uint32_t>(rest_, 4);
    if (bytes > rest_.size() - 8)
      broken(what, "it claims ", bytes, " bytes, but ", rest_.size() - 8, " are left of the file");
    const Element element{first, rest_.subspan(8, bytes)};
    const size_t padded = first == compressed ? bytes : (bytes + 7) / 8 * 8;
    rest_ = rest_.subspan(std::min(8 + padded, rest_.size()));
    return element;
  }

 private:
  template <class... Parts>
  [[noreturn]] void broken(const char* what, const Parts&... parts) const {
    fail(Fault::input, name_, ": is a broken MAT-file, at ", what, ": ", parts...);
  }

  Bytes rest_;
  const std::string& name_;
};

std::vector<uint8_t> unpack(Bytes packed, const std::string& name) {
  z_stream stream{};
  if (inflateInit(&stream) != Z_OK) throw std::bad_alloc();
  struct End {
    z_stream& stream;
    ~End() { inflateEnd(&stream); }
  } const end{stream};
  stream.next_in = const_cast<uint8_t*>(packed.data());  // zlib does not write there
  stream.avail_in = static_cast<uInt>(packed.size());
  std::vector<uint8_t> bytes;
  int status = Z_OK;
  while (status == Z_OK) {
    const size_t have = bytes.size();
    if (have >= max_bytes) fail(Fault::input, name, ": an element unpacks to more than ", max_bytes, " bytes");
    bytes.resize(std::max<size_t>(2 * have, 4096));
    stream.next_out = bytes.data() + have;
    stream.avail_out = static_cast<uInt>(bytes.size() - have);
    status = inflate(&stream, Z_NO_FLUSH);
    bytes.resize(bytes.size() - stream.avail_out);
  }
  if (status == Z_MEM_ERROR) throw std::bad_alloc();
  if (status != Z_STREAM_END)
    fail(Fault::input, name, ": is a broken MAT-file, a compressed element does not unpack (",
         stream.msg ? stream.msg : "it ends early", ")");
  return bytes;
}

// Types of stored numbers, by their code; other codes are none.
struct Storage {
  size_t bytes;
  double (*read)(const uint8_t*);
};
template <class T>
constexpr Storage storage{sizeof(T), [](const uint8_t* at) {
                            T value;
                            std::memcpy(&value, at, sizeof value);
                            return static_cast<double>(value);
                          }};
std::optional<Storage> storage_of(uint32_t type) {
  switch (type) {
    case 1:
      return storage<int8_t>;
    case 2:
      return storage<uint8_t>;
    case 3:
      return storage<int16_t>;
    case 4:
      return storage<uint16_t>;
    case 5:
      return storage<int32_t>;
    case 6:
      return storage<uint32_t>;
    case 7:
      return storage<float>;
    case 9:
      return storage<double>;
    case 12:
      return storage<int64_t>;
    case 13:
      return storage<uint64_t>;
    default:
      return std::nullopt;
  }
}

std::vector<int64_t> whole_numbers(const Element& values, const std::string& place) {
  const std::optional<Storage> type = storage_of(values.type);
  if (!type) fail(Fault::input, place, ": values are stored as type ", values.type, ", expected numbers");
  if (values.data.size() % type->bytes != 0)
    fail(Fault::input, place, ": values take ", values.data.size(), " bytes, expected a multiple of ", type->bytes);
  std::vector<int64_t> numbers;
  numbers.reserve(values.data.size() / type->bytes);
  for (size_t at = 0; at < values.data.size(); at += type->bytes) {
    const double value = type->read(values.data.data() + at);
    if (!(std::abs(value) <= 0x1p53) || value != std::floor(value))
      fail(Fault::input, place, ": value ", numbers.size(), " is ", value, ", expected a whole number");
    numbers.push_back(static_cast<int64_t>(value));
  }
  return numbers;
}

// The values of a matrix if it has the name that is looked for; its name is added to `seen` if not.
std::optional<std::vector<int64_t>> read_matrix(Bytes bytes, const std::string& file, const std::string& variable,
                                                std::vector<std::string>& seen) {
  Elements elements(bytes, file);
  const Element flags = elements.take("a matrix's flags");
  const Element dims = elements.take("a matrix's dimensions");
  const Element name = elements.take("a matrix's name");
  if (flags.type != uint32 || flags.data.size() != 8 || dims.type != int32 || dims.data.size() % 4 != 0 ||
      dims.data.size() < 8 || name.type != int8)
    fail(Fault::input, file, ": is a broken MAT-file, a matrix does not begin with flags, dimensions and a name");
  const std::string found(reinterpret_cast<const char*>(name.data.data()), name.data.size());
  if (found != variable) {
    seen.push_back(found);
    return std::nullopt;
  }
  const std::string place = text(file, ": the variable \"", variable, "\"");
  const uint32_t about = number<uint32_t>(flags.data, 0);
  constexpr uint32_t first_numeric = 6, last_numeric = 15, is_complex = 0x800;  // double ... uint64
  if ((about & 0xff) < first_numeric || (about & 0xff) > last_numeric || (about & is_complex) != 0)
    fail(Fault::input, place, " is of class ", about & 0xff, (about & is_complex) != 0 ? ", complex" : "",
         ", expected real numbers");
  std::string shape;
  size_t longer = 0, others = 0;
  for (size_t at = 0; at < dims.data.size(); at += 4) {
    const int32_t dim = number<int32_t>(dims.data, at);
    shape += text(at == 0 ? "" : " x ", dim);
    if (dim != 1) longer = static_cast<size_t>(dim), ++others;
  }
  if (others == 0) longer = 1;
  const std::vector<int64_t> numbers = whole_numbers(elements.take("a matrix's values"), place);
  if (others > 1) fail(Fault::input, place, " is ", shape, ", expected a vector");
  if (numbers.size() != longer) fail(Fault::input, place, " is ", shape, " but holds ", numbers.size(), " values");
  return numbers;
}

void check_header(Bytes bytes, const std::string& name) {
  const auto is = [&](const char* what) { return std::memcmp(bytes.data() + 124, what, 4) == 0; };
  constexpr const char* expected = ", expected a MAT-file of level 5, as MATLAB writes before version 7.3";
  if (bytes.size() < header_bytes)
    fail(Fault::input, name, ": holds ", bytes.size(), " bytes, fewer than a header of ", header_bytes, expected);
  if (is("\x00\x02IM") || is("\x02\x00MI")) fail(Fault::input, name, ": is a MAT-file of version 7.3 (HDF5)", expected);
  if (is("\x01\x00MI")) fail(Fault::input, name, ": is a big-endian MAT-file", expected, " on today's machines");
  if (!is("\x00\x01IM")) fail(Fault::input, name, ": is no MAT-file", expected);
}

}  // namespace

std::vector<int64_t> read_mat_vector(const std::filesystem::path& path, const std::string& variable) {
  const std::string name = path.string();
  const std::vector<uint8_t> file = read_bytes(path, "a MAT-file", max_bytes);
  check_header(file, name);
  Elements elements(Bytes(file).subspan(header_bytes), name);
  std::vector<std::string> seen;
  while (!elements.at_end()) {
    const Element outer = elements.take("an element");
    std::optional<std::vector<int64_t>> values;
    if (outer.type == matrix) {
      values = read_matrix(outer.data, name, variable, seen);
    } else if (outer.type == compressed) {
      const std::vector<uint8_t> unpacked = unpack(outer.data, name);
      const Element inner = Elements(unpacked, name).take("a compressed element");
      if (inner.type != matrix)
        fail(Fault::input, name, ": a compressed element holds one of type ", inner.type, ", expected a matrix");
      values = read_matrix(inner.data, name, variable, seen);
    } else {
      fail(Fault::input, name, ": is a broken MAT-file, an element is of type ", outer.type, ", expected a matrix");
    }
    if (values) return *values;
  }
  std::string held;
  for (const std::string& other : seen) held += (held.empty() ? " \"" : ", \"") + excerpt(other) + '"';
  fail(Fault::input, name, ": has no variable \"", variable, "\"", seen.empty() ? "" : ", only", held);
}

}  // namespace shear

// safetensors: u64 header length | JSON header | the tensors' bytes, one behind the other.
#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <set>
#include <tuple>

#include "io/mapped_file.h"
#include "io/safetensors_header.h"
#include "io/tensor_bytes.h"
#include "shear/error.h"
#include "shear/io.h"

namespace shear {

static_assert(std::endian::native == std::endian::little,
              "the format is little-endian, and is read and written as it lies");

namespace {

constexpr size_t length_bytes = sizeof(uint64_t);

std::string_view header_text(std::span<const std::byte> file, const std::string& path) {
  if (file.size() < length_bytes)
    fail(Fault::input, path, ": ", file.size(), " bytes, expected at least the ", length_bytes,
         " that begin a safetensors file");
  uint64_t length;
  std::memcpy(&length, file.data(), length_bytes);
  if (length > Header::max_bytes)
    fail(Fault::input, path, ": the header claims ", length, " bytes, expected at most ", Header::max_bytes);
  if (length > file.size() - length_bytes)
    fail(Fault::input, path, ": the header claims ", length, " bytes, but only ", file.size() - length_bytes,
         " follow its length");
  return {reinterpret_cast<const char*>(file.data()) + length_bytes, static_cast<size_t>(length)};
}

// Whether the shape and the type make as many bytes as the offsets span.
void check_size(const HeaderEntry& e, const std::string& path) {
  const std::optional<uint64_t> bytes = bytes_of(e.dtype, e.shape);
  if (!bytes)
    fail(Fault::input, path, ": tensor ", in_quotes(e.name), ": the bytes of ", name(e.dtype), " ", e.shape,
         " are too many to count");
  if (*bytes != e.end - e.begin)
    fail(Fault::input, path, ": tensor ", in_quotes(e.name), ": data_offsets span ", e.end - e.begin, " bytes, but ",
         name(e.dtype), " ", e.shape, " takes ", *bytes);
}

// In the order of their bytes, the tensors fill the data from end to end.
void check_layout(const std::vector<HeaderEntry>& sorted, size_t data_bytes, const std::string& path) {
  uint64_t filled = 0;
  const HeaderEntry* before = nullptr;
  for (const HeaderEntry& e : sorted) {
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

}  // namespace

SafeTensors::SafeTensors(const std::filesystem::path& file) : TensorFile(file) {
  const std::string path = file.string();
  const std::string_view json = header_text(file_->bytes(), path);
  Header header = parse_header(json, path);
  const auto data = file_->bytes().subspan(length_bytes + json.size());

  std::vector<HeaderEntry>& entries = header.entries;
  std::stable_sort(entries.begin(), entries.end(), [](const HeaderEntry& a, const HeaderEntry& b) {
    return std::tie(a.begin, a.end) < std::tie(b.begin, b.end);
  });
  for (const HeaderEntry& e : entries) tensors_.push_back({e.name, e.dtype, e.shape, {}});
  sort_names();
  for (const HeaderEntry& e : entries) check_size(e, path);
  check_layout(entries, data.size(), path);
  for (size_t i = 0; i < entries.size(); ++i)
    tensors_[i].bytes =
        data.subspan(static_cast<size_t>(entries[i].begin), static_cast<size_t>(entries[i].end - entries[i].begin));
  metadata_ = std::move(header.metadata);
}

void write_safetensors(const std::filesystem::path& path, std::span<const TensorToWrite> tensors,
                       const std::map<std::string, std::string>& metadata, const Replacement& how) {
  Header header;
  header.metadata = metadata;
  std::set<std::string_view> names = {Header::metadata_key};
  uint64_t end = 0;
  for (const TensorToWrite& t : tensors) {
    require(names.insert(t.name).second, "write_safetensors ", path.string(), ": the name ", in_quotes(t.name),
            " is taken");
    const uint64_t begin = end;
    end += static_cast<uint64_t>(t.shape.elements()) * size_of(t.dtype);
    require(t.data || t.fill || begin == end, "write_safetensors ", path.string(), ": tensor ", in_quotes(t.name),
            " has no data");
    header.entries.push_back({t.name, t.dtype, t.shape, begin, end});
  }
  std::string json = write_header(header, path.string());
  json.resize((json.size() + 7) / 8 * 8, ' ');
  if (json.size() > Header::max_bytes)
    fail(Fault::input, "cannot write ", path.string(), ": the header takes ", json.size(), " bytes, expected at most ",
         Header::max_bytes);
  const uint64_t length = json.size();

  const auto write = [&](int fd) {
    write_all(fd, &length, length_bytes, path);
    write_all(fd, json.data(), json.size(), path);
    std::vector<std::byte> room;
    for (const TensorToWrite& t : tensors) {
      const std::span<const std::byte> bytes = bytes_of(t, room);
      write_all(fd, bytes.data(), bytes.size(), path);
    }
  };
  write_atomically(path, write, how);
}

}  // namespace shear

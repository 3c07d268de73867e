// safetensors: u64 header length | JSON header | the tensors' bytes, one behind the other.
#include <bit>
#include <set>

#include "io/mapped_file.h"
#include "io/safetensors_header.h"
#include "io/tensor_bytes.h"
#include "shear/error.h"
#include "shear/io.h"

namespace shear {

static_assert(std::endian::native == std::endian::little,
              "the format is little-endian, and is read and written as it lies");

SafeTensors::SafeTensors(const std::filesystem::path& file) : TensorFile(file) {
  const std::string path = file.string();
  const size_t length = header_length(file_->bytes(), file_->bytes().size(), path);
  const auto json = file_->bytes().subspan(header_length_bytes, length);
  const auto data = file_->bytes().subspan(header_length_bytes + length);
  Header header = parse_header({reinterpret_cast<const char*>(json.data()), json.size()}, path);
  const std::vector<HeaderEntry>& entries = header.entries;
  for (const HeaderEntry& e : entries) tensors_.push_back({e.name, e.dtype, e.shape, {}});
  sort_names();
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
    write_all(fd, &length, header_length_bytes, path);
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

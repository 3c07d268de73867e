// Checksums of a tensor file's content: one per tensor, one for all that its header says.  XXH3, 64 bits: what is
// looked for is damage, not malice.  https://github.com/Cyan4973/xxHash
#include <xxhash.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <new>
#include <nlohmann/json.hpp>

#include "io/safetensors_header.h"
#include "io/tensor_bytes.h"
#include "shear/error.h"
#include "shear/io.h"

namespace shear {

namespace {

constexpr const char* key = "shear.checksums";

std::string hex(uint64_t value) {
  char digits[17];
  std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(value));
  return digits;
}

// What the header says of one tensor.
std::string said(std::string_view tensor, DType dtype, const Shape& shape) {
  return text(tensor, '\0', name(dtype), '\0', shape, '\n');
}

// `tensors`: what the header says of each, in any order.
uint64_t header_sum(std::vector<std::string> tensors, const std::map<std::string, std::string>& metadata) {
  std::sort(tensors.begin(), tensors.end());
  std::string all;
  for (const std::string& tensor : tensors) all += tensor;
  for (const auto& [name, value] : metadata)
    if (name != key) all += text(name, '\0', value, '\n');
  return XXH3_64bits(all.data(), all.size());
}

constexpr size_t share = size_t{4} << 20;  // of a file, at a time: no more than that need be resident

class Sum {
 public:
  Sum() : state_(XXH3_createState(), XXH3_freeState) {
    if (!state_) throw std::bad_alloc();
    XXH3_64bits_reset(state_.get());
  }
  void add(std::span<const std::byte> bytes) { XXH3_64bits_update(state_.get(), bytes.data(), bytes.size()); }
  uint64_t value() const { return XXH3_64bits_digest(state_.get()); }

 private:
  std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> state_;
};

uint64_t sum_of(const TensorFile& file, std::span<const std::byte> bytes) {
  Sum sum;
  while (!bytes.empty()) {
    const auto now = bytes.first(std::min(share, bytes.size()));
    sum.add(now);
    file.let_go(now);
    bytes = bytes.subspan(now.size());
  }
  return sum.value();
}

// A file's bytes in their order, through a buffer: a map of it would count against a limit of address space.
class Stream {
 public:
  explicit Stream(const std::filesystem::path& path) : path_(path), file_(path, std::ios::binary), room_(share) {}

  void read(std::span<std::byte> out) {
    if (!file_.read(reinterpret_cast<char*>(out.data()), static_cast<std::streamsize>(out.size())))
      fail(Fault::input, "cannot read ", path_.string(), " again");
  }
  uint64_t sum_of_next(uint64_t bytes) {
    Sum sum;
    while (bytes > 0) {
      const auto now = std::span(room_).first(std::min<uint64_t>(share, bytes));
      read(now);
      sum.add(now);
      bytes -= now.size();
    }
    return sum.value();
  }

 private:
  std::filesystem::path path_;
  std::ifstream file_;
  std::vector<std::byte> room_;
};

// `tensors` as the file has them, in the order of their bytes; `sum`: of one's, asked for in that order.
template <class Tensors, class SumOf>
bool verify(const std::filesystem::path& path, const std::map<std::string, std::string>& metadata,
            const Tensors& tensors, Verify how_much, SumOf sum) {
  const auto found = metadata.find(key);
  if (found == metadata.end()) return false;
  const auto damaged = [&](const std::string& what) {
    fail(Fault::input, path.string(), ": ", what,
         " is not what was written (its checksum differs), expected a file without damage");
  };
  const nlohmann::json all = nlohmann::json::parse(found->second, nullptr, false);
  if (!all.is_object() || !all.contains("tensors") || !all["tensors"].is_object()) damaged("its list of checksums");
  std::vector<std::string> header;
  for (const auto& t : tensors) header.push_back(said(t.name, t.dtype, t.shape));
  if (all.value("header", nlohmann::json()) != hex(header_sum(std::move(header), metadata))) damaged("its header");
  if (how_much == Verify::header) return true;
  for (const auto& t : tensors)
    if (all["tensors"].value(t.name, nlohmann::json()) != hex(sum(t))) damaged(in_quotes(t.name));
  return true;
}

}  // namespace

void add_checksums(std::span<const TensorToWrite> tensors, std::map<std::string, std::string>& metadata) {
  std::vector<std::string> header;
  nlohmann::json sums = nlohmann::json::object();
  std::vector<std::byte> room;
  for (const TensorToWrite& t : tensors) {
    header.push_back(said(t.name, t.dtype, t.shape));
    const std::span<const std::byte> bytes = bytes_of(t, room);
    sums[t.name] = hex(XXH3_64bits(bytes.data(), bytes.size()));
  }
  const nlohmann::ordered_json all{
      {"kind", "XXH3-64"}, {"header", hex(header_sum(std::move(header), metadata))}, {"tensors", sums}};
  metadata[key] = all.dump();
}

bool verify_checksums(const TensorFile& file, Verify how_much) {
  return verify(file.path(), file.metadata(), file.tensors(), how_much,
                [&](const TensorView& t) { return sum_of(file, t.bytes); });
}

bool verify_safetensors(const std::filesystem::path& path) {
  std::error_code error;
  const uint64_t bytes = std::filesystem::file_size(path, error);
  if (error) fail(Fault::input, "cannot read ", path.string(), ": ", error.message());
  Stream stream(path);
  std::vector<std::byte> first(std::min<uint64_t>(bytes, header_length_bytes));
  stream.read(first);
  std::vector<std::byte> json(header_length(first, bytes, path.string()));
  stream.read(json);
  const Header header = parse_header({reinterpret_cast<const char*>(json.data()), json.size()}, path.string());
  check_layout(header.entries, bytes - header_length_bytes - json.size(), path.string());
  return verify(path, header.metadata, header.entries, Verify::all,
                [&](const HeaderEntry& e) { return stream.sum_of_next(e.end - e.begin); });
}

}  // namespace shear

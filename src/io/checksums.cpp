// Checksums of a tensor file's content: one per tensor, one for all that its header says.  XXH3, 64 bits: what is
// looked for is damage, not malice.  https://github.com/Cyan4973/xxHash
#include <xxhash.h>

#include <algorithm>
#include <cstdio>
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

// A share at a time, so that no more than that of the file is resident.
uint64_t sum_of(const TensorFile& file, std::span<const std::byte> bytes) {
  constexpr size_t share = size_t{4} << 20;
  const std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> state(XXH3_createState(), XXH3_freeState);
  if (!state) throw std::bad_alloc();
  XXH3_64bits_reset(state.get());
  while (!bytes.empty()) {
    const auto now = bytes.first(std::min(share, bytes.size()));
    XXH3_64bits_update(state.get(), now.data(), now.size());
    file.let_go(now);
    bytes = bytes.subspan(now.size());
  }
  return XXH3_64bits_digest(state.get());
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
  const auto found = file.metadata().find(key);
  if (found == file.metadata().end()) return false;
  const auto damaged = [&](const std::string& what) {
    fail(Fault::input, file.path().string(), ": ", what,
         " is not what was written (its checksum differs), expected a file without damage");
  };
  const nlohmann::json all = nlohmann::json::parse(found->second, nullptr, false);
  if (!all.is_object() || !all.contains("tensors") || !all["tensors"].is_object()) damaged("its list of checksums");
  std::vector<std::string> header;
  for (const TensorView& t : file.tensors()) header.push_back(said(t.name, t.dtype, t.shape));
  if (all.value("header", nlohmann::json()) != hex(header_sum(std::move(header), file.metadata())))
    damaged("its header");
  if (how_much == Verify::header) return true;
  for (const TensorView& t : file.tensors())
    if (all["tensors"].value(t.name, nlohmann::json()) != hex(sum_of(file, t.bytes))) damaged(in_quotes(t.name));
  return true;
}

}  // namespace shear

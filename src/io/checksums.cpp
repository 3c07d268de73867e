// Checksums of a tensor file's content: one per tensor, one for all that its header says.  XXH3, 64 bits: what is
// looked for is damage, not malice.  https://github.com/Cyan4973/xxHash
#include <xxhash.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "io/safetensors_header.h"
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

}  // namespace

void add_checksums(std::span<const TensorToWrite> tensors, std::map<std::string, std::string>& metadata) {
  std::vector<std::string> header;
  nlohmann::json sums = nlohmann::json::object();
  for (const TensorToWrite& t : tensors) {
    header.push_back(said(t.name, t.dtype, t.shape));
    sums[t.name] = hex(XXH3_64bits(t.data, static_cast<size_t>(t.shape.elements()) * size_of(t.dtype)));
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
    if (all["tensors"].value(t.name, nlohmann::json()) != hex(XXH3_64bits(t.bytes.data(), t.bytes.size())))
      damaged(in_quotes(t.name));
  return true;
}

}  // namespace shear

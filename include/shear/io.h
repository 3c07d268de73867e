// Files: safetensors, and writing that never leaves half a file.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shear/shape.h"

namespace shear {

// Writes beside `path`, flushes to disk and renames over it: whoever opens `path` sees the old file or the new one,
// whole.  The temporary name starts with '.' and ends in ".tmp"; it is removed when `write` throws.
// Throws Fault::input for a directory that cannot be written or a disk that is full, naming the path and the reason.
void write_atomically(const std::filesystem::path& path, const std::function<void(int fd)>& write);
void write_all(int fd, const void* data, size_t bytes, const std::filesystem::path& path_for_errors);
void write_text_atomically(const std::filesystem::path& path, std::string_view text);

struct TensorView {  // points into the file
  std::string name;
  DType dtype;
  Shape shape;
  std::span<const std::byte> bytes;
};

class MappedFile;

// A safetensors file, mapped, not read: https://github.com/huggingface/safetensors.  Everything that its header claims
// is checked when it is opened (length, JSON, no duplicate names, known dtypes, shapes that do not overflow and match
// their bytes, no holes, no overlap, the end of the file): throws Fault::input with the file, the place, what was
// found and what was expected.
class SafeTensors {
 public:
  explicit SafeTensors(const std::filesystem::path&);
  ~SafeTensors();
  SafeTensors(const SafeTensors&) = delete;
  SafeTensors& operator=(const SafeTensors&) = delete;

  const std::vector<TensorView>& tensors() const { return tensors_; }  // in the order of their bytes
  const TensorView* find(std::string_view name) const;
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  std::unique_ptr<const MappedFile> file_;
  std::vector<TensorView> tensors_;
  std::vector<size_t> by_name_;  // positions in tensors_, sorted by name
  std::map<std::string, std::string> metadata_;
};

// The values as f32, from F32, F16, BF16 or F64; throws Fault::input for others, naming file and tensor.
void read_floats(const SafeTensors&, const TensorView&, std::span<float> out);
std::vector<float> read_floats(const SafeTensors&, const TensorView&);
std::vector<int64_t> read_integers(const SafeTensors&, const TensorView&);  // from I64, I32, U8

struct TensorToWrite {
  std::string name;
  DType dtype;
  Shape shape;
  const void* data;  // host memory
};
// Atomic, as write_atomically; the header is padded with spaces to a multiple of 8.
void write_safetensors(const std::filesystem::path&, std::span<const TensorToWrite>,
                       const std::map<std::string, std::string>& metadata = {});

// One value of the short types to and from f32; rounds to nearest even.
float f16_to_f32(uint16_t);
uint16_t f32_to_f16(float);
float bf16_to_f32(uint16_t);
uint16_t f32_to_bf16(float);

}  // namespace shear

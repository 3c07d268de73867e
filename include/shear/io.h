// Files: safetensors, NumPy's .npz, and writing that never leaves half a file.
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

#include "shear/api.h"
#include "shear/shape.h"

namespace SHEAR_API shear {

// Writes beside `path`, flushes to disk and renames over it: whoever opens `path` sees the old file or the new one,
// whole.  The temporary name starts with '.' and ends in ".tmp"; it is removed when `write` throws.
// A symbolic link stays: what it leads to is replaced.
// Throws Fault::input for a directory that cannot be written or a disk that is full, naming the path and the reason.
struct Replacement {
  std::function<void(const std::filesystem::path& written)> check;  // of what is on the disk; throws to keep the old
  std::filesystem::path keep_old_as;                                // in the same directory; empty: the old file goes
};
void write_atomically(const std::filesystem::path& path, const std::function<void(int fd)>& write,
                      const Replacement& = {});
void write_all(int fd, const void* data, size_t bytes, const std::filesystem::path& path_for_errors);
void write_text_atomically(const std::filesystem::path& path, std::string_view text);

// The whole of a regular file; throws Fault::input for anything else, a pipe included.
std::string read_text(const std::filesystem::path&);

struct TensorView {
  std::string name;
  DType dtype;
  Shape shape;
  std::span<const std::byte> bytes;  // row-major, of no promised alignment; lives as long as its file
};

class MappedFile;

// An open file of named tensors.
class TensorFile {
 public:
  virtual ~TensorFile();
  TensorFile(const TensorFile&) = delete;
  TensorFile& operator=(const TensorFile&) = delete;

  const std::vector<TensorView>& tensors() const { return tensors_; }  // in the order of the file
  const TensorView* find(std::string_view name) const;
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  const std::filesystem::path& path() const { return path_; }
  // These bytes of a tensor were read and will not be again soon: a mapped file's pages leave the process's memory.
  // They may be read again all the same.
  virtual void let_go(std::span<const std::byte>) const;

 protected:
  explicit TensorFile(const std::filesystem::path&);  // maps it
  void sort_names();  // once tensors_ is whole; throws Fault::input for a name that stands twice

  std::filesystem::path path_;
  std::unique_ptr<const MappedFile> file_;
  std::vector<TensorView> tensors_;
  std::map<std::string, std::string> metadata_;

 private:
  std::vector<size_t> by_name_;  // positions in tensors_, sorted by name
};

// A safetensors file, mapped, not read: https://github.com/huggingface/safetensors.  Everything that its header claims
// is checked when it is opened (length, JSON, no duplicate names, known dtypes, shapes that do not overflow and match
// their bytes, no holes, no overlap, the end of the file): throws Fault::input with the file, the place, what was
// found and what was expected.
class SafeTensors final : public TensorFile {
 public:
  explicit SafeTensors(const std::filesystem::path&);
};

// The arrays of NumPy's .npz, a zip archive of .npy files: https://numpy.org/doc/stable/reference/generated/
// numpy.lib.format.html.  What is stored in C order is mapped, not read; what is deflated, or in Fortran order, is
// unpacked to memory.  Checked when it is opened, checksums included: throws Fault::input as SafeTensors does.
// bfloat16, which NumPy can only store as two raw bytes ("|V2"), is BF16.
class Npz final : public TensorFile {
 public:
  explicit Npz(const std::filesystem::path&);
  ~Npz() override;

 private:
  std::vector<std::vector<std::byte>> unpacked_;
};

// What torch.save writes (.pth, .pt, .bin): tensors in dictionaries, lists and tuples, named by their keys with dots
// between them.  A pickle is a program; nothing of it is executed: what it asks for beside tensors is refused by name.
// Values are mapped, not read, but for tensors that do not lie row by row.  Throws Fault::input as SafeTensors does.
// https://pytorch.org/docs/stable/notes/serialization.html, and the format of before PyTorch 1.6.
class PyTorchFile final : public TensorFile {
 public:
  explicit PyTorchFile(const std::filesystem::path&);
  ~PyTorchFile() override;

 private:
  std::vector<std::vector<std::byte>> unpacked_;
};

// A model in many files of these kinds, by the index beside them that names each tensor's: as Hugging Face's libraries
// write large models (model.safetensors.index.json).  Throws Fault::input, naming file and tensor, where index and
// files do not agree.
class ShardedFile final : public TensorFile {
 public:
  explicit ShardedFile(const std::filesystem::path& index);
  ~ShardedFile() override;
  void let_go(std::span<const std::byte>) const override;

 private:
  std::vector<std::unique_ptr<TensorFile>> shards_;
};

// Any of them, by what the file holds, whatever its name; of a directory its model.safetensors or pytorch_model.bin,
// whole or by the index of its parts; one of the parts means all of them.  Throws Fault::input for anything else,
// naming other formats that it knows.
std::unique_ptr<TensorFile> open_tensors(const std::filesystem::path&);

// The values as f32, from F32, F16, BF16 or F64; throws Fault::input for others, naming file and tensor.  The file's
// own bytes are let go.
void read_floats(const TensorFile&, const TensorView&, std::span<float> out);
std::vector<float> read_floats(const TensorFile&, const TensorView&);
std::vector<int64_t> read_integers(const TensorFile&, const TensorView&);  // from I64, I32, U8

struct TensorToWrite {
  std::string name;
  DType dtype;
  Shape shape;
  const void* data;                                     // host memory; null: `fill` says
  std::function<void(std::span<std::byte>)> fill = {};  // writes the bytes, each time that they are asked for
};
// Atomic, as write_atomically; the header is padded with spaces to a multiple of 8.
void write_safetensors(const std::filesystem::path&, std::span<const TensorToWrite>,
                       const std::map<std::string, std::string>& metadata = {}, const Replacement& = {});

// Checksums (XXH3, 64 bits) of every tensor, and of names, types, shapes and metadata, as a metadata entry of their
// own.
void add_checksums(std::span<const TensorToWrite>, std::map<std::string, std::string>& metadata);
// Whether the file has them.  Throws Fault::input, naming what is not as it was written.
enum class Verify : bool { header, all };  // all: reads the whole file
bool verify_checksums(const TensorFile&, Verify = Verify::all);
// As verify_checksums of the SafeTensors at that path, but through a buffer of 4 MiB: what a map of the whole file
// takes counts where a process's address space is limited.
bool verify_safetensors(const std::filesystem::path&);

// One value of the short types to and from f32; rounds to nearest even.
float f16_to_f32(uint16_t);
uint16_t f32_to_f16(float);
float bf16_to_f32(uint16_t);
uint16_t f32_to_bf16(float);

}  // namespace shear

// PyTorch's own files (.pth, .pt, .bin): a pickle that names tensors, and the storages that they are views of, as
// members of a zip archive, or from before PyTorch 1.6 one behind another.
#include <algorithm>
#include <cstring>
#include <map>

#include "io/mapped_file.h"
#include "io/pickle.h"
#include "io/safetensors_header.h"
#include "io/strided.h"
#include "io/tensor_bytes.h"
#include "io/zip.h"
#include "shear/error.h"
#include "shear/io.h"

namespace shear {

namespace {

using Bytes = std::span<const std::byte>;
using Storages = std::map<std::string, Bytes>;

// Row-major, where the last axis has no more than one element it may have any stride.
bool contiguous(const PickledTensor& t) {
  int64_t expected = 1;
  for (int axis = t.shape.rank() - 1; axis >= 0; --axis) {
    if (t.shape[axis] > 1 && t.strides[static_cast<size_t>(axis)] != expected) return false;
    expected *= t.shape[axis];
  }
  return true;
}

// One more than the last element that the view reaches, where its elements are no more than the storage's; else
// nothing.
std::optional<uint64_t> reach(const PickledTensor& t) {
  const std::optional<uint64_t> bytes = bytes_of(t.storage.dtype, t.shape);
  if (!bytes || *bytes / size_of(t.storage.dtype) > t.storage.elements) return std::nullopt;
  if (*bytes == 0) return t.offset;
  uint64_t last = t.offset;
  for (int axis = 0; axis < t.shape.rank(); ++axis) {
    uint64_t step = 0;
    if (__builtin_mul_overflow(static_cast<uint64_t>(t.shape[axis] - 1),
                               static_cast<uint64_t>(t.strides[static_cast<size_t>(axis)]), &step) ||
        __builtin_add_overflow(last, step, &last))
      return std::nullopt;
  }
  return last + 1;
}

// The storages of an archive NAME/data.pkl, NAME/data/0 ..., and its pickle.
Bytes read_archive(Bytes file, const std::string& path, Storages& storages) {
  Bytes pickle;
  std::string folder;
  const std::vector<ZipMember> members = read_zip(file, path);
  for (const ZipMember& m : members)
    if (is_pickle(m.name)) {
      if (pickle.data()) fail(Fault::input, path, ": holds two pickles, expected one");
      pickle = m.content;
      folder = m.name.substr(0, m.name.size() - std::string_view("data.pkl").size());
    }
  for (const ZipMember& m : members) {
    if (m.deflated)
      fail(Fault::input, path, ": member ", in_quotes(m.name), " is deflated, which torch.save never does");
    check_crc(m, m.content, path);
    if (m.name == folder + "byteorder" &&
        std::string_view(reinterpret_cast<const char*>(m.content.data()), m.content.size()) != "little")
      fail(Fault::input, path, ": is of a machine with the other order of bytes, expected little-endian");
    if (const std::string data = folder + "data/"; m.name.starts_with(data))
      storages.emplace(m.name.substr(data.size()), m.content);
  }
  return pickle;
}

// Before PyTorch 1.6: a magic number, a version, facts about the machine, the object, the storages' keys, and then for
// each its number of elements and their bytes.
Pickled read_legacy(Bytes file, const std::string& path, Storages& storages) {
  const auto next = [&] {
    Pickled p = read_pickle(file, path);
    file = file.subspan(p.bytes);
    return p;
  };
  if (next().digits != std::string_view("\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 10))
    fail(Fault::input, path,
         ": is a Python pickle that torch.save did not write, expected safetensors or PyTorch's file");
  if (const int64_t version = next().number; version != 1001)
    fail(Fault::input, path, ": is of version ", version, " of PyTorch's old format, expected 1001");
  next();
  Pickled object = next();
  std::map<std::string, PickledStorage> wanted;
  for (const PickledTensor& t : object.tensors) wanted.emplace(t.storage.key, t.storage);
  for (const std::string& key : next().strings) {
    uint64_t elements = 0;
    const auto at = wanted.find(key);
    if (file.size() < sizeof elements) fail(Fault::input, path, ": is cut short in front of storage ", in_quotes(key));
    std::memcpy(&elements, file.data(), sizeof elements);
    file = file.subspan(sizeof elements);
    // A storage of no tensor is passed over only where nothing follows it: its type is not known.
    if (at == wanted.end() || elements != at->second.elements)
      fail(Fault::input, path, ": storage ", in_quotes(key), " has ", elements, " elements, ",
           at == wanted.end() ? std::string("but no tensor is of it") : text("expected ", at->second.elements));
    uint64_t bytes = 0;
    if (__builtin_mul_overflow(elements, size_of(at->second.dtype), &bytes) || bytes > file.size())
      fail(Fault::input, path, ": is cut short in storage ", in_quotes(key));
    storages.emplace(key, file.first(static_cast<size_t>(bytes)));
    file = file.subspan(static_cast<size_t>(bytes));
  }
  return object;
}

}  // namespace

PyTorchFile::PyTorchFile(const std::filesystem::path& file) : TensorFile(file) {
  const std::string path = file.string();
  const Bytes bytes = file_->bytes();
  Storages storages;
  Pickled pickled;
  if (bytes.size() >= 2 && bytes[0] == std::byte{'P'} && bytes[1] == std::byte{'K'})
    pickled = read_pickle(read_archive(bytes, path, storages), path);
  else
    pickled = read_legacy(bytes, path, storages);
  if (pickled.tensors.empty()) fail(Fault::input, path, ": the pickle holds no tensor");
  size_t unpacked = 0;  // bytes
  for (const PickledTensor& t : pickled.tensors) {
    const auto at = storages.find(std::string(t.storage.key));
    const size_t item = size_of(t.storage.dtype);
    const std::string what = text(path, ": tensor ", in_quotes(t.name));
    if (at == storages.end())
      fail(Fault::input, what, " is of storage ", in_quotes(t.storage.key), ", which is not there");
    if (at->second.size() % item != 0 || at->second.size() / item != t.storage.elements)
      fail(Fault::input, what, " is of a storage of ", t.storage.elements, " elements of ", item,
           " bytes, but that holds ", at->second.size(), " bytes");
    const std::optional<uint64_t> end = reach(t);
    if (!end || *end > t.storage.elements)
      fail(Fault::input, what, " has the shape ", t.shape, ", which reaches beyond its storage of ", t.storage.elements,
           " elements");
    if (!contiguous(t) && (unpacked += static_cast<size_t>(t.shape.elements()) * item) > bytes.size())
      fail(Fault::input, what, " and others do not lie row by row, and take more than the file");
    const Bytes values =
        contiguous(t)
            ? at->second.subspan(static_cast<size_t>(t.offset) * item, static_cast<size_t>(t.shape.elements()) * item)
            : unpacked_.emplace_back(
                  in_row_major(at->second.subspan(static_cast<size_t>(t.offset) * item), t.shape, t.strides, item));
    tensors_.push_back({t.name, t.storage.dtype, t.shape, values});
  }
  sort_names();
}

PyTorchFile::~PyTorchFile() = default;

}  // namespace shear

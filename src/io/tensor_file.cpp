// An open file of named tensors, whatever its format; and which format it is.
#include <algorithm>
#include <array>
#include <numeric>

#include "io/mapped_file.h"
#include "io/pickle.h"
#include "io/safetensors_header.h"
#include "io/shards.h"
#include "io/zip.h"
#include "shear/error.h"
#include "shear/io.h"
#include "shear/utf8.h"

namespace shear {

TensorFile::TensorFile(const std::filesystem::path& path)
    : path_(path), file_(std::make_unique<const MappedFile>(path)) {}

TensorFile::~TensorFile() = default;

void TensorFile::let_go(std::span<const std::byte> bytes) const { file_->let_go(bytes); }

void TensorFile::sort_names() {
  by_name_.resize(tensors_.size());
  std::iota(by_name_.begin(), by_name_.end(), size_t{0});
  std::sort(by_name_.begin(), by_name_.end(), [&](size_t a, size_t b) { return tensors_[a].name < tensors_[b].name; });
  for (const TensorView& t : tensors_)
    if (!is_utf8(t.name))
      fail(Fault::input, path_.string(), ": a tensor is called \"", printable(t.name), "\", which is not UTF-8");
  for (size_t i = 1; i < by_name_.size(); ++i)
    if (const std::string& n = tensors_[by_name_[i]].name; n == tensors_[by_name_[i - 1]].name)
      fail(Fault::input, path_.string(), ": holds tensor ", in_quotes(n), " twice");
}

const TensorView* TensorFile::find(std::string_view name) const {
  const auto at = std::lower_bound(by_name_.begin(), by_name_.end(), name,
                                   [&](size_t i, std::string_view wanted) { return tensors_[i].name < wanted; });
  return at != by_name_.end() && tensors_[*at].name == name ? &tensors_[*at] : nullptr;
}

namespace {

struct Signature {
  std::string_view begins, what;
};
using namespace std::string_view_literals;
// Files that people take for weights.
constexpr std::array others{
    Signature{"\x93NUMPY"sv, "a single NumPy array"},
    Signature{"version https://git-lfs"sv, "a Git LFS pointer, which stands for a file that was not fetched"},
    Signature{"\x89HDF\r\n"sv, "HDF5"},
    Signature{"\x1f\x8b"sv, "gzip"},
    Signature{"<!DOCTYPE"sv, "a web page"},
    Signature{"<html"sv, "a web page"},
};

}  // namespace

std::unique_ptr<TensorFile> open_tensors(const std::filesystem::path& given) {
  const std::filesystem::path path = whole_file(given);
  if (is_index(path)) return std::make_unique<ShardedFile>(path);
  return open_one_file(path);
}

std::unique_ptr<TensorFile> open_one_file(const std::filesystem::path& path) {
  std::string first;
  bool archive = false, pickled = false;
  {
    const MappedFile file(path);
    first.assign(reinterpret_cast<const char*>(file.bytes().data()), std::min<size_t>(file.bytes().size(), 32));
    archive = first.starts_with("PK\3\4") || first.starts_with("PK\5\6");
    const auto is = [](const ZipMember& m) { return is_pickle(m.name); };
    pickled = archive ? std::ranges::any_of(read_zip(file.bytes(), path.string()), is)
                      : first.size() > 1 && first[0] == '\x80' && first[1] >= 2 && first[1] <= 5;
  }
  if (pickled) return std::make_unique<PyTorchFile>(path);
  if (archive) return std::make_unique<Npz>(path);
  for (const Signature& s : others)
    if (first.starts_with(s.begins))
      fail(Fault::input, path.string(), ": is ", s.what, ", expected safetensors, PyTorch's file or .npz");
  return std::make_unique<SafeTensors>(path);
}

}  // namespace shear

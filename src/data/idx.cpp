// IDX, the format of MNIST and its kin: big-endian header, then bytes; plain or gzip.
//
//   images: 00 00 08 03, count, rows, columns, then count * rows * columns bytes of grey
//   labels: 00 00 08 01, count, then count bytes
#include <xxhash.h>
#include <zlib.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>

#include "data/codec.h"
#include "data/files.h"
#include "data/sources.h"
#include "shear/error.h"

namespace shear {
namespace {

namespace fs = std::filesystem;

// zlib reads plain files through the same calls.
class GzipFile {
 public:
  explicit GzipFile(const fs::path& path) : path_(path), file_(gzopen(path.c_str(), "rb")) {
    if (!file_)
      fail(Fault::input, path.string(), ": cannot be opened (", std::strerror(errno), "), expected an IDX file");
    gzbuffer(file_, 1 << 17);
  }
  ~GzipFile() { gzclose_r(file_); }
  GzipFile(const GzipFile&) = delete;
  GzipFile& operator=(const GzipFile&) = delete;

  // Fewer than asked for only at the end of a sound file.
  size_t read(uint8_t* to, size_t bytes) {
    const int got = gzread(file_, to, static_cast<unsigned>(bytes));
    int status = Z_OK;
    const char* message = gzerror(file_, &status);
    if (status != Z_OK && status != Z_STREAM_END)
      fail(Fault::input, path_.string(), ": is damaged (", status == Z_ERRNO ? std::strerror(errno) : message,
           "), expected a whole file");
    return static_cast<size_t>(got);
  }

 private:
  const fs::path& path_;
  gzFile file_;
};

struct Idx {
  std::vector<uint64_t> dims;
  std::vector<uint8_t> bytes;
};

std::string product(const std::vector<uint64_t>& dims) {
  std::string shown = std::to_string(dims.at(0));
  for (size_t i = 1; i < dims.size(); ++i) shown += " x " + std::to_string(dims[i]);
  return shown;
}

Idx read_idx(const fs::path& path, size_t rank) {
  GzipFile file(path);
  const std::string name = path.string();
  std::vector<uint8_t> header(4 + 4 * rank);
  if (const size_t got = file.read(header.data(), header.size()); got != header.size())
    fail(Fault::input, name, ": holds ", got, " bytes, expected an IDX header of ", header.size());
  const auto number = [&](size_t at) {
    return uint64_t{header[at]} << 24 | uint64_t{header[at + 1]} << 16 | uint64_t{header[at + 2]} << 8 | header[at + 3];
  };
  if (number(0) != 0x800 + rank)
    fail(Fault::input, name, ": begins with the number ", number(0), ", expected ", 0x800 + rank,
         " (unsigned bytes in ", rank, " dimensions)");
  Idx idx;
  uint64_t total = 1;
  for (size_t i = 0; i < rank; ++i) idx.dims.push_back(number(4 + 4 * i));
  if (idx.dims[0] == 0) fail(Fault::input, name, ": claims no entries, expected at least one");
  if (rank == 3) check_dimensions(idx.dims[2], idx.dims[1], name);
  for (const uint64_t dim : idx.dims) total *= dim;  // below 2^60 after the check

  // The room grows with what has been read, never with what the header claims.
  constexpr uint64_t least = 1 << 20, most = 1 << 28;
  while (idx.bytes.size() < total) {
    const size_t have = idx.bytes.size();
    const size_t wanted = std::min(total - have, std::clamp<uint64_t>(have, least, most));
    idx.bytes.resize(have + wanted);
    if (const size_t got = file.read(idx.bytes.data() + have, wanted); got != wanted)
      fail(Fault::input, name, ": ends after ", have + got, " bytes of data, expected the ", product(idx.dims), " = ",
           total, " of its header");
  }
  uint8_t more = 0;  // reading on also makes zlib verify the checksum
  if (file.read(&more, 1) != 0)
    fail(Fault::input, name, ": goes on after the ", product(idx.dims), " = ", total, " bytes of its header");
  return idx;
}

class IdxDataset final : public Dataset {
 public:
  IdxDataset(fs::path path, Idx images, std::vector<uint8_t> labels, std::vector<std::string> classes)
      : path_(std::move(path)),
        count_(static_cast<int64_t>(images.dims[0])),
        rows_(static_cast<int>(images.dims[1])),
        columns_(static_cast<int>(images.dims[2])),
        pixels_(std::move(images.bytes)),
        labels_(std::move(labels)),
        classes_(std::move(classes)) {}

  int64_t size() const override { return count_; }
  int channels() const override { return 1; }
  const std::vector<std::string>& classes() const override { return classes_; }
  int label(int64_t index) const override { return labels_[static_cast<size_t>(index)]; }
  Image read(int64_t index) const override {
    const uint8_t* first = pixels_.data() + index * rows_ * columns_;
    return {columns_, rows_, 1, {first, first + ptrdiff_t{rows_} * columns_}};
  }
  std::string describe(int64_t index) const override { return text(path_.string(), ", image ", index); }
  std::string key(int64_t index) const override {
    const fs::path packed = path_.filename();
    return text((packed.extension() == ".gz" ? packed.stem() : packed).string(), ", image ", index);
  }
  uint64_t sign(int64_t index) const override {
    const size_t bytes = static_cast<size_t>(rows_) * static_cast<size_t>(columns_);
    return XXH3_64bits(pixels_.data() + static_cast<size_t>(index) * bytes, bytes);
  }

 private:
  fs::path path_;  // of the images
  int64_t count_;
  int rows_, columns_;
  std::vector<uint8_t> pixels_;  // (count, rows, columns)
  std::vector<uint8_t> labels_;  // (count)
  std::vector<std::string> classes_;
};

// The file of images of a part, "train" or "t10k"; empty if there is none.
fs::path find_images(const fs::path& folder, const std::string& part) {
  for (const char* name :
       {"-images-idx3-ubyte", "-images-idx3-ubyte.gz", "-images.idx3-ubyte", "-images.idx3-ubyte.gz"})
    if (is_file(folder / (part + name))) return folder / (part + name);
  return {};
}

fs::path find_labels(const fs::path& images, const std::string& part) {
  for (const char* name :
       {"-labels-idx1-ubyte", "-labels-idx1-ubyte.gz", "-labels.idx1-ubyte", "-labels.idx1-ubyte.gz"})
    if (const fs::path path = images.parent_path() / (part + name); is_file(path)) return path;
  fail(Fault::input, images.string(), ": has no labels beside it, expected ", part, "-labels-idx1-ubyte or ", part,
       "-labels-idx1-ubyte.gz");
}

bool is_fashion_mnist(const fs::path& folder) {
  std::string plain;
  for (const unsigned char c : fs::absolute(folder).string())
    if (c != '-' && c != '_') plain += static_cast<char>(std::tolower(c));
  return plain.find("fashionmnist") != std::string::npos;
}

// IDX files name no classes: the labels do, and MNIST's kin have ten even where a small part of one shows fewer.
std::vector<std::string> class_names(const fs::path& folder, const std::vector<uint8_t>& labels) {
  const size_t count = std::max<size_t>(10, *std::max_element(labels.begin(), labels.end()) + size_t{1});
  if (count == 10 && is_fashion_mnist(folder))
    return {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"};
  std::vector<std::string> names;
  for (size_t i = 0; i < count; ++i) names.push_back(std::to_string(i));
  return names;
}

// `classes`: the training set's; null while that itself is opened.
std::unique_ptr<Dataset> open_part(const fs::path& images_path, const std::string& part,
                                   const std::vector<std::string>* classes) {
  const fs::path labels_path = find_labels(images_path, part);
  Idx labels = read_idx(labels_path, 1);
  Idx images = read_idx(images_path, 3);
  if (labels.dims[0] != images.dims[0])
    fail(Fault::input, labels_path.string(), ": holds ", labels.dims[0], " labels, expected one for each of the ",
         images.dims[0], " images of ", images_path.string());
  std::vector<std::string> names = classes ? *classes : class_names(images_path.parent_path(), labels.bytes);
  for (size_t i = 0; i < labels.bytes.size(); ++i)
    if (labels.bytes[i] >= names.size())
      fail(Fault::input, labels_path.string(), ": label ", i, " is class \"", int{labels.bytes[i]},
           "\", which is not among the ", names.size(), " classes of the training set");
  return std::make_unique<IdxDataset>(images_path, std::move(images), std::move(labels.bytes), std::move(names));
}

}  // namespace

bool holds_idx(const fs::path& folder) {
  return !find_images(folder, "train").empty() || !find_images(folder, "t10k").empty();
}

DataSplits open_idx(const fs::path& data, const fs::path& val, const DataOptions&) {
  const fs::path train_images = find_images(data, "train");
  if (train_images.empty())
    fail(Fault::input, data.string(), ": holds test images but none to train on, expected train-images-idx3-ubyte or ",
         "train-images-idx3-ubyte.gz");
  DataSplits splits{"IDX", open_part(train_images, "train", nullptr), nullptr, nullptr, {}};
  const auto open = [&](const fs::path& images, const char* part) {
    return open_part(images, part, &splits.train->classes());
  };
  if (const fs::path images = find_images(data, "t10k"); !images.empty()) splits.test = open(images, "t10k");
  if (val.empty()) return splits;
  if (const fs::path images = find_images(val, "t10k"); !images.empty())
    splits.val = open(images, "t10k");
  else  // a set of its own, named for validation: all it has is for that
    splits.val = open(find_images(val, "train"), "train");
  return splits;
}

}  // namespace shear

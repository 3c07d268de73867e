// IDX, the format of MNIST and its kin: big-endian header, then bytes; plain or gzip.
//
//   images: 00 00 08 03, count, rows, columns, then count * rows * columns bytes of grey
//   labels: 00 00 08 01, count, then count bytes
#include <unistd.h>
#include <xxhash.h>
#include <zlib.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <new>

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
  explicit GzipFile(const fs::path& path) : path_(path) {
    InputFile opened(path, "IDX data");
    const int descriptor = opened.release();
    file_ = gzdopen(descriptor, "rb");
    if (!file_) {
      close(descriptor);
      throw std::bad_alloc();  // the only reason that there is
    }
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
  gzFile file_ = nullptr;
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
  std::error_code error;
  const fs::path absolute = fs::absolute(folder, error);
  for (const unsigned char c : (error ? folder : absolute).string())
    if (c != '-' && c != '_') plain += static_cast<char>(std::tolower(c));
  return plain.find("fashionmnist") != std::string::npos;
}

// One part, before it is known which classes there are.
struct Part {
  fs::path images_path, labels_path;
  Idx images;
  std::vector<uint8_t> labels;
};

Part read_part(const fs::path& images_path, const std::string& part) {
  const fs::path labels_path = find_labels(images_path, part);
  Idx labels = read_idx(labels_path, 1);
  Idx images = read_idx(images_path, 3);
  if (labels.dims[0] != images.dims[0])
    fail(Fault::input, labels_path.string(), ": holds ", labels.dims[0], " labels, expected one for each of the ",
         images.dims[0], " images of ", images_path.string());
  return {images_path, labels_path, std::move(images), std::move(labels.bytes)};
}

// IDX files name no classes: the labels do, from 0 to the greatest of all parts (the first of which is trained on).
// MNIST's kin have ten, of which a small training part may lack some; a class beyond those and training's is refused.
size_t count_classes(const std::vector<Part>& parts) {
  const auto count = [](const Part& part) {
    return *std::max_element(part.labels.begin(), part.labels.end()) + size_t{1};
  };
  const size_t trained = count(parts[0]);
  size_t all = trained;
  for (const Part& part : parts) {
    all = std::max(all, count(part));
    for (size_t i = 0; i < part.labels.size(); ++i)
      if (part.labels[i] >= std::max<size_t>(trained, 10))
        fail(Fault::input, part.labels_path.string(), ": label ", i, " is class \"", int{part.labels[i]},
             "\", which is not among the ", trained, " classes of the training set");
  }
  return all;
}

std::vector<std::string> class_names(const fs::path& folder, size_t count,
                                     const std::vector<std::string>& of_the_model) {
  static const std::vector<std::string> fashion{"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
                                                "Sandal",      "Shirt",   "Sneaker",  "Bag",   "Ankle boot"};
  std::vector<std::string> names;
  if (count <= fashion.size() && is_fashion_mnist(folder))
    names.assign(fashion.begin(), fashion.begin() + static_cast<ptrdiff_t>(count));
  else
    for (size_t i = 0; i < count; ++i) names.push_back(std::to_string(i));
  const bool begins_alike =
      of_the_model.size() >= count && std::equal(names.begin(), names.end(), of_the_model.begin());
  return begins_alike ? of_the_model : names;
}

}  // namespace

bool holds_idx(const fs::path& folder) {
  return !find_images(folder, "train").empty() || !find_images(folder, "t10k").empty();
}

DataSplits open_idx(const fs::path& data, const fs::path& val, const DataOptions& options) {
  const fs::path train_images = find_images(data, "train");
  if (train_images.empty())
    fail(Fault::input, data.string(), ": holds test images but none to train on, expected train-images-idx3-ubyte or ",
         "train-images-idx3-ubyte.gz");
  std::vector<Part> parts;  // of train, and of those below
  const auto read = [&](const fs::path& images, const char* part) {
    parts.push_back(read_part(images, part));
    return parts.size() - 1;
  };
  constexpr size_t none = SIZE_MAX;
  const size_t train = read(train_images, "train");
  size_t test = none, other = none;
  if (const fs::path images = find_images(data, "t10k"); !images.empty()) test = read(images, "t10k");
  if (!val.empty()) {
    const fs::path images = find_images(val, "t10k");
    // A set of its own, named for validation: all it has is for that.
    other = images.empty() ? read(find_images(val, "train"), "train") : read(images, "t10k");
  }
  const std::vector<std::string> names = class_names(data, count_classes(parts), options.classes);
  const auto open = [&](size_t index) -> std::unique_ptr<Dataset> {
    if (index == none) return nullptr;
    Part& part = parts[index];
    return std::make_unique<IdxDataset>(part.images_path, std::move(part.images), std::move(part.labels), names);
  };
  return {"IDX", open(train), open(other), open(test), {}};
}

}  // namespace shear

// CIFAR-10 and CIFAR-100 in their binary layout: records of fixed length, one after the other, with no header.
//
//   CIFAR-10:  data_batch_1.bin ... data_batch_5.bin, test_batch.bin: a label, then 3072 bytes of pixels
//   CIFAR-100: train.bin, test.bin: a coarse label, a fine label, then 3072 bytes of pixels
//
// Pixels are 32 x 32, all of red, then all of green, then all of blue.  Names of classes stand in batches.meta.txt or
// fine_label_names.txt, one a line.  https://www.cs.toronto.edu/~kriz/cifar.html
#include <xxhash.h>

#include <algorithm>
#include <string_view>

#include "data/files.h"
#include "data/sources.h"
#include "shear/error.h"

namespace shear {
namespace {

namespace fs = std::filesystem;

constexpr int side = 32, colours = 3;
constexpr size_t plane = side * side, pixels = colours * plane;

struct CifarLayout {
  const char* kind;
  size_t labels, classes;  // bytes before the pixels, of which the last is the class
  std::vector<std::string> train;
  const char *test, *names;
  size_t record() const { return labels + pixels; }
};

const CifarLayout& ten() {
  static const CifarLayout layout{
      "CIFAR-10",
      1,
      10,
      {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"},
      "test_batch.bin",
      "batches.meta.txt"};
  return layout;
}
const CifarLayout& hundred() {
  static const CifarLayout layout{"CIFAR-100", 2, 100, {"train.bin"}, "test.bin", "fine_label_names.txt"};
  return layout;
}

std::vector<fs::path> present(const fs::path& folder, const std::vector<std::string>& names) {
  std::vector<fs::path> found;
  for (const std::string& name : names)
    if (is_file(folder / name)) found.push_back(folder / name);
  return found;
}

// CIFAR-100's names are plain ones: its file of labels, or a file of whole records, must stand for them.
const CifarLayout* layout_of(const fs::path& folder) {
  if (!present(folder, ten().train).empty() || is_file(folder / ten().test)) return &ten();
  const std::vector<fs::path> found = present(folder, {hundred().train[0], hundred().test});
  const auto is_whole = [](const fs::path& path) {
    std::error_code error;
    return fs::file_size(path, error) % hundred().record() == 0;
  };
  if (found.empty()) return nullptr;
  return is_file(folder / hundred().names) || std::any_of(found.begin(), found.end(), is_whole) ? &hundred() : nullptr;
}

// One file's records.
std::vector<uint8_t> read_records(const fs::path& path, const CifarLayout& layout) {
  InputFile file(path, "records of CIFAR");
  const uint64_t bytes = file.size();
  if (bytes == 0 || bytes % layout.record() != 0)
    fail(Fault::input, path.string(), ": holds ", bytes, " bytes, expected one or more whole records of ", layout.kind,
         ", of ", layout.record(), " bytes each");
  std::vector<uint8_t> records = file.read_all();
  for (size_t at = layout.labels - 1; at < bytes; at += layout.record())
    if (records[at] >= layout.classes)
      fail(Fault::input, path.string(), ": image ", at / layout.record(), " has the class ", int{records[at]},
           ", expected 0 to ", layout.classes - 1);
  return records;
}

class CifarDataset final : public Dataset {
 public:
  CifarDataset(const std::vector<fs::path>& files, const CifarLayout& layout, std::vector<std::string> classes)
      : layout_(layout), classes_(std::move(classes)) {
    for (const fs::path& file : files) {
      parts_.push_back({file, read_records(file, layout), size_});
      size_ += static_cast<int64_t>(parts_.back().records.size() / layout.record());
    }
  }

  int64_t size() const override { return size_; }
  int channels() const override { return colours; }
  const std::vector<std::string>& classes() const override { return classes_; }
  int label(int64_t index) const override { return record(index)[layout_.labels - 1]; }
  Image read(int64_t index) const override {
    const uint8_t* planes = record(index) + layout_.labels;
    Image image{side, side, colours, std::vector<uint8_t>(pixels)};
    for (size_t i = 0; i < plane; ++i)
      for (size_t c = 0; c < size_t{colours}; ++c) image.pixels[i * size_t{colours} + c] = planes[c * plane + i];
    return image;
  }
  std::string describe(int64_t index) const override {
    const Part& part = part_of(index);
    return text(part.file.string(), ", image ", index - part.first);
  }
  std::string key(int64_t index) const override {
    const Part& part = part_of(index);
    return text(part.file.filename().string(), ", image ", index - part.first);
  }
  uint64_t sign(int64_t index) const override { return XXH3_64bits(record(index) + layout_.labels, pixels); }

 private:
  struct Part {
    fs::path file;
    std::vector<uint8_t> records;
    int64_t first;
  };
  const Part& part_of(int64_t index) const {
    size_t i = parts_.size() - 1;
    while (parts_[i].first > index) --i;
    return parts_[i];
  }
  const uint8_t* record(int64_t index) const {
    const Part& part = part_of(index);
    return part.records.data() + static_cast<size_t>(index - part.first) * layout_.record();
  }

  const CifarLayout& layout_;
  std::vector<std::string> classes_;
  std::vector<Part> parts_;
  int64_t size_ = 0;
};

// Where the file of names is missing, or holds more or fewer, classes are their numbers.
std::vector<std::string> class_names(const fs::path& folder, const CifarLayout& layout,
                                     std::vector<std::string>& notes) {
  const fs::path path = folder / layout.names;
  std::vector<std::string> names;
  if (is_file(path)) {
    const TextFile file(path, "a list of class names");
    for (std::string_view rest = file.text(); !rest.empty();) {
      std::string_view line = rest.substr(0, rest.find('\n'));
      rest.remove_prefix(std::min(line.size() + 1, rest.size()));
      while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
      if (!line.empty()) names.emplace_back(line);
    }
    if (names.size() == layout.classes) return names;
    notes.push_back(text(path.string(), ": names ", names.size(), " classes, expected ", layout.classes,
                         "; classes are called by their numbers"));
  }
  names.clear();
  for (size_t i = 0; i < layout.classes; ++i) names.push_back(std::to_string(i));
  return names;
}

}  // namespace

bool holds_cifar(const fs::path& folder) { return layout_of(folder) != nullptr; }

DataSplits open_cifar(const fs::path& data, const fs::path& val, const DataOptions&) {
  const CifarLayout& layout = *layout_of(data);
  const std::vector<fs::path> train = present(data, layout.train);
  if (train.empty())
    fail(Fault::input, data.string(), ": holds test images but none to train on, expected ", layout.train[0]);
  if (!val.empty())
    if (const CifarLayout* other = layout_of(val); other != &layout)
      fail(Fault::input, val.string(), ": is ", other->kind, ", expected ", layout.kind, " as ", data.string());
  std::vector<std::string> notes;
  const std::vector<std::string> names = class_names(data, layout, notes);
  const auto open = [&](const std::vector<fs::path>& files) {
    return std::make_unique<CifarDataset>(files, layout, names);
  };
  DataSplits splits{layout.kind, open(train), nullptr, nullptr, std::move(notes)};
  if (is_file(data / layout.test)) splits.test = open({data / layout.test});
  if (val.empty()) return splits;
  if (is_file(val / layout.test))
    splits.val = open({val / layout.test});
  else  // a set of its own, named for validation: all it has is for that
    splits.val = open(present(val, layout.train));
  return splits;
}

}  // namespace shear

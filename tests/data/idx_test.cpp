// IDX files: plain, gzip, damaged and hostile.
#include <doctest/doctest.h>
#include <zlib.h>

#include <algorithm>

#include "image_files.h"

namespace shear::test {
namespace {

using Bytes = std::vector<uint8_t>;

void put_number(Bytes& bytes, uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<uint8_t>(value >> shift));
}

// The header of an IDX file, whatever follows it.
Bytes header(const std::vector<uint32_t>& dims) {
  Bytes bytes;
  put_number(bytes, 0x800 + static_cast<uint32_t>(dims.size()));
  for (const uint32_t dim : dims) put_number(bytes, dim);
  return bytes;
}

// `count` images of 5 x 4, each pixel telling its image and place.
Bytes images(uint32_t count) {
  Bytes bytes = header({count, 4, 5});
  for (uint32_t i = 0; i < count * 20; ++i) bytes.push_back(static_cast<uint8_t>(i));
  return bytes;
}

Bytes labels(const Bytes& values) {
  Bytes bytes = header({static_cast<uint32_t>(values.size())});
  bytes.insert(bytes.end(), values.begin(), values.end());
  return bytes;
}

void write_gzip(const fs::path& path, const Bytes& bytes) {
  gzFile file = gzopen(path.c_str(), "wb");
  gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size()));
  gzclose(file);
}

// Three to train on and two for validation.
void write_set(const fs::path& folder, const Bytes& train = {7, 0, 9}, const Bytes& val = {1, 7}) {
  write_file(folder / "train-images-idx3-ubyte", images(3));
  write_file(folder / "train-labels-idx1-ubyte", labels(train));
  write_file(folder / "t10k-images-idx3-ubyte", images(2));
  write_file(folder / "t10k-labels-idx1-ubyte", labels(val));
}

std::string opening(const fs::path& folder, const fs::path& val = {}) {
  return sentence(Fault::input, [&] { open_data(folder, val); });
}

}  // namespace

TEST_CASE("an IDX set opens with its images, labels and classes") {
  const TempDir folder;
  write_set(folder.path());
  const DataSplits data = open_data(folder.path());
  CHECK(data.kind == "IDX");
  REQUIRE(data.val);
  CHECK(data.train->size() == 3);
  CHECK(data.val->size() == 2);
  CHECK(data.train->channels() == 1);
  CHECK(data.train->classes() == std::vector<std::string>{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"});
  CHECK(data.train->label(0) == 7);
  CHECK(data.train->label(2) == 9);
  CHECK(data.val->label(0) == 1);
  const Image image = data.train->read(1);
  CHECK(image.width == 5);
  CHECK(image.height == 4);
  CHECK(image.channels == 1);
  REQUIRE(image.pixels.size() == 20);
  CHECK(image.pixels.front() == 20);
  CHECK(image.pixels.back() == 39);
  CHECK(data.train->describe(1) == (folder / "train-images-idx3-ubyte").string() + ", image 1");
}

TEST_CASE("gzip and the other spelling of the names hold the same set") {
  const TempDir folder;
  write_gzip(folder / "train-images-idx3-ubyte.gz", images(3));
  write_gzip(folder / "train-labels.idx1-ubyte.gz", labels({7, 0, 9}));
  write_file(folder / "t10k-images.idx3-ubyte", images(2));
  write_file(folder / "t10k-labels-idx1-ubyte", labels({1, 7}));
  const DataSplits data = open_data(folder.path());
  REQUIRE(data.val);
  CHECK(data.train->label(2) == 9);
  CHECK(data.train->read(2).pixels.back() == 59);
  CHECK(data.val->size() == 2);
}

TEST_CASE("Fashion-MNIST is known by its folder's name") {
  const TempDir folder;
  for (const char* name : {"fashion-mnist", "FashionMNIST"}) {
    write_set(folder / name);
    const std::vector<std::string> classes = open_data(folder / name).train->classes();
    REQUIRE(classes.size() == 10);
    CHECK(classes.front() == "T-shirt/top");
    CHECK(classes.back() == "Ankle boot");
  }
}

TEST_CASE("labels above nine make more classes") {
  const TempDir folder;
  write_set(folder.path(), {7, 26, 9});
  CHECK(open_data(folder.path()).train->classes().size() == 27);
  CHECK(open_data(folder.path()).train->classes().back() == "26");
}

TEST_CASE("another set serves for validation, with its test images or with all it has") {
  const TempDir folder;
  write_set(folder / "a");
  write_set(folder / "b", {1, 2, 3}, {4, 5});
  CHECK(open_data(folder / "a", folder / "b").val->label(0) == 4);
  fs::remove(folder / "b/t10k-images-idx3-ubyte");
  CHECK(open_data(folder / "a", folder / "b").val->label(0) == 1);
  fs::remove(folder / "a/t10k-images-idx3-ubyte");
  CHECK(open_data(folder / "a").val == nullptr);
}

TEST_CASE("classes are those of all parts together, and those that training lacks are told of") {
  const TempDir folder;
  write_set(folder / "few", {3, 0, 1}, {2, 1});
  const DataSplits few = open_data(folder / "few");
  CHECK(few.train->classes() == std::vector<std::string>{"0", "1", "2", "3"});
  CHECK(few.val->classes() == few.train->classes());
  REQUIRE(few.notes.size() == 1);
  CHECK(contains(few.notes[0], "few: 1 of its 4 classes has no image to train on: 2"));

  write_set(folder / "more", {3, 0, 1}, {1, 9});
  const DataSplits more = open_data(folder / "more");
  CHECK(more.train->classes().size() == 10);
  CHECK(more.val->label(1) == 9);
  CHECK(contains(more.notes[0], "more: 7 of its 10 classes have no image to train on: 2, 4, 5 and 4 more"));

  CHECK(open_data(folder / "few", folder / "more").train->classes().size() == 10);
  write_set(folder / "fashion-mnist", {3, 0, 1}, {2, 1});
  CHECK(open_data(folder / "fashion-mnist").train->classes() ==
        std::vector<std::string>{"T-shirt/top", "Trouser", "Pullover", "Dress"});
}

TEST_CASE("a label beyond MNIST's ten and beyond those of training is refused with its name") {
  const TempDir folder;
  write_set(folder.path(), {7, 0, 9}, {1, 10});
  const std::string told = opening(folder.path());
  CHECK(contains(told, "t10k-labels-idx1-ubyte: label 1 is class \"10\""));
  CHECK(contains(told, "the 10 classes of the training set"));
  write_set(folder.path(), {3, 0, 1}, {1, 10});
  CHECK(contains(opening(folder.path()), "the 4 classes of the training set"));
  write_set(folder.path(), {3, 0, 26}, {1, 10});
  CHECK(open_data(folder.path()).val->classes().size() == 27);
}

TEST_CASE("a run that goes on keeps its classes where they begin as those of the labels") {
  const TempDir folder;
  write_set(folder.path(), {3, 0, 1}, {2, 1});
  const std::vector<std::string> ten{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};
  CHECK(open_data(folder.path(), {}, {.classes = ten}).train->classes() == ten);
  CHECK(open_data(folder.path(), {}, {.classes = {"0", "1"}}).train->classes().size() == 4);
  CHECK(open_data(folder.path(), {}, {.classes = {"a", "b", "c", "d"}}).train->classes()[0] == "0");
}

TEST_CASE("a set without its labels or without anything to train on is refused") {
  const TempDir folder;
  write_set(folder.path());
  fs::remove(folder / "t10k-labels-idx1-ubyte");
  CHECK(contains(opening(folder.path()), "t10k-images-idx3-ubyte: has no labels beside it"));
  fs::remove(folder / "train-images-idx3-ubyte");
  CHECK(contains(opening(folder.path()), "holds test images but none to train on"));
}

TEST_CASE("as many labels as images are expected") {
  const TempDir folder;
  write_set(folder.path(), {7, 0});
  CHECK(contains(opening(folder.path()),
                 "train-labels-idx1-ubyte: holds 2 labels, expected one for each of the 3 images"));
}

TEST_CASE("an IDX file cut anywhere is refused, plain or gzip") {
  const TempDir folder;
  write_set(folder.path());
  const Bytes whole = images(3);
  for (size_t size = 0; size < whole.size(); ++size) {
    CAPTURE(size);
    write_file(folder / "train-images-idx3-ubyte", {whole.begin(), whole.begin() + static_cast<ptrdiff_t>(size)});
    CHECK(contains(opening(folder.path()), "train-images-idx3-ubyte: "));
  }
  CHECK(contains(opening(folder.path()), "ends after 59 bytes of data, expected the 3 x 4 x 5 = 60 of its header"));

  fs::remove(folder / "train-images-idx3-ubyte");
  const fs::path packed = folder / "train-images-idx3-ubyte.gz";
  write_gzip(packed, whole);
  const Bytes zipped = read_file(packed);
  for (size_t size = 1; size < zipped.size(); ++size) {
    CAPTURE(size);
    write_file(packed, {zipped.begin(), zipped.begin() + static_cast<ptrdiff_t>(size)});
    CHECK(contains(opening(folder.path()), "train-images-idx3-ubyte.gz: "));
  }
}

TEST_CASE("a gzip file with a wrong bit is refused") {
  const TempDir folder;
  write_set(folder.path());
  fs::remove(folder / "train-images-idx3-ubyte");
  const fs::path packed = folder / "train-images-idx3-ubyte.gz";
  write_gzip(packed, images(3));
  Bytes zipped = read_file(packed);
  zipped[zipped.size() - 8] ^= 1;  // the checksum
  write_file(packed, zipped);
  CHECK(contains(opening(folder.path()), "train-images-idx3-ubyte.gz: is damaged ("));
}

TEST_CASE("a header that claims more than the file holds costs no memory") {
  const TempDir folder;
  write_set(folder.path());
  const fs::path path = folder / "train-images-idx3-ubyte";
  write_file(path, header({0xffffffff, 0xffffffff, 0xffffffff}));
  CHECK(contains(opening(folder.path()), "claims 4294967295 x 4294967295 pixels"));
  write_file(path, header({0xffffffff, 14'000, 14'000}));
  CHECK(contains(opening(folder.path()), "ends after 0 bytes of data, expected the 4294967295 x 14000 x 14000"));
  write_file(path, header({0, 4, 5}));
  CHECK(contains(opening(folder.path()), "claims no entries"));
  write_file(path, header({3, 0, 5}));
  CHECK(contains(opening(folder.path()), "claims 5 x 0 pixels"));
  write_set(folder.path());
  write_file(folder / "train-labels-idx1-ubyte", header({0xffffffff}));
  CHECK(contains(opening(folder.path()), "train-labels-idx1-ubyte: ends after 0 bytes of data"));
}

TEST_CASE("bytes after the end, another type and other dimensions are refused") {
  const TempDir folder;
  write_set(folder.path());
  const fs::path path = folder / "train-images-idx3-ubyte";
  Bytes longer = images(3);
  longer.push_back(0);
  write_file(path, longer);
  CHECK(contains(opening(folder.path()), "goes on after the 3 x 4 x 5 = 60 bytes"));
  Bytes floats = images(3);
  floats[2] = 0x0d;
  write_file(path, floats);
  CHECK(
      contains(opening(folder.path()), "begins with the number 3331, expected 2051 (unsigned bytes in 3 dimensions)"));
  write_file(path, labels({1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2}));
  CHECK(contains(opening(folder.path()), "begins with the number 2049, expected 2051"));
}

}  // namespace shear::test

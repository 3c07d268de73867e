// CIFAR-10 and CIFAR-100 in binary: whole, in part, damaged and mixed up.
#include <doctest/doctest.h>

#include "image_files.h"

namespace shear::test {
namespace {

using Bytes = std::vector<uint8_t>;

// The byte of image `tag` at (x, y) in a colour: tells all of them apart that the reader could mix up.
uint8_t pixel(int tag, int x, int y, int colour) {
  return static_cast<uint8_t>(31 * tag + 3 * x + 7 * y + 85 * colour);
}

// A record: its labels, then the planes of red, green and blue.
void put_record(Bytes& bytes, const Bytes& labels, int tag) {
  bytes.insert(bytes.end(), labels.begin(), labels.end());
  for (int colour = 0; colour < 3; ++colour)
    for (int y = 0; y < 32; ++y)
      for (int x = 0; x < 32; ++x) bytes.push_back(pixel(tag, x, y, colour));
}

// An image for each label, tagged `first` and on.
Bytes ten(const Bytes& labels, int first = 0) {
  Bytes bytes;
  for (const uint8_t label : labels) put_record(bytes, {label}, first++);
  return bytes;
}
Bytes hundred(const Bytes& labels, int first = 0) {
  Bytes bytes;
  for (const uint8_t label : labels) put_record(bytes, {static_cast<uint8_t>(label / 5), label}, first++);
  return bytes;
}

void check_image(const Dataset& data, int64_t index, int tag) {
  CAPTURE(index);
  const Image image = data.read(index);
  CHECK(image.width == 32);
  CHECK(image.height == 32);
  CHECK(image.channels == 3);
  REQUIRE(image.pixels.size() == 3072);
  Bytes expected;
  for (int y = 0; y < 32; ++y)
    for (int x = 0; x < 32; ++x)
      for (int colour = 0; colour < 3; ++colour) expected.push_back(pixel(tag, x, y, colour));
  CHECK(image.pixels == expected);
}

std::vector<std::string> numbers(int count) {
  std::vector<std::string> names;
  for (int i = 0; i < count; ++i) names.push_back(std::to_string(i));
  return names;
}

std::string opening(const fs::path& folder, const fs::path& val = {}) {
  return sentence(Fault::input, [&] { open_data(folder, val); });
}

const std::vector<std::string> ten_names{"airplane", "automobile", "bird",  "cat",  "deer",
                                         "dog",      "frog",       "horse", "ship", "truck"};

std::string lines(const std::vector<std::string>& names, const std::string& end = "\n") {
  std::string all;
  for (const std::string& name : names) all += name + end;
  return all;
}

}  // namespace

TEST_CASE("CIFAR-10 opens with its pixels interleaved, its labels and its names") {
  const TempDir folder;
  write_file(folder / "data_batch_1.bin", ten({3, 0, 9}));
  write_file(folder / "test_batch.bin", ten({7, 1}, 50));
  put(folder / "batches.meta.txt", lines(ten_names) + "\n");
  const DataSplits data = open_data(folder.path());
  CHECK(data.kind == "CIFAR-10");
  REQUIRE(data.val);
  CHECK(data.train->size() == 3);
  CHECK(data.val->size() == 2);
  CHECK(data.train->channels() == 3);
  CHECK(data.train->classes() == ten_names);
  CHECK(data.val->classes() == ten_names);
  CHECK(data.train->label(0) == 3);
  CHECK(data.train->label(1) == 0);
  CHECK(data.train->label(2) == 9);
  CHECK(data.val->label(0) == 7);
  for (int i = 0; i < 3; ++i) check_image(*data.train, i, i);
  for (int i = 0; i < 2; ++i) check_image(*data.val, i, 50 + i);
  CHECK(data.val->describe(1) == (folder / "test_batch.bin").string() + ", image 1");
}

TEST_CASE("CIFAR-10's batches are one set in the order of their numbers, each image told by its file") {
  const TempDir folder;
  write_file(folder / "data_batch_5.bin", ten({5}, 30));
  write_file(folder / "data_batch_1.bin", ten({1, 2}, 10));
  write_file(folder / "data_batch_2.bin", ten({3, 4, 6}, 20));
  const DataSplits data = open_data(folder.path());
  CHECK(!data.val);
  REQUIRE(data.train->size() == 6);
  const int tags[] = {10, 11, 20, 21, 22, 30}, labels[] = {1, 2, 3, 4, 6, 5};
  for (int i = 0; i < 6; ++i) {
    check_image(*data.train, i, tags[i]);
    CHECK(data.train->label(i) == labels[i]);
  }
  CHECK(data.train->describe(1) == (folder / "data_batch_1.bin").string() + ", image 1");
  CHECK(data.train->describe(2) == (folder / "data_batch_2.bin").string() + ", image 0");
  CHECK(data.train->describe(5) == (folder / "data_batch_5.bin").string() + ", image 0");
}

TEST_CASE("CIFAR-100 opens with its fine labels and their names") {
  const TempDir folder;
  write_file(folder / "train.bin", hundred({99, 0, 42}));
  write_file(folder / "test.bin", hundred({17}, 9));
  std::vector<std::string> names = numbers(100);
  for (std::string& name : names) name = "fine " + name;
  put(folder / "fine_label_names.txt", lines(names));
  put(folder / "coarse_label_names.txt", "aquatic_mammals\n");
  const DataSplits data = open_data(folder.path());
  CHECK(data.kind == "CIFAR-100");
  REQUIRE(data.val);
  CHECK(data.train->classes() == names);
  CHECK(data.train->label(0) == 99);
  CHECK(data.train->label(1) == 0);
  CHECK(data.train->label(2) == 42);
  CHECK(data.val->label(0) == 17);
  for (int i = 0; i < 3; ++i) check_image(*data.train, i, i);
  check_image(*data.val, 0, 9);
}

TEST_CASE("classes are their numbers where their names are missing or too few, and line ends of any kind are none") {
  const TempDir folder;
  write_file(folder / "data_batch_1.bin", ten({3}));
  CHECK(open_data(folder.path()).train->classes() == numbers(10));
  put(folder / "batches.meta.txt", "airplane\nautomobile\n");
  CHECK(open_data(folder.path()).train->classes() == numbers(10));
  CHECK(open_data(folder.path()).notes[0] ==
        (folder / "batches.meta.txt").string() + ": names 2 classes, expected 10; classes are called by their numbers");
  put(folder / "batches.meta.txt", lines(ten_names) + "elephant\n");
  CHECK(open_data(folder.path()).train->classes() == numbers(10));
  put(folder / "batches.meta.txt", lines(ten_names) + "\xe9l\xe9phant\n");
  CHECK(contains(opening(folder.path()),
                 "batches.meta.txt, line 11: \"\\xe9l\\xe9phant\" is not UTF-8, expected a list"));
  std::vector<std::string> twice = ten_names;
  twice[9] = "bird";
  put(folder / "batches.meta.txt", lines(twice));
  CHECK(contains(opening(folder.path()), ": two classes are called \"bird\", expected a name for each"));
  put(folder / "batches.meta.txt", lines(ten_names, "\r\n"));
  CHECK(open_data(folder.path()).train->classes() == ten_names);
  const TempDir other;
  write_file(other / "train.bin", hundred({3}));
  CHECK(open_data(other.path()).train->classes() == numbers(100));
}

TEST_CASE("a CIFAR set named for validation gives its test images, or all it has") {
  const TempDir folder, val;
  write_file(folder / "data_batch_1.bin", ten({3}));
  write_file(folder / "test_batch.bin", ten({8}, 20));
  put(folder / "batches.meta.txt", lines(ten_names));
  write_file(val / "data_batch_1.bin", ten({1, 2}, 30));
  write_file(val / "data_batch_2.bin", ten({4}, 40));
  DataSplits data = open_data(folder.path(), val.path());
  REQUIRE(data.val);
  CHECK(data.train->size() == 1);
  CHECK(data.val->size() == 3);
  check_image(*data.val, 2, 40);
  CHECK(data.val->classes() == ten_names);  // as training has them
  write_file(val / "test_batch.bin", ten({6}, 60));
  data = open_data(folder.path(), val.path());
  CHECK(data.val->size() == 1);
  CHECK(data.val->label(0) == 6);
  check_image(*data.val, 0, 60);
}

TEST_CASE("a CIFAR file that is empty or cut off is refused") {
  const TempDir folder;
  const fs::path path = folder / "data_batch_1.bin";
  Bytes cut = ten({1, 2});
  cut.pop_back();
  write_file(path, cut);
  CHECK(opening(folder.path()) ==
        path.string() + ": holds 6145 bytes, expected one or more whole records of CIFAR-10, of 3073 bytes each");
  write_file(path, {});
  CHECK(opening(folder.path()) ==
        path.string() + ": holds 0 bytes, expected one or more whole records of CIFAR-10, of 3073 bytes each");
  write_file(path, ten({1}));
  write_file(folder / "test_batch.bin", {1, 2, 3});
  CHECK(opening(folder.path()) ==
        (folder / "test_batch.bin").string() +
            ": holds 3 bytes, expected one or more whole records of CIFAR-10, of 3073 bytes each");
}

TEST_CASE("a cut off CIFAR-100 is known by its names or by its other file") {
  const TempDir folder;
  const fs::path path = folder / "train.bin";
  write_file(path, Bytes(3073));
  const std::string expected =
      path.string() + ": holds 3073 bytes, expected one or more whole records of CIFAR-100, of 3074 bytes each";
  CHECK(contains(opening(folder.path()), "expected a folder for each class"));  // some train.bin of somebody else
  write_file(folder / "test.bin", hundred({1}));
  CHECK(opening(folder.path()) == expected);
  fs::remove(folder / "test.bin");
  put(folder / "fine_label_names.txt", "apple\n");
  CHECK(opening(folder.path()) == expected);
}

TEST_CASE("a label beyond CIFAR's classes is refused, with its file and image") {
  const TempDir folder, other;
  write_file(folder / "data_batch_1.bin", ten({9, 9}));
  write_file(folder / "data_batch_2.bin", ten({0, 10}));
  CHECK(opening(folder.path()) ==
        (folder / "data_batch_2.bin").string() + ": image 1 has the class 10, expected 0 to 9");
  write_file(other / "train.bin", hundred({99, 0, 100}));
  CHECK(opening(other.path()) == (other / "train.bin").string() + ": image 2 has the class 100, expected 0 to 99");
}

TEST_CASE("a CIFAR set of test images alone is refused") {
  const TempDir folder, other;
  write_file(folder / "test_batch.bin", ten({1}));
  CHECK(opening(folder.path()) ==
        folder.path().string() + ": holds test images but none to train on, expected data_batch_1.bin");
  write_file(other / "test.bin", hundred({1}));
  CHECK(opening(other.path()) ==
        other.path().string() + ": holds test images but none to train on, expected train.bin");
}

TEST_CASE("validation data of another kind than CIFAR's training data is refused") {
  const TempDir folder, other, classes;
  write_file(folder / "data_batch_1.bin", ten({1}));
  write_file(other / "train.bin", hundred({1}));
  write_png(classes / "cat/1.png", flat(4, 4, {1, 2, 3}));
  CHECK(opening(folder.path(), other.path()) ==
        other.path().string() + ": is CIFAR-100, expected CIFAR-10 as " + folder.path().string());
  CHECK(opening(other.path(), folder.path()) ==
        folder.path().string() + ": is CIFAR-10, expected CIFAR-100 as " + other.path().string());
  CHECK(opening(folder.path(), classes.path()) == classes.path().string() +
                                                      ": holds class folders, expected the same kind of data as " +
                                                      folder.path().string() + ", which holds CIFAR files");
}

}  // namespace shear::test

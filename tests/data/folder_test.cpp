// Folders of class folders, and what check_data tells of them.
#include <doctest/doctest.h>

#include "image_files.h"

namespace shear::test {
namespace {

void write_images(const fs::path& root, const std::vector<std::string>& names) {
  for (const std::string& name : names) write_png(root / name, flat(2, 2, {9, 9, 9}));
}

// What the data set holds, in its order: paths below the root, and labels.
std::vector<std::string> listing(const Dataset& data, const fs::path& root) {
  std::vector<std::string> lines;
  for (int64_t i = 0; i < data.size(); ++i)
    lines.push_back(text(fs::path(data.describe(i)).lexically_relative(root).string(), " ", data.label(i)));
  return lines;
}

std::string opening(const fs::path& folder, const fs::path& val = {}) {
  return sentence(Fault::input, [&] { open_data(folder, val); });
}

using Lines = std::vector<std::string>;

}  // namespace

TEST_CASE("classes and images come in torchvision's order") {
  const TempDir root;
  write_images(root.path(), {"b/2.png", "b/10.png", "B/x.JPG", "10/a.jpeg", "2/z.png", "b/sub/0.png", "b/a.png"});
  const DataSplits data = open_data(root.path());
  CHECK(data.kind == "class folders");
  CHECK(data.val == nullptr);
  CHECK(data.train->classes() == Lines{"10", "2", "B", "b"});
  CHECK(listing(*data.train, root.path()) ==
        Lines{"10/a.jpeg 0", "2/z.png 1", "B/x.JPG 2", "b/10.png 3", "b/2.png 3", "b/a.png 3", "b/sub/0.png 3"});
}

TEST_CASE("in natural order digits count as numbers, and case does not count, as with timm") {
  const TempDir root;
  for (const char* name : {"a10", "a2", "B1", "b", "10", "9", "a02b", "A2a", "a", "a-1", "a 3", "007", "7"})
    write_images(root / name, {"1.png"});
  // sorted(names, key=timm.utils.natural_key); those of the same key by plain comparison.
  CHECK(open_data(root.path(), {}, {.class_order = "natural"}).train->classes() ==
        Lines{"007", "7", "9", "10", "a", "a2", "A2a", "a02b", "a10", "a 3", "a-1", "b", "B1"});
}

TEST_CASE("images of kinds that are not read are told of, other files are not") {
  const TempDir root;
  write_images(root.path(),
               {"a/1.png", "a/1.webp", "a/2.JPE", "b/3.jfif", "b/3.BMP", "b/3.gif", "b/3.Tif", "b/3.tiff"});
  CHECK(open_data(root.path()).train->size() == 8);
  CHECK(open_data(root.path()).notes.empty());
  for (const char* name : {"a/3.HEIC", "a/2.avif", "a/notes.txt", "b/.2.heic"}) write_file(root / name, {'x'});
  const DataSplits data = open_data(root.path());
  CHECK(data.train->size() == 8);
  REQUIRE(data.notes.size() == 1);
  CHECK(contains(data.notes[0], ": 2 images are passed over, the first is"));
  CHECK(contains(data.notes[0], "a/2.avif; expected .jpg, .jpeg, .jfif, .png, .webp, .bmp, .gif or .tif"));
  write_images(root / "other", {"a/1.png"});
  write_file(root / "other/b/1.heic", {'x'});
  CHECK(
      contains(opening(root / "other"), "other/b: holds no images, only 1 of kinds that are not read, such as 1.heic"));
}

TEST_CASE("an image whose name says nothing is known by its first bytes, and told of") {
  const TempDir root;
  write_images(root.path(), {"a/1", "a/2.png", "b/photo.jpg_large", "b/frame.0001"});
  const std::string readme = "BMW and others, 40 cars of each";
  write_file(root / "a/README", {readme.begin(), readme.end()});
  write_file(root / "b/gif", {'G', 'I', 'F', '8', '9', 'a', 2, 0, 2, 0, 0, 0, 0});
  write_file(root / "b/0", {});
  const DataSplits data = open_data(root.path());
  CHECK(listing(*data.train, root.path()) ==
        Lines{"a/1 0", "a/2.png 0", "b/frame.0001 1", "b/gif 1", "b/photo.jpg_large 1"});
  REQUIRE(data.notes.size() == 1);
  CHECK(contains(data.notes[0], ": 4 images are known by their content alone, their names say nothing, the first is"));
}

TEST_CASE("a test part beside val is one of its own, and left out with a word where it cannot be used") {
  const TempDir root;
  write_images(root.path(), {"train/a/1.png", "train/b/1.png", "val/a/2.png", "test/a/3.png", "kaggle/train/a/1.png",
                             "kaggle/train/b/1.png", "kaggle/val/a/2.png", "kaggle/test/3.png"});
  CHECK(listing(*open_data(root.path()).test, root.path()) == Lines{"test/a/3.png 0"});
  const DataSplits data = open_data(root / "kaggle");
  CHECK(data.test == nullptr);
  REQUIRE(data.notes.size() == 1);
  CHECK(contains(data.notes[0], "kaggle/test: holds images but no folders, expected a folder for each class; test is"));
}

TEST_CASE("what is hidden or no image is passed over") {
  const TempDir root;
  write_images(root.path(), {"a/1.png", "a/.hidden.png", ".checkpoints/1.png", "a/.thumbs/1.png", "b/1.png",
                             "__MACOSX/a/._1.png", "a/@eaDir/1.png"});
  fs::create_directories(root / "lost+found");
  write_file(root / "a/notes.txt", {'x'});
  write_file(root / "README", {'x'});
  const DataSplits data = open_data(root.path());
  CHECK(data.train->classes() == Lines{"a", "b"});
  CHECK(listing(*data.train, root.path()) == Lines{"a/1.png 0", "b/1.png 1"});
  CHECK(data.notes.empty());
}

TEST_CASE("an image reads as three channels, grey or not") {
  const TempDir root;
  write_png(root / "a/1.png", flat(2, 3, {7}));
  write_jpeg(root / "b/2.jpg", flat(8, 8, {200, 100, 50}));
  const DataSplits data = open_data(root.path());
  CHECK(data.train->channels() == 3);
  CHECK(data.train->read(0).pixels == flat(2, 3, {7, 7, 7}).pixels);
  CHECK(data.train->read(1).channels == 3);
}

TEST_CASE("train and val, valid or test are found by name") {
  for (const std::string val : {"val", "valid", "test"}) {
    const TempDir root;
    write_images(root.path(), {"train/a/1.png", "train/b/1.png", val + "/a/2.png", val + "/b/2.png"});
    const DataSplits data = open_data(root.path());
    CHECK(listing(*data.train, root.path()) == Lines{"train/a/1.png 0", "train/b/1.png 1"});
    REQUIRE(data.val);
    CHECK(listing(*data.val, root.path()) == Lines{val + "/a/2.png 0", val + "/b/2.png 1"});
  }
}

TEST_CASE("a flat set may have classes named train and test") {
  const TempDir root;
  write_images(root.path(), {"bus/1.png", "test/1.png", "train/1.png"});
  const DataSplits data = open_data(root.path());
  CHECK(data.train->classes() == Lines{"bus", "test", "train"});
  CHECK(data.val == nullptr);
}

TEST_CASE("classes of val are matched by name, and val may lack some") {
  const TempDir root;
  write_images(root.path(), {"train/a/1.png", "train/b/1.png", "train/c/1.png", "val/c/1.png", "val/a/1.png"});
  fs::create_directories(root / "val/b");
  const DataSplits data = open_data(root.path());
  REQUIRE(data.val);
  CHECK(data.val->classes() == Lines{"a", "b", "c"});
  CHECK(listing(*data.val, root.path()) == Lines{"val/a/1.png 0", "val/c/1.png 2"});
}

TEST_CASE("a class of val that train lacks is refused with its name") {
  const TempDir root;
  write_images(root.path(), {"train/a/1.png", "train/b/1.png", "val/a/1.png", "val/zebra/1.png"});
  CHECK(contains(opening(root.path()), "the class \"zebra\" is not among the 2 classes of the training set"));
}

TEST_CASE("another folder serves for validation: its val part, or all of it") {
  const TempDir root;
  write_images(root.path(),
               {"data/a/1.png", "data/b/1.png", "flat/b/3.png", "split/train/a/4.png", "split/val/b/5.png"});
  CHECK(listing(*open_data(root / "data", root / "flat").val, root.path()) == Lines{"flat/b/3.png 1"});
  CHECK(listing(*open_data(root / "data", root / "split").val, root.path()) == Lines{"split/val/b/5.png 1"});
}

TEST_CASE("a folder that is missing, empty or holds nothing to train on is told of in one sentence") {
  const TempDir root;
  CHECK(contains(opening(root / "none"), "none: does not exist, expected a folder"));
  fs::create_directories(root / "empty");
  CHECK(contains(opening(root / "empty"), "empty: is empty, expected a folder"));
  write_file(root / "file", {'x'});
  CHECK(contains(opening(root / "file"), "file: is not a folder"));
  write_file(root / "text/notes.txt", {'x'});
  CHECK(contains(opening(root / "text"), "text: holds no folders with images"));
  write_images(root.path(), {"loose/1.png"});
  CHECK(contains(opening(root / "loose"), "loose: holds images but no folders, expected a folder for each class"));
  write_images(root.path(), {"gap/a/1.png"});
  fs::create_directories(root / "gap/b");
  CHECK(contains(opening(root / "gap"), "gap/b: holds no images"));
  write_images(root.path(), {"half/val/a/1.png"});
  CHECK(contains(opening(root / "half"), "half: holds val but no train with class folders"));
  write_images(root.path(), {"hollow/train/a/1.png", "hollow/train/b/1.png"});
  fs::create_directories(root / "hollow/val/a");
  CHECK(contains(opening(root / "hollow"), "hollow/val: holds no images"));
  CHECK(contains(opening(root / "hollow/train", root / "none"), "none: does not exist"));
}

TEST_CASE("validation data of another kind is refused") {
  const TempDir root;
  write_images(root.path(), {"data/a/1.png"});
  write_file(root / "idx/train-images-idx3-ubyte", {0});
  CHECK(contains(opening(root / "data", root / "idx"), "idx: holds IDX files, expected the same kind of data as"));
}

TEST_CASE("a check counts every class and names what is broken among the good") {
  const TempDir root;
  write_png(root / "train/a/1.png", flat(4, 6, {1, 2, 3}));
  write_jpeg(root / "train/a/2.jpg", pattern(30, 20, 3));
  write_jpeg(root / "train/b/1.jpg", pattern(8, 9, 3));
  write_png(root / "val/b/1.png", flat(5, 5, {1}));
  std::vector<uint8_t> bytes = read_file(root / "train/b/1.jpg");
  bytes.resize(bytes.size() - 10);
  write_file(root / "train/a/3.jpg", bytes);

  const CheckReport report = check_data(open_data(root.path()));
  CHECK(report.kind == "class folders");
  REQUIRE(report.parts.size() == 2);
  const CheckReport::Part& train = report.parts[0];
  CHECK(train.name == "train");
  CHECK(train.samples == 4);
  CHECK(train.per_class == std::vector<std::pair<std::string, int64_t>>{{"a", 3}, {"b", 1}});
  CHECK(train.min_width == 4);
  CHECK(train.max_width == 30);
  CHECK(train.min_height == 6);
  CHECK(train.max_height == 20);
  CHECK(report.parts[1].name == "val");
  CHECK(report.parts[1].per_class == std::vector<std::pair<std::string, int64_t>>{{"a", 0}, {"b", 1}});
  REQUIRE(report.broken.size() == 1);
  CHECK(contains(report.broken[0], "train/a/3.jpg: is a broken JPEG"));
}

TEST_CASE("broken samples are told of in the data set's order") {
  const TempDir root;
  for (int i = 100; i < 160; ++i) write_file(root / text("a/", i, ".png"), {'x'});
  const std::vector<std::string> broken = check_data(open_data(root.path(), {}, {.any_classes = true})).broken;
  REQUIRE(broken.size() == 60);
  for (size_t i = 0; i < 60; ++i) CHECK(contains(broken[i], text("a/", 100 + i, ".png: begins with the bytes 78")));
}

}  // namespace shear::test

// Data sets that list their images: Flowers-102, CUB-200-2011 and CSV.
#include <doctest/doctest.h>

#include "data/sources.h"
#include "image_files.h"
#include "tests_dir.h"

namespace shear::test {
namespace {

using Lines = std::vector<std::string>;

// What the data set holds, in its order: paths below the root, and labels.
Lines listing(const Dataset* data, const fs::path& root) {
  REQUIRE(data);
  Lines lines;
  for (int64_t i = 0; i < data->size(); ++i)
    lines.push_back(text(fs::path(data->describe(i)).lexically_relative(root).string(), " ", data->label(i)));
  return lines;
}

std::string opening(const fs::path& data, const DataOptions& options = {}, const fs::path& val = {}) {
  return sentence(Fault::input, [&] { open_data(data, val, options); });
}

void write_text(const fs::path& path, const std::string& text) { write_file(path, {text.begin(), text.end()}); }

// Twelve images of three classes and more: see tools/golden_mat.py.
void write_flowers(const fs::path& root) {
  fs::create_directories(root);
  for (const char* name : {"setid.mat", "imagelabels.mat"})
    fs::copy_file(tests_dir() / "golden/mat" / name, root / name);
  for (int i = 1; i <= 12; ++i)
    write_jpeg(root / text("jpg/image_000", i / 10, i % 10, ".jpg"), pattern(20 + i, 16, 3));
}

// A MAT-file of level 5 with vectors of 16-bit numbers, not packed.
using Vectors = std::vector<std::pair<std::string, std::vector<uint16_t>>>;
void write_mat(const fs::path& path, const Vectors& vectors) {
  std::vector<uint8_t> file(128);
  const auto put = [](std::vector<uint8_t>& to, uint32_t value) {
    for (int shift = 0; shift < 32; shift += 8) to.push_back(static_cast<uint8_t>(value >> shift));
  };
  const auto element = [&](std::vector<uint8_t>& to, uint32_t type, const std::vector<uint8_t>& data) {
    put(to, type);
    put(to, static_cast<uint32_t>(data.size()));
    to.insert(to.end(), data.begin(), data.end());
    to.resize((to.size() + 7) / 8 * 8);
  };
  file[125] = 1;
  file[126] = 'I';
  file[127] = 'M';
  for (const auto& [name, values] : vectors) {
    std::vector<uint8_t> flags, dims, numbers, matrix;
    put(flags, 11);
    put(flags, 0);
    put(dims, 1);
    put(dims, static_cast<uint32_t>(values.size()));
    for (const uint16_t value : values)
      numbers.insert(numbers.end(), {static_cast<uint8_t>(value), static_cast<uint8_t>(value >> 8)});
    element(matrix, 6, flags);
    element(matrix, 5, dims);
    element(matrix, 1, {name.begin(), name.end()});
    element(matrix, 4, numbers);
    element(file, 14, matrix);
  }
  write_file(path, file);
}

void write_cub(const fs::path& root) {
  write_text(root / "classes.txt", "1 001.Albatross\n2 002.Auklet\n");
  write_text(root / "images.txt",
             "1 001.Albatross/a.jpg\n2 001.Albatross/b.jpg\n3 002.Auklet/a b.jpg\r\n5 002.Auklet/c.jpg\n");
  write_text(root / "image_class_labels.txt", "1 1\n2 1\n3 2\n5 2\n");
  write_text(root / "train_test_split.txt", "1 1\n2 0\n3 1\n5 0\n");
  for (const char* name : {"001.Albatross/a.jpg", "001.Albatross/b.jpg", "002.Auklet/a b.jpg", "002.Auklet/c.jpg"})
    write_jpeg(root / "images" / name, pattern(12, 14, 1));
}

// A data set with one of its files replaced.
template <class Write>
std::string opening_with(Write write, const char* file, const std::string& content) {
  const TempDir root;
  write(root / "data");
  write_text(root / "data" / file, content);
  return opening(root / "data");
}

}  // namespace

TEST_CASE("Flowers-102 trains on trnid and valid and tests on tstid, with the flowers' names") {
  const TempDir root;
  write_flowers(root.path());
  const DataSplits data = open_data(root.path());
  CHECK(data.kind == "Flowers-102");
  CHECK(data.train->classes().size() == 102);
  CHECK(data.train->classes()[0] == "pink primrose");
  CHECK(data.train->classes()[101] == "blackberry lily");
  CHECK(listing(data.train.get(), root.path()) == Lines{"jpg/image_00002.jpg 101", "jpg/image_00009.jpg 2",
                                                        "jpg/image_00004.jpg 2", "jpg/image_00001.jpg 0",
                                                        "jpg/image_00012.jpg 101"});
  REQUIRE(data.val);
  CHECK(data.val->size() == 7);
  CHECK(data.test == nullptr);
  CHECK(data.val->read(3).width == 27);

  const DataSplits official = open_data(root.path(), {}, {.official_split = true});
  CHECK(official.train->size() == 3);
  CHECK(listing(official.val.get(), root.path()) == Lines{"jpg/image_00001.jpg 0", "jpg/image_00012.jpg 101"});
  CHECK(official.test->size() == 7);
}

TEST_CASE("what is wrong with a Flowers-102 is told of with the file and the place") {
  const TempDir root;
  write_flowers(root.path());
  fs::remove(root / "jpg/image_00007.jpg");
  fs::remove(root / "jpg/image_00010.jpg");
  CHECK(contains(opening(root.path()), "setid.mat: 2 of its 12 images are not there, the first is"));
  CHECK(contains(opening(root.path()), "image_00007.jpg"));
  CHECK(contains(sentence(Fault::input, [&] { open_data(root.path(), {}, {.allow_absent = true}).val->read(3); }),
                 "image_00007.jpg: cannot be opened (No such file"));
  fs::remove(root / "imagelabels.mat");
  CHECK(contains(opening(root.path()), "imagelabels.mat: cannot be opened (No such file"));
  // Labels in the place of parts, and the other way round.
  fs::copy_file(root / "setid.mat", root / "imagelabels.mat");
  CHECK(contains(opening(root.path()), "imagelabels.mat: has no variable \"labels\""));
}

TEST_CASE("numbers of Flowers-102 that make no sense are refused") {
  const TempDir root;
  const auto of = [&](std::vector<uint16_t> labels, std::vector<uint16_t> train, std::vector<uint16_t> test) {
    write_mat(root / "imagelabels.mat", {{"labels", std::move(labels)}});
    write_mat(root / "setid.mat", {{"trnid", std::move(train)}, {"valid", {}}, {"tstid", std::move(test)}});
    return opening(root.path());
  };
  write_jpeg(root / "jpg/image_00001.jpg", pattern(9, 9, 3));
  CHECK(contains(of({1, 0}, {1}, {2}), "imagelabels.mat: the label of image 2 is 0, expected 1 to 102"));
  CHECK(contains(of({103, 1}, {1}, {2}), "imagelabels.mat: the label of image 1 is 103, expected 1 to 102"));
  CHECK(contains(of({1, 1}, {0}, {2}), "setid.mat: trnid names image 0, expected 1 to 2, the labels that there are"));
  CHECK(contains(of({1, 1}, {1}, {2, 3}), "setid.mat: tstid names image 3, expected 1 to 2"));
  CHECK(contains(of({1, 1}, {1}, {2, 1}), "setid.mat: image 1 stands in trnid and again in tstid, expected once"));
  CHECK(contains(of({1, 1}, {}, {1}), "setid.mat: trnid and valid are empty"));
  write_mat(root / "setid.mat", {{"trnid", {1}}, {"valid", {}}});
  CHECK(contains(opening(root.path()), "setid.mat: has no variable \"tstid\", only \"trnid\", \"valid\""));
}

TEST_CASE("CUB-200-2011 is read from its lists") {
  const TempDir root;
  write_cub(root.path());
  const DataSplits data = open_data(root.path());
  CHECK(data.kind == "CUB-200-2011");
  CHECK(data.train->classes() == Lines{"001.Albatross", "002.Auklet"});
  CHECK(listing(data.train.get(), root.path()) == Lines{"images/001.Albatross/a.jpg 0", "images/002.Auklet/a b.jpg 1"});
  CHECK(listing(data.val.get(), root.path()) == Lines{"images/001.Albatross/b.jpg 0", "images/002.Auklet/c.jpg 1"});
  CHECK(data.train->read(0).channels == 3);  // grey in its file
  CHECK(check_data(data).broken.empty());
}

TEST_CASE("what is wrong with a CUB-200-2011 is told of with the file and the line") {
  CHECK(contains(opening_with(write_cub, "classes.txt", "1 a\nb\n"),
                 "classes.txt, line 2: is \"b\", expected a number and the name of a class"));
  CHECK(contains(opening_with(write_cub, "classes.txt", "1 a\n1 b\n"), "classes.txt, line 2: 1 stands here again"));
  CHECK(contains(opening_with(write_cub, "classes.txt", ""), "classes.txt: is empty"));
  CHECK(contains(opening_with(write_cub, "image_class_labels.txt", "1 1\n2 1\n3 7\n5 2\n"),
                 "image_class_labels.txt, line 3: names the class 7, expected one of the 2 of"));
  CHECK(contains(opening_with(write_cub, "image_class_labels.txt", "1 1\n2 1\n3 2\n"),
                 "image_class_labels.txt: has no line for 5, expected one, as"));
  CHECK(contains(opening_with(write_cub, "train_test_split.txt", "1 1\n2 0\n3 2\n5 0\n"),
                 "train_test_split.txt, line 3: says 2, expected 1 (train) or 0 (test)"));
  CHECK(contains(opening_with(write_cub, "train_test_split.txt", "1 0\n2 0\n3 0\n5 0\n"), "has no image to train on"));
  CHECK(contains(opening_with(write_cub, "images.txt", "1 001.Albatross/a.jpg\n2 001.Albatross/z.jpg\n"),
                 "images.txt: 1 of its 2 images are not there, the first is"));
  CHECK(contains(opening_with(write_cub, "images.txt", "1 001.Albatross/a.jpg\n2 001.Albatross/z.jpg\n"), "(line 2)"));
}

TEST_CASE("a CSV lists images with their labels and parts, in any order of columns, quoted or not") {
  const TempDir root;
  for (const char* name : {"x/1.png", "x/2.png", "x/with, comma.png", "4.png", "5.png"})
    write_png(root / name, flat(2, 2, {9, 9, 9}));
  write_text(
      root / "list.csv",
      "\xef\xbb\xbflabel,Note,PATH,split\r\ncat 10,,x/1.png,train\r\n\"cat \"\"2\"\"\",\"two\nlines\",x/2.png,Train\r\n"
      "\r\ncat 10,,\"x/with, comma.png\",val\r\ncat 10,,4.png,test\r\ncat 10,,5.png,train");
  const DataSplits data = open_data(root / "list.csv");
  CHECK(data.kind == "CSV");
  CHECK(data.train->classes() == Lines{"cat \"2\"", "cat 10"});
  CHECK(listing(data.train.get(), root.path()) == Lines{"x/1.png 1", "x/2.png 0", "5.png 1"});
  CHECK(listing(data.val.get(), root.path()) == Lines{"x/with, comma.png 1"});
  CHECK(listing(data.test.get(), root.path()) == Lines{"4.png 1"});
  CHECK(data.val->read(0).channels == 3);

  write_text(root / "all.csv", "path,label\n4.png,a\n5.png,b10\nx/1.png,b9\n");
  CHECK(open_data(root / "all.csv").val == nullptr);
  CHECK(open_data(root / "all.csv").train->classes() == Lines{"a", "b10", "b9"});
  CHECK(open_data(root / "all.csv", {}, {.class_order = "natural"}).train->classes() == Lines{"a", "b9", "b10"});
  write_text(root / "other.csv", "path,label\n4.png,b9\n");
  CHECK(listing(open_data(root / "all.csv", root / "other.csv").val.get(), root.path()) == Lines{"4.png 2"});
  CHECK(contains(opening(root / "all.csv", {}, root / "list.csv"),
                 "list.csv, line 6: the class \"cat 10\" is not among the 3 classes of the training set"));
}

TEST_CASE("what is wrong with a CSV is told of with its line") {
  const TempDir root;
  for (const char* name : {"1.png", "2.png", "3.png"}) write_png(root / name, flat(2, 2, {9}));
  const auto of = [&](const std::string& content) {
    write_text(root / "list.csv", content);
    return opening(root / "list.csv");
  };
  CHECK(contains(of(""), "list.csv, line 1: there is nothing, expected a header with the columns path and label"));
  CHECK(contains(of("photo,label\n1.png,a\n"),
                 "list.csv, line 1: has the columns \"photo\", \"label\", expected path and label, and maybe split"));
  CHECK(contains(of("path,label,path\n"), "line 1: has the columns \"path\" and \"path\", either of which may be"));
  CHECK(contains(of("file_name,label,Image\n"),
                 "line 1: has the columns \"file_name\" and \"Image\", either of which may be the path, expected one"));
  CHECK(contains(of("path,class,target\n"), "\"class\" and \"target\", either of which may be the label"));
  CHECK(contains(of("path,label\n"), "list.csv: lists no images to train on"));
  CHECK(contains(of("path,label\n1.png,a\n1.png\n"), "line 3: has 1 fields, expected the 2 of the header"));
  CHECK(contains(of("path,label\n\n1.png,a,b\n"), "line 3: has 3 fields"));
  CHECK(contains(of("path,label\n,a\n"), "line 2: the path is empty"));
  CHECK(contains(of("path,label\n1.png,\n"), "line 2: the label is empty"));
  CHECK(contains(of("path,label\n1.png, \t\n"), "line 2: the label is empty"));
  CHECK(contains(of("path,label,split\n1.png,a,fold 1\n"),
                 "line 2: the split is \"fold 1\", expected train, val or test"));
  CHECK(contains(of("path,label,split\n1.png,a,train\n1.png,a,val\n1.png,a,eval\n1.png,a,test\n"),
                 "line 4: has a part for evaluation beside those for validation and tests, expected one for each"));
  CHECK(contains(of("path;label\n\"1.png\",a\n"), "expected a semicolon or the end of the line"));
  CHECK(contains(of("path,label\n1.png,a\n"), "list.csv: one class only, a, expected at least two"));
  CHECK(contains(of("path,label\n\"1.png,a\n"), "line 2: a quoted field has no end"));
  CHECK(contains(of("path,label\n\"1\".png,a\n"), "line 2: a quoted field goes on after its second \""));
  CHECK(contains(of("path,label,split\n1.png,a,train\n2.png,b,val\n"),
                 "line 3: the class \"b\" is not among the 1 classes of the training set"));
  CHECK(contains(of("path,label,split\n1.png,a,train\n2.png,b,train\n3.png,A,val\n"),
                 "line 4: the class \"A\" is not among the 2 classes of the training set (which has \"a\")"));
  const std::string absent = of("path,label\n1.png,a\n\"two\nlines.png\",a\n4.png,a\n");
  CHECK(contains(absent, "list.csv: 2 of its 3 images are not there, the first is"));
  CHECK(contains(absent, "(line 3), expected a file for each"));
  fs::create_directories(root / "5.png");
  CHECK(contains(of("path,label\n1.png,a\n5.png,a\n"), "5.png (line 3: a folder), expected a file for each"));
}

TEST_CASE("columns go by their usual names, and what stands between fields by the header") {
  const TempDir root;
  for (const char* name : {"1.png", "2.png", "3.png"}) write_png(root / name, flat(2, 2, {9}));
  const auto of = [&](const std::string& content) {
    write_text(root / "list.csv", content);
    return open_data(root / "list.csv");
  };
  const Lines expected{"1.png 0", "2.png 1"};
  for (const char* header : {"file_name,label", "filename,class", "Image,target", "image_path,Category", "file,labels",
                             "File Names,class-name", "filepaths,Labels"}) {
    CAPTURE(header);
    const DataSplits data = of(text(header, "\n1.png,a\n2.png,b\n"));
    CHECK(listing(data.train.get(), root.path()) == expected);
    CHECK(data.notes.empty());
  }
  CHECK(listing(of("path;label\n1.png;a, not b\n\"2.png\";b\n").train.get(), root.path()) == expected);
  CHECK(listing(of("\"path\"\t\"label\"\n1.png\ta\n2.png\tb\n").train.get(), root.path()) == expected);
  CHECK(listing(of("\npath,label,a;b\n1.png,a,\n2.png,b,;\n").train.get(), root.path()) == expected);
  const DataSplits two = of("image,path,label,class\n7,1.png,a,x\n8,2.png,b,y\n");
  CHECK(listing(two.train.get(), root.path()) == expected);
  REQUIRE(two.notes.size() == 2);
  CHECK(contains(two.notes[0], "list.csv: its column \"image\" is passed over, as there is \"path\""));
  CHECK(contains(two.notes[1], "list.csv: its column \"class\" is passed over, as there is \"label\""));
}

TEST_CASE("a list's parts have the usual names, in a column split or in another that holds nothing else") {
  const TempDir root;
  for (const char* name : {"1.png", "2.png", "3.png", "4.png"}) write_png(root / name, flat(2, 2, {9}));
  const auto of = [&](const std::string& header, const std::string& val, const std::string& test) {
    write_text(root / "list.csv", header + "\n1.png,a,Training\n2.png,b,train\n3.png,a," + val + "\n4.png,b," + test);
    return open_data(root / "list.csv");
  };
  for (const char* name : {"val", "Dev", "validation", "eval"}) {
    const DataSplits data = of("path,label,split", name, "testing");
    CHECK(data.train->size() == 2);
    CHECK(listing(data.val.get(), root.path()) == Lines{"3.png 0"});
    CHECK(listing(data.test.get(), root.path()) == Lines{"4.png 1"});
  }
  CHECK(listing(of("path,label,split", "val", "evaluation").test.get(), root.path()) == Lines{"4.png 1"});
  CHECK(listing(of("path,label,Data Set", "val", "test").val.get(), root.path()) == Lines{"3.png 0"});
  CHECK(of("path,label,set", "B", "test").train->size() == 4);
}

TEST_CASE("a list that is not UTF-8 is refused with the line, or with what it is") {
  const TempDir root;
  write_png(root / "1.png", flat(2, 2, {9}));
  using namespace std::string_literals;
  const auto of = [&](const std::string& content) {
    write_text(root / "list.csv", content);
    return opening(root / "list.csv");
  };
  CHECK(of("path,label\n1.png,a\n1.png,cr\xe8me\n") ==
        (root / "list.csv").string() +
            ", line 3: \"1.png,cr\\xe8me\" is not UTF-8, expected a CSV in UTF-8 (if it is "
            "Latin-1: iconv -f latin1 -t utf-8)");
  const auto wide = [](const std::string& narrow, bool big) {
    std::string all;
    for (const char c : narrow) all += big ? "\0"s + c : c + "\0"s;
    return all;
  };
  const std::string whole = (root / "list.csv").string() + ": is UTF-16, expected a CSV in UTF-8";
  CHECK(of("\xff\xfe" + wide("path,label\n", false)) == whole);
  CHECK(of("\xfe\xff" + wide("path,label\n", true)) == whole);
  CHECK(of(wide("path,label\n", false)) == whole);
  CHECK(of(wide("path,label\n", true)) == whole);
  CHECK(of("\xff\xfe\0\0p\0\0\0"s) == (root / "list.csv").string() + ": is UTF-32, expected a CSV in UTF-8");
  CHECK(contains(of("path,label\n1.png,a\0b\n"s), "line 2: \"1.png,a\\x00b\" holds a zero byte, expected a CSV in"));
  // A line that is quoted is cut where it is long, and never within a letter.
  std::string header = "x";
  for (int i = 0; i < 100; ++i) header += "\xc3\xa9";
  const std::string told = of(header + "\n");
  CHECK(told.size() < root.path().string().size() + 250);
  CHECK(contains(told, "\xc3\xa9..., expected path and label"));
}

TEST_CASE("labels that differ by what nobody sees are told of") {
  const TempDir root;
  for (const char* name : {"1.png", "2.png", "3.png", "4.png", "5.png"}) write_png(root / name, flat(2, 2, {9}));
  write_text(root / "list.csv", "path,label\n1.png,cat\n2.png,cat \n3.png,dog\n4.png,Dog\n5.png,bird\n");
  const DataSplits data = open_data(root / "list.csv");
  CHECK(data.train->classes().size() == 5);
  REQUIRE(data.notes.size() == 2);
  CHECK(contains(data.notes[0], "list.csv: the classes \"cat\" and \"cat \" differ by blanks, case or spelling of"));
  CHECK(contains(data.notes[1], "the classes \"Dog\" and \"dog\" differ by"));
}

TEST_CASE("an image that a list names again is told of, and refused with another label") {
  const TempDir root;
  for (const char* name : {"1.png", "2.png", "3.png"}) write_png(root / name, flat(2, 2, {9}));
  write_text(root / "same.csv", "path,label\n1.png,cat\n2.png,dog\n./1.png,cat\n1.png,cat\n");
  const DataSplits same = open_data(root / "same.csv");
  CHECK(same.train->size() == 4);
  REQUIRE(same.notes.size() == 1);
  CHECK(contains(same.notes[0],
                 "same.csv: lists images again (2 lines, as ./1.png on lines 2 and 4), each counts as often as it is"));

  write_text(root / "parts.csv",
             "path,label,split\n1.png,cat,train\n2.png,dog,train\n1.png,cat,val\n3.png,dog,val\n3.png,dog,test\n");
  const DataSplits parts = open_data(root / "parts.csv");
  REQUIRE(parts.notes.size() == 1);
  CHECK(contains(parts.notes[0],
                 "parts.csv: lists images to train on in another part too (1 line, as 1.png on lines 2 "
                 "and 4), so accuracies are of images that were trained on"));

  write_text(root / "two.csv", "path,label\n1.png,cat\n2.png,dog\n1.png,dog\n");
  CHECK(contains(opening(root / "two.csv"),
                 "two.csv, line 4: 1.png is \"dog\", but \"cat\" on line 2, expected one label for an image"));
}

TEST_CASE("a check reads a list whose images are not all there, and names each that is not") {
  const TempDir root;
  write_png(root / "1.png", flat(2, 2, {9}));
  write_text(root / "list.csv", "path,label\n1.png,a\n2.png,a\n3.png,b\n");
  const CheckReport report = check_data(open_data(root / "list.csv", {}, {.allow_absent = true}));
  REQUIRE(report.broken.size() == 2);
  CHECK(contains(report.broken[0], "2.png: cannot be opened"));
  CHECK(contains(report.broken[1], "3.png: cannot be opened"));
}

TEST_CASE("the kind of a data set can be named, and a wrong one is refused") {
  const TempDir root;
  write_png(root / "train/a/1.png", flat(2, 2, {9}));
  write_png(root / "train/b/1.png", flat(2, 2, {9}));
  write_text(root / "train/b/train_test_split.txt", "");
  write_text(root / "train_test_split.txt", "of something else");
  CHECK(contains(opening(root.path()), "classes.txt: cannot be opened"));
  CHECK(open_data(root.path(), {}, {.kind = "folders"}).train->size() == 2);
  CHECK(contains(opening(root.path(), {.kind = "cifar"}), "does not hold CIFAR files, expected some for --kind cifar"));
  CHECK(contains(opening(root.path(), {.kind = "idx"}), "does not hold IDX files"));
  CHECK(contains(opening(root.path(), {.kind = "csv"}), "does not hold a CSV of images"));
  write_text(root / "list", "path,label\ntrain/a/1.png,a\n");
  CHECK(contains(opening(root / "list"), "list: is not a folder"));
  CHECK(open_data(root / "list", {}, {.kind = "csv", .any_classes = true}).kind == "CSV");
  CHECK(contains(opening(root / "list", {.kind = "folders"}), "list: is not a folder"));
  const auto usage = [&](const DataOptions& options) {
    return sentence(Fault::usage, [&] { open_data(root.path(), {}, options); });
  };
  CHECK(contains(usage({.kind = "tfds"}), "--kind tfds: expected idx, cifar, flowers102, cub200, csv or folders"));
  CHECK(contains(usage({.class_order = "random"}), "--class-order random: expected plain or natural"));
  CHECK(contains(usage({.val_share = 1}), "--val-share 1: expected at least 0 and less than 1"));
  CHECK(contains(usage({.kind = "folders", .official_split = true}), "--official-split is for Flowers-102"));
}

}  // namespace shear::test

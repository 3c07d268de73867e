// Whether a data set is still what it was, wherever it lies.
#include <doctest/doctest.h>

#include "data/sources.h"
#include "image_files.h"

namespace shear::test {
namespace {

void write_text(const fs::path& path, const std::string& text) { write_file(path, {text.begin(), text.end()}); }

uint64_t of(const fs::path& data, const DataOptions& options = {}) {
  return fingerprint(*open_data(data, {}, options).train);
}

// Two classes, images of 1 to 3 bytes that are never read.
void write_photos(const fs::path& root) {
  for (const char* name : {"a2/1", "a2/2", "a10/1"})
    write_text(root / (std::string(name) + ".png"), std::string(name).substr(2));
}

// `count` images of one byte each, with the classes 0 and 1 in turn.
void write_idx(const fs::path& root, uint8_t count, uint8_t first) {
  std::vector<uint8_t> images{0, 0, 8, 3, 0, 0, 0, count, 0, 0, 0, 1, 0, 0, 0, 1}, labels{0, 0, 8, 1, 0, 0, 0, count};
  for (uint8_t i = 0; i < count; ++i) {
    images.push_back(static_cast<uint8_t>(first + i));
    labels.push_back(i % 2);
  }
  write_file(root / "train-images-idx3-ubyte", images);
  write_file(root / "train-labels-idx1-ubyte", labels);
}

}  // namespace

TEST_CASE("a fingerprint stays where a data set moves, is opened from elsewhere or sorted otherwise") {
  const TempDir root;
  write_photos(root / "photos");
  const uint64_t before = of(root / "photos");
  CHECK(of(root / "photos", {.class_order = "natural"}) == before);
  fs::create_directories(root / "mount/deep");
  fs::rename(root / "photos", root / "mount/deep/set");
  CHECK(of(root / "mount/deep/set") == before);
  CHECK(of(fs::relative(root / "mount/deep/set")) == before);
}

TEST_CASE("an image that is added, removed, renamed, moved to another class or of another size changes it") {
  const TempDir root;
  write_photos(root.path());
  const uint64_t before = of(root.path());
  write_text(root / "a2/3.png", "x");
  CHECK(of(root.path()) != before);
  fs::remove(root / "a2/3.png");
  CHECK(of(root.path()) == before);
  fs::rename(root / "a2/2.png", root / "a2/4.png");
  CHECK(of(root.path()) != before);
  fs::rename(root / "a2/4.png", root / "a10/2.png");
  CHECK(of(root.path()) != before);
  fs::rename(root / "a10/2.png", root / "a2/2.png");
  CHECK(of(root.path()) == before);
  write_text(root / "a2/2.png", "longer");
  CHECK(of(root.path()) != before);
}

TEST_CASE("two images of the same class that change places by name are no longer the same") {
  const TempDir root;
  write_text(root / "a/1.png", "x");
  write_text(root / "a/2.png", "longer");
  write_text(root / "b/1.png", "x");
  const uint64_t before = of(root.path());
  write_text(root / "a/1.png", "longer");
  write_text(root / "a/2.png", "x");
  CHECK(of(root.path()) != before);
}

TEST_CASE("a list has the fingerprint of its images and labels, however their paths are written") {
  const TempDir root;
  write_photos(root / "p");
  const fs::path list = root / "list.csv";
  write_text(list, "path,label\np/a2/1.png,x\np/a10/1.png,y\n");
  const uint64_t before = of(list);
  write_text(list, "path,label\np/a10/1.png,y\np/a2/1.png,x\n");
  CHECK(of(list) == before);
  write_text(list, "path,label\n" + (root / "p/a2/1.png").string() + ",x\np/a10/1.png,y\n");
  CHECK(of(list) == before);
  CHECK(open_data(list).train->key(0) == "p/a2/1.png");
  write_text(list, "path,label\np/a2/1.png,y\np/a10/1.png,x\n");
  CHECK(of(list) != before);
}

TEST_CASE("an image that is not there has no size, and its name still counts") {
  const TempDir root;
  write_photos(root / "p");
  write_text(root / "list.csv", "path,label\np/a2/1.png,x\np/a10/7.png,y\n");
  const DataSplits data = open_data(root / "list.csv", {}, {.allow_absent = true});
  CHECK(data.train->sign(0) == 2);
  CHECK(data.train->sign(1) == 0);
  CHECK(data.train->key(1) == "p/a10/7.png");
}

TEST_CASE("pixels and labels in one file count by image, packed or not") {
  const TempDir root;
  write_idx(root / "a", 4, 0);
  write_idx(root / "b", 4, 0);
  write_idx(root / "c", 4, 1);
  write_idx(root / "d", 3, 0);
  CHECK(of(root / "a") == of(root / "b"));
  CHECK(of(root / "a") != of(root / "c"));
  CHECK(of(root / "a") != of(root / "d"));
  CHECK(open_data(root / "a").train->key(3) == "train-images-idx3-ubyte, image 3");
  fs::rename(root / "b/train-images-idx3-ubyte", root / "b/train-images-idx3-ubyte.gz");  // which zlib reads as it is
  CHECK(of(root / "a") == of(root / "b"));
}

TEST_CASE("each held-out part has its own") {
  const TempDir root;
  for (int i = 0; i < 20; ++i) write_text(root / text(i % 2 ? "a/" : "b/", i, ".png"), "x");
  const DataSplits all = open_data(root.path());
  const DataSplits parts = open_data(root.path(), {}, {.val_share = 0.25}),
                   again = open_data(root.path(), {}, {.val_share = 0.25}),
                   others = open_data(root.path(), {}, {.val_share = 0.25, .split_seed = 1});
  CHECK(fingerprint(*parts.train) == fingerprint(*again.train));
  CHECK(fingerprint(*parts.val) == fingerprint(*again.val));
  CHECK(fingerprint(*parts.train) != fingerprint(*parts.val));
  CHECK(fingerprint(*parts.train) != fingerprint(*all.train));
  CHECK(fingerprint(*parts.val) != fingerprint(*others.val));
}

}  // namespace shear::test

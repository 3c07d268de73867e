// A share of every class held out for validation.
#include <doctest/doctest.h>

#include <set>

#include "data/sources.h"
#include "image_files.h"

namespace shear::test {
namespace {

void write_class(const fs::path& folder, int images) {
  for (int i = 0; i < images; ++i) write_file(folder / text(100 + i, ".png"), {'x'});
}

std::set<std::string> paths(const Dataset& data) {
  std::set<std::string> all;
  for (int64_t i = 0; i < data.size(); ++i) all.insert(data.describe(i));
  return all;
}

std::vector<int64_t> by_class(const Dataset& data) {
  std::vector<int64_t> counts(data.classes().size());
  for (int64_t i = 0; i < data.size(); ++i) ++counts[static_cast<size_t>(data.label(i))];
  return counts;
}

}  // namespace

TEST_CASE("every class gives its share, at least one image and never all") {
  const TempDir root;
  write_class(root / "a", 40);
  write_class(root / "b", 14);
  write_class(root / "c", 2);
  write_class(root / "d", 1);
  const DataSplits data = open_data(root.path(), {}, {.val_share = 0.1});
  CHECK(by_class(*data.val) == std::vector<int64_t>{4, 1, 1, 0});
  CHECK(by_class(*data.train) == std::vector<int64_t>{36, 13, 1, 1});
  CHECK(data.val->classes() == data.train->classes());
  const DataSplits most = open_data(root.path(), {}, {.val_share = 0.99});
  CHECK(by_class(*most.train) == std::vector<int64_t>{1, 1, 1, 1});
}

TEST_CASE("no image is in both parts, and together they are all") {
  const TempDir root;
  write_class(root / "a", 30);
  write_class(root / "b", 30);
  const std::set<std::string> all = paths(*open_data(root.path()).train);
  const DataSplits data = open_data(root.path(), {}, {.val_share = 0.3});
  std::set<std::string> train = paths(*data.train);
  const std::set<std::string> val = paths(*data.val);
  CHECK(train.size() == 42);
  CHECK(val.size() == 18);
  train.insert(val.begin(), val.end());
  CHECK(train == all);
}

TEST_CASE("the same seed holds out the same images, another seed others") {
  const TempDir root;
  for (const char* name : {"2", "10", "b"}) write_class(root / name, 30);
  const auto held = [&](const DataOptions& options) { return paths(*open_data(root.path(), {}, options).val); };
  const std::set<std::string> first = held({.val_share = 0.2, .split_seed = 7});
  CHECK(first == held({.val_share = 0.2, .split_seed = 7}));
  CHECK(first != held({.val_share = 0.2, .split_seed = 8}));
  // Nor does a class's draw depend on the order of the classes, or on those beside it.
  CHECK(first == held({.class_order = "natural", .val_share = 0.2, .split_seed = 7}));
  write_class(root / "1", 5);
  const std::set<std::string> more = held({.val_share = 0.2, .split_seed = 7});
  CHECK(std::includes(more.begin(), more.end(), first.begin(), first.end()));
}

TEST_CASE("a validation part that is there is used, and told of; a test part alone stays for tests") {
  const TempDir root;
  for (const char* part : {"both/train", "both/val", "both/test", "two/train", "two/test"})
    for (const char* name : {"a", "b"}) write_class(root / part / name, 10);
  const DataSplits both = open_data(root / "both", {}, {.val_share = 0.2});
  CHECK(both.train->size() == 20);
  CHECK(both.val->size() == 20);
  REQUIRE(both.notes.size() == 1);
  CHECK(contains(both.notes[0], "is validated on, so that no share (--val-share 0.2)"));
  CHECK(both.test->size() == 20);
  const DataSplits two = open_data(root / "two", {}, {.val_share = 0.2});
  CHECK(two.notes.empty());
  CHECK(two.train->size() == 16);
  CHECK(two.val->size() == 4);
  CHECK(two.test->size() == 20);
  CHECK(open_data(root / "two").val->size() == 20);
  CHECK(open_data(root / "two").test == nullptr);
}

TEST_CASE("classes of one image each cannot be split") {
  const TempDir root;
  write_class(root / "a", 1);
  write_class(root / "b", 1);
  CHECK(contains(sentence(Fault::input, [&] { open_data(root.path(), {}, {.val_share = 0.5}); }),
                 "no class has two images, expected some"));
}

}  // namespace shear::test

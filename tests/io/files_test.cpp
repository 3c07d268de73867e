// Files as the data layer reads them: whole, or refused.
#include "data/files.h"

#include <doctest/doctest.h>

#include "image_files.h"

namespace shear::test {
namespace {

std::string reading(const fs::path& path, const std::function<void()>& meanwhile,
                    std::vector<uint8_t>* bytes = nullptr) {
  return sentence(Fault::input, [&] {
    InputFile file(path, "an image");
    meanwhile();
    const std::vector<uint8_t> found = file.read_all();
    if (bytes) *bytes = found;
    fail(Fault::input, "read");
  });
}

}  // namespace

TEST_CASE("a file is read whole, and refused where its size changes meanwhile") {
  const TempDir root;
  const fs::path path = root / "1.png";
  std::vector<uint8_t> bytes(100'000, 7), found;
  write_file(path, bytes);
  CHECK(reading(
            path, [] {}, &found) == "read");
  CHECK(found == bytes);
  CHECK(reading(path, [&] { fs::resize_file(path, 99'999); }) ==
        path.string() + ": ends after 99999 of its 100000 bytes, expected a file that nobody writes to");
  CHECK(reading(path, [&] { fs::resize_file(path, 100'000); }) ==
        path.string() + ": goes on after its 99999 bytes, expected a file that nobody writes to");
  CHECK(reading(path, [&] { fs::remove(path); }) == "read");
  write_file(path, {});
  CHECK(reading(
            path, [] {}, &found) == "read");
  CHECK(found.empty());
}

TEST_CASE("a file of more bytes than anyone would read is refused before it is read") {
  const TempDir root;
  write_file(root / "1.csv", {1, 2, 3});
  fs::resize_file(root / "1.csv", uint64_t{1} << 40);  // of which the disk holds little
  CHECK(sentence(Fault::input, [&] { read_bytes(root / "1.csv", "a CSV"); }) ==
        (root / "1.csv").string() + ": holds 1099511627776 bytes, expected a CSV of at most 1073741824");
}

TEST_CASE("names in a sentence are few, and as text may show them") {
  CHECK(listing({"a"}) == "a");
  CHECK(listing({"a", "b"}) == "a and b");
  CHECK(listing({"a", "b", "c", "d"}) == "a, b, c and d");
  CHECK(listing({"a", "b", "c", "d", "e"}) == "a, b, c and 2 more");
  CHECK(listing({"a\nb", "\xe9"}) == "a\\x0ab and \\xe9");
  CHECK(excerpt(std::string(100, 'x')) == std::string(100, 'x'));
  CHECK(excerpt(std::string(101, 'x')) == std::string(100, 'x') + "...");
}

}  // namespace shear::test

// MAT-files: what scipy writes is read, what is broken is refused.
#include <doctest/doctest.h>

#include "data/mat.h"
#include "image_files.h"
#include "tests_dir.h"

namespace shear::test {
namespace {

using Numbers = std::vector<int64_t>;

const fs::path folder = tests_dir() / "golden/mat";

Numbers plain(const char* variable) { return read_mat_vector(folder / "plain.mat", variable); }

std::string refused(const fs::path& path, const char* variable) {
  return sentence(Fault::input, [&] { read_mat_vector(path, variable); });
}

}  // namespace

TEST_CASE("a vector is read whatever type it is stored in, packed or not") {
  CHECK(read_mat_vector(folder / "setid.mat", "trnid") == Numbers{2, 9, 4});
  CHECK(read_mat_vector(folder / "setid.mat", "tstid") == Numbers{3, 5, 6, 7, 8, 10, 11});
  const Numbers labels{1, 102, 3, 3, 1, 102, 77, 77, 3, 1, 1, 102};
  CHECK(read_mat_vector(folder / "imagelabels.mat", "labels") == labels);
  CHECK(plain("as_double") == labels);
  CHECK(plain("column") == Numbers{-1, 70000});
  CHECK(plain("one") == Numbers{5});
  CHECK(plain("long") == Numbers{int64_t{1} << 40});
  CHECK(plain("single") == Numbers{3, -4});
}

TEST_CASE("a variable that is no vector of whole numbers is refused with what it is") {
  CHECK(contains(refused(folder / "plain.mat", "words"), "\"words\" is of class 4, expected real numbers"));
  CHECK(contains(refused(folder / "plain.mat", "square"), "\"square\" is 3 x 3, expected a vector"));
  CHECK(contains(refused(folder / "plain.mat", "half"), "\"half\": value 1 is 2.5, expected a whole number"));
  CHECK(
      contains(refused(folder / "plain.mat", "complex"), "\"complex\" is of class 6, complex, expected real numbers"));
  CHECK(contains(refused(folder / "plain.mat", "none"), "\"none\" is 0 x 0, expected a vector"));
  CHECK(contains(refused(folder / "setid.mat", "labels"),
                 "setid.mat: has no variable \"labels\", only \"trnid\", \"valid\", \"tstid\""));
}

TEST_CASE("a MAT-file cut anywhere is refused, whether what is asked for comes before the cut or not") {
  const TempDir dir;
  for (const char* name : {"setid.mat", "plain.mat"}) {
    const std::vector<uint8_t> whole = read_file(folder / name);
    for (size_t size = 0; size < whole.size(); ++size) {
      write_file(dir / "cut.mat", {whole.begin(), whole.begin() + static_cast<ptrdiff_t>(size)});
      const std::string sentence = refused(dir / "cut.mat", "tstid_or_other");
      CAPTURE(text(name, " ", size, " ", sentence));
      // At a seam between two variables the file is whole, but shorter.
      CHECK((contains(sentence, "cut.mat: holds") || contains(sentence, "cut.mat: is a broken MAT-file") ||
             contains(sentence, "cut.mat: has no variable")));
    }
  }
}

TEST_CASE("what is no MAT-file of level 5 is refused with what it is") {
  const TempDir dir;
  const std::vector<uint8_t> whole = read_file(folder / "setid.mat");
  const auto with = [&](std::initializer_list<std::pair<size_t, uint8_t>> changes) {
    std::vector<uint8_t> bytes = whole;
    for (const auto& [at, byte] : changes) bytes[at] = byte;
    write_file(dir / "changed.mat", bytes);
    return refused(dir / "changed.mat", "trnid");
  };
  CHECK(contains(with({{125, 2}}), "is a MAT-file of version 7.3 (HDF5), expected a MAT-file of level 5"));
  CHECK(contains(with({{124, 1}, {125, 0}, {126, 'M'}, {127, 'I'}}), "is a big-endian MAT-file"));
  CHECK(contains(with({{126, 'X'}}), "is no MAT-file"));
  CHECK(contains(with({{128, 9}}), "an element is of type 9, expected a matrix"));
  CHECK(contains(with({{140, 0xff}, {141, 0xff}}), "a compressed element does not unpack ("));
  CHECK(contains(with({{135, 0x7f}}), "it claims 21"));
  CHECK(contains(refused(dir / "none.mat", "trnid"), "none.mat: cannot be opened (No such file"));
}

}  // namespace shear::test

// .npz: what NumPy writes is read, and each way in which a file can lie has its sentence.
#include <doctest/doctest.h>

#include <filesystem>

#include "errors.h"
#include "npz_bytes.h"
#include "shear/io.h"
#include "temp_dir.h"
#include "tests_dir.h"

using namespace shear;
using shear::test::sentence;
namespace fs = std::filesystem;

namespace {

std::string floats(std::initializer_list<float> values) {
  std::string out;
  for (const float v : values) out += little(v);
  return out;
}

const std::string six = floats({1, 2, 3, 4, 5, 6});
constexpr std::string_view two_by_three = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";

// The sentence with which a file is refused, without the file's name.
std::string refusal(std::string_view bytes) {
  const TempDir dir;
  put(dir / "x.npz", bytes);
  const std::string all = sentence(Fault::input, [&] { const Npz opened(dir / "x.npz"); });
  const std::string name = (dir / "x.npz").string() + ": ";
  REQUIRE(all.substr(0, name.size()) == name);
  return all.substr(name.size());
}

std::string refusal_of_array(std::string_view content) { return refusal(zip({{"w.npy", std::string(content)}})); }

// True: it opens, and all that it promises holds.
bool opens_soundly(const fs::path& file, std::string_view bytes) {
  fs::remove(file);
  put(file, bytes);
  try {
    const Npz opened(file);
    for (const TensorView& t : opened.tensors()) {
      REQUIRE(static_cast<size_t>(t.shape.elements()) * size_of(t.dtype) == t.bytes.size());
      REQUIRE(opened.find(t.name) == &t);
    }
    return true;
  } catch (const Error& e) {
    REQUIRE(e.fault() == Fault::input);
    return false;
  }
}

std::string small_file() {
  return zip(
      {{"a.npy", npy(two_by_three, six)},
       {"b/kernel.npy", npy("{'descr': '<f8', 'fortran_order': True, 'shape': (1, 2)}", std::string(16, '\1')), true},
       {"s.npy", npy("{'shape': (), 'descr': '|V2', 'fortran_order': False}", "\x80\x3f")}},
      "a comment");
}

}  // namespace

TEST_CASE("stored and deflated arrays are read, in either order, whatever their type") {
  const TempDir dir;
  put(dir / "x.npz",
      zip({{"stored.npy", npy(two_by_three, six)},
           {"deflated.npy", npy(two_by_three, six), true},
           {"turned.npy", npy("{'descr': '<f4', 'fortran_order': True, 'shape': (3, 2, 1), }", six)},
           {"deflated_turned.npy", npy("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }", six), true},
           {"python2.npy",
            npy("{\"descr\": \"<i8\", \"fortran_order\": False, \"shape\": (2L,)}", std::string(16, '\0'))},
           {"bfloat.npy", npy("{'descr': '|V2', 'fortran_order': False, 'shape': ()}", "\x80\x3f")},
           {"none.npy", npy("{'descr': '<f2', 'fortran_order': False, 'shape': (0, 4)}", "")}}));
  const Npz file(dir / "x.npz");
  REQUIRE(file.tensors().size() == 7);
  const auto values = [&](const char* name) { return read_floats(file, *file.find(name)); };
  CHECK(file.find("stored")->shape == Shape{2, 3});
  CHECK(values("stored") == std::vector<float>{1, 2, 3, 4, 5, 6});
  CHECK(values("deflated") == values("stored"));
  CHECK(file.find("turned")->shape == Shape{3, 2, 1});
  CHECK(values("turned") == std::vector<float>{1, 4, 2, 5, 3, 6});
  CHECK(values("deflated_turned") == std::vector<float>{1, 3, 5, 2, 4, 6});
  CHECK(file.find("python2")->dtype == DType::i64);
  CHECK(file.find("bfloat")->dtype == DType::bf16);
  CHECK(values("bfloat") == std::vector<float>{1});
  CHECK(file.find("none")->shape == Shape{0, 4});
  CHECK(values("none").empty());
  CHECK(file.find("stored.npy") == nullptr);
}

TEST_CASE("what is stored in order is not copied") {
  const TempDir dir;
  put(dir / "x.npz", small_file());
  const Npz file(dir / "x.npz");
  const auto where = [&](const char* name) { return file.find(name)->bytes.data(); };
  CHECK(where("s") - where("a") > 0);  // in one mapping, a few hundred bytes apart
  CHECK(where("s") - where("a") < static_cast<std::ptrdiff_t>(small_file().size()));
}

TEST_CASE("zip64 archives are read as NumPy's own") {
  const fs::path golden = tests_dir() / "golden" / "weights";
  const Npz zip64(golden / "zip64.npz"), stored(golden / "stored.npz");
  CHECK(zip64.tensors().size() + 2 == stored.tensors().size());  // pre_logits
  for (const TensorView& t : zip64.tensors()) {
    CAPTURE(t.name);
    const TensorView* same = stored.find(t.name);
    REQUIRE(same);
    CHECK(t.shape == same->shape);
    CHECK(std::equal(t.bytes.begin(), t.bytes.end(), same->bytes.begin(), same->bytes.end()));
  }
}

TEST_CASE("an .npz cut at any length is refused") {
  const TempDir dir;
  const std::string whole = small_file();
  REQUIRE(opens_soundly(dir / "x", whole));
  for (size_t n = 0; n < whole.size(); ++n) {
    CAPTURE(n);
    CHECK_FALSE(opens_soundly(dir / "x", std::string_view(whole).substr(0, n)));
  }
}

TEST_CASE("no change of a byte of an .npz is believed without being checked") {
  const TempDir dir;
  const std::string whole = small_file();
  size_t opened = 0, tried = 0;
  for (size_t at = 0; at < whole.size(); ++at) {
    CAPTURE(at);
    for (int bit = 0; bit < 8; ++bit) {
      std::string changed = whole;
      changed[at] = static_cast<char>(whole[at] ^ (1 << bit));
      opened += opens_soundly(dir / "x", changed);
      ++tried;
    }
    for (const std::string& changed : {std::string(whole).erase(at, 1), std::string(whole).insert(at, 1, whole[at])}) {
      opened += opens_soundly(dir / "x", changed);
      ++tried;
    }
  }
  CHECK(opened > 0);  // the time of day, the comment
  CHECK(opened < tried / 4);
}

TEST_CASE("an archive that is none, or not whole, is refused with the place") {
  CHECK(refusal("") == "the zip archive has no end record, expected one in its last bytes: the file is cut short");
  CHECK(refusal("PK\3\4 and then nothing of the kind").find("the zip archive has no end record") == 0);
  std::string whole = zip({{"w.npy", npy(two_by_three, six)}});
  const size_t end = whole.size() - 22;
  const auto with = [&](size_t at, std::string_view bytes) {
    return std::string(whole).replace(at, bytes.size(), bytes);
  };
  CHECK(refusal(with(end + 8, "\2")) == "is one part of a zip archive in several, expected a whole one");
  CHECK(refusal(with(end + 8, std::string_view("\2\0\2\0", 4))).find("the zip directory has no member at byte ") == 0);
  CHECK(refusal(with(end + 16, "\xff\xff")).find("the zip directory claims ") == 0);
  CHECK(refusal(with(0, "QK")) == "member \"w.npy\" is not at byte 0, where the directory says");
  CHECK(refusal(with(30, "v")) == "member \"w.npy\" has another name at byte 0");
}

TEST_CASE("a member that is packed, named or sized otherwise than allowed is refused") {
  const std::string array = npy(two_by_three, six);
  CHECK(refusal(zip({{"w.npy", array, false, 8}})).find("member \"w.npy\" does not inflate to its ") == 0);
  CHECK(refusal(zip({{"w.npy", array, false, 12}})) ==
        "member \"w.npy\" is packed by method 12, expected 0 (stored) or 8 (deflated)");
  CHECK(refusal(zip({{"w.npy", array, false, 0, 1}})) == "member \"w.npy\" is encrypted, expected it plain");
  CHECK(refusal(zip({{"w.npy", array, false, 0, 0, 7}})) ==
        text("member \"w.npy\" is stored, of 7 bytes, but takes ", array.size()));
  CHECK(refusal(zip({{"w.npy", array, true, 8, 0, 1u << 30}}))
            .find("member \"w.npy\" claims 1073741824 bytes, more than ") == 0);
  CHECK(refusal(zip({{"w.npy", array, true, 8, 0, static_cast<uint32_t>(array.size() + 1)}}))
            .find("member \"w.npy\" does not inflate to its ") == 0);
  CHECK(refusal(zip({{"w.npy", array, false, 0, 0, 0xffffffff, 7}})).find("member \"w.npy\" has the CRC ") == 0);
  CHECK(refusal(zip({{"w.npy", array}, {"w.npy", array}})) == "holds tensor \"w\" twice");
  CHECK(refusal(zip({{"notes.txt", "hello"}})) ==
        "member \"notes.txt\" is no .npy, expected an archive of NumPy arrays");
  CHECK(refusal(zip({{"archive/data.pkl", "hello"}})) ==
        "member \"archive/data.pkl\" makes this a file of PyTorch's own, expected an archive of NumPy arrays");
}

TEST_CASE("an array whose header lies is refused with what it says") {
  const auto array = [](const std::string& header, std::string_view values = six) {
    return refusal_of_array(npy(header, values));
  };
  const auto begins = [](const std::string& s, const std::string& with) {
    CAPTURE(s);
    return s.starts_with("member \"w.npy\"" + with);
  };
  CHECK(begins(refusal_of_array("hello"), " begins with \"hello\", expected a NumPy array"));
  CHECK(begins(refusal_of_array("\x93NUMPY\x04" + std::string(20, '\0')), " is of version 4 of NumPy's format"));
  CHECK(begins(refusal_of_array("\x93NUMPY\x01" + std::string("\0\xff\xff", 3)),
               " is cut short in its header: 10 bytes, expected 65545"));
  CHECK(begins(array("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 4), }"),
               " holds 24 bytes of values, but F32 (2, 4) takes 32"));
  CHECK(begins(array("{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4), }"),
               " holds 24 bytes of values, but F32 (4611686018427387904, 4) takes too many to count"));
  CHECK(begins(array("{'descr': '>f4', 'fortran_order': False, 'shape': (2, 3), }"),
               " is stored as \">f4\", which is big-endian, expected one of <f4,"));
  CHECK(begins(array("{'descr': '|O', 'fortran_order': False, 'shape': (2, 3), }"),
               " is stored as \"|O\", which Shear cannot read, expected one of <f4,"));
  CHECK(begins(array("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2, 3), }"),
               ": the header has \"('a', '<f4')], 'fortran_\" at its byte 11, expected one type, not several fields"));
  CHECK(begins(array("{'descr': '<f4', 'fortran_order': Maybe, 'shape': (2, 3), }"),
               ": the header has \"Maybe, 'shape': (2, 3), \" at its byte 34, expected True or False"));
  CHECK(begins(array("{'descr': '<f4', 'fortran_order': False, 'shape': (2, -3), }"), ": the header has \"-3), }"));
  CHECK(begins(array("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 1, 1, 1, 2, 3), }"),
               " has 7 dimensions, expected at most 6"));
  CHECK(begins(array("{'descr': '<f4', 'shape': (2, 3), }"), ": the header lacks fortran_order"));
  CHECK(begins(array("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }"),
               ": the header has the key \"descr\", expected descr, fortran_order and shape, each once"));
  CHECK(begins(array("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), } more"), ": the header has \"more"));
}

TEST_CASE("formats are told by content, and others are named") {
  const TempDir dir;
  const auto put_and_open = [&](std::string_view bytes) {
    put(dir / "weights", bytes);
    return sentence(Fault::input, [&] { open_tensors(dir / "weights"); }).substr((dir / "weights").string().size());
  };
  put(dir / "weights", small_file());
  CHECK(open_tensors(dir / "weights")->tensors().size() == 3);
  write_safetensors(dir / "weights", {});
  CHECK(open_tensors(dir / "weights")->tensors().empty());
  const std::string expected = ", expected safetensors, PyTorch's file or .npz";
  CHECK(put_and_open(npy(two_by_three, six)) == ": is a single NumPy array" + expected);
  CHECK(put_and_open("version https://git-lfs.github.com/spec/v1\n") ==
        ": is a Git LFS pointer, which stands for a file that was not fetched" + expected);
  CHECK(put_and_open("\x80\x02}q") == ": the pickle is cut short at byte 3");
  CHECK(put_and_open("short") == ": 5 bytes, expected at least the 8 that begin a safetensors file");
  CHECK(sentence(Fault::input, [&] { open_tensors(dir.path()); }) ==
        dir.path().string() +
            ": is a directory without a model.safetensors or pytorch_model.bin, or an index of their parts, expected a "
            "weight "
            "file");
}

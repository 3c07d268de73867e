// safetensors: no header is believed; each way in which a file can lie has its sentence.
#include <doctest/doctest.h>
#include <sys/stat.h>

#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "errors.h"
#include "safetensors_bytes.h"
#include "shear/io.h"
#include "temp_dir.h"

using namespace shear;
using shear::test::sentence;
namespace fs = std::filesystem;

namespace {

// The sentence with which the file is refused, without the file's name, which it must begin with.
std::string refusal(const fs::path& file) {
  const std::string all = sentence(Fault::input, [&] { const SafeTensors opened(file); });
  const std::string name = file.string() + ": ";
  REQUIRE(all.substr(0, name.size()) == name);
  return all.substr(name.size());
}

std::string refusal_of(std::string_view header, std::string_view data = "") {
  const TempDir dir;
  put(dir / "x.safetensors", raw(header, data));
  return refusal(dir / "x.safetensors");
}

// Whatever the bytes are, the file opens or is refused; where it opens, all that it promises holds.  True: it opens.
bool opens_soundly(const fs::path& file, std::string_view bytes) {
  fs::remove(file);  // a new file is quicker than one written over
  put(file, bytes);
  try {
    const SafeTensors opened(file);
    std::string data;
    for (const TensorView& t : opened.tensors()) {
      REQUIRE(static_cast<size_t>(t.shape.elements()) * size_of(t.dtype) == t.bytes.size());
      REQUIRE(opened.find(t.name) == &t);
      data += bytes_of(t);
    }
    uint64_t header;
    std::memcpy(&header, bytes.data(), sizeof header);
    REQUIRE(bytes.substr(sizeof header + header) == data);
    return true;
  } catch (const Error& e) {
    REQUIRE(e.fault() == Fault::input);
    return false;
  }
}

// A file with most of what the format has: several types, no dimensions, no elements, metadata, escapes.
std::string rich_file() {
  const TempDir dir;
  const std::vector<float> weight = {1.5f, -2.0f, 3.25f, 0.0f, -0.0f, 1e-30f};
  const std::vector<uint16_t> half = {0x3c00, 0x7bff};
  const std::vector<uint8_t> odd = {1, 2, 3};
  const int64_t label = -7;
  const std::vector<TensorToWrite> tensors = {{"weight", DType::f32, {2, 3}, weight.data()},
                                              {"a \"name\"\n\u00e9", DType::bf16, {2}, half.data()},
                                              {"none", DType::f32, {0, 4}, nullptr},
                                              {"odd", DType::u8, {3}, odd.data()},
                                              {"label", DType::i64, {}, &label}};
  write_safetensors(dir / "rich.safetensors", tensors, {{"format", "pt"}, {"classes", "cat\ndog"}});
  return contents(dir / "rich.safetensors");
}

constexpr std::string_view one = R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";

}  // namespace

TEST_CASE("a file cut at any length is refused") {
  const TempDir dir;
  const std::string whole = rich_file();
  REQUIRE(opens_soundly(dir / "x", whole));
  for (size_t n = 0; n < whole.size(); ++n) {
    CAPTURE(n);
    CHECK_FALSE(opens_soundly(dir / "x", std::string_view(whole).substr(0, n)));
  }
}

TEST_CASE("no change of a byte of the header is believed without being checked") {
  const TempDir dir;
  const std::string whole = rich_file();
  uint64_t length;
  std::memcpy(&length, whole.data(), sizeof length);
  size_t opened = 0, tried = 0;
  const auto attempt = [&](const std::string& bytes) {
    opened += opens_soundly(dir / "x", bytes);
    ++tried;
  };
  for (size_t at = 0; at < sizeof length + length; ++at) {
    CAPTURE(at);
    std::string changed = whole;
    for (int bit = 0; bit < 8; ++bit) {
      changed[at] = static_cast<char>(whole[at] ^ (1 << bit));
      attempt(changed);
    }
    for (const char c : std::string_view("\0\xff{}[]\",:-.e09 \\", 16)) {
      changed[at] = c;
      attempt(changed);
    }
    attempt(std::string(whole).erase(at, 1));
    attempt(std::string(whole).insert(at, 1, whole[at]));
    std::string shifted =
        std::string(whole).erase(at, 1).insert(sizeof length + length - 1, 1, ' ');  // the same length
    attempt(shifted);
  }
  CHECK(opened > 0);          // another letter in a name is another name
  CHECK(opened < tried / 2);  // and most changes are none
}

TEST_CASE("a file that is none is refused") {
  const TempDir dir;
  const auto refused = [](const fs::path& file) {
    return sentence(Fault::input, [&] { const SafeTensors opened(file); });
  };
  const std::string at = "cannot read " + dir.path().string();
  CHECK(refused(dir / "missing") == at + "/missing: No such file or directory");
  CHECK(refused(dir.path()) == at + ": it is a directory, expected a file");
  REQUIRE(::mkfifo((dir / "pipe").c_str(), 0600) == 0);
  CHECK(refused(dir / "pipe") == at + "/pipe: it is a device or pipe, expected a file");
}

TEST_CASE("a header that claims more bytes than there are, or than are allowed, is refused") {
  const TempDir dir;
  const fs::path file = dir / "x";
  put(file, "");
  CHECK(refusal(file) == "0 bytes, expected at least the 8 that begin a safetensors file");
  put(file, "1234567");
  CHECK(refusal(file) == "7 bytes, expected at least the 8 that begin a safetensors file");
  put(file, length_prefix(3) + "{}");
  CHECK(refusal(file) == "the header claims 3 bytes, but only 2 follow its length");
  put(file, length_prefix(100'000'000) + "{}");
  CHECK(refusal(file) == "the header claims 100000000 bytes, but only 2 follow its length");
  put(file, length_prefix(100'000'001) + "{}");
  CHECK(refusal(file) == "the header claims 100000001 bytes, expected at most 100000000");
  put(file, length_prefix(~uint64_t{0}) + "{}");
  CHECK(refusal(file) == "the header claims 18446744073709551615 bytes, expected at most 100000000");
}

TEST_CASE("a header that is not JSON is refused with the place") {
  CHECK(refusal_of("") == "the header begins with \"\", expected \"{\"");
  CHECK(refusal_of(" {}") == "the header begins with \" \", expected \"{\"");
  CHECK(refusal_of("[]") == "the header begins with \"[\", expected \"{\"");
  CHECK(refusal_of("{]") == "the header is not JSON at its byte 2, near \"{]\"");
  CHECK(refusal_of("{} {}").find("the header is not JSON at its byte 4") == 0);
  CHECK(refusal_of(std::string_view("{}\0 ", 4)) == "the header is not JSON at its byte 3, which is zero");
  CHECK(refusal_of("{\"\xff\":{}}").find("the header is not JSON at its byte 3") == 0);
  CHECK(refusal_of(R"({"w":{"shape":[1e999]}})").find("the header is not JSON at its byte 20") == 0);
}

TEST_CASE("a header nested a million deep is refused at the first level too many") {
  const std::string deep(1'000'000, '[');
  CHECK(refusal_of("{\"w\":" + deep) == "\"w\" is an array, expected an object");
  CHECK(refusal_of("{\"w\":{\"shape\":" + deep).find("tensor \"w\": shape holds an array, expected whole numbers") ==
        0);
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
  CHECK(refusal_of(objects) == "tensor \"a\" has \"a\", expected only dtype, shape and data_offsets");
}

TEST_CASE("an entry that is no tensor is refused with what it is") {
  CHECK(refusal_of(R"({"w":null})") == "\"w\" is null, expected an object");
  CHECK(refusal_of(R"({"w":3})") == "\"w\" is 3, expected an object");
  CHECK(refusal_of(R"({"w":-3.5})") == "\"w\" is -3.5, expected an object");
  CHECK(refusal_of(R"({"w":"x"})") == "\"w\" is \"x\", expected an object");
  CHECK(refusal_of(R"({"w":{}})") == "tensor \"w\" has no dtype");
  CHECK(refusal_of(R"({"w":{"dtype":"F32"}})") == "tensor \"w\" has no shape");
  CHECK(refusal_of(R"({"w":{"dtype":"F32","shape":[]}})") == "tensor \"w\" has no data_offsets");
  CHECK(refusal_of(R"({"w":{"dtype":"F32","dtype":"F32"}})") == "tensor \"w\" has dtype twice");
  CHECK(refusal_of(R"({"w":{"strides":[1]}})") ==
        "tensor \"w\" has \"strides\", expected only dtype, shape and data_offsets");
  CHECK(refusal_of(R"({"w":{"dtype":32}})") == "tensor \"w\": dtype is 32, expected a string");
  CHECK(refusal_of(R"({"w":{"dtype":["F32"]}})") == "tensor \"w\": dtype is an array, expected a string");
  CHECK(refusal_of(R"({"w":{"shape":8}})") == "tensor \"w\": shape is 8, expected an array of whole numbers");
  CHECK(refusal_of(R"({"w":{"shape":"8"}})") == "tensor \"w\": shape is \"8\", expected an array of whole numbers");
  CHECK(refusal_of(R"({"w":{"data_offsets":true}})") ==
        "tensor \"w\": data_offsets is true, expected an array of whole numbers");
}

TEST_CASE("a type that is unknown, or known and not held, is refused with its name") {
  const auto entry = [](const std::string& type) {
    return R"({"w":{"dtype":")" + type + R"(","shape":[0],"data_offsets":[0,0]}})";
  };
  const std::string expected = ", expected one of F32, F64, F16, BF16, I8, U8, I16, U16, I32, U32, I64, U64, BOOL";
  CHECK(refusal_of(entry("float")) == "tensor \"w\" is stored as \"float\", which is no safetensors type" + expected);
  CHECK(refusal_of(entry("f32")) == "tensor \"w\" is stored as \"f32\", which is no safetensors type" + expected);
  for (const std::string type :
       {"F4", "F6_E2M3", "F6_E3M2", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "C64"})
    CHECK(refusal_of(entry(type)) == "tensor \"w\" is stored as \"" + type + "\", which Shear cannot read" + expected);
}

TEST_CASE("a shape that is none is refused") {
  const auto with = [](const std::string& shape) {
    return refusal_of(R"({"w":{"dtype":"F32","shape":)" + shape + R"(,"data_offsets":[0,8]}})", "12345678");
  };
  const std::string range = ", expected whole numbers from 0 to 9223372036854775807";
  CHECK(with("[-2]") == "tensor \"w\": shape holds -2" + range);
  CHECK(with("[-0]") == "tensor \"w\": shape holds -0" + range);
  CHECK(with("[-9223372036854775808]") == "tensor \"w\": shape holds -9223372036854775808" + range);
  CHECK(with("[2.0]") == "tensor \"w\": shape holds 2.0" + range);
  CHECK(with("[\"2\"]") == "tensor \"w\": shape holds \"2\"" + range);
  CHECK(with("[[2]]") == "tensor \"w\": shape holds an array" + range);
  CHECK(with("[9223372036854775808]") == "tensor \"w\": shape holds 9223372036854775808" + range);
  CHECK(with("[99999999999999999999]") == "tensor \"w\": shape holds 99999999999999999999" + range);
  CHECK(with("[1,1,1,1,1,1,2]") == "tensor \"w\" has 7 dimensions, expected at most 6");
  CHECK(with("[3]") == "tensor \"w\": data_offsets span 8 bytes, but F32 (3) takes 12");
  CHECK(with("[]") == "tensor \"w\": data_offsets span 8 bytes, but F32 () takes 4");
  CHECK(with("[9223372036854775807,9223372036854775807,0]") ==
        "tensor \"w\": data_offsets span 8 bytes, but F32 (9223372036854775807, 9223372036854775807, 0) takes 0");
  CHECK(with("[0,9223372036854775807]") ==
        "tensor \"w\": data_offsets span 8 bytes, but F32 (0, 9223372036854775807) takes 0");
}

TEST_CASE("a shape whose bytes overflow is refused, even where they would wrap to what the offsets say") {
  const auto with = [](const std::string& shape) {
    return refusal_of(R"({"w":{"dtype":"F32","shape":)" + shape + R"(,"data_offsets":[0,0]}})");
  };
  const std::string many = " are too many to count";
  CHECK(with("[4611686018427387904]") == "tensor \"w\": the bytes of F32 (4611686018427387904)" + many);
  CHECK(with("[4294967296,4294967296]") == "tensor \"w\": the bytes of F32 (4294967296, 4294967296)" + many);
  CHECK(with("[9223372036854775807,9223372036854775807]") ==
        "tensor \"w\": the bytes of F32 (9223372036854775807, 9223372036854775807)" + many);
}

TEST_CASE("offsets that are no two whole numbers in order are refused") {
  const auto with = [](const std::string& offsets) {
    return refusal_of(R"({"w":{"dtype":"F32","shape":[2],"data_offsets":)" + offsets + "}}", "12345678");
  };
  const std::string two = " numbers, expected 2, where the tensor begins and ends";
  const std::string range = ", expected whole numbers from 0 to 18446744073709551615";
  CHECK(with("[]") == "tensor \"w\": data_offsets holds 0" + two);
  CHECK(with("[0]") == "tensor \"w\": data_offsets holds 1" + two);
  CHECK(with("[0,8,8]") == "tensor \"w\": data_offsets holds 3" + two);
  CHECK(with("[-1,8]") == "tensor \"w\": data_offsets holds -1" + range);
  CHECK(with("[0.5,8]") == "tensor \"w\": data_offsets holds 0.5" + range);
  CHECK(with("[0,18446744073709551616]") == "tensor \"w\": data_offsets holds 18446744073709551616" + range);
  CHECK(with("[8,0]") == "tensor \"w\": data_offsets are [8, 0], expected begin <= end");
}

TEST_CASE("tensors that reach out of the file, overlap, or leave bytes to nobody are refused") {
  const auto two = [](const std::string& a, const std::string& b) {
    return refusal_of(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":)" + a +
                          R"(},"b":{"dtype":"U8","shape":[4],"data_offsets":)" + b + "}}",
                      "12345678");
  };
  CHECK(refusal_of(one, "1234567") == "tensor \"w\" ends at byte 8 of the data, but only 7 follow the header");
  CHECK(refusal_of(one, "123456789") == "9 bytes follow the header, but the tensors end at 8");
  CHECK(refusal_of("{}", "1") == "1 bytes follow the header, but the tensors end at 0");
  CHECK(two("[0,4]", "[5,9]") == "tensor \"b\" ends at byte 9 of the data, but only 8 follow the header");
  CHECK(two("[0,4]", "[18446744073709551611,18446744073709551615]") ==
        "tensor \"b\" ends at byte 18446744073709551615 of the data, but only 8 follow the header");
  CHECK(two("[0,4]", "[3,7]") == "tensor \"b\" begins at byte 3 of the data, inside \"a\", which ends at 4");
  CHECK(two("[4,8]", "[4,8]").find("tensor \"a\" begins at byte 4 of the data, expected 0") == 0);
  CHECK(two("[0,4]", "[0,4]") == "tensor \"b\" begins at byte 0 of the data, inside \"a\", which ends at 4");
  CHECK(two("[1,5]", "[5,9]") ==
        "tensor \"a\" begins at byte 1 of the data, expected 0: the bytes between belong to no tensor");
  CHECK(
      refusal_of(
          R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"z":{"dtype":"U8","shape":[0],"data_offsets":[2,2]}})",
          "1234") == "tensor \"z\" begins at byte 2 of the data, inside \"a\", which ends at 4");
}

TEST_CASE("a name that stands twice is refused") {
  const std::string empty = R"({"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
  CHECK(refusal_of(R"({"w":)" + empty + R"(,"v":)" + empty + R"(,"w":)" + empty + "}") == "holds tensor \"w\" twice");
  CHECK(refusal_of(R"({"w":)" + empty + R"(,"\u0077":)" + empty + "}") == "holds tensor \"w\" twice");
  CHECK(refusal_of(R"({"__metadata__":{},"__metadata__":{}})") == "the header holds __metadata__ twice");
  CHECK(refusal_of(R"({"__metadata__":{"a":"1","a":"1"}})") == "__metadata__ holds \"a\" twice");
}

TEST_CASE("metadata holds strings and nothing else") {
  CHECK(refusal_of(R"({"__metadata__":{"a":1}})") == "__metadata__ holds \"a\" as 1, expected a string");
  CHECK(refusal_of(R"({"__metadata__":{"a":{}}})") == "__metadata__ holds \"a\" as an object, expected a string");
  CHECK(refusal_of(R"({"__metadata__":null})") == "\"__metadata__\" is null, expected an object");
}

TEST_CASE("a name in a sentence is neither endless nor more than one line") {
  const std::string sentence = refusal_of("{\"a\\nb" + std::string(100'000, 'x') + "\":1}");
  CHECK(sentence == "\"a?b" + std::string(117, 'x') + "...\" is 1, expected an object");
  std::string accents;
  for (int i = 0; i < 100; ++i) accents += "\u00e9";
  CHECK(refusal_of("{\"x" + accents + "\":1}") == "\"x" + accents.substr(0, 118) + "...\" is 1, expected an object");
}

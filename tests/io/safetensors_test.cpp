// safetensors: what is written is read back, bit for bit.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "errors.h"
#include "safetensors_bytes.h"
#include "shear/io.h"
#include "temp_dir.h"

using namespace shear;
using shear::test::sentence;
namespace fs = std::filesystem;

TEST_CASE("tensors of every type come back bit for bit, in the order given, under their names") {
  const TempDir dir;
  const DType types[] = {DType::f32, DType::f64, DType::f16, DType::bf16, DType::i8,  DType::u8,     DType::i16,
                         DType::u16, DType::i32, DType::u32, DType::i64,  DType::u64, DType::boolean};
  std::vector<unsigned char> data(6 * 8);
  std::iota(data.begin(), data.end(), static_cast<unsigned char>(0xd0));
  std::vector<TensorToWrite> tensors;
  for (const DType t : types) tensors.push_back({"t." + std::string(name(t)), t, {3, 1, 2}, data.data()});
  tensors.push_back({"scalar", DType::f32, {}, data.data()});
  tensors.push_back({"empty", DType::f64, {5, 0}, nullptr});
  const std::map<std::string, std::string> metadata = {
      {"model", "vit:dim=192"}, {"classes", "caf\u00e9\n\"x\"\\"}, {"", ""}};
  write_safetensors(dir / "all.safetensors", tensors, metadata);

  const SafeTensors file(dir / "all.safetensors");
  CHECK(file.metadata() == metadata);
  CHECK(file.path() == dir / "all.safetensors");
  REQUIRE(file.tensors().size() == tensors.size());
  for (size_t i = 0; i < tensors.size(); ++i) {
    const TensorView& t = file.tensors()[i];
    CAPTURE(tensors[i].name);
    CHECK(t.name == tensors[i].name);
    CHECK(t.dtype == tensors[i].dtype);
    CHECK(t.shape == tensors[i].shape);
    REQUIRE(t.bytes.size() == static_cast<size_t>(t.shape.elements()) * size_of(t.dtype));
    CHECK((t.bytes.empty() || std::memcmp(t.bytes.data(), data.data(), t.bytes.size()) == 0));
    CHECK(file.find(t.name) == &t);
  }
  CHECK(file.find("t.F31") == nullptr);
  CHECK(file.find("") == nullptr);
}

TEST_CASE("the written bytes are those of the format, padded to eight") {
  const TempDir dir;
  const float values[] = {1.0f, 2.0f};
  const std::vector<TensorToWrite> tensors = {{"w", DType::f32, {2}, values}};
  write_safetensors(dir / "w.safetensors", tensors, {{"format", "pt"}});
  std::string header = R"({"__metadata__":{"format":"pt"},"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  header.resize(88, ' ');
  CHECK(contents(dir / "w.safetensors") == raw(header, {reinterpret_cast<const char*>(values), sizeof values}));
}

TEST_CASE("a file without tensors is a file") {
  const TempDir dir;
  write_safetensors(dir / "none.safetensors", {});
  CHECK(contents(dir / "none.safetensors") == raw("{}      ", ""));
  CHECK(SafeTensors(dir / "none.safetensors").tensors().empty());
}

TEST_CASE("tensors are listed in the order of their bytes, whatever the order of the header") {
  const TempDir dir;
  put(dir / "x",
      raw(R"({"b":{"data_offsets":[2,3],"shape":[1],"dtype":"U8"},"empty":{"dtype":"U8","shape":[0],"data_offsets":[2,2]},)"
          R"( "a":{"shape":[2],"dtype":"U8","data_offsets":[0,2]}} )",
          "xyz"));
  const SafeTensors file(dir / "x");
  REQUIRE(file.tensors().size() == 3);
  CHECK(bytes_of(file.tensors()[0]) == "xy");
  CHECK(file.tensors()[1].name == "empty");
  CHECK(bytes_of(file.tensors()[2]) == "z");
  CHECK(bytes_of(*file.find("b")) == "z");
}

TEST_CASE("floats are read from each floating-point type, aligned or not") {
  const TempDir dir;
  const uint8_t shift = 9;
  const float f32[] = {1.5f, -0.0f, 1e-40f};
  const double f64[] = {1.5, -1e-300, 0.1};
  const uint16_t f16[] = {0x3e00, 0x8001, 0x7c00};
  const uint16_t bf16[] = {0x3fc0, 0x8000, 0x4049};
  const std::vector<TensorToWrite> tensors = {{"shift", DType::u8, {1}, &shift}, {"f32", DType::f32, {3}, f32},
                                              {"f64", DType::f64, {3}, f64},     {"f16", DType::f16, {3}, f16},
                                              {"bf16", DType::bf16, {3}, bf16},  {"empty", DType::f32, {0}, nullptr}};
  write_safetensors(dir / "x", tensors);
  const SafeTensors file(dir / "x");
  const auto read = [&](const char* name) { return read_floats(file, *file.find(name)); };
  CHECK(read("f32") == std::vector<float>{1.5f, -0.0f, 1e-40f});
  CHECK(std::signbit(read("f32")[1]));
  CHECK(read("f64") == std::vector<float>{1.5f, 0.0f, 0.1f});
  CHECK(read("f16") == std::vector<float>{1.5f, -0x1p-24f, std::numeric_limits<float>::infinity()});
  CHECK(read("bf16") == std::vector<float>{1.5f, 0.0f, 3.140625f});
  CHECK(read("empty").empty());

  const std::string expected =
      (dir / "x").string() + ": tensor \"shift\" is stored as U8, expected F32, F16, BF16 or F64";
  CHECK_THROWS_WITH_AS(read("shift"), expected.c_str(), Error);
  std::vector<float> short_by_one(2);
  CHECK_THROWS_AS(read_floats(file, *file.find("f32"), short_by_one), Error);
}

TEST_CASE("integers are read from each integer type that labels come in") {
  const TempDir dir;
  const int64_t i64[] = {-1, std::numeric_limits<int64_t>::min()};
  const int32_t i32[] = {-1, std::numeric_limits<int32_t>::max()};
  const uint8_t u8[] = {0, 255};
  const float f32 = 1.0f;
  const std::vector<TensorToWrite> tensors = {{"u8", DType::u8, {2}, u8},
                                              {"i64", DType::i64, {2}, i64},
                                              {"i32", DType::i32, {2}, i32},
                                              {"f32", DType::f32, {}, &f32}};
  write_safetensors(dir / "x", tensors);
  const SafeTensors file(dir / "x");
  const auto read = [&](const char* name) { return read_integers(file, *file.find(name)); };
  CHECK(read("i64") == std::vector<int64_t>{-1, std::numeric_limits<int64_t>::min()});
  CHECK(read("i32") == std::vector<int64_t>{-1, 2147483647});
  CHECK(read("u8") == std::vector<int64_t>{0, 255});
  const std::string expected = (dir / "x").string() + ": tensor \"f32\" is stored as F32, expected I64, I32 or U8";
  CHECK_THROWS_WITH_AS(read("f32"), expected.c_str(), Error);
}

TEST_CASE("what cannot be written is refused, and no file appears") {
  const TempDir dir;
  const fs::path file = dir / "x.safetensors";
  const float value = 1;
  const auto refused = [&](Fault fault, std::vector<TensorToWrite> tensors,
                           std::map<std::string, std::string> metadata) {
    const std::string what = sentence(fault, [&] { write_safetensors(file, tensors, metadata); });
    CHECK(fs::is_empty(dir.path()));
    return what;
  };
  const TensorToWrite a = {"a", DType::f32, {}, &value}, reserved = {"__metadata__", DType::f32, {}, &value};
  const TensorToWrite latin = {"\xe9", DType::f32, {}, &value}, hollow = {"hollow", DType::f32, {1}, nullptr};
  const std::string writing = "write_safetensors " + file.string(), cannot = "cannot write " + file.string();
  CHECK(refused(Fault::internal, {a, a}, {}) == writing + ": the name \"a\" is taken");
  CHECK(refused(Fault::internal, {reserved}, {}) == writing + ": the name \"__metadata__\" is taken");
  CHECK(refused(Fault::input, {a}, {{"classes", "\xff"}}) == cannot + ": \"\xff\" is not UTF-8");
  CHECK(refused(Fault::input, {latin}, {}) == cannot + ": \"\xe9\" is not UTF-8");
  CHECK(refused(Fault::internal, {a, hollow}, {}) == writing + ": tensor \"hollow\" has no data");

  write_safetensors(file, std::vector{a});
  CHECK(SafeTensors(file).tensors().size() == 1);
}

TEST_CASE("a file verified through a buffer is judged as a mapped one is") {
  const TempDir dir;
  const fs::path path = dir / "sums.safetensors";
  std::vector<unsigned char> data((size_t{4} << 20) + 12);  // more than is read at a time
  std::iota(data.begin(), data.end(), static_cast<unsigned char>(7));
  const std::vector<TensorToWrite> tensors{{"large", DType::u8, {static_cast<int64_t>(data.size())}, data.data()},
                                           {"small", DType::f32, {3}, data.data()},
                                           {"none", DType::f32, {0}, nullptr}};
  write_safetensors(path, tensors);
  CHECK_FALSE(verify_safetensors(path));
  std::map<std::string, std::string> metadata{{"made", "here"}};
  add_checksums(tensors, metadata);
  write_safetensors(path, tensors, metadata);
  CHECK(verify_safetensors(path));

  const std::string whole = contents(path);
  const auto both_refuse = [&](const std::string& bytes) {
    std::ofstream(path, std::ios::binary) << bytes;
    const std::string said = sentence(Fault::input, [&] { verify_checksums(SafeTensors(path)); });
    CHECK(said == sentence(Fault::input, [&] { verify_safetensors(path); }));
  };
  for (const size_t at :
       {size_t{0}, size_t{9}, size_t{60}, whole.size() - data.size(), whole.size() - 20, whole.size() - 1}) {
    CAPTURE(at);
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 4);
    both_refuse(damaged);
  }
  for (const size_t bytes : {size_t{0}, size_t{5}, size_t{40}, whole.size() - 1}) both_refuse(whole.substr(0, bytes));
  both_refuse(whole + "x");
}

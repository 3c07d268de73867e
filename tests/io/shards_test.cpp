// Models in many files: the folder, the index and each of the files stand for all of them, and whatever of them does
// not agree is refused.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include "errors.h"
#include "npz_bytes.h"
#include "shear/io.h"
#include "temp_dir.h"

using namespace shear;
using namespace shear::test;
namespace fs = std::filesystem;

namespace {

const std::vector<float> values{1, 2, 3, 4, 5, 6};

void shard(const fs::path& path, const std::vector<std::string>& names) {
  std::vector<TensorToWrite> tensors;
  for (const std::string& name : names) tensors.push_back({name, DType::f32, {2}, values.data() + (name.back() - 'a')});
  write_safetensors(path, tensors);
}

// Two files of three tensors, and their index.
fs::path model(const TempDir& dir) {
  shard(dir / "model-00001-of-00002.safetensors", {"c", "a"});
  shard(dir / "model-00002-of-00002.safetensors", {"b"});
  const fs::path index = dir / "model.safetensors.index.json";
  put(index, R"({"metadata": {"total_size": 24}, "weight_map": {"a": "model-00001-of-00002.safetensors",
    "b": "model-00002-of-00002.safetensors", "c": "model-00001-of-00002.safetensors"}})");
  return index;
}

std::string refusal(const fs::path& path) {
  return sentence(Fault::input, [&] { open_tensors(path); });
}

}  // namespace

TEST_CASE("the folder, the index and any of its files stand for the whole model") {
  const TempDir dir;
  const fs::path index = model(dir);
  for (const fs::path& given : {fs::path(dir / ""), index, fs::path(dir / "model-00001-of-00002.safetensors"),
                                fs::path(dir / "model-00002-of-00002.safetensors")}) {
    CAPTURE(given.string());
    const auto file = open_tensors(given);
    CHECK(file->path() == index);
    REQUIRE(file->tensors().size() == 3);
    CHECK(read_floats(*file, *file->find("a")) == std::vector<float>{1, 2});
    CHECK(read_floats(*file, *file->find("b")) == std::vector<float>{2, 3});
    CHECK(read_floats(*file, *file->find("c")) == std::vector<float>{3, 4});
  }
}

TEST_CASE("a whole file is taken before an index, and a single part needs none") {
  const TempDir dir;
  model(dir);
  shard(dir / "model.safetensors", {"b"});
  CHECK(open_tensors(fs::path(dir / ""))->tensors().size() == 1);
  shard(dir / "single-00001-of-00001.safetensors", {"a"});
  CHECK(open_tensors(dir / "single-00001-of-00001.safetensors")->tensors().size() == 1);
  for (const char* name : {"a-of-2.safetensors", "-of-.safetensors", "x-1-of-99999999999999999999.safetensors"}) {
    shard(dir / name, {"a"});
    CHECK(open_tensors(dir / name)->tensors().size() == 1);
  }
}

TEST_CASE("an index and files that do not agree are refused with file and tensor") {
  const TempDir dir;
  const fs::path index = model(dir), second = dir / "model-00002-of-00002.safetensors";
  const auto about = [&](const std::string& map) {
    put(index, R"({"weight_map": )" + map + "}");
    return refusal(index).substr(index.string().size());
  };
  fs::rename(second, dir / "elsewhere");
  CHECK(refusal(index) == index.string() +
                              ": names \"model-00002-of-00002.safetensors\", which is not beside it, "
                              "expected all of its files");
  fs::rename(dir / "elsewhere", second);
  CHECK(about(R"({"z": "model-00002-of-00002.safetensors"})") ==
        ": says that tensor \"z\" is in \"model-00002-of-00002.safetensors\", where it is not");
  put(index, R"({"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}})");
  CHECK(refusal(index) == text((dir / "model-00001-of-00002.safetensors").string(), ": holds tensor \"c\", of which ",
                               index.string(), " says nothing"));
  shard(second, {"b", "a"});
  CHECK(about(R"({"a": "model-00001-of-00002.safetensors", "c": "model-00001-of-00002.safetensors",
    "b": "model-00002-of-00002.safetensors"})")
            .find("says nothing") != std::string::npos);
}

TEST_CASE("an index that leads elsewhere, or is none, is refused") {
  const TempDir dir;
  const fs::path index = dir / "model.safetensors.index.json";
  const auto about = [&](const std::string& words) {
    put(index, words);
    return refusal(index).substr(index.string().size());
  };
  for (const char* file : {"\"../other.safetensors\"", "\"/etc/passwd\"", "\"..\"", "\"\"", "3", "null", "[\"a\"]"}) {
    CAPTURE(file);
    CHECK(about(text(R"({"weight_map": {"w": )", file, "}}")).find("expected the name of a file beside the index") !=
          std::string::npos);
  }
  for (const char* words : {"{}", "[]", "3", R"({"weight_map": {}})", R"({"weight_map": 3})"})
    CHECK(about(words) == ": has no weight_map, expected an index that names each tensor's file");
  CHECK(about("{").find(": is not JSON: ") == 0);
  CHECK(about(R"({"a": [[[[[[1]]]]]]})") == ": is nested more than 4 deep, expected an index of shards");
  std::string many = R"({"weight_map": {)";
  for (int i = 0; i < 1001; ++i) many += text(i == 0 ? "" : ",", '"', i, "\": \"", i, ".bin\"");
  CHECK(about(many + "}}") == ": names 1001 files, expected at most 1000");
}

TEST_CASE("one of several files without an index is refused, and says what is missing") {
  const TempDir dir;
  shard(dir / "model-00001-of-00003.safetensors", {"a"});
  CHECK(refusal(dir / "model-00001-of-00003.safetensors") ==
        text((dir / "model-00001-of-00003.safetensors").string(),
             ": is one of 3 files of a model, expected model.safetensors.index.json beside it, which says what is "
             "where"));
}

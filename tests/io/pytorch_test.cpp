// PyTorch's own files: what torch.save writes is read, nothing is ever run, and each way in which a file can lie has
// its sentence.
#include <doctest/doctest.h>

#include <filesystem>

#include "errors.h"
#include "npz_bytes.h"
#include "pickle_bytes.h"
#include "shear/io.h"
#include "temp_dir.h"

using namespace shear;
using namespace shear::test;
namespace fs = std::filesystem;

namespace {

std::string floats(std::initializer_list<float> values) {
  std::string out;
  for (const float v : values) out += little(v);
  return out;
}
const std::string six = floats({1, 2, 3, 4, 5, 6});

std::string archive(const std::string& pickle, const std::string& values = six) {
  return zip({{"a/data.pkl", pickle}, {"a/byteorder", "little"}, {"a/data/0", values}, {"a/version", "3\n"}});
}

std::string refusal(std::string_view bytes) {
  const TempDir dir;
  put(dir / "x.pth", bytes);
  const std::string all = sentence(Fault::input, [&] { open_tensors(dir / "x.pth"); });
  const std::string name = (dir / "x.pth").string() + ": ";
  REQUIRE(all.substr(0, name.size()) == name);
  return all.substr(name.size());
}

std::string refusal_of_tensor(const std::string& t) { return refusal(archive(proto + dict(str("w") + t) + stop)); }

}  // namespace

TEST_CASE("tensors in dictionaries are read by their keys, as views of their storages") {
  const TempDir dir;
  const std::string w = tensor(storage("0", 6), 0, {2, 3}, {3, 1}), row = tensor(storage("0", 6), 3, {3}, {1}),
                    turned = tensor(storage("0", 6), 0, {3, 2}, {1, 3}), one = tensor(storage("0", 6), 5, {}, {}),
                    parameter = global("torch._utils", "_rebuild_parameter") + tuple(row + "\x88" + no_hooks) + reduce;
  put(dir / "x.pth", archive(proto +
                             dict(str("epoch") + num(300) + str("model") + global("collections", "OrderedDict") + ")" +
                                  reduce + mark + str("w") + w + str("b") + parameter + "u" + str("turned") + turned +
                                  str("list") + "]" + mark + one + str("text") + "e") +
                             stop));
  const auto file = open_tensors(dir / "x.pth");
  REQUIRE(file->tensors().size() == 4);
  CHECK(file->find("model.w")->shape == Shape({2, 3}));
  CHECK(read_floats(*file, *file->find("model.w")) == std::vector<float>{1, 2, 3, 4, 5, 6});
  CHECK(read_floats(*file, *file->find("model.b")) == std::vector<float>{4, 5, 6});
  CHECK(read_floats(*file, *file->find("turned")) == std::vector<float>{1, 4, 2, 5, 3, 6});
  CHECK(read_floats(*file, *file->find("list.0")) == std::vector<float>{6});
}

TEST_CASE("a file of before PyTorch 1.6 is read: pickles, and then storages") {
  const TempDir dir;
  const std::string facts = proto + dict(str("little_endian") + "\x88") + stop;
  const std::string head =
      proto + "\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19" + stop + proto + num(1001) + stop + facts;
  const std::string object = proto + dict(str("w") + tensor(storage("93", 6), 0, {2, 3}, {3, 1})) + stop;
  const std::string keys = proto + "]" + str("93") + "a" + stop;
  put(dir / "x.pth", head + object + keys + little(int64_t{6}) + six);
  const auto file = open_tensors(dir / "x.pth");
  CHECK(read_floats(*file, *file->find("w")) == std::vector<float>{1, 2, 3, 4, 5, 6});
  CHECK(refusal(head + object + keys + little(int64_t{6}) + six.substr(1)) == "is cut short in storage \"93\"");
  CHECK(refusal(head + object + keys + little(int64_t{7}) + six) == "storage \"93\" has 7 elements, expected 6");
  CHECK(refusal(proto + num(3) + stop).find("is a Python pickle that torch.save did not write") == 0);
}

TEST_CASE("a pickle that asks for a function is refused by the function's name, and nothing is run") {
  const TempDir dir;
  const std::string trace = (dir / "trace").string();
  for (const auto& [module, name] : {std::pair{"os", "system"},
                                     {"posix", "system"},
                                     {"builtins", "eval"},
                                     {"builtins", "getattr"},
                                     {"subprocess", "Popen"},
                                     {"torch", "load"},
                                     {"torch._utils", "_rebuild_qtensor"}}) {
    CAPTURE(name);
    const std::string asks = global(module, name) + tuple(str("touch " + trace)) + reduce;
    CHECK(refusal(archive(proto + asks + stop)) == text("the pickle asks for \"", module, '.', name,
                                                        "\" at byte 2, which is no tensor; nothing of it was run, "
                                                        "expected tensors alone"));
    CHECK(refusal(archive(proto + str(module) + str(name) + "\x93" + stop)).find(text(module, '.', name)) !=
          std::string::npos);
  }
  CHECK_FALSE(fs::exists(trace));
}

TEST_CASE("every instruction that no tensor needs is refused by its name") {
  const std::vector<std::pair<unsigned char, const char*>> others{
      {'0', "POP"},          {'1', "POP_MARK"},     {'2', "DUP"},
      {'F', "FLOAT"},        {'I', "INT"},          {'L', "LONG"},
      {'P', "PERSID"},       {'S', "STRING"},       {'V', "UNICODE"},
      {'d', "DICT"},         {'g', "GET"},          {'i', "INST"},
      {'l', "LIST"},         {'o', "OBJ"},          {'p', "PUT"},
      {0x82, "EXT1"},        {0x83, "EXT2"},        {0x84, "EXT4"},
      {0x8b, "LONG4"},       {'B', "BINBYTES"},     {'C', "SHORT_BINBYTES"},
      {0x8d, "BINUNICODE8"}, {0x8e, "BINBYTES8"},   {0x8f, "EMPTY_SET"},
      {0x90, "ADDITEMS"},    {0x91, "FROZENSET"},   {0x92, "NEWOBJ_EX"},
      {0x96, "BYTEARRAY8"},  {0x97, "NEXT_BUFFER"}, {0x98, "READONLY_BUFFER"}};
  for (const auto& [code, name] : others) {
    CAPTURE(name);
    CHECK(refusal(archive(proto + std::string(1, static_cast<char>(code)) + std::string(16, '\0'))) ==
          text("the pickle has the instruction ", name, ", which no tensor needs, at byte 2"));
  }
  CHECK(refusal(archive(proto + "\xff")) == "the pickle has the byte 255, which is no instruction, at byte 2");
}

TEST_CASE("a tensor that reaches beyond its storage, or whose storage is not there, is refused") {
  CHECK(refusal_of_tensor(tensor(storage("0", 6), 1, {2, 3}, {3, 1})).find("reaches beyond its storage of 6") !=
        std::string::npos);
  CHECK(refusal_of_tensor(tensor(storage("0", 6), 0, {300, 300}, {0, 0})).find("reaches beyond") != std::string::npos);
  CHECK(refusal_of_tensor(tensor(storage("0", 6), 0, {2}, {2147483647})).find("reaches beyond") != std::string::npos);
  CHECK(refusal_of_tensor(tensor(storage("1", 6), 0, {6}, {1})).find("storage \"1\", which is not there") !=
        std::string::npos);
  CHECK(refusal_of_tensor(tensor(storage("0", 7), 0, {6}, {1}))
            .find("of 7 elements of 4 bytes, but that holds 24 bytes") != std::string::npos);
  CHECK(refusal_of_tensor(tensor(storage("0", 6), 0, {-1}, {1})).find("that is none") != std::string::npos);
  CHECK(refusal_of_tensor(tensor(storage("0", 6, "ComplexFloatStorage"), 0, {1}, {1}))
            .find("torch.ComplexFloatStorage") != std::string::npos);
}

TEST_CASE("a pickle that is cut short, takes what is not there or refers to itself is refused") {
  const std::string whole = proto + dict(str("w") + tensor(storage("0", 6), 0, {2, 3}, {3, 1})) + stop;
  for (size_t n = 0; n < whole.size(); ++n) {
    CAPTURE(n);
    CHECK_FALSE(refusal(archive(whole.substr(0, n))).empty());
  }
  CHECK(refusal(archive(proto + "t" + stop)).find("has no MARK") != std::string::npos);
  CHECK(refusal(archive(proto + "h\x07" + stop)).find("recalls what it never had") != std::string::npos);
  CHECK(refusal(archive(proto + "]" + "q" + std::string(1, '\0') + "h" + std::string(1, '\0') + "a" + stop))
            .find("nests deeper") != std::string::npos);
  // Lists of two of the next: two to the thirtieth ways through them.
  std::string doubling = proto + "]";
  for (char i = 0; i < 30; ++i) {
    const std::string place(1, i);
    doubling += "q" + place + "]" + mark + "h" + place + "h" + place + "e";
  }
  CHECK(refusal(archive(doubling + stop)).find("holds more than 1048576 values") != std::string::npos);
  CHECK(refusal(archive(proto + "}" + stop)) == "the pickle holds no tensor");
}

TEST_CASE("a small file does not make much of little") {
  const std::string zero(1, '\0'), again = "h" + zero;
  // One list of pairs, and dictionaries of it; one long name, many times; one storage, turned many times.
  std::string pairs = proto + "]q" + zero + mark, dictionaries = mark;
  for (int i = 0; i < 100; ++i) pairs += "NN\x86";
  for (int i = 0; i < 1000; ++i) dictionaries += global("collections", "OrderedDict") + again + "\x85" + reduce;
  CHECK(refusal(archive(pairs + "e" + dictionaries + "t" + stop)).find("makes more of its values than it holds") !=
        std::string::npos);
  std::string names = proto + str(std::string(1 << 20, 'n')) + "q" + zero + "}" + mark;
  for (int i = 0; i < 100; ++i) names += again + "N";
  CHECK(refusal(archive(names + "u" + stop)) == "the pickle's names take more than 64 MiB");
  const std::string values(size_t{1} << 18, 'v');
  std::string turned = proto + "}" + mark;
  for (int i = 0; i < 100; ++i)
    turned += str(std::to_string(i)) + tensor(storage("0", 1 << 16), 0, {256, 256}, {1, 256});
  CHECK(refusal(archive(turned + "u" + stop, values)).find("do not lie row by row, and take more than the file") !=
        std::string::npos);
}

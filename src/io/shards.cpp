// A model in many files: an index beside them says which tensor lies in which.
#include <charconv>
#include <nlohmann/json.hpp>
#include <set>

#include "io/mapped_file.h"
#include "io/safetensors_header.h"
#include "io/shallow_json.h"
#include "io/shards.h"
#include "shear/error.h"
#include "shear/utf8.h"

namespace shear {

namespace fs = std::filesystem;

namespace {

constexpr size_t most_shards = 1000;
constexpr std::string_view index_ending = ".index.json";

// Of one name of a file, beside the index.
bool is_plain(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == name.npos && name.find('\0') == name.npos;
}

// Which tensors the index says to be in which file.
std::map<std::string, std::set<std::string>> by_file(std::span<const std::byte> bytes, const std::string& path) {
  const std::string_view words(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const nlohmann::json index = parse_shallow(words, path, 4, "an index of shards");
  const auto map = index.is_object() ? index.find("weight_map") : index.end();
  if (!index.is_object() || map == index.end() || !map->is_object() || map->empty())
    fail(Fault::input, path, ": has no weight_map, expected an index that names each tensor's file");
  std::map<std::string, std::set<std::string>> files;
  for (const auto& [tensor, file] : map->items()) {
    if (!file.is_string() || !is_plain(file.get_ref<const std::string&>()))
      fail(Fault::input, path, ": the file of tensor ", in_quotes(tensor), " is ",
           printable(file.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)),
           ", expected the name of a file beside the index");
    files[file.get<std::string>()].insert(tensor);
  }
  if (files.size() > most_shards)
    fail(Fault::input, path, ": names ", files.size(), " files, expected at most ", most_shards);
  return files;
}

// "model-00002-of-00005.safetensors": how many there are, and what the index beside them is called; 0: no such name.
struct ShardName {
  int64_t count = 0;
  std::string index;
};
ShardName shard_name(const std::string& name) {
  const size_t of = name.find("-of-");
  if (of == name.npos) return {};
  const auto digits = [&](size_t from) {
    size_t to = from;
    while (to < name.size() && name[to] >= '0' && name[to] <= '9') ++to;
    return to - from;
  };
  const size_t before = name.rfind('-', of - 1), behind = digits(of + 4);
  if (before == name.npos || behind == 0 || digits(before + 1) != of - before - 1 || of == before + 1) return {};
  ShardName found;
  const auto [end, error] = std::from_chars(name.data() + of + 4, name.data() + of + 4 + behind, found.count);
  if (error != std::errc()) return {};
  found.index = text(name.substr(0, before), name.substr(of + 4 + behind), index_ending);
  return found;
}

}  // namespace

ShardedFile::ShardedFile(const fs::path& index) : TensorFile(index) {
  for (const auto& [name, expected] : by_file(file_->bytes(), index.string())) {
    const fs::path file = index.parent_path() / name;
    std::error_code ignored;
    if (!fs::exists(file, ignored))
      fail(Fault::input, index.string(), ": names ", in_quotes(name),
           ", which is not beside it, expected all of its files");
    const TensorFile& shard = *shards_.emplace_back(open_one_file(file));
    for (const std::string& tensor : expected)
      if (!shard.find(tensor))
        fail(Fault::input, index.string(), ": says that tensor ", in_quotes(tensor), " is in ", in_quotes(name),
             ", where it is not");
    for (const TensorView& t : shard.tensors()) {
      if (!expected.contains(t.name))
        fail(Fault::input, file.string(), ": holds tensor ", in_quotes(t.name), ", of which ", index.string(),
             " says nothing");
      tensors_.push_back(t);
    }
  }
  sort_names();
}

ShardedFile::~ShardedFile() = default;

void ShardedFile::let_go(std::span<const std::byte> bytes) const {
  for (const auto& shard : shards_) shard->let_go(bytes);
}

fs::path whole_file(const fs::path& given) {
  std::error_code ignored;
  if (fs::is_directory(given, ignored)) {
    for (const char* name :
         {"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json"})
      if (fs::exists(given / name, ignored)) return given / name;
    fail(Fault::input, given.string(),
         ": is a directory without a model.safetensors or pytorch_model.bin, or an index of their parts, expected a "
         "weight file");
  }
  const ShardName name = shard_name(given.filename().string());
  if (name.count < 2 || !fs::exists(given, ignored)) return given;
  const fs::path index = given.parent_path() / name.index;
  if (!fs::exists(index, ignored))
    fail(Fault::input, given.string(), ": is one of ", name.count, " files of a model, expected ", name.index,
         " beside it, which says what is where");
  return index;
}

bool is_index(const fs::path& path) { return path.filename().string().ends_with(index_ending); }

}  // namespace shear

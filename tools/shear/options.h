// Flags that several commands share, and how their values are read.
#pragma once
#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "shear/make_backend.h"
#include "shear/train.h"

namespace shear::tool {

size_t parse_bytes(const std::string& flag, const std::string& value);  // "4GiB", "512MB", "1048576"
DeviceKind parse_device(const std::string& value);                      // "cpu", "cuda"
std::vector<std::string> split_policies(const std::string& value);      // by ';', at least one

struct ImageFlags {
  std::string mean, std, interpolation;
  std::optional<double> crop;
  std::optional<int64_t> size;
  bool squash = false;

  void add(CLI::App&, const std::string& otherwise);  // where the values come from when a flag is not given
  ImageOptions read() const;
};

struct DeviceFlags {
  int threads = 0;
  std::string device = "cpu", precision = "f32";

  void add(CLI::App&);
  std::unique_ptr<Backend> make() const {
    return make_backend(parse_device(device), threads, parse_precision(precision));
  }
};

// --strict and --allow-mismatch: whether weights may be taken that do not fit the model.
void add_strictness(CLI::App&, bool& strict, bool& allow_mismatch);
// How weights of another source are taken: --positions, and those two.
void add_loading(CLI::App&, std::string& positions, bool& strict, bool& allow_mismatch);

// --kind, --class-order, --val-share, --split-seed, --official-split
void add_data_options(CLI::App&, DataOptions&);

// A data set, for the commands that only read one.
struct DataFlags {
  std::string data, val;
  DataOptions options;

  CLI::Option* add_data(CLI::App&, const std::string& help);  // --data and how it is read
  void add_val(CLI::App&);
  // What is worth knowing goes to stderr.  `weights`: where their run was trained on this very path, what is not given
  // is as it was then, so that the images held out are the same.
  DataSplits open(const std::string& weights = {}) const;

 private:
  const CLI::App* app_ = nullptr;
};

// The words that a flag takes, or, where not `whole`, that its value begins with.  The parser does not care: they are
// for the completions of shells, which tools/pages makes.
CLI::Option* offer(CLI::Option*, const std::vector<std::string>& words, bool whole = true);
CLI::Option* offer_models(CLI::Option*);  // the names that are known
CLI::Option* offer_policies(CLI::Option*);
CLI::Option* add_trainable(CLI::App&, std::string& train);
CLI::Option* add_state(CLI::App&, std::string& state);
CLI::Option* add_weights_as(CLI::App&, std::string& weights);
CLI::Option* add_lora(CLI::App&, std::string& lora);
CLI::Option* add_update(CLI::App&, std::string& update);
CLI::Option* add_block_errors(CLI::App&, std::string& path);
// None where there is no path.  Throws Fault::usage where there is one, but nothing is chosen by it.
std::optional<MeasuredBlocks> read_block_errors(const std::string& path, bool chosen_by);
CLI::Option* offer_parts(CLI::Option*);  // of a data set
struct Offered {
  std::vector<std::string> words;
  bool whole = true;
};
Offered offered(CLI::Option&);

// For the end of a help page: the policies and their keys, a command to copy.
std::string policy_help();
std::string example(const std::string& command);

std::string absolute_path(const std::string& path);  // without . and ..; empty stays empty

// The part of a data set that a user asks for; empty: the validation part where there is one.
const Dataset& choose_part(const DataSplits&, const std::string& part, const std::string& path);
void require_index(const Dataset& part, int64_t index, const std::string& path);  // Fault::input for --index

}  // namespace shear::tool

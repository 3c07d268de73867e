// Flags that several commands share, and how their values are read.
#pragma once
#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "shear/train.h"

namespace shear::tool {

size_t parse_bytes(const std::string& flag, const std::string& value);  // "4GiB", "512MB", "1048576"
DeviceKind parse_device(const std::string& value);                      // "cpu", "cuda"
std::vector<std::string> split_policies(const std::string& value);      // by ';', at least one

struct ImageFlags {
  std::string mean, std, interpolation;
  std::optional<double> crop;
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

// The policies and their keys, for the end of a help page.
std::string policy_help();

// The part of a data set that a user asks for; empty: the validation part where there is one.
const Dataset& choose_part(const DataSplits&, const std::string& part, const std::string& path);

}  // namespace shear::tool

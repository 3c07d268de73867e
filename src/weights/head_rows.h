// The head of a weight file, for the classes of a data set.
#pragma once
#include "shear/weights.h"

namespace shear {

struct HeadPlan {
  HeadFrom from = HeadFrom::file;
  std::vector<int64_t> rows;  // of the file's head, by class of the data, where `from` is rows
  std::string note;           // what becomes of it, to follow the file's name
};
// `count`: classes of the model; `classes`: their names, empty where they are not known: it goes by position then.
HeadPlan plan_head(const Weights&, int64_t count, const std::vector<std::string>& classes);

// By name; -1 for a name that is not there and for one that is there twice.
std::vector<int64_t> indices_of(const std::vector<std::string>& wanted, const std::vector<std::string>& among);

// The numbers that all names are, as in "0", "1", "10"; empty where one is none, or is `limit` or more.
std::vector<int64_t> numbers_of(const std::vector<std::string>& names, int64_t limit);

// "cat, dog, emu and 97 more"
std::string some_of(const std::vector<std::string>& names, size_t most = 3);

}  // namespace shear

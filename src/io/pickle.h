// Python's pickle, as far as torch.save writes it: what tensors a file names, and where their values lie.
//
// A pickle is a program for a small stack machine, and one of its instructions calls whatever function the file names.
// Here nothing is ever called: a name is looked up among the few that stand for tensors, storages and plain containers,
// and whatever else the stream asks for is refused by its name.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shear/shape.h"

namespace shear {

// A run of numbers that tensors are views of.
struct PickledStorage {
  std::string_view key;  // in the stream
  DType dtype = DType::f32;
  uint64_t elements = 0;
};

struct PickledTensor {
  std::string name;  // its keys, from the outermost dictionary on, with dots between them
  PickledStorage storage;
  uint64_t offset = 0;  // elements of the storage before the first
  Shape shape;
  std::vector<int64_t> strides;  // in elements
};

struct Pickled {
  std::vector<PickledTensor> tensors;  // in the order of the dictionaries
  std::vector<std::string> strings;    // where the pickle is a list of strings: those
  int64_t number = -1;                 // where it is one whole number that fits: that
  std::string digits;                  // where it is a longer one: its bytes, least significant first
  size_t bytes = 0;                    // how long it was
};

// Of a member of an archive: whether it is the pickle, which makes the archive PyTorch's.
inline bool is_pickle(std::string_view member) { return member == "data.pkl" || member.ends_with("/data.pkl"); }

// The pickle that `stream` begins with.  Throws Fault::input for what is none, or asks for anything but tensors in
// dictionaries, lists and tuples; `where` opens the sentence.
Pickled read_pickle(std::span<const std::byte> stream, const std::string& where);

}  // namespace shear

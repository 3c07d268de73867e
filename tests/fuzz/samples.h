// Opens a data set that the fuzzer made, and reads all of it.
#pragma once
#include <cstdlib>

#include "shear/data.h"
#include "shear/error.h"

namespace shear::fuzz {

inline void read_all(const Dataset* data) {
  if (!data) return;
  for (int64_t i = 0; i < data->size(); ++i) {
    const int label = data->label(i);
    if (label < 0 || static_cast<size_t>(label) >= data->classes().size()) std::abort();
    try {
      const Image image = data->read(i);
      if (image.pixels.size() !=
          static_cast<size_t>(image.width) * static_cast<size_t>(image.height) * static_cast<size_t>(image.channels))
        std::abort();
    } catch (const Error& e) {
      if (e.fault() != Fault::input) std::abort();
    }
  }
}

// Whatever the bytes are, the data set opens and can be read, or is refused with Fault::input.
inline void open_and_read(const std::filesystem::path& path, const char* kind) {
  try {
    const DataSplits splits = open_data(path, {}, {.kind = kind, .allow_absent = true});
    for (const Dataset* part : {splits.train.get(), splits.val.get(), splits.test.get()}) read_all(part);
  } catch (const Error& e) {
    if (e.fault() != Fault::input) std::abort();
  }
}

}  // namespace shear::fuzz

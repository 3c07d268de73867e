// IDX: labels and images, plain or gzip.
#include "folder.h"
#include "samples.h"

using namespace shear;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const fuzz::Folder folder;
  const auto files = fuzz::pieces({data, size}, 2);
  folder.put("train-labels-idx1-ubyte", files[0]);
  folder.put("train-images-idx3-ubyte", files[1]);
  fuzz::open_and_read(folder.path(), "idx");
  return 0;
}

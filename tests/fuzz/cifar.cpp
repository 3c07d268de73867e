// CIFAR-10 and CIFAR-100: two files of records, and names.
#include "folder.h"
#include "samples.h"

using namespace shear;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const fuzz::Folder ten, hundred;
  const auto files = fuzz::pieces({data, size}, 3);
  ten.put("batches.meta.txt", files[0]);
  ten.put("test_batch.bin", files[1]);
  ten.put("data_batch_1.bin", files[2]);
  fuzz::open_and_read(ten.path(), "cifar");
  hundred.put("fine_label_names.txt", files[0]);
  hundred.put("test.bin", files[1]);
  hundred.put("train.bin", files[2]);
  fuzz::open_and_read(hundred.path(), "cifar");
  return 0;
}

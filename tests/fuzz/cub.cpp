// CUB-200-2011: its four lists.
#include "folder.h"
#include "samples.h"

using namespace shear;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const fuzz::Folder folder;
  const auto files = fuzz::pieces({data, size}, 4);
  folder.put("classes.txt", files[0]);
  folder.put("image_class_labels.txt", files[1]);
  folder.put("train_test_split.txt", files[2]);
  folder.put("images.txt", files[3]);
  fuzz::open_and_read(folder.path(), "cub200");
  return 0;
}

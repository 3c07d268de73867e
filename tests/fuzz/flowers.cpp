// Flowers-102: its two MAT-files.
#include "folder.h"
#include "samples.h"

using namespace shear;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const fuzz::Folder folder;
  const auto files = fuzz::pieces({data, size}, 2);
  folder.put("imagelabels.mat", files[0]);
  folder.put("setid.mat", files[1]);
  fuzz::open_and_read(folder.path(), "flowers102");
  return 0;
}

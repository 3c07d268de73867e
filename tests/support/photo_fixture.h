// A data set of photos in class folders that can be learnt, and a recipe for it.
#pragma once
#include "image_files.h"
#include "run_fixture.h"

namespace shear::test {

inline void write_photos(const std::filesystem::path& root, int each = 20) {
  for (int i = 0; i < each; ++i) {
    const auto shade = static_cast<uint8_t>(100 + i);
    write_png(root / "train/cat" / (std::to_string(i) + ".png"), flat(8, 8, {shade, 20, 20}));
    write_png(root / "train/dog" / (std::to_string(i) + ".png"), flat(8, 8, {20, 20, shade}));
  }
  for (int i = 0; i < 4; ++i) {
    write_png(root / "val/cat" / (std::to_string(i) + ".png"), flat(8, 8, {130, 30, 30}));
    write_png(root / "val/dog" / (std::to_string(i) + ".png"), flat(8, 8, {30, 30, 130}));
  }
}

// Five steps an epoch.
inline Recipe photo_recipe(const std::filesystem::path& data) {
  Recipe r = small_recipe(data);
  r.model = "vit:image=8,patch=4,dim=16,depth=1,heads=2";
  r.batch = 8;
  r.eval_every = r.checkpoint_every = 0;
  return r;
}

}  // namespace shear::test

// Printed by tools/golden_resize.py; not to be edited.
// Pillow 13.0.0, torchvision 0.29.2+cu132.
#pragma once
#include <cstdint>

#include "shear/data.h"

// clang-format off
namespace golden {

struct Resize {
  int width, height, channels, to_width, to_height;
  shear::Interpolation interpolation;
  shear::Box box;
  uint64_t hash;  // FNV-1a of the result's bytes
};
inline constexpr Resize resizes[] = {
    {40, 30, 3, 20, 15, shear::Interpolation::bilinear, {0, 0, 40, 30}, 0xed79d20411b02a50},
    {40, 30, 3, 20, 15, shear::Interpolation::bicubic, {0, 0, 40, 30}, 0xf2d2ffccf8cbb1c1},
    {40, 30, 3, 17, 11, shear::Interpolation::bilinear, {0, 0, 40, 30}, 0xa287d45425da2f0d},
    {40, 30, 3, 17, 11, shear::Interpolation::bicubic, {0, 0, 40, 30}, 0x2c081d35a810a867},
    {40, 30, 1, 7, 29, shear::Interpolation::bilinear, {0, 0, 40, 30}, 0x45c49fdce186dcf8},
    {40, 30, 1, 7, 29, shear::Interpolation::bicubic, {0, 0, 40, 30}, 0x6e5d990299b08f96},
    {40, 30, 3, 80, 60, shear::Interpolation::bilinear, {0, 0, 40, 30}, 0x82edc5f0c0886bbf},
    {40, 30, 3, 80, 60, shear::Interpolation::bicubic, {0, 0, 40, 30}, 0x8690c0b53ce28ee3},
    {13, 57, 3, 101, 9, shear::Interpolation::bilinear, {0, 0, 13, 57}, 0x52e12eddd5d1e7f5},
    {13, 57, 3, 101, 9, shear::Interpolation::bicubic, {0, 0, 13, 57}, 0x785aa659dcfc15ca},
    {13, 57, 1, 13, 20, shear::Interpolation::bilinear, {0, 0, 13, 57}, 0xe30d96265769676d},
    {13, 57, 1, 13, 20, shear::Interpolation::bicubic, {0, 0, 13, 57}, 0x1c40c2bfb3e49cb3},
    {13, 57, 3, 33, 57, shear::Interpolation::bilinear, {0, 0, 13, 57}, 0xa053f01f43585503},
    {13, 57, 3, 33, 57, shear::Interpolation::bicubic, {0, 0, 13, 57}, 0x624cf0de3a8d415d},
    {160, 213, 3, 248, 330, shear::Interpolation::bilinear, {0, 0, 160, 213}, 0xcac7f92ef79da6ef},
    {160, 213, 3, 248, 330, shear::Interpolation::bicubic, {0, 0, 160, 213}, 0x23d0c74b78a0b0c3},
    {500, 375, 3, 224, 224, shear::Interpolation::bilinear, {0, 0, 500, 375}, 0xcbc69cfb07273084},
    {500, 375, 3, 224, 224, shear::Interpolation::bicubic, {0, 0, 500, 375}, 0x7cce8db8215ac068},
    {333, 500, 3, 32, 48, shear::Interpolation::bilinear, {0, 0, 333, 500}, 0xb2d4695b71bd0bb9},
    {333, 500, 3, 32, 48, shear::Interpolation::bicubic, {0, 0, 333, 500}, 0x81df856b871379d7},
    {1, 1, 3, 5, 3, shear::Interpolation::bilinear, {0, 0, 1, 1}, 0x744c15ed532ce142},
    {1, 1, 3, 5, 3, shear::Interpolation::bicubic, {0, 0, 1, 1}, 0x744c15ed532ce142},
    {3, 400, 1, 2, 1, shear::Interpolation::bilinear, {0, 0, 3, 400}, 0x0a37a407b6a33e29},
    {3, 400, 1, 2, 1, shear::Interpolation::bicubic, {0, 0, 3, 400}, 0x0a37a407b6a33e29},
    {60, 400, 3, 30, 100, shear::Interpolation::bilinear, {0, 0, 60, 400}, 0x241f19111714f9ab},
    {60, 400, 3, 30, 100, shear::Interpolation::bicubic, {0, 0, 60, 400}, 0x0dac0c7f9052513c},
    {60, 130, 3, 30, 70, shear::Interpolation::bilinear, {0, 0, 60, 130}, 0x7fe43bbbaa934c1a},
    {60, 130, 3, 30, 70, shear::Interpolation::bicubic, {0, 0, 60, 130}, 0x1ba128cb2603f640},
    {60, 131, 3, 30, 70, shear::Interpolation::bilinear, {0, 0, 60, 131}, 0xc3df28f95f3cd310},
    {60, 131, 3, 30, 70, shear::Interpolation::bicubic, {0, 0, 60, 131}, 0x8cd8f6d2c9465931},
    {50, 90, 3, 70, 89, shear::Interpolation::bilinear, {0, 0, 50, 90}, 0xc62090edd8dc4f21},
    {50, 90, 3, 70, 89, shear::Interpolation::bicubic, {0, 0, 50, 90}, 0x18156f4aff13f028},
    {50, 90, 3, 70, 91, shear::Interpolation::bilinear, {0, 0, 50, 90}, 0x12f95eef66432907},
    {50, 90, 3, 70, 91, shear::Interpolation::bicubic, {0, 0, 50, 90}, 0x3c202b9127ca8588},
    {60, 400, 3, 30, 100, shear::Interpolation::bilinear, {3, 7, 58, 390}, 0x0d89b252f4a86e38},
    {60, 400, 3, 30, 100, shear::Interpolation::bicubic, {3, 7, 58, 390}, 0x251fe8d5beba92a5},
    {60, 400, 1, 50, 40, shear::Interpolation::bilinear, {10.5, 100.25, 40, 130.5}, 0xa1e9cd758e9b8614},
    {60, 400, 1, 50, 40, shear::Interpolation::bicubic, {10.5, 100.25, 40, 130.5}, 0x73e84823cc4e2c08},
    {64, 64, 3, 28, 28, shear::Interpolation::bilinear, {3, 5, 59, 61}, 0x57f97afda01175d6},
    {64, 64, 3, 28, 28, shear::Interpolation::bicubic, {3, 5, 59, 61}, 0x2908ad7a1b391302},
    {64, 64, 3, 28, 28, shear::Interpolation::bilinear, {3.25, 5.5, 40.125, 61.75}, 0x1b7c2b3350e8380f},
    {64, 64, 3, 28, 28, shear::Interpolation::bicubic, {3.25, 5.5, 40.125, 61.75}, 0xbd0593ead892af83},
    {64, 64, 1, 28, 40, shear::Interpolation::bilinear, {0, 0, 10.3, 63.9}, 0xa88052e00bdccf0a},
    {64, 64, 1, 28, 40, shear::Interpolation::bicubic, {0, 0, 10.3, 63.9}, 0xe9dc7bb66f32b950},
    {64, 64, 3, 64, 64, shear::Interpolation::bilinear, {0.5, 0, 64, 63.5}, 0x2a9cb71df71ff53c},
    {64, 64, 3, 64, 64, shear::Interpolation::bicubic, {0.5, 0, 64, 63.5}, 0x4be3ef79ba15edb4},
};

struct Eval {
  int width, height, image;
  float crop;
  bool squash;
  shear::Interpolation interpolation;
  uint64_t hash;  // of the result's interleaved bytes
};
inline constexpr Eval evals[] = {
    {160, 213, 224, 0.9f, false, shear::Interpolation::bilinear, 0xf4f487906ad3b19d},
    {160, 213, 224, 0.9f, false, shear::Interpolation::bicubic, 0xff764e1433f6c866},
    {213, 160, 224, 0.9f, false, shear::Interpolation::bilinear, 0x601b1281231cf34e},
    {213, 160, 224, 0.9f, false, shear::Interpolation::bicubic, 0x8b390c43f62416f5},
    {300, 225, 224, 0.875f, false, shear::Interpolation::bilinear, 0xd0cb5daf2b887b6a},
    {300, 225, 224, 0.875f, false, shear::Interpolation::bicubic, 0x19ed8affb2e7abc6},
    {101, 64, 32, 1.0f, false, shear::Interpolation::bilinear, 0x4e985dd8b2e8522a},
    {101, 64, 32, 1.0f, false, shear::Interpolation::bicubic, 0x9f8c377646cb4ee8},
    {64, 101, 33, 0.95f, false, shear::Interpolation::bilinear, 0x675551e709f5f894},
    {64, 101, 33, 0.95f, false, shear::Interpolation::bicubic, 0x7cc20db7586fb567},
    {75, 50, 240, 0.8f, false, shear::Interpolation::bilinear, 0xcb921d811e51fea5},
    {75, 50, 240, 0.8f, false, shear::Interpolation::bicubic, 0xfedde29856d14b0b},
    {97, 41, 48, 0.9f, true, shear::Interpolation::bilinear, 0xcae31fc1002fd1c5},
    {97, 41, 48, 0.9f, true, shear::Interpolation::bicubic, 0xf13dc52ecc490ec1},
    {120, 640, 64, 0.9f, false, shear::Interpolation::bilinear, 0xc8a4b9c87bdecd69},
    {120, 640, 64, 0.9f, false, shear::Interpolation::bicubic, 0xb797500172d33f93},
    {100, 500, 48, 1.0f, true, shear::Interpolation::bilinear, 0x8c3d92cddb359484},
    {100, 500, 48, 1.0f, true, shear::Interpolation::bicubic, 0x3a93a6ff42b610e3},
};

// 9 x 7 grey to 4 x 3.
inline constexpr uint8_t bilinear_4x3[] = {255, 203, 65, 102, 106, 117, 120, 166, 84, 132, 161, 95};
// 9 x 7 grey to 4 x 3.
inline constexpr uint8_t bicubic_4x3[] = {255, 209, 49, 101, 101, 114, 119, 179, 75, 133, 170, 88};

}  // namespace golden

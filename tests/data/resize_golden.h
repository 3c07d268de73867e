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
    {40, 30, 3, 20, 15, shear::Interpolation::lanczos, {0, 0, 40, 30}, 0x6c602c678a3ab717},
    {40, 30, 3, 20, 15, shear::Interpolation::box, {0, 0, 40, 30}, 0x10d27b86dbe7c0a5},
    {40, 30, 3, 20, 15, shear::Interpolation::hamming, {0, 0, 40, 30}, 0x620f6f4fa36e0fc6},
    {40, 30, 3, 17, 11, shear::Interpolation::bilinear, {0, 0, 40, 30}, 0xa287d45425da2f0d},
    {40, 30, 3, 17, 11, shear::Interpolation::bicubic, {0, 0, 40, 30}, 0x2c081d35a810a867},
    {40, 30, 3, 17, 11, shear::Interpolation::lanczos, {0, 0, 40, 30}, 0x52ec36444f386ead},
    {40, 30, 3, 17, 11, shear::Interpolation::box, {0, 0, 40, 30}, 0xdfead4b6345c5fd3},
    {40, 30, 3, 17, 11, shear::Interpolation::hamming, {0, 0, 40, 30}, 0x45e23955e5638988},
    {40, 30, 1, 7, 29, shear::Interpolation::bilinear, {0, 0, 40, 30}, 0x45c49fdce186dcf8},
    {40, 30, 1, 7, 29, shear::Interpolation::bicubic, {0, 0, 40, 30}, 0x6e5d990299b08f96},
    {40, 30, 1, 7, 29, shear::Interpolation::lanczos, {0, 0, 40, 30}, 0x8be94b3bca80f01a},
    {40, 30, 1, 7, 29, shear::Interpolation::box, {0, 0, 40, 30}, 0xc2eab1db0bf94f40},
    {40, 30, 1, 7, 29, shear::Interpolation::hamming, {0, 0, 40, 30}, 0xc815e45d4bdcf942},
    {40, 30, 3, 80, 60, shear::Interpolation::bilinear, {0, 0, 40, 30}, 0x82edc5f0c0886bbf},
    {40, 30, 3, 80, 60, shear::Interpolation::bicubic, {0, 0, 40, 30}, 0x8690c0b53ce28ee3},
    {40, 30, 3, 80, 60, shear::Interpolation::lanczos, {0, 0, 40, 30}, 0xb52dd9a2a0daf4ec},
    {40, 30, 3, 80, 60, shear::Interpolation::box, {0, 0, 40, 30}, 0x50343f06c204eb15},
    {40, 30, 3, 80, 60, shear::Interpolation::hamming, {0, 0, 40, 30}, 0x2ef8f4521664abeb},
    {13, 57, 3, 101, 9, shear::Interpolation::bilinear, {0, 0, 13, 57}, 0x52e12eddd5d1e7f5},
    {13, 57, 3, 101, 9, shear::Interpolation::bicubic, {0, 0, 13, 57}, 0x785aa659dcfc15ca},
    {13, 57, 3, 101, 9, shear::Interpolation::lanczos, {0, 0, 13, 57}, 0x377222c0f26a9914},
    {13, 57, 3, 101, 9, shear::Interpolation::box, {0, 0, 13, 57}, 0x422b962243bdb7ad},
    {13, 57, 3, 101, 9, shear::Interpolation::hamming, {0, 0, 13, 57}, 0x6bb4563422f6b0fd},
    {13, 57, 1, 13, 20, shear::Interpolation::bilinear, {0, 0, 13, 57}, 0xe30d96265769676d},
    {13, 57, 1, 13, 20, shear::Interpolation::bicubic, {0, 0, 13, 57}, 0x1c40c2bfb3e49cb3},
    {13, 57, 1, 13, 20, shear::Interpolation::lanczos, {0, 0, 13, 57}, 0xa1ed173a13c26a57},
    {13, 57, 1, 13, 20, shear::Interpolation::box, {0, 0, 13, 57}, 0x43ee8be7dab9d67d},
    {13, 57, 1, 13, 20, shear::Interpolation::hamming, {0, 0, 13, 57}, 0x89bef0d7ccd17a9e},
    {13, 57, 3, 33, 57, shear::Interpolation::bilinear, {0, 0, 13, 57}, 0xa053f01f43585503},
    {13, 57, 3, 33, 57, shear::Interpolation::bicubic, {0, 0, 13, 57}, 0x624cf0de3a8d415d},
    {13, 57, 3, 33, 57, shear::Interpolation::lanczos, {0, 0, 13, 57}, 0x20d6e198c401b6a3},
    {13, 57, 3, 33, 57, shear::Interpolation::box, {0, 0, 13, 57}, 0xaec1c047f23df174},
    {13, 57, 3, 33, 57, shear::Interpolation::hamming, {0, 0, 13, 57}, 0xfce0038e5f18a4f1},
    {160, 213, 3, 248, 330, shear::Interpolation::bilinear, {0, 0, 160, 213}, 0xcac7f92ef79da6ef},
    {160, 213, 3, 248, 330, shear::Interpolation::bicubic, {0, 0, 160, 213}, 0x23d0c74b78a0b0c3},
    {160, 213, 3, 248, 330, shear::Interpolation::lanczos, {0, 0, 160, 213}, 0x2ba55316d1c291c8},
    {160, 213, 3, 248, 330, shear::Interpolation::box, {0, 0, 160, 213}, 0x73589b4679049a7d},
    {160, 213, 3, 248, 330, shear::Interpolation::hamming, {0, 0, 160, 213}, 0x0b312aaa3bc3352b},
    {500, 375, 3, 224, 224, shear::Interpolation::bilinear, {0, 0, 500, 375}, 0xcbc69cfb07273084},
    {500, 375, 3, 224, 224, shear::Interpolation::bicubic, {0, 0, 500, 375}, 0x7cce8db8215ac068},
    {500, 375, 3, 224, 224, shear::Interpolation::lanczos, {0, 0, 500, 375}, 0x322b5127007aad6a},
    {500, 375, 3, 224, 224, shear::Interpolation::box, {0, 0, 500, 375}, 0x49fb52e547447d86},
    {500, 375, 3, 224, 224, shear::Interpolation::hamming, {0, 0, 500, 375}, 0xef70483b8b2e7043},
    {333, 500, 3, 32, 48, shear::Interpolation::bilinear, {0, 0, 333, 500}, 0xb2d4695b71bd0bb9},
    {333, 500, 3, 32, 48, shear::Interpolation::bicubic, {0, 0, 333, 500}, 0x81df856b871379d7},
    {333, 500, 3, 32, 48, shear::Interpolation::lanczos, {0, 0, 333, 500}, 0x55f7d29bbb1f28f3},
    {333, 500, 3, 32, 48, shear::Interpolation::box, {0, 0, 333, 500}, 0x4e6a0f3e6772684c},
    {333, 500, 3, 32, 48, shear::Interpolation::hamming, {0, 0, 333, 500}, 0xb403645a7ec1ddce},
    {1, 1, 3, 5, 3, shear::Interpolation::bilinear, {0, 0, 1, 1}, 0x744c15ed532ce142},
    {1, 1, 3, 5, 3, shear::Interpolation::bicubic, {0, 0, 1, 1}, 0x744c15ed532ce142},
    {1, 1, 3, 5, 3, shear::Interpolation::lanczos, {0, 0, 1, 1}, 0x744c15ed532ce142},
    {1, 1, 3, 5, 3, shear::Interpolation::box, {0, 0, 1, 1}, 0x744c15ed532ce142},
    {1, 1, 3, 5, 3, shear::Interpolation::hamming, {0, 0, 1, 1}, 0x744c15ed532ce142},
    {3, 400, 1, 2, 1, shear::Interpolation::bilinear, {0, 0, 3, 400}, 0x0a37a407b6a33e29},
    {3, 400, 1, 2, 1, shear::Interpolation::bicubic, {0, 0, 3, 400}, 0x0a37a407b6a33e29},
    {3, 400, 1, 2, 1, shear::Interpolation::lanczos, {0, 0, 3, 400}, 0x0a37a407b6a33e29},
    {3, 400, 1, 2, 1, shear::Interpolation::box, {0, 0, 3, 400}, 0x0a37a607b6a3418f},
    {3, 400, 1, 2, 1, shear::Interpolation::hamming, {0, 0, 3, 400}, 0x0a37a507b6a33fdc},
    {60, 400, 3, 30, 100, shear::Interpolation::bilinear, {0, 0, 60, 400}, 0x241f19111714f9ab},
    {60, 400, 3, 30, 100, shear::Interpolation::bicubic, {0, 0, 60, 400}, 0x0dac0c7f9052513c},
    {60, 400, 3, 30, 100, shear::Interpolation::lanczos, {0, 0, 60, 400}, 0x4fa96e5b9500e486},
    {60, 400, 3, 30, 100, shear::Interpolation::box, {0, 0, 60, 400}, 0x78fb1833a1baefad},
    {60, 400, 3, 30, 100, shear::Interpolation::hamming, {0, 0, 60, 400}, 0x7cf08e8c693ebdaf},
    {60, 130, 3, 30, 70, shear::Interpolation::bilinear, {0, 0, 60, 130}, 0x7fe43bbbaa934c1a},
    {60, 130, 3, 30, 70, shear::Interpolation::bicubic, {0, 0, 60, 130}, 0x1ba128cb2603f640},
    {60, 130, 3, 30, 70, shear::Interpolation::lanczos, {0, 0, 60, 130}, 0xfae922dcf8e2e0e8},
    {60, 130, 3, 30, 70, shear::Interpolation::box, {0, 0, 60, 130}, 0x192f5160e5687050},
    {60, 130, 3, 30, 70, shear::Interpolation::hamming, {0, 0, 60, 130}, 0xba8b6d80b0a69282},
    {60, 131, 3, 30, 70, shear::Interpolation::bilinear, {0, 0, 60, 131}, 0xc3df28f95f3cd310},
    {60, 131, 3, 30, 70, shear::Interpolation::bicubic, {0, 0, 60, 131}, 0x8cd8f6d2c9465931},
    {60, 131, 3, 30, 70, shear::Interpolation::lanczos, {0, 0, 60, 131}, 0x790098c8c21dd73d},
    {60, 131, 3, 30, 70, shear::Interpolation::box, {0, 0, 60, 131}, 0x4be63dccef9afb72},
    {60, 131, 3, 30, 70, shear::Interpolation::hamming, {0, 0, 60, 131}, 0x7cdb79275477d69c},
    {50, 90, 3, 70, 89, shear::Interpolation::bilinear, {0, 0, 50, 90}, 0xc62090edd8dc4f21},
    {50, 90, 3, 70, 89, shear::Interpolation::bicubic, {0, 0, 50, 90}, 0x18156f4aff13f028},
    {50, 90, 3, 70, 89, shear::Interpolation::lanczos, {0, 0, 50, 90}, 0xc75b3002707da66e},
    {50, 90, 3, 70, 89, shear::Interpolation::box, {0, 0, 50, 90}, 0xf27acc6db5e76eb4},
    {50, 90, 3, 70, 89, shear::Interpolation::hamming, {0, 0, 50, 90}, 0x69a08248f88445c7},
    {50, 90, 3, 70, 91, shear::Interpolation::bilinear, {0, 0, 50, 90}, 0x12f95eef66432907},
    {50, 90, 3, 70, 91, shear::Interpolation::bicubic, {0, 0, 50, 90}, 0x3c202b9127ca8588},
    {50, 90, 3, 70, 91, shear::Interpolation::lanczos, {0, 0, 50, 90}, 0xe23c62aca3a95ef0},
    {50, 90, 3, 70, 91, shear::Interpolation::box, {0, 0, 50, 90}, 0x0a8c0a28ea9ed500},
    {50, 90, 3, 70, 91, shear::Interpolation::hamming, {0, 0, 50, 90}, 0x448efc86245bfe98},
    {60, 400, 3, 30, 100, shear::Interpolation::bilinear, {3, 7, 58, 390}, 0x0d89b252f4a86e38},
    {60, 400, 3, 30, 100, shear::Interpolation::bicubic, {3, 7, 58, 390}, 0x251fe8d5beba92a5},
    {60, 400, 3, 30, 100, shear::Interpolation::lanczos, {3, 7, 58, 390}, 0x5740ceb79decfa3f},
    {60, 400, 3, 30, 100, shear::Interpolation::box, {3, 7, 58, 390}, 0x9ac2b5c6087c3f5d},
    {60, 400, 3, 30, 100, shear::Interpolation::hamming, {3, 7, 58, 390}, 0x193d526efb7a4236},
    {60, 400, 1, 50, 40, shear::Interpolation::bilinear, {10.5, 100.25, 40, 130.5}, 0xa1e9cd758e9b8614},
    {60, 400, 1, 50, 40, shear::Interpolation::bicubic, {10.5, 100.25, 40, 130.5}, 0x73e84823cc4e2c08},
    {60, 400, 1, 50, 40, shear::Interpolation::lanczos, {10.5, 100.25, 40, 130.5}, 0x29a80cca81eb463e},
    {60, 400, 1, 50, 40, shear::Interpolation::box, {10.5, 100.25, 40, 130.5}, 0xb303f64997a1a92a},
    {60, 400, 1, 50, 40, shear::Interpolation::hamming, {10.5, 100.25, 40, 130.5}, 0x58cf655b1c0bfd85},
    {64, 64, 3, 28, 28, shear::Interpolation::bilinear, {3, 5, 59, 61}, 0x57f97afda01175d6},
    {64, 64, 3, 28, 28, shear::Interpolation::bicubic, {3, 5, 59, 61}, 0x2908ad7a1b391302},
    {64, 64, 3, 28, 28, shear::Interpolation::lanczos, {3, 5, 59, 61}, 0x6b54209fcfb398db},
    {64, 64, 3, 28, 28, shear::Interpolation::box, {3, 5, 59, 61}, 0xa56720a4c618e6e5},
    {64, 64, 3, 28, 28, shear::Interpolation::hamming, {3, 5, 59, 61}, 0x1b524685b22e517f},
    {64, 64, 3, 28, 28, shear::Interpolation::bilinear, {3.25, 5.5, 40.125, 61.75}, 0x1b7c2b3350e8380f},
    {64, 64, 3, 28, 28, shear::Interpolation::bicubic, {3.25, 5.5, 40.125, 61.75}, 0xbd0593ead892af83},
    {64, 64, 3, 28, 28, shear::Interpolation::lanczos, {3.25, 5.5, 40.125, 61.75}, 0x1988223a7ed27d57},
    {64, 64, 3, 28, 28, shear::Interpolation::box, {3.25, 5.5, 40.125, 61.75}, 0x96a6a01b01ebe396},
    {64, 64, 3, 28, 28, shear::Interpolation::hamming, {3.25, 5.5, 40.125, 61.75}, 0xfca01e90e23a14b7},
    {64, 64, 1, 28, 40, shear::Interpolation::bilinear, {0, 0, 10.3, 63.9}, 0xa88052e00bdccf0a},
    {64, 64, 1, 28, 40, shear::Interpolation::bicubic, {0, 0, 10.3, 63.9}, 0xe9dc7bb66f32b950},
    {64, 64, 1, 28, 40, shear::Interpolation::lanczos, {0, 0, 10.3, 63.9}, 0x412cd44b0f776f8b},
    {64, 64, 1, 28, 40, shear::Interpolation::box, {0, 0, 10.3, 63.9}, 0x3f4e2497f008cbc0},
    {64, 64, 1, 28, 40, shear::Interpolation::hamming, {0, 0, 10.3, 63.9}, 0xc884d47c6cf8151a},
    {64, 64, 3, 64, 64, shear::Interpolation::bilinear, {0.5, 0, 64, 63.5}, 0x2a9cb71df71ff53c},
    {64, 64, 3, 64, 64, shear::Interpolation::bicubic, {0.5, 0, 64, 63.5}, 0x4be3ef79ba15edb4},
    {64, 64, 3, 64, 64, shear::Interpolation::lanczos, {0.5, 0, 64, 63.5}, 0x502729d4011e5ddb},
    {64, 64, 3, 64, 64, shear::Interpolation::box, {0.5, 0, 64, 63.5}, 0xdc1f0e311a3d8ff5},
    {64, 64, 3, 64, 64, shear::Interpolation::hamming, {0.5, 0, 64, 63.5}, 0xc003412299d053e9},
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
// 9 x 7 grey to 4 x 3.
inline constexpr uint8_t lanczos_4x3[] = {255, 214, 39, 101, 99, 111, 118, 185, 66, 132, 173, 86};
// 9 x 7 grey to 4 x 3.
inline constexpr uint8_t box_4x3[] = {255, 181, 57, 99, 110, 118, 128, 188, 87, 148, 164, 49};
// 9 x 7 grey to 4 x 3.
inline constexpr uint8_t hamming_4x3[] = {255, 215, 57, 101, 91, 110, 118, 178, 84, 136, 173, 74};

}  // namespace golden

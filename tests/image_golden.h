// Printed by tools/golden_images.py; not to be edited.
// Pillow 13.0.0.
#pragma once
#include <cstdint>

// clang-format off
namespace golden {

struct Decoded {
  const char* file;  // in tests/golden/images
  int width, height, channels;
  uint64_t hash;  // FNV-1a of the pixels
};
inline constexpr Decoded decoded[] = {
    {"alpha_lossless.webp", 21, 13, 3, 0x2317ac9a6df8a62b},
    {"alpha_lossy.webp", 21, 13, 3, 0x629a00e06db8495c},
    {"cmyk.jpg", 21, 13, 3, 0x64bab80c8709b39a},
    {"cmyk_progressive.jpg", 21, 13, 3, 0x64bab80c8709b39a},
    {"grey.jpg", 21, 13, 1, 0xd2d2700b95ada396},
    {"grey1.png", 21, 13, 1, 0x9b406431be601386},
    {"grey16.png", 21, 13, 1, 0x323d49aa3ce58691},
    {"grey16_interlaced.png", 21, 13, 1, 0x323d49aa3ce58691},
    {"grey1_interlaced.png", 21, 13, 1, 0x9b406431be601386},
    {"grey2.png", 21, 13, 1, 0x8461577ccbc349f6},
    {"grey2_interlaced.png", 21, 13, 1, 0x8461577ccbc349f6},
    {"grey4.png", 21, 13, 1, 0x066797ec837783be},
    {"grey4_interlaced.png", 21, 13, 1, 0x066797ec837783be},
    {"grey8.png", 21, 13, 1, 0x323d49aa3ce58691},
    {"grey8_interlaced.png", 21, 13, 1, 0x323d49aa3ce58691},
    {"grey_alpha16.png", 21, 13, 1, 0x323d49aa3ce58691},
    {"grey_alpha16_interlaced.png", 21, 13, 1, 0x323d49aa3ce58691},
    {"grey_alpha8.png", 21, 13, 1, 0x323d49aa3ce58691},
    {"grey_alpha8_interlaced.png", 21, 13, 1, 0x323d49aa3ce58691},
    {"grey_progressive.jpg", 21, 13, 1, 0xd2d2700b95ada396},
    {"grey_transparent.png", 21, 13, 1, 0x323d49aa3ce58691},
    {"palette1.png", 21, 13, 3, 0x7a99ab018463b789},
    {"palette1_interlaced.png", 21, 13, 3, 0x7a99ab018463b789},
    {"palette2.png", 21, 13, 3, 0x929c8ff21649fef7},
    {"palette2_interlaced.png", 21, 13, 3, 0x929c8ff21649fef7},
    {"palette4.png", 21, 13, 3, 0xed939c1da144629f},
    {"palette4_interlaced.png", 21, 13, 3, 0xed939c1da144629f},
    {"palette8.png", 21, 13, 3, 0x5b4bcf6b9a986650},
    {"palette8_interlaced.png", 21, 13, 3, 0x5b4bcf6b9a986650},
    {"palette_transparent.png", 21, 13, 3, 0x5b4bcf6b9a986650},
    {"rgb.jpg", 21, 13, 3, 0xfd2a3e8fe4c5ec63},
    {"rgb16.png", 21, 13, 3, 0x4b5684e34dd74359},
    {"rgb16_interlaced.png", 21, 13, 3, 0x4b5684e34dd74359},
    {"rgb8.png", 21, 13, 3, 0x4b5684e34dd74359},
    {"rgb8_interlaced.png", 21, 13, 3, 0x4b5684e34dd74359},
    {"rgb_420.jpg", 21, 13, 3, 0xe2a8907eb8fdeac3},
    {"rgb_422.jpg", 21, 13, 3, 0x96a5e41066025720},
    {"rgb_440.jpg", 32, 32, 3, 0x063842132f59221c},
    {"rgb_444.jpg", 21, 13, 3, 0xb5c11c332503f4b6},
    {"rgb_alpha16.png", 21, 13, 3, 0x4b5684e34dd74359},
    {"rgb_alpha16_interlaced.png", 21, 13, 3, 0x4b5684e34dd74359},
    {"rgb_alpha8.png", 21, 13, 3, 0x4b5684e34dd74359},
    {"rgb_alpha8_interlaced.png", 21, 13, 3, 0x4b5684e34dd74359},
    {"rgb_gamma.png", 21, 13, 3, 0x4b5684e34dd74359},
    {"rgb_lossless.webp", 21, 13, 3, 0x2317ac9a6df8a62b},
    {"rgb_lossy.webp", 21, 13, 3, 0xc83d790ed2b2c1bf},
    {"rgb_progressive.jpg", 21, 13, 3, 0xfd2a3e8fe4c5ec63},
    {"rgb_restarts.jpg", 21, 13, 3, 0xe2a8907eb8fdeac3},
    {"rgb_transparent.png", 21, 13, 3, 0x4b5684e34dd74359},
    {"turned0.jpg", 21, 13, 3, 0xa4e625f4bf7b5d61},
    {"turned1.jpg", 21, 13, 3, 0xa4e625f4bf7b5d61},
    {"turned2.jpg", 21, 13, 3, 0xb91561f543cc4f4d},
    {"turned3.jpg", 21, 13, 3, 0x2382b255070b8cc5},
    {"turned4.jpg", 21, 13, 3, 0x681f4e63ac7371d1},
    {"turned5.jpg", 13, 21, 3, 0x280b15336db56a31},
    {"turned5_prefix.webp", 13, 21, 3, 0xf153c869f27d763b},
    {"turned6.jpg", 13, 21, 3, 0x4b5266d22b6749dd},
    {"turned6.png", 13, 21, 3, 0x2e393652a1737df9},
    {"turned6.webp", 13, 21, 3, 0x22d7bc542fa82ba7},
    {"turned6_after.png", 13, 21, 3, 0x2e393652a1737df9},
    {"turned6_big_endian.jpg", 13, 21, 3, 0x4b5266d22b6749dd},
    {"turned7.jpg", 13, 21, 3, 0xb94776d93ab0c175},
    {"turned8.jpg", 13, 21, 3, 0x2b2b82e53782c5e1},
    {"turned8_grey.jpg", 13, 21, 1, 0x7f23c2e0c42e2756},
    {"turned9.jpg", 21, 13, 3, 0xa4e625f4bf7b5d61},
    {"ycck.jpg", 21, 13, 3, 0xbc413c75e1bd10f1},
};

}  // namespace golden

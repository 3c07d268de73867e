#!/usr/bin/env python3
"""Prints tests/data/resize_golden.h: what Pillow and torchvision make of images that a formula draws.

    python3 tools/golden_resize.py > tests/data/resize_golden.h

Needs Pillow 13 or later, numpy and torchvision.  (Earlier versions take the width first even where the height shrinks
much more, which rounds differently.)
"""
import numpy
import torchvision
import PIL
from PIL import Image
from torchvision.transforms import InterpolationMode, functional

FILTERS = {"bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC, "lanczos": Image.LANCZOS, "box": Image.BOX,
           "hamming": Image.HAMMING}


def pattern(width, height, channels):
    """As pattern() in tests/support/image_files.h: a curved gradient with hard edges, so that bicubic overshoots."""
    y, x, c = numpy.mgrid[0:height, 0:width, 0:channels]
    smooth = (3 * x * x + 5 * y * y + 7 * x * y + 37 * c) // 2 % 256
    return numpy.where((x // 4 + y // 3) % 5 == 0, 255, smooth).astype(numpy.uint8)


def image(width, height, channels):
    pixels = pattern(width, height, channels)
    return Image.fromarray(pixels if channels > 1 else pixels[:, :, 0])


def fnv1a(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return value


def resize(source, width, height, name, box):
    return source.resize((width, height), FILTERS[name], box=box)


RESIZES = [  # source, channels, result, box or the whole
    ((40, 30), 3, (20, 15), None),
    ((40, 30), 3, (17, 11), None),
    ((40, 30), 1, (7, 29), None),
    ((40, 30), 3, (80, 60), None),
    ((13, 57), 3, (101, 9), None),
    ((13, 57), 1, (13, 20), None),
    ((13, 57), 3, (33, 57), None),
    ((160, 213), 3, (248, 330), None),
    ((500, 375), 3, (224, 224), None),
    ((333, 500), 3, (32, 48), None),
    ((1, 1), 3, (5, 3), None),
    ((3, 400), 1, (2, 1), None),
    ((60, 400), 3, (30, 100), None),  # the height first: 300 > 2 * 30
    ((60, 130), 3, (30, 70), None),  # 60 > 2 * 30 is not
    ((60, 131), 3, (30, 70), None),
    ((50, 90), 3, (70, 89), None),
    ((50, 90), 3, (70, 91), None),
    ((60, 400), 3, (30, 100), (3, 7, 58, 390)),
    ((60, 400), 1, (50, 40), (10.5, 100.25, 40, 130.5)),
    ((64, 64), 3, (28, 28), (3, 5, 59, 61)),
    ((64, 64), 3, (28, 28), (3.25, 5.5, 40.125, 61.75)),
    ((64, 64), 1, (28, 40), (0, 0, 10.3, 63.9)),
    ((64, 64), 3, (64, 64), (0.5, 0, 64, 63.5)),
]
EVALS = [  # source, model's side, crop, squash
    ((160, 213), 224, 0.9, False),
    ((213, 160), 224, 0.9, False),
    ((300, 225), 224, 0.875, False),
    ((101, 64), 32, 1.0, False),
    ((64, 101), 33, 0.95, False),
    ((75, 50), 240, 0.8, False),
    ((97, 41), 48, 0.9, True),
    ((120, 640), 64, 0.9, False),
    ((100, 500), 48, 1.0, True),
]

print("// Printed by tools/golden_resize.py; not to be edited.")
print(f"// Pillow {PIL.__version__}, torchvision {torchvision.__version__}.")
print('#pragma once\n#include <cstdint>\n\n#include "shear/data.h"\n\n// clang-format off\nnamespace golden {\n')
print("struct Resize {\n  int width, height, channels, to_width, to_height;\n  shear::Interpolation interpolation;")
print("  shear::Box box;\n  uint64_t hash;  // FNV-1a of the result's bytes\n};")
print("inline constexpr Resize resizes[] = {")
for size, channels, result, box in RESIZES:
    for name in FILTERS:
        used = box or (0, 0) + size
        pixels = resize(image(*size, channels), *result, name, used).tobytes()
        numbers = ", ".join(map(str, size + (channels,) + result))
        print(f"    {{{numbers}, shear::Interpolation::{name}, {{{', '.join(map(str, used))}}}, {fnv1a(pixels):#018x}}},")
print("};\n")
print("struct Eval {\n  int width, height, image;\n  float crop;\n  bool squash;\n  shear::Interpolation interpolation;")
print("  uint64_t hash;  // of the result's interleaved bytes\n};")
print("inline constexpr Eval evals[] = {")
for size, side, crop, squash in EVALS:
    for name in ("bilinear", "bicubic"):
        if squash:
            made = resize(image(*size, 3), side, side, name, (0, 0) + size)
        else:
            made = functional.resize(image(*size, 3), int(side / crop), InterpolationMode(name))
            made = functional.center_crop(made, side)
        print(f"    {{{size[0]}, {size[1]}, {side}, {float(crop)}f, {str(squash).lower()}, "
              f"shear::Interpolation::{name}, {fnv1a(made.tobytes()):#018x}}},")
print("};\n")
for name in FILTERS:
    pixels = resize(image(9, 7, 1), 4, 3, name, (0, 0, 9, 7)).tobytes()
    print(f"// 9 x 7 grey to 4 x 3.\ninline constexpr uint8_t {name}_4x3[] = {{{', '.join(map(str, pixels))}}};")
print("\n}  // namespace golden")

#!/usr/bin/env python3
"""Prints tests/crop_golden.h: the crops that torchvision's RandomResizedCrop draws, from Shear's random numbers.

    python3 tools/golden_crops.py > tests/crop_golden.h

torch's own generators are replaced by the stream of include/shear/random.h, so that the same draws must give the same
geometry.  Needs torchvision and Pillow.
"""
import torch
import torchvision
from PIL import Image
from torchvision.transforms import RandomResizedCrop

TEST = 7  # Purpose::test


class Stream:
    """Stream(seed, Purpose::test, 0, item)."""

    def __init__(self, seed, item):
        self.seed, self.item, self.next = seed, item, 0

    def word(self):
        mask = 0xFFFFFFFF
        mixed = self.seed ^ TEST << 56
        low, high = mixed & mask, mixed >> 32
        c = [self.next // 4, 0, self.item, TEST]
        for _ in range(10):
            a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
            c = [b >> 32 ^ c[1] ^ low, b & mask, a >> 32 ^ c[3] ^ high, a & mask]
            low, high = low + 0x9E3779B9 & mask, high + 0xBB67AE85 & mask
        self.next += 1
        return c[(self.next - 1) % 4]

    def uniform(self, low, high):
        return low + (high - low) * ((self.word() >> 8) * 2.0**-24)

    def below(self, n):
        return self.word() * n >> 32


def crop(width, height, scale, ratio, item):
    stream = Stream(1, item)
    torch.Tensor.uniform_ = lambda self, low, high: self.fill_(stream.uniform(float(low), float(high)))
    torch.randint = lambda low, high, size: torch.tensor([low + stream.below(high - low)])
    top, left, h, w = RandomResizedCrop.get_params(Image.new("L", (width, height)), list(scale), list(ratio))
    return left, top, w, h


print("// Printed by tools/golden_crops.py; not to be edited.")
print(f"// torchvision {torchvision.__version__}.")
print("#pragma once\n#include <array>\n#include <cstdint>\n\n// clang-format off\nnamespace golden {\n")
print("struct Crop {\n  int width, height;  // of the image\n  std::array<float, 2> area, ratio;")
print("  uint64_t item;  // of the stream\n  int left, top, crop_width, crop_height;\n};\ninline constexpr Crop crops[] = {")
for size in [(400, 300), (160, 213), (32, 32), (1000, 12), (12, 1000), (37, 500)]:
    for scale, ratio in [((0.08, 1.0), (3 / 4, 4 / 3)), ((0.05, 1.0), (3 / 4, 4 / 3)), ((0.3, 0.35), (0.5, 1.0))]:
        for item in range(6):
            numbers = ", ".join(map(str, crop(*size, scale, ratio, item)))
            ranges = ", ".join(f"{{{low:.9f}f, {high:.9f}f}}" for low, high in (scale, ratio))
            print(f"    {{{size[0]}, {size[1]}, {ranges}, {item}, {numbers}}},")
print("};\n\n}  // namespace golden")

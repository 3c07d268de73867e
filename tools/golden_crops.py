#!/usr/bin/env python3
"""Prints tests/data/crop_golden.h: the crops that torchvision's RandomResizedCrop draws, from Shear's random numbers, and what
timm and transformers make of an image by their configs, in evaluation.

    python3 tools/golden_crops.py > tests/data/crop_golden.h

torch's own generators are replaced by the stream of include/shear/random.h, so that the same draws must give the same
geometry.  Needs torchvision, timm, transformers, numpy and Pillow 13 or later.
"""
import json

import numpy
import timm.data
import torch
import torchvision
import transformers
from PIL import Image
from torchvision.transforms import RandomResizedCrop
from transformers.models.beit.image_processing_pil_beit import BeitImageProcessorPil
from transformers.models.bit.image_processing_pil_bit import BitImageProcessorPil
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.convnext.image_processing_pil_convnext import ConvNextImageProcessorPil
from transformers.models.deit.image_processing_pil_deit import DeiTImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

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


# What is read there: the libraries' processors are given these keys, timm's transforms those of a pretrained_cfg.
PROCESSORS = {"ViT": ViTImageProcessorPil, "DeiT": DeiTImageProcessorPil, "CLIP": CLIPImageProcessorPil,
              "Bit": BitImageProcessorPil, "ConvNext": ConvNextImageProcessorPil, "Siglip": SiglipImageProcessorPil,
              "Beit": BeitImageProcessorPil}
TRANSFORMERS = [
    ("ViT", {"size": {"height": 33, "width": 33}}),
    ("ViT", {"size": 33, "resample": 3}),
    ("ViT", {"size": {"height": 40, "width": 40}, "do_center_crop": True, "crop_size": {"height": 33, "width": 33}}),
    ("ViT", {"size": 37, "do_center_crop": True, "crop_size": 32}),
    ("ViT", {"size": {"shortest_edge": 39}, "do_center_crop": True, "crop_size": {"height": 32, "width": 32}}),
    ("DeiT", {"size": {"height": 36, "width": 36}, "crop_size": {"height": 33, "width": 33}}),
    ("DeiT", {}),
    ("CLIP", {"size": 35, "crop_size": 32}),
    ("CLIP", {"size": {"shortest_edge": 33}, "crop_size": {"height": 33, "width": 33}, "resample": 2}),
    ("Bit", {"size": {"shortest_edge": 34}, "crop_size": {"height": 31, "width": 31}}),
    ("ConvNext", {"size": {"shortest_edge": 32}, "crop_pct": 0.82}),
    ("ConvNext", {"size": {"shortest_edge": 31}, "crop_pct": 0.875, "resample": 2}),
    ("ConvNext", {"size": {"shortest_edge": 384}}),
    ("Siglip", {"size": {"height": 33, "width": 33}, "resample": 1}),
    ("Beit", {"size": 35, "crop_size": 32}),
    ("Beit", {"size": 35, "crop_size": 32, "do_center_crop": True, "resample": 4}),
    ("CLIP", {"size": 33, "crop_size": 31, "resample": 5}),
    # Less than the cut.  Of an odd number of black pixels the processors on Pillow have the greater half before the
    # image, those on torchvision behind it, as timm; these are even.
    ("DeiT", {"size": 29, "crop_size": 33}),
    ("CLIP", {"do_resize": False, "crop_size": 32}),
]
TIMM = [
    {"input_size": [3, 33, 33], "crop_pct": 0.9, "interpolation": "bicubic"},
    {"input_size": [3, 32, 32], "crop_pct": 0.82, "interpolation": "bilinear", "crop_mode": "center"},
    {"input_size": [3, 33, 33], "interpolation": "bicubic"},
    {"input_size": [3, 32, 32], "crop_pct": 0.82, "interpolation": "bicubic", "crop_mode": "squash"},
    {"input_size": [3, 33, 33], "crop_pct": 1.0, "interpolation": "bilinear", "crop_mode": "squash"},
    {"input_size": [3, 32, 32], "crop_pct": 1.0, "interpolation": "bicubic", "crop_mode": "border"},
    {"input_size": [3, 33, 33], "crop_pct": 0.6, "interpolation": "bicubic", "crop_mode": "border"},
    {"input_size": [3, 33, 33], "crop_pct": 1.3, "interpolation": "lanczos", "crop_mode": "center"},
    {"input_size": [3, 32, 32], "crop_pct": 1.5, "interpolation": "bicubic", "crop_mode": "squash"},
]
SIZES = [(101, 64), (64, 101), (97, 41), (33, 50), (20, 61)]


def pattern(width, height):
    """As pattern() in tests/support/image_files.h."""
    y, x, c = numpy.mgrid[0:height, 0:width, 0:3]
    smooth = (3 * x * x + 5 * y * y + 7 * x * y + 37 * c) // 2 % 256
    return Image.fromarray(numpy.where((x // 4 + y // 3) % 5 == 0, 255, smooth).astype(numpy.uint8))


def fnv1a(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return value


def by_transformers(name, config, image):
    made = PROCESSORS[name](**config)(image, do_rescale=False, do_normalize=False, return_tensors="np")["pixel_values"][0]
    return made.transpose(1, 2, 0)


def by_timm(config, image):
    steps = timm.data.create_transform(**config, mean=(0.2, 0.3, 0.7), std=(1, 1, 1)).transforms
    for step in steps[:-2]:  # the last two make floats
        image = step(image)
    return numpy.asarray(image)


print("// Printed by tools/golden_crops.py; not to be edited.")
print(f"// torchvision {torchvision.__version__}, timm {timm.__version__}, transformers {transformers.__version__}, "
      f"Pillow {Image.__version__}.")
print("#pragma once\n#include <array>\n#include <cstdint>\n\n// clang-format off\nnamespace golden {\n")
print("struct Crop {\n  int width, height;  // of the image\n  std::array<float, 2> area, ratio;")
print("  uint64_t item;  // of the stream\n  int left, top, crop_width, crop_height;\n};\ninline constexpr Crop crops[] = {")
for size in [(400, 300), (160, 213), (32, 32), (1000, 12), (12, 1000), (37, 500)]:
    for scale, ratio in [((0.08, 1.0), (3 / 4, 4 / 3)), ((0.05, 1.0), (3 / 4, 4 / 3)), ((0.3, 0.35), (0.5, 1.0))]:
        for item in range(6):
            numbers = ", ".join(map(str, crop(*size, scale, ratio, item)))
            ranges = ", ".join(f"{{{low:.9f}f, {high:.9f}f}}" for low, high in (scale, ratio))
            print(f"    {{{size[0]}, {size[1]}, {ranges}, {item}, {numbers}}},")
print("};\n")
print("struct Centre {\n  bool timm;  // else transformers\n  const char* config;\n  int width, height;  // of the image")
print("  int image;\n  uint64_t hash;  // of the result's interleaved bytes\n};\ninline constexpr Centre centres[] = {")
for is_timm, texts in ((False, TRANSFORMERS), (True, TIMM)):
    for entry in texts:
        config = entry if is_timm else {"image_processor_type": entry[0] + "ImageProcessor"} | entry[1]
        if is_timm:
            config = {"architecture": "vit_tiny_patch16_224", "pretrained_cfg": config | {"mean": [0.2, 0.3, 0.7], "std": [1, 1, 1]}}
        for size in SIZES:
            made = by_timm(entry, pattern(*size)) if is_timm else by_transformers(*entry, pattern(*size))
            assert made.dtype == numpy.uint8 and made.shape[0] == made.shape[1], (config, made.dtype, made.shape)
            print(f'    {{{str(is_timm).lower()}, R"({json.dumps(config)})", {size[0]}, {size[1]}, {made.shape[0]}, '
                  f"{fnv1a(made.tobytes()):#018x}}},")
print("};\n\n}  // namespace golden")

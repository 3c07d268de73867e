#!/usr/bin/env python3
"""Compares the tensors of `shear prepare` with torchvision's, image by image.

    python3 tools/compare_preprocessing.py SHEAR IMAGE_OR_FOLDER...

Resize by the shorter side and centre crop, or a squash, bilinear and bicubic with antialias, each as torchvision does it
on Pillow's images, after EXIF's orientation.  Prints the largest difference of pixels in 1/255 and how many differ; exit
status 1 where one is more than 1/255.  Needs Pillow 13 or later, torchvision and safetensors.
"""
import json
import math
import pathlib
import subprocess
import sys
import tempfile

import torch
from PIL import Image, ImageOps
from safetensors.torch import load_file
from torchvision.transforms import v2

ENDINGS = {".jpg", ".jpeg", ".png", ".webp"}
CASES = [  # model's side, share that the centre crop keeps (None: squash), interpolation
    (224, 0.9, "bicubic"),
    (224, 0.9, "bilinear"),
    (224, 0.875, "bicubic"),
    (224, None, "bilinear"),
    (224, None, "bicubic"),
    (384, 1.0, "bicubic"),
    (96, 1.0, "bilinear"),
]


def images_of(arguments):
    for argument in map(pathlib.Path, arguments):
        if argument.is_dir():
            yield from sorted(p for p in argument.rglob("*") if p.suffix.lower() in ENDINGS)
        else:
            yield argument


def torchvision_tensors(paths, side, crop, interpolation):
    mode = v2.InterpolationMode(interpolation)
    steps = [v2.Resize((side, side), mode)] if crop is None else [
        v2.Resize(math.floor(side / crop), mode), v2.CenterCrop(side)]
    steps += [v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.5] * 3, [0.5] * 3)]
    transform = v2.Compose(steps)
    return torch.stack([transform(ImageOps.exif_transpose(Image.open(path)).convert("RGB")) for path in paths])


def shear_tensors(shear, paths, side, crop, interpolation):
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "batch.safetensors"
        flags = ["--squash"] if crop is None else ["--image-crop", str(crop)]
        subprocess.run([shear, "prepare", "--model", f"vit:image={side},patch=1,dim=1,depth=1,heads=1,classes=2", "--out",
                        out, "--interpolation", interpolation, "--image-mean", "0.5", "--image-std", "0.5", *flags, "--",
                        *paths], check=True, stdout=subprocess.DEVNULL)
        return load_file(out)["images"]


def main():
    shear, paths = sys.argv[1], list(images_of(sys.argv[2:]))
    worst = 0
    for side, crop, interpolation in CASES:
        largest = differing = values = 0
        for first in range(0, len(paths), 64):
            some = paths[first:first + 64]
            ours = shear_tensors(shear, some, side, crop, interpolation)
            theirs = torchvision_tensors(some, side, crop, interpolation)
            difference = (ours - theirs).abs() * 127.5
            largest = max(largest, difference.max().item())
            differing += (difference > 0.01).sum().item()
            values += difference.numel()
        rule = "squash" if crop is None else f"crop {crop}"
        print(json.dumps({"side": side, "rule": rule, "interpolation": interpolation, "images": len(paths),
                          "largest_in_255": round(largest, 4), "differing": differing, "of": values}), flush=True)
        worst = max(worst, largest)
    return 1 if worst > 1.001 or not paths else 0


sys.exit(main())

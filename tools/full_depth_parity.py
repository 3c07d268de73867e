#!/usr/bin/env python3
"""Compares the logits of whole ViTs, of random weights, with timm's.

  tools/full_depth_parity.py build/tools/shear/shear [NAME...]

Ten classes, one random image of the model's size.  `differ` is the largest difference; more than 1e-4 is too much.
Needs torch, timm and safetensors, and for the largest of the models 12 GiB of memory; Shear itself needs none of them.
"""

import argparse
import gc
import json
import pathlib
import subprocess
import sys
import tempfile

import timm
import torch
from safetensors.torch import load_file, save_file

MODELS = [
    "vit_base_patch16_224",
    "vit_large_patch14_clip_224",
    "eva02_base_patch14_448",
    "vit_so400m_patch14_siglip_224",
    "vit_giant_patch14_reg4_dinov2",
]
ALLOWED = 1e-4


def stirred(name: str) -> torch.nn.Module:
    """Of the model's size and depth, where no norm, bias or LayerScale is what it begins as."""
    torch.manual_seed(1)
    model = timm.create_model(name, pretrained=False, num_classes=10).eval()
    with torch.no_grad():
        for parameter, values in model.named_parameters():
            if values.ndim == 1 and "gamma" in parameter:
                values.uniform_(0.2, 0.6)
            elif values.ndim == 1:
                values.add_(torch.randn_like(values) * 0.05)
            elif "head" in parameter:
                values.normal_(0, 0.05)
    return model


def compare(shear: str, name: str, folder: pathlib.Path) -> bool:
    model = stirred(name)
    count = sum(values.numel() for values in model.parameters())
    about = model.pretrained_cfg
    images = torch.randn(1, *about["input_size"])
    with torch.no_grad():
        expected = model(images)
    save_file({key: values.contiguous() for key, values in model.state_dict().items()}, folder / "model.safetensors")
    del model
    gc.collect()
    kept = {key: about[key] for key in ("input_size", "mean", "std", "interpolation", "crop_pct")}
    (folder / "config.json").write_text(json.dumps({"architecture": name, "num_classes": 10, "pretrained_cfg": kept}))
    save_file({"images": images, "labels": torch.zeros(1, dtype=torch.int64)}, folder / "batch.safetensors")
    command = [shear, "gradients", "--weights", folder / "model.safetensors", "--batch", folder / "batch.safetensors"]
    ran = subprocess.run(
        [*map(str, command), "--policy", "checkpoint", "--out", str(folder / "out.safetensors")],
        capture_output=True,
        text=True,
    )
    if ran.returncode != 0:
        print(f"{name}: {ran.stderr.strip().splitlines()[-1]}")
        return False
    differ = float((load_file(folder / "out.safetensors")["logits"] - expected).abs().max())
    print(f"{name}: {count / 1e6:.0f} M, {images.shape[-1]} px, differ {differ:.1e} of {float(expected.abs().max()):.2f}")
    return differ <= ALLOWED


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shear", help="the executable")
    parser.add_argument("names", nargs="*", default=MODELS, metavar="NAME", help=f"(default: {' '.join(MODELS)})")
    flags = parser.parse_args()
    good = True
    for name in flags.names:
        with tempfile.TemporaryDirectory() as folder:
            good = compare(flags.shear, name, pathlib.Path(folder)) and good
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()

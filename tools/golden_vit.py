#!/usr/bin/env python3
"""Makes the golden vectors of tests/golden with PyTorch and timm: small ViTs, one forward and one backward each.

For each case, in the format of `shear gradients`:
  NAME.weights.safetensors    timm's state dict, F32; the metadata's "model" is the spec for --model
  NAME.batch.safetensors      images F32 (B, C, H, W), labels I64 (B)
  NAME.gradients.safetensors  the gradient of every parameter under its name, logits (B, classes), loss (1)

Weights and images are rounded to F32 first and everything is computed in F64 from there, so what is stored is the
truth to F32's last digit.  Needs torch, timm and safetensors; Shear itself needs none of them.
"""

import argparse
import functools
import pathlib
import zlib

import timm
import torch
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden"

# name: batch, and the model as --model spells it
CASES = {
    "single": (1, dict(image=16, patch=4, dim=16, depth=3, heads=2, classes=5, channels=3)),
    "odd": (3, dict(image=30, patch=5, dim=18, depth=2, heads=3, classes=7, channels=3)),  # no multiple of 8 anywhere
    "grey": (4, dict(image=28, patch=4, dim=24, depth=2, heads=3, classes=10, channels=1)),
    "tokens": (2, dict(image=64, patch=4, dim=16, depth=1, heads=2, classes=10, channels=3)),  # 257: several tiles
    "narrow": (5, dict(image=9, patch=9, dim=10, depth=2, heads=1, classes=2, channels=2, mlp=3)),  # one patch, one head
}


def spec(model: dict) -> str:
    return "vit:" + ",".join(f"{key}={value}" for key, value in model.items())


def build(model: dict) -> torch.nn.Module:
    return timm.models.vision_transformer.VisionTransformer(
        img_size=model["image"],
        patch_size=model["patch"],
        in_chans=model["channels"],
        num_classes=model["classes"],
        embed_dim=model["dim"],
        depth=model["depth"],
        num_heads=model["heads"],
        mlp_ratio=model.get("mlp", 4),
        norm_layer=functools.partial(torch.nn.LayerNorm, eps=1e-6),
    )


def randomise(vit: torch.nn.Module, generator: torch.Generator) -> None:
    """Nothing zero, nothing one, and large enough that every gradient stands clear of rounding."""
    for name, parameter in vit.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        is_gamma = "norm" in name and name.endswith("weight")
        values = 1 + 0.2 * noise if is_gamma else 0.3 * noise
        parameter.data = values.float().double()


def make(name: str, out: pathlib.Path) -> int:
    batch, model = CASES[name]
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    vit = build(model).double().train()  # no dropout anywhere: train and eval are the same
    randomise(vit, generator)
    shape = (batch, model["channels"], model["image"], model["image"])
    images = torch.randn(shape, generator=generator, dtype=torch.float64).float()
    labels = torch.randint(model["classes"], (batch,), generator=generator)

    logits = vit(images.double())
    loss = torch.nn.functional.cross_entropy(logits, labels)
    loss.backward()

    weights = {key: value.detach().float().contiguous() for key, value in vit.state_dict().items()}
    gradients = {key: parameter.grad.float().contiguous() for key, parameter in vit.named_parameters()}
    assert weights.keys() == gradients.keys()
    assert all(gradient.abs().max() > 1e-6 for gradient in gradients.values())
    results = gradients | {"logits": logits.detach().float(), "loss": loss.detach().float().reshape(1)}

    files = {"weights": weights, "batch": {"images": images, "labels": labels}, "gradients": results}
    paths = [out / f"{name}.{kind}.safetensors" for kind in files]
    for path, tensors in zip(paths, files.values()):
        save_file(tensors, path, metadata={"model": spec(model)})
    return sum(path.stat().st_size for path in paths)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, default=HERE, help="directory (default: %(default)s)")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    total = 0
    for name in CASES:
        size = make(name, arguments.out)
        total += size
        print(f"{name}: {size} bytes, {spec(CASES[name][1])}")
    print(f"in all: {total} bytes")


if __name__ == "__main__":
    main()

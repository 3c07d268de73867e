#!/usr/bin/env python3
"""Fine-tunes a small model of each kind for two steps with Shear, exports it, loads the export with its library, and
compares the logits of both.

  tools/export_parity.py build/tools/shear/shear                     the files of tests/golden/families and weights
  tools/export_parity.py build/tools/shear/shear --architectures .   every architecture that `shear models` lists, by its
                                                                     regular expression: timm's own file, exported for timm

`differ` is the largest difference over the largest logit; more than 1e-5 is too much, as is a key that is missing or
unexpected.  Needs numpy, torch, timm, torchvision, transformers, safetensors and pillow; Shear itself needs none of them.
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import warnings

import numpy
import timm
import torch
import torchvision
import transformers
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from timm.models._hub import save_for_hf

warnings.filterwarnings("ignore")
GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden"
TOLERANCE = 1e-5
CLASSES = ("ant", "bee", "cat", "dog", "emu")
# What no file beside the weights says.
SIZES = "vit:image=12,patch=4,dim=24,depth=1,heads=3"
ASKED = {"torchvision": SIZES + ",hidden=40", "open_clip": SIZES + ",eps=1e-5,patch-bias=0,norm-before=1,head-bias=0"}
FILES = {"torchvision": "vit.pth", "open_clip": "open_clip_model.safetensors"}


class Refused(Exception):
    pass


def run(*command: object) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode:
        raise Refused((done.stderr.strip().splitlines() or ["no word"])[-1])
    return done.stderr


def card(file: pathlib.Path) -> dict[str, str]:
    with safe_open(file, "pt") as opened:
        return dict(item.split("=") for item in opened.metadata()["shear.model"].split(":")[1].split(","))


def logits_of_shear(shear: str, weights: pathlib.Path, images: torch.Tensor, folder: pathlib.Path, *more: str) -> torch.Tensor:
    save_file({"images": images, "labels": torch.zeros(len(images), dtype=torch.int64)}, folder / "batch.safetensors")
    run(shear, "gradients", "--weights", weights, "--batch", folder / "batch.safetensors", "--out", folder / "gradients.safetensors",
        *more)
    return load_file(folder / "gradients.safetensors")["logits"]


def by_timm(out: pathlib.Path, images: torch.Tensor) -> tuple[torch.Tensor, str]:
    model = timm.create_model(f"local-dir:{out}", pretrained=True).eval()  # strict about keys
    return model(images), json.loads((out / "config.json").read_text())["architecture"]


def by_transformers(out: pathlib.Path, images: torch.Tensor) -> tuple[torch.Tensor, str]:
    kind = json.loads((out / "config.json").read_text())["architectures"][0]
    loader = getattr(transformers, kind) if kind.endswith("Projection") else transformers.AutoModelForImageClassification
    model, info = loader.from_pretrained(out, output_loading_info=True)
    keys = {key: value for key, value in info.items() if value}
    if keys or type(model).__name__ != kind:
        raise AssertionError(f"{type(model).__name__}: {keys}")
    processor = transformers.AutoImageProcessor.from_pretrained(out)
    pixels = processor(torch.zeros(3, 40, 50, dtype=torch.uint8), return_tensors="pt")["pixel_values"]
    if pixels.shape[-1] != images.shape[-1]:
        raise AssertionError(f"its processor makes {tuple(pixels.shape)}")
    output = model.eval()(images)
    return (output.image_embeds if kind.endswith("Projection") else output.logits), kind


def by_torchvision(out: pathlib.Path, images: torch.Tensor) -> tuple[torch.Tensor, str]:
    said = card(out / "model.safetensors")
    dim = int(said["dim"])
    model = torchvision.models.VisionTransformer(
        image_size=int(said["image"]), patch_size=int(said["patch"]), num_layers=int(said["depth"]), num_heads=int(said["heads"]),
        hidden_dim=dim, mlp_dim=int(said.get("hidden", 0)) or int(said["mlp"]) * dim, num_classes=int(said["classes"]))
    model.load_state_dict(load_file(out / "model.safetensors"))
    return model.eval().double()(images.double()).float(), "VisionTransformer"  # its fast path in f32 loses digits


LOADERS = {"hf": by_transformers, "timm": by_timm, "torchvision": by_torchvision}


def check_names(out: pathlib.Path, weights: pathlib.Path) -> None:
    """Class names that the weights have are in the config."""
    if weights.suffix != ".safetensors" or not (out / "config.json").exists():
        return
    with safe_open(weights, "pt") as file:
        names = json.loads((file.metadata() or {}).get("shear.classes", "[]"))
    config = json.loads((out / "config.json").read_text())
    found = config.get("label_names") or [name for _, name in sorted(config.get("id2label", {}).items(), key=lambda item: int(item[0]))]
    if names and found and found != names:
        raise AssertionError(f"its classes are {found}, not {names}")


def make_data(folder: pathlib.Path) -> pathlib.Path:
    random = numpy.random.default_rng(1)
    for name in CLASSES:
        (folder / name).mkdir(parents=True)
        for i in range(4):
            Image.fromarray(random.integers(0, 256, (16, 16, 3), dtype=numpy.uint8)).save(folder / name / f"{i}.png")
    return folder


def relative(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    return ((ours - theirs).abs().max() / theirs.abs().max()).item()


def fine_tuned(shear: str, name: str, weights: pathlib.Path, data: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    model = ["--model", ASKED[name]] if name in ASKED else []
    run(shear, "train", "--data", data, "--weights", weights, *model, "--out", folder / "run", "--steps", 2, "--batch", 4, "--lr", "1e-2",
        "--threads", 1, "--augment", "none")
    return folder / "run" / "model.safetensors"


def row(name: str, naming: str, tuned: str, result: str, kind: str) -> None:
    print(f"{name:32} {naming:12} {tuned:12} {result:12} {kind}", flush=True)


def families(shear: str, only: str) -> int:
    wrong = 0
    row("weights", "naming", "", "differ", "loaded as")
    with tempfile.TemporaryDirectory() as root:
        data = make_data(pathlib.Path(root) / "data")
        cases = sorted(p for p in (GOLDEN / "families").iterdir() if p.is_dir())
        cases += [GOLDEN / "weights" / name for name in ("hf", "hf5", "timm", "stored.npz", "big_vision.npz")]
        for case in (c for c in cases if re.search(only, c.name)):
            weights = case / FILES.get(case.name, "model.safetensors") if case.is_dir() else case
            allowed = ["--allow-mismatch"] if case.name == "stored.npz" else []  # a layer before its head that does nothing
            for tuned in ("as read", "two steps"):
                with tempfile.TemporaryDirectory() as temporary:
                    folder = pathlib.Path(temporary)
                    model = ["--model", ASKED[case.name]] if case.name in ASKED and tuned == "as read" else []
                    file = fine_tuned(shear, case.name, weights, data, folder) if tuned == "two steps" else weights
                    for naming, load in LOADERS.items():
                        try:
                            out = folder / naming
                            run(shear, "export", "--weights", file, "--naming", naming, "--out", out, *model, *allowed)
                            said = card(out / "model.safetensors")
                            shape = 2, int(said["channels"]), int(said["image"]), int(said["image"])
                            images = torch.randn(shape, generator=torch.Generator().manual_seed(1))
                            ours = logits_of_shear(shear, file, images, folder, *model, *allowed)
                            with torch.no_grad():
                                theirs, kind = load(out, images)
                            difference = relative(ours, theirs)
                            wrong += not difference <= TOLERANCE
                            check_names(out, file)
                            row(case.name, naming, tuned, f"{difference:.1e}", kind + ("" if difference <= TOLERANCE else "  TOO MUCH"))
                        except Refused as why:
                            row(case.name, naming, tuned, "refused", str(why))
                        except Exception as why:  # of the library, at what was written
                            wrong += 1
                            row(case.name, naming, tuned, "FAILED", " ".join(str(why).split())[:300])
    return wrong


def architectures(shear: str, only: str) -> int:
    names = [line.split()[0] for line in subprocess.run([shear, "models"], capture_output=True, text=True, check=True).stdout.splitlines()
             if line.strip()]
    wrong = 0
    row("architecture", "naming", "", "differ", "loaded as")
    for name in (n for n in names if re.search(only, n) and timm.is_model(n)):
        with torch.device("meta"):
            usual = timm.create_model(name)
        heads = getattr(usual.blocks[0], "attn", usual.blocks[0]).num_heads
        width = usual.embed_dim // heads
        dim, side = 4 * heads if width % 8 else 8 * heads, 3 * usual.patch_embed.patch_size[0]
        for changes in (dict(depth=1), dict(depth=1, embed_dim=dim), dict()):
            if not changes and usual.embed_dim > 200:
                continue
            torch.manual_seed(1)
            model = timm.create_model(name, num_classes=5, img_size=side, **changes).eval()
            for parameter in model.parameters():
                parameter.data = parameter.data + 0.05 * torch.randn(parameter.shape)
            images = torch.randn(2, 3, side, side)
            with tempfile.TemporaryDirectory() as temporary, torch.no_grad():
                folder = pathlib.Path(temporary)
                save_for_hf(model, folder / "from", safe_serialization=True)
                try:
                    run(shear, "export", "--weights", folder / "from", "--naming", "timm", "--out", folder / "out")
                    theirs, kind = by_timm(folder / "out", images)
                    difference = relative(model(images), theirs)
                    names_differ = load_file(folder / "from/model.safetensors").keys() ^ load_file(folder / "out/model.safetensors").keys()
                    good = difference <= TOLERANCE and not names_differ
                    wrong += not good
                    row(name, "timm", " ".join(changes) or "whole", f"{difference:.1e}",
                        kind + ("" if good else f"  TOO MUCH {sorted(names_differ)[:3]}"))
                except Refused as why:
                    wrong += 1
                    row(name, "timm", " ".join(changes) or "whole", "refused", str(why))
                except Exception as why:
                    wrong += 1
                    row(name, "timm", " ".join(changes) or "whole", "FAILED", " ".join(str(why).split())[:300])
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shear")
    parser.add_argument("--only", default="", help="a regular expression of cases")
    parser.add_argument("--architectures", metavar="REGEX")
    flags = parser.parse_args()
    torch.set_num_threads(1)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    wrong = architectures(flags.shear, flags.architectures) if flags.architectures else families(flags.shear, flags.only)
    print(f"{wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Compares the tensors of `shear prepare` with timm's and transformers' own, for every way in which their ViTs prepare images.

    python3 tools/preprocessing_parity.py SHEAR [--every-row]

timm: every combination of settings that occurs among the pretrained tags of vision_transformer.py, deit.py, eva.py and
beit.py, beside create_transform(is_training=False), with the smallest architecture of each that Shear has, or a ViT in its
place.  transformers: the image processors of its ViTs, spelled as preprocessor_config.json on the hub spells them, in older
and newer forms, and what such files may say besides, beside the processor that AutoImageProcessor makes of them, on Pillow
and on torchvision.  Five images of odd sizes each, with hard edges, where filters overshoot and differ most.  What Shear
refuses stands with its sentence.

Prints tables in Markdown, rows of one kind together unless --every-row; exit status 1 where a tensor is further from
timm's, or from that of transformers on Pillow, than 1e-5 of the greater of 1 and its value.  Needs torch, torchvision,
timm, transformers, safetensors and Pillow 13 or later.
"""
import argparse
import collections
import json
import pathlib
import subprocess
import sys
import tempfile
import warnings

import numpy
import timm
import timm.data
import torch
import transformers
from PIL import Image
from safetensors.torch import load_file, save_file
from timm.models import _registry, get_pretrained_cfg
from timm.models._hub import save_config_for_hf

TOLERANCE = 1e-5
SIZES = [(333, 501), (641, 427), (97, 131), (1023, 345), (225, 225)]
FILES = {"vision_transformer", "deit", "eva", "beit"}


def pattern(width, height):
    """As pattern() in tests/support/image_files.h: a curved gradient with hard edges, so that bicubic overshoots."""
    y, x, c = numpy.mgrid[0:height, 0:width, 0:3]
    smooth = (3 * x * x + 5 * y * y + 7 * x * y + 37 * c) // 2 % 256
    return Image.fromarray(numpy.where((x // 4 + y // 3) % 5 == 0, 255, smooth).astype(numpy.uint8))


def shear_tensors(shear, folder, paths):
    """The batch, or the sentence with which Shear refuses."""
    out = folder / "batch.safetensors"
    run = subprocess.run([shear, "prepare", "--weights", folder / "model.safetensors", "--out", out, "--", *paths],
                         capture_output=True, text=True, check=False)
    if run.returncode:
        return run.stderr.strip().splitlines()[-1].replace(f"{folder}/", "")
    return load_file(out)["images"]


def distance(ours, theirs):
    """The largest difference, over the value where that is greater than 1."""
    if ours.shape != theirs.shape:
        return float("inf")
    return ((ours - theirs).abs() / theirs.abs().clamp(min=1)).max().item()


# timm ------------------------------------------------------------------------------------------------------------------


def timm_combinations():
    """Settings that decide about pixels, and the tags that have them."""
    tags = collections.defaultdict(list)
    for tag in timm.list_pretrained():
        if _registry._model_to_module[tag.split(".")[0]] in FILES:
            c = get_pretrained_cfg(tag)
            tags[c.crop_mode, c.crop_pct, c.interpolation, c.input_size, c.mean, c.std].append(tag)
    return dict(sorted(tags.items(), key=lambda item: -len(item[1])))


def one_block(tag, **arguments):
    if "sapiens" in tag:
        arguments["num_kv_heads"] = [1]  # which it wants for each block
    with torch.device("meta"):
        return timm.create_model(tag, depth=1, num_classes=2, **arguments)


def save_timm(tag, folder, **arguments):
    """A model of one block without values, and the config.json that timm writes beside it."""
    model = one_block(tag, **arguments)
    save_file({name: torch.zeros(t.shape) for name, t in model.state_dict().items()}, folder / "model.safetensors")
    save_config_for_hf(model, folder / "config.json")
    return model


def save_stand_in(tag, side, folder):
    """A ViT beside the preprocessing of a model that Shear does not have."""
    save_timm(tag, folder)
    prepared = json.loads((folder / "config.json").read_text())["pretrained_cfg"]
    save_timm("vit_tiny_patch16_224", folder, img_size=side)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"pretrained_cfg": prepared}))


def smallest_first(tags):
    """A tag of each architecture."""
    architectures = {tag.split(".")[0]: tag for tag in reversed(tags)}
    return sorted(architectures.values(), key=lambda tag: one_block(tag).num_features)


def compare_timm(shear, images, paths):
    rows = []
    for (mode, share, interpolation, size, mean, std), tags in timm_combinations().items():
        for tag in smallest_first(tags):
            with tempfile.TemporaryDirectory() as folder:
                folder = pathlib.Path(folder)
                model = save_timm(tag, folder)
                ours = shear_tensors(shear, folder, paths)
            if not isinstance(ours, str):  # else an architecture that Shear does not have
                break
        if isinstance(ours, str) and size[1] == size[2]:
            with tempfile.TemporaryDirectory() as folder:
                save_stand_in(tag, size[1], pathlib.Path(folder))
                ours = shear_tensors(shear, pathlib.Path(folder), paths)
        transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model), is_training=False)
        theirs = torch.stack([transform(image) for image in images])
        rows.append({"kind": (mode, share, interpolation), "size": size[1:], "mean": mean, "tags": len(tags), "ours": ours,
                     "distance": None if isinstance(ours, str) else distance(ours, theirs)})
        print(".", end="", file=sys.stderr, flush=True)
    return rows


def print_timm(rows, every_row):
    groups = collections.defaultdict(list)
    for row in rows:
        groups[row["kind"] if not every_row else len(groups)].append(row)
    print("| tags | combinations | crop_mode | crop_pct | interpolation | sizes | largest difference |\n|---|---|---|---|---|---|---|")
    for some in groups.values():
        mode, share, interpolation = some[0]["kind"]
        sizes = sorted({row["size"] for row in some})
        told = ", ".join(str(h) if h == w else f"{h} x {w}" for h, w in sizes)
        result = max((f"{row['distance']:.1e}" for row in some if row["distance"] is not None), key=float, default="none")
        for row in some:
            if row["distance"] is None:
                result += f"; {' x '.join(map(str, row['size']))} ({row['tags']} tags): {row['ours']}"
        print(f"| {sum(row['tags'] for row in some)} | {len(some)} | {mode} | {share} | {interpolation} | {told} | {result} |")
    print(f"\n{sum(row['tags'] for row in rows)} tags, {len(rows)} combinations; "
          f"{sum(row['tags'] for row in rows if row['distance'] is None)} tags of models that Shear does not have, "
          f"{sum(row['tags'] for row in rows if row['distance'] is not None and row['distance'] > TOLERANCE)} not equal\n")


# transformers ----------------------------------------------------------------------------------------------------------

IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
HALF = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
CLIP = {"image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711]}
DO = {"do_normalize": True, "do_resize": True}


# Of an odd number of black pixels the processors on Pillow have the greater half before the image, those on torchvision
# behind it.  Those on torchvision are what AutoImageProcessor makes where that is installed.
LIKE_TORCHVISION = " (beside torchvision)"


def square(side):
    return {"height": side, "width": side}


def processor(name, **keys):
    return {"image_processor_type": name + "ImageProcessor"} | keys


def extractor(name, **keys):
    return {"feature_extractor_type": name + "FeatureExtractor"} | keys


def shortest(side):
    return {"shortest_edge": side}


# What it is of, the model_type that stands beside, the model's side and patch, what the file says.
CHECKPOINTS = [
    ("ViT 224", "vit", 224, 16, processor("ViT", **DO, **HALF, size=square(224), resample=2, rescale_factor=0.00392156862745098)),
    ("ViT 384, older", "vit", 384, 32, extractor("ViT", **DO, **HALF, size=384, resample=2)),
    ("ViT without a type", "vit", 224, 16, DO | HALF | {"size": 224}),
    ("DeiT 224", "deit", 224, 16, extractor("DeiT", **DO, **IMAGENET, size=256, crop_size=224, do_center_crop=True, resample=3)),
    ("DeiT 384", "deit", 384, 16, extractor("DeiT", **DO, **IMAGENET, size=438, crop_size=384, do_center_crop=True, resample=3)),
    ("DINOv2, a model of 518", "dinov2", 518, 14,
     processor("Bit", **DO, **IMAGENET, size=shortest(256), crop_size=square(224), do_center_crop=True, do_convert_rgb=True,
               do_rescale=True, resample=3, rescale_factor=0.00392156862745098)),
    ("DINOv2 with registers", "dinov2_with_registers", 518, 14,
     processor("Bit", **DO, **IMAGENET, size=shortest(256), crop_size=square(224), do_center_crop=True, resample=3)),
    ("CLIP 224, older", "clip_vision_model", 224, 32, extractor("CLIP", **DO, **CLIP, size=224, crop_size=224, do_center_crop=True, resample=3)),
    ("CLIP 336", "clip_vision_model", 336, 14, processor("CLIP", **DO, **CLIP, size=shortest(336), crop_size=square(336), do_center_crop=True, resample=3)),
    ("SigLIP 224", "siglip_vision_model", 224, 16, processor("Siglip", **DO, **HALF, size=square(224), resample=3)),
    ("SigLIP 384, patch 14", "siglip_vision_model", 384, 14, processor("Siglip", **DO, **HALF, size=square(384), resample=3)),
    ("ViT-MSN, ViT-MAE", "vit_msn", 224, 16, extractor("ViT", **DO, **IMAGENET, size=224, resample=2)),
    ("I-JEPA 224", "ijepa", 224, 14, processor("ViT", **DO, **IMAGENET, size=square(224), resample=2)),
    ("I-JEPA 448", "ijepa", 448, 16, processor("ViT", **DO, **IMAGENET, size=square(448), resample=3)),
    ("BEiT, Data2Vec 224", "vit", 224, 16, extractor("Beit", **DO, **HALF, size=224, crop_size=224, do_center_crop=False, resample=2)),
    ("BEiT 384", "vit", 384, 16, processor("Beit", **DO, **HALF, size=square(384), crop_size=square(384), do_center_crop=False, resample=2)),
    ("BEiT 256 cut", "vit", 224, 16, processor("Beit", **DO, **HALF, size=square(256), crop_size=square(224), do_center_crop=True, resample=3)),
    ("AIMv2 224", "vit", 224, 14, processor("CLIP", **DO, **CLIP, size=shortest(224), crop_size=square(224), do_center_crop=True, resample=3)),
    ("DINOv3 (resizes floats)", "vit", 224, 16, processor("DINOv3ViT", **DO, **IMAGENET, size=square(224), resample=2)),
]
DEFAULTS = [(f"{name}: nothing but the type", "vit", side, 16, processor(name))
            for name, side in [("ViT", 224), ("DeiT", 224), ("CLIP", 224), ("Bit", 224), ("Siglip", 224), ("Beit", 224), ("ConvNext", 384)]]
DEFAULTS += [(f"{name}: not even that", kind, side, 14, {})
             for name, kind, side in [("DINOv2", "dinov2", 518), ("DeiT", "deit", 224), ("I-JEPA", "ijepa", 224)]]
SETTINGS = [
    ("odd margins", "vit", 224, 16, processor("CLIP", size=shortest(239), crop_size=square(224))),
    ("odd margins of a squash", "vit", 224, 16, processor("DeiT", size=square(247), crop_size=square(224))),
    ("Lanczos", "vit", 224, 16, processor("ViT", resample=1)),
    ("box", "vit", 224, 16, processor("CLIP", resample=4)),
    ("Hamming", "vit", 224, 16, processor("CLIP", resample=5)),
    ("a cut larger than what was resized", "vit", 224, 16, processor("CLIP", size=shortest(160), crop_size=square(224))),
    ("a squash less than the cut", "vit", 224, 16, processor("DeiT", size=square(200), crop_size=square(224))),
    ("do_resize false, the centre", "vit", 225, 25, processor("CLIP", do_resize=False, crop_size=225)),
    (f"do_resize false, an odd number of black pixels{LIKE_TORCHVISION}", "vit", 224, 16, processor("CLIP", do_resize=False)),
    ("do_rescale false", "vit", 224, 16, processor("ViT", do_rescale=False, image_mean=[127.5] * 3, image_std=[127.5] * 3)),
    ("rescale_factor 1/127.5", "vit", 224, 16, processor("ViT", rescale_factor=1 / 127.5, image_mean=[1] * 3, image_std=[1] * 3)),
    ("do_normalize false", "vit", 224, 16, processor("ViT", do_normalize=False)),
    ("ConvNext 224", "vit", 224, 16, processor("ConvNext", size=shortest(224), crop_pct=0.875)),
    ("in processor_config.json", "vit", 224, 16, {"image_processor": processor("CLIP", size=shortest(250)), "processor_class": "CLIPProcessor"}),
    ("do_center_crop false, square images", "vit", 224, 16, processor("CLIP", do_center_crop=False)),
    ("do_resize false, images of the model's size", "vit", 225, 25, processor("ViT", do_resize=False)),
]


def save_transformers(kind, side, patch, file, folder):
    small = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": side, "patch_size": patch}
    classes = {"vit": transformers.ViTModel, "deit": transformers.DeiTModel, "vit_msn": transformers.ViTMSNModel,
               "ijepa": transformers.IJepaModel, "dinov2": transformers.Dinov2Model,
               "dinov2_with_registers": transformers.Dinov2WithRegistersModel,
               "clip_vision_model": transformers.CLIPVisionModel, "siglip_vision_model": transformers.SiglipVisionModel}
    chosen = classes[kind]
    if not kind.startswith("dinov2"):
        small["intermediate_size"] = 64
    chosen(chosen.config_class(**small)).save_pretrained(folder)
    nested = "image_processor" in file
    (folder / ("processor_config.json" if nested else "preprocessor_config.json")).write_text(json.dumps(file))


def by_transformers(folder, backend, images):
    made = transformers.AutoImageProcessor.from_pretrained(folder, backend=backend)
    return torch.cat([torch.as_tensor(made(image, return_tensors="pt")["pixel_values"]).float() for image in images])


def compare_transformers(shear, images, paths):
    rows = []
    for name, kind, side, patch, file in CHECKPOINTS + DEFAULTS + SETTINGS:
        some = [i for i, image in enumerate(images) if "images" not in name or image.width == image.height]
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            save_transformers(kind, side, patch, file, folder)
            ours = shear_tensors(shear, folder, [paths[i] for i in some])
            row = {"name": name, "ours": ours, "distance": None, "levels": None, "share": None}
            if not isinstance(ours, str):
                backend = "torchvision" if name.endswith(LIKE_TORCHVISION) else "pil"
                theirs = by_transformers(folder, backend, [images[i] for i in some])
                row["distance"] = distance(ours, theirs)
                keys = file.get("image_processor", file)
                if keys.get("resample") not in (4, 5):  # torchvision has none of these for tensors
                    fast = by_transformers(folder, "torchvision", [images[i] for i in some])
                    row["levels"], row["share"] = levels(ours, fast, folder)
        rows.append(row)
        print(".", end="", file=sys.stderr, flush=True)
    return rows


def levels(ours, theirs, folder):
    """The largest difference in steps of the 8 bits in which images are resized, and the share of values that differ."""
    made = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil").to_dict()
    step = (made.get("rescale_factor") or 1 / 255) if made.get("do_rescale", True) else 1
    std = torch.tensor(made["image_std"] if made.get("do_normalize", True) else [1.0] * 3).view(1, 3, 1, 1)
    difference = (ours - theirs).abs() * std / step
    return difference.max().item(), (difference > 0.01).float().mean().item()


def print_transformers(rows):
    print("| processor | Pillow: largest difference | torchvision: largest, in 1/255 | values that differ |\n|---|---|---|---|")
    for row in rows:
        if row["distance"] is None:
            print(f"| {row['name']} | {row['ours']} | | |")
        else:
            fast = "has none" if row["levels"] is None else f"{row['levels']:.2f}"
            share = "" if row["share"] is None else f"{row['share']:.2%}"
            print(f"| {row['name']} | {row['distance']:.1e} | {fast} | {share} |")
    print()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("shear")
    parser.add_argument("--every-row", action="store_true")
    parser.add_argument("--only", choices=["timm", "transformers"])
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.manual_seed(0)
    good = True
    with tempfile.TemporaryDirectory() as folder:
        images = [pattern(*size) for size in SIZES]
        paths = [pathlib.Path(folder) / f"{i}.png" for i in range(len(images))]
        for image, path in zip(images, paths):
            image.save(path)
        if arguments.only != "transformers":
            rows = compare_timm(arguments.shear, images, paths)
            print_timm(rows, arguments.every_row)
            good &= all(row["distance"] is None or row["distance"] <= TOLERANCE for row in rows)
        if arguments.only != "timm":
            rows = compare_transformers(arguments.shear, images, paths)
            print_transformers(rows)
            good &= all(row["distance"] is None or row["distance"] <= TOLERANCE for row in rows)
    return 0 if good else 1


sys.exit(main())

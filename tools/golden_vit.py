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

SMALL = dict(image=12, patch=4, dim=12, depth=2, heads=3, classes=5, channels=3)
# name: batch, and the model as --model spells it
CASES = {
    "single": (1, dict(image=16, patch=4, dim=16, depth=3, heads=2, classes=5, channels=3)),
    "odd": (3, dict(image=30, patch=5, dim=18, depth=2, heads=3, classes=7, channels=3)),  # no multiple of 8 anywhere
    "grey": (4, dict(image=28, patch=4, dim=24, depth=2, heads=3, classes=10, channels=1)),
    "tokens": (2, dict(image=64, patch=4, dim=16, depth=1, heads=2, classes=10, channels=3)),  # 257: several tiles
    "narrow": (5, dict(image=9, patch=9, dim=10, depth=2, heads=1, classes=2, channels=2, mlp=3)),  # one patch, one head
    # What plain ViTs differ in, a feature or a few to a case.
    "clip": (3, SMALL | {"eps": 1e-5, "patch-bias": 0, "norm-before": 1}),
    "deit3": (3, SMALL | {"positions": "patches", "layer-scale": 1}),
    "dinov2": (3, SMALL | {"positions": "patches", "layer-scale": 1, "registers": 3}),
    "mean": (3, SMALL | {"cls": 0, "pool": "mean", "qkv-bias": 0, "hidden": 35}),
    "fc_norm": (3, SMALL | {"registers": 2, "pool": "mean", "norm": "pooled"}),
    "quick": (3, SMALL | {"gelu": "quick"}),
    "siglip": (3, SMALL | {"gelu": "tanh", "cls": 0, "pool": "attention", "registers": 2}),
    "distilled": (3, SMALL | {"pool": "two-heads", "registers": 1}),
    "swiglu": (3, SMALL | {"swiglu": 1, "layer-scale": 1, "hidden": 20}),
    "aimv2": (3, SMALL | {"eps": 1e-5, "cls": 0, "qkv-bias": 0, "proj-bias": 0, "swiglu": 1, "rms-norm": 1,
                          "patch-norm": 1, "pool": "mean", "hidden": 20}),
    "beit3": (3, SMALL | {"eps": 1e-5, "attn-norm": 1, "mlp-norm": 1, "pool": "mean", "norm": "pooled"}),
    "attention_all": (3, SMALL | {"pool": "attention-all", "registers": 1}),
    "after": (3, SMALL | {"norm-after": 1}),
    "eva02": (3, SMALL | {"dim": 24, "depth": 1, "registers": 1, "key-bias": 0, "rope": "index", "rope-grid": 5,
                          "rope-offset": 1}),
    "dinov3": (3, SMALL | {"dim": 24, "depth": 1, "positions": "none", "key-bias": 0, "rope": "centred", "layer-scale": 1}),
    "axial": (3, SMALL | {"dim": 24, "depth": 1, "qkv-bias": 0, "rope": "index", "rope-temperature": 100, "rope-xy": 1}),
    "beit": (3, SMALL | {"positions": "none", "key-bias": 0, "relative": "blocks", "layer-scale": 1, "pool": "mean",
                         "norm": "pooled"}),
    "beit_shared": (3, SMALL | {"key-bias": 0, "relative": "shared"}),
    "enormous": (3, SMALL | {"key-bias": 0, "norm-after": 1}),
    "pe_core": (3, SMALL | {"depth": 1, "rope": "index", "rope-xy": 1, "pool": "attention-all", "pool-hidden": 20}),
    "mixed": (3, SMALL | {"positions": "patches", "key-bias": 0, "rope": "mixed", "rope-xy": 1}),
    "mixed_rows": (2, SMALL | {"positions": "none", "key-bias": 0, "depth": 1, "rope": "mixed", "registers": 1}),
    "sapiens": (3, SMALL | {"width": 8, "depth": 3, "mlp": 1, "positions": "none", "registers": 2, "qk-norm": 1,
                            "kv-heads": 1, "kv-full": 1, "rope": "centred", "layer-scale": 1, "mlp-scale": 0, "swiglu": 1,
                            "rms-norm": 1}),
    "wide": (2, SMALL | {"image": 8, "width": 16, "depth": 1, "registers": 1, "rms-norm": 1, "qk-norm": 1}),
    "difference": (3, SMALL | {"differential": 1}),
    "beside": (3, SMALL | {"parallel": 1, "layer-scale": 1}),
    "difference_beside": (3, SMALL | {"differential": 1, "parallel": 1, "layer-scale": 1, "cls": 0, "pool": "mean"}),
    "remainder": (3, SMALL | {"image": 15}),  # three pixels beyond the last whole patch
    "bare": (3, SMALL | {"cls": 0, "positions": "none", "pool": "mean-all", "norm": "none", "gelu": "tanh"}),
}


def spec(model: dict) -> str:
    return "vit:" + ",".join(f"{key}={value}" for key, value in model.items())


def build_eva(model: dict) -> torch.nn.Module:
    rope, pool = model.get("rope", "none"), model.get("pool", "token")
    centred = rope == "centred"
    depth, heads, full = model["depth"], model["heads"], model.get("kv-full", 0)
    shared = [model["kv-heads"] if full <= i < depth - full else heads for i in range(depth)] if "kv-heads" in model else None
    norm = timm.layers.RmsNorm if model.get("rms-norm") else torch.nn.LayerNorm
    return timm.models.eva.Eva(
        img_size=(model["image"], model.get("width", model["image"])),
        patch_size=model["patch"],
        num_classes=model["classes"],
        global_pool="map" if pool == "attention-all" else pool,
        attn_pool_mlp_ratio=model["pool-hidden"] / model["dim"] if "pool-hidden" in model else None,
        embed_dim=model["dim"],
        depth=model["depth"],
        num_heads=model["heads"],
        qkv_bias=bool(model.get("qkv-bias", 1)),
        attn_type="eva" if model.get("key-bias") == 0 or not model.get("qkv-bias", 1) else "rope",
        use_post_norm=bool(model.get("norm-after", 0)),
        no_embed_class=model.get("positions") == "patches",
        norm_layer=functools.partial(norm, eps=1e-6),
        qk_norm=bool(model.get("qk-norm", 0)),
        num_kv_heads=shared,
        qkv_fused=shared is None,
        mlp_ratio=model.get("mlp", 4),
        swiglu_mlp=bool(model.get("swiglu", 0)),
        init_values=1e-5 if model.get("layer-scale") else None,
        attn_only_layer_scale=not model.get("mlp-scale", 1),
        num_reg_tokens=model.get("registers", 0),
        use_abs_pos_emb=model.get("positions") != "none",
        use_rot_pos_emb=rope != "none",
        rope_type={"centred": "dinov3", "mixed": "mixed"}.get(rope, "cat"),
        rope_grid_offset=model.get("rope-offset", 0),
        rope_grid_indexing="xy" if model.get("rope-xy") else "ij",
        rope_temperature=model.get("rope-temperature", {"centred": 100, "mixed": 10}.get(rope, 10000)),
        rope_rotate_half=centred,
        ref_feat_shape=model.get("rope-grid"),
        use_fc_norm=False,
    )


def build_relative(model: dict) -> torch.nn.Module:
    return timm.models.beit.Beit(
        img_size=model["image"],
        patch_size=model["patch"],
        num_classes=model["classes"],
        global_pool={"mean": "avg"}.get(model.get("pool"), "token"),
        embed_dim=model["dim"],
        depth=model["depth"],
        num_heads=model["heads"],
        norm_layer=functools.partial(torch.nn.LayerNorm, eps=1e-6),
        init_values=0.1 if model.get("layer-scale") else None,
        use_abs_pos_emb=model.get("positions") != "none",
        use_rel_pos_bias=model["relative"] == "blocks",
        use_shared_rel_pos_bias=model["relative"] == "shared",
    )


def build(model: dict) -> torch.nn.Module:
    if "relative" in model:
        return build_relative(model)
    if "rope" in model or model.get("key-bias") == 0:
        return build_eva(model)
    hidden = model.get("hidden", model["dim"] * model.get("mlp", 4))
    norm = model.get("norm", "tokens")
    gated = bool(model.get("swiglu"))
    gelu = {"tanh": functools.partial(torch.nn.GELU, approximate="tanh"), "quick": timm.layers.QuickGELU}
    norm_layer = timm.layers.RmsNorm if model.get("rms-norm") else torch.nn.LayerNorm
    norm_layer = functools.partial(norm_layer, eps=model.get("eps", 1e-6))
    pool = model.get("pool", "token")
    distilled = pool == "two-heads"
    kind = timm.models.deit.VisionTransformerDistilled if distilled else timm.models.vision_transformer.VisionTransformer
    blocks = timm.models.vision_transformer
    if model.get("parallel"):
        block = blocks.DiffParallelScalingBlock if model.get("differential") else blocks.ParallelScalingBlock
    else:
        block = blocks.ResPostBlock if model.get("norm-after") else blocks.Block
    return kind(
        img_size=(model["image"], model.get("width", model["image"])),
        patch_size=model["patch"],
        in_chans=model["channels"],
        num_classes=model["classes"],
        embed_dim=model["dim"],
        depth=model["depth"],
        num_heads=model["heads"],
        mlp_ratio=((2 if gated else 1) * hidden + 0.5) / model["dim"],  # which is cut to a whole number
        mlp_layer=timm.layers.SwiGLUPacked if gated else timm.layers.Mlp,
        norm_layer=norm_layer,
        embed_norm_layer=norm_layer if model.get("patch-norm") else None,
        act_layer=torch.nn.SiLU if gated else gelu.get(model.get("gelu")),
        class_token=bool(model.get("cls", 1)),
        reg_tokens=0 if distilled else model.get("registers", 0),
        no_embed_class=model.get("positions") == "patches",
        pos_embed="none" if model.get("positions") == "none" else "learn",
        pre_norm=bool(model.get("norm-before", 0)),  # which leaves out the bias of the patches
        qkv_bias=bool(model.get("qkv-bias", 1)),
        qk_norm=bool(model.get("qk-norm", 0)),
        proj_bias=bool(model.get("proj-bias", 1)),
        scale_attn_norm=bool(model.get("attn-norm", 0)),
        scale_mlp_norm=bool(model.get("mlp-norm", 0)),
        init_values=1e-5 if model.get("layer-scale") else None,
        global_pool={"token": "token", "two-heads": "token", "attention": "map", "attention-all": "map"}.get(pool, "avg"),
        pool_include_prefix=pool in ("mean-all", "attention-all"),
        block_fn=block,
        attn_layer="diff" if model.get("differential") else "attn",
        fc_norm=norm == "pooled",
        final_norm=norm != "none",
    )


def randomise(vit: torch.nn.Module, generator: torch.Generator) -> None:
    """Nothing zero, nothing one, and large enough that every gradient stands clear of rounding."""
    for name, parameter in vit.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        is_gamma = ("norm" in name and name.endswith("weight")) or "gamma" in name
        values = 1 + 0.2 * noise if is_gamma else 0.3 * noise
        parameter.data = values.float().double()


def make(name: str, out: pathlib.Path) -> int:
    batch, model = CASES[name]
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    vit = build(model).double().train()  # no dropout anywhere: train and eval are the same
    randomise(vit, generator)
    shape = (batch, model["channels"], model["image"], model.get("width", model["image"]))
    images = torch.randn(shape, generator=generator, dtype=torch.float64).float()
    labels = torch.randint(model["classes"], (batch,), generator=generator)

    logits = vit(images.double())
    loss = torch.nn.functional.cross_entropy(logits, labels)
    loss.backward()

    def named_here(tensors: dict) -> dict:
        """Under the names that Shear's parameters have, biases of queries and values with a zero between them."""
        here = {}
        for key, value in tensors.items():
            for theirs, ours in {"dist_token": "reg_token", "gamma_1": "ls1.gamma", "gamma_2": "ls2.gamma"}.items():
                key = key.replace(theirs, ours)
            if key.endswith("attn.q_bias"):
                last = tensors[key.replace("q_bias", "v_bias")]
                here[key.replace("q_bias", "qkv.bias")] = torch.cat((value, torch.zeros_like(value), last))
            elif ".attn.q_proj." in key:
                here[key.replace("q_proj", "qkv")] = torch.cat([tensors[key.replace("q_proj", p)] for p in ("q_proj", "k_proj", "v_proj")])
            elif not key.endswith("attn.v_bias") and ".k_proj." not in key and ".v_proj." not in key:
                here[key] = value
        return here

    weights = {key: value.detach().float().contiguous() for key, value in vit.state_dict().items()}
    gradients = {key: parameter.grad.float().contiguous() for key, parameter in vit.named_parameters()}
    assert weights.keys() == gradients.keys()
    assert all(gradient.abs().max() > 1e-6 for gradient in gradients.values())
    weights, gradients = named_here(weights), named_here(gradients)
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

#!/usr/bin/env python3
"""Prints the rows of models/vit_architectures.cpp: every architecture of timm's vision_transformer.py, deit.py and eva.py that
Shear's ViT is, as `--model` spells it.  Needs torch and timm; Shear itself needs neither.

What is left out, and why, goes to stderr."""

import sys

import timm
import torch
from timm.layers import LayerScale
from timm.layers import GluMlp, Mlp, RmsNorm, SwiGLU
from timm.models import deit, eva, vision_transformer


class LeftOut(Exception):
    pass


def expect(holds: bool, why: str) -> None:
    if not holds:
        raise LeftOut(why)


def rope(vit: eva.Eva) -> dict[str, object]:
    """How positions turn queries and keys."""
    turn = vit.rope
    if turn is None:
        return {}
    if type(turn) is timm.layers.pos_embed_sincos.RotaryEmbeddingDinoV3:
        expect(turn.normalize_coords == "separate" and turn.grid_offset == 0 and turn.rotate_half, "other rotary positions")
        expect(turn.min_period is None, "other rotary positions")
        found, usual = {"rope": "centred"}, 100
    else:
        expect(type(turn) is timm.layers.RotaryEmbeddingCat, f"rotary positions that are {type(turn).__name__}")
        expect(not turn.in_pixels and not turn.rotate_half and turn.grid_type == "index", "other rotary positions")
        found, usual = {"rope": "index"}, 10000
        if turn.ref_feat_shape is not None:
            found["rope-grid"] = turn.ref_feat_shape[0]
        if turn.grid_offset:
            found["rope-offset"] = int(turn.grid_offset)
    if turn.temperature != usual:
        found["rope-temperature"] = int(turn.temperature)
    if turn.grid_indexing == "xy":
        found["rope-xy"] = 1
    return found


def keys(vit: vision_transformer.VisionTransformer) -> dict[str, object]:
    """As models/vit_spec.cpp reads them; what is as in the plainest ViT is left out."""
    distilled = type(vit) is deit.VisionTransformerDistilled
    rotary = type(vit) is eva.Eva
    expect(distilled or rotary or type(vit) is vision_transformer.VisionTransformer, type(vit).__name__)
    block, patch = vit.blocks[0], vit.patch_embed
    after = type(block) in (vision_transformer.ResPostBlock, eva.EvaBlockPostNorm)
    expect(after or type(block) in (vision_transformer.Block, eva.EvaBlock), f"blocks are {type(block).__name__}")
    gated = type(block.mlp) in (GluMlp, SwiGLU)
    expect(gated or type(block.mlp) is Mlp, f"an MLP that is {type(block.mlp).__name__}")
    expect(not isinstance(block.mlp, GluMlp) or not block.mlp.gate_last, "a gate that is the second half")
    expect(type(patch) is timm.layers.PatchEmbed, f"a stem that is {type(patch).__name__}")
    pool = vit.attn_pool
    expect(vit.global_pool in ("token", "avg", "map"), f"pooling by {vit.global_pool!r}")
    if pool is not None:
        expect(type(pool) is timm.layers.AttentionPoolLatent, f"pooling by {type(pool).__name__}")
        expect(pool.latent_len == 1 and pool.pos_embed is None, "another attention pool")
        expect(isinstance(pool.q_norm, torch.nn.Identity), "an attention pool with norms of queries and keys")
        expect(pool.mlp.fc1.out_features == block.mlp.fc1.out_features, "an attention pool of another width")
    norms = [m for m in vit.modules() if "Norm" in type(m).__name__]
    rms = isinstance(block.norm1, RmsNorm)
    expect(all(isinstance(n, RmsNorm if rms else torch.nn.LayerNorm) for n in norms), "norms of several kinds")
    eps = {n.eps for n in norms}
    expect(len(eps) == 1, f"norms of several epsilons, {eps}")
    attention = block.attn
    kinds = (timm.layers.Attention, timm.layers.AttentionRope, eva.EvaAttention)
    expect(type(attention) in kinds, f"attention that is {type(attention).__name__}")
    expect(getattr(attention, "gate", None) is None, "attention with a gate")
    expect(getattr(attention, "num_kv_heads", attention.num_heads) == attention.num_heads, "keys that heads share")
    for part in (attention.q_norm, attention.k_norm):
        expect(isinstance(part, torch.nn.Identity), "a norm of queries and keys")
    first = block.mlp.fc1_g if isinstance(block.mlp, SwiGLU) else block.mlp.fc1
    biases = {layer.bias is None for layer in (attention.proj, first, block.mlp.fc2)}
    expect(len(biases) == 1, "biases in some of the last layers")
    act = type(block.mlp.act).__name__
    tanh = act == "GELUTanh" or getattr(block.mlp.act, "approximate", "none") == "tanh"
    expect(act == "SiLU" if gated else act in ("GELU", "GELUTanh", "QuickGELU"), f"the activation {act}")
    (height, width), (side, other) = patch.img_size, patch.patch_size
    expect(height == width and side == other, "images or patches that are not square")
    dim, hidden = vit.embed_dim, block.mlp.fc2.in_features
    found: dict[str, object] = {"image": height, "patch": side, "dim": dim, "depth": len(vit.blocks),
                                "heads": attention.num_heads}
    if patch.proj.in_channels != 3:
        found["channels"] = patch.proj.in_channels
    if hidden % dim:
        found["hidden"] = hidden
    elif hidden != 4 * dim:
        found["mlp"] = hidden // dim
    if (epsilon := eps.pop()) != 1e-6:
        found["eps"] = f"{epsilon:g}".replace("e-0", "e-")
    if tanh or act == "QuickGELU":
        found["gelu"] = "tanh" if tanh else "quick"
    if vit.cls_token is None:
        found["cls"] = 0
    if vit.pos_embed is None:
        found["positions"] = "none"
    elif vit.pos_embed.shape[1] == patch.num_patches and vit.num_prefix_tokens > 0:
        found["positions"] = "patches"
    if patch.proj.bias is None:
        found["patch-bias"] = 0
    if attention.qkv is not None:
        query, key = attention.qkv.bias, attention.qkv.bias
        if getattr(attention, "q_bias", None) is not None:
            query = attention.q_bias
    else:
        query, key = attention.q_proj.bias, attention.k_proj.bias
    if query is None:
        found["qkv-bias"] = 0
    elif key is None:
        found["key-bias"] = 0
    if after:
        found["norm-after"] = 1
    found |= rope(vit) if rotary else {}
    if biases.pop():
        found["proj-bias"] = 0
    for key, there in {"swiglu": gated, "rms-norm": rms, "patch-norm": not isinstance(patch.norm, torch.nn.Identity),
                       "attn-norm": not isinstance(attention.norm, torch.nn.Identity),
                       "mlp-norm": not isinstance(block.mlp.norm, torch.nn.Identity)}.items():
        if there:
            found[key] = 1
    if not isinstance(vit.norm_pre, torch.nn.Identity):
        found["norm-before"] = 1
    if (block.gamma_1 is not None) if rotary and not after else isinstance(getattr(block, "ls1", None), LayerScale):
        found["layer-scale"] = 1
    if distilled:
        found["pool"] = "two-heads"
        found["registers"] = 1
    elif pool is not None:
        found["pool"] = "attention-all" if getattr(vit, "pool_include_prefix", rotary) else "attention"
        if pool.num_heads != attention.num_heads:
            found["pool-heads"] = pool.num_heads
    elif vit.global_pool == "avg":
        found["pool"] = "mean-all" if getattr(vit, "pool_include_prefix", False) else "mean"
    if not isinstance(vit.fc_norm, torch.nn.Identity):
        found["norm"] = "pooled"
    elif isinstance(vit.norm, torch.nn.Identity):
        found["norm"] = "none"
    if not distilled and vit.reg_token is not None:
        found["registers"] = vit.reg_token.shape[1]
    return found


def main() -> None:
    names = sorted({n.split(".")[0] for module in (vision_transformer, deit, eva)
                    for n in timm.list_models(module=module.__name__.split(".")[-1])})
    for name in names:
        try:
            with torch.device("meta"):
                vit = timm.create_model(name, num_classes=1)
            line = ",".join(f"{key}={value}" for key, value in keys(vit).items())
            print(f'    {{"{name}", "{line}"}},')
        except LeftOut as why:
            print(f"{name}: {why}", file=sys.stderr)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Prints the rows of models/vit_architectures.cpp: every architecture of timm's vision_transformer.py, deit.py, eva.py and
beit.py that Shear's ViT is, as `--model` spells it.  Needs torch and timm; Shear itself needs neither.

What is left out, and why, goes to stderr."""

import sys

import timm
import torch
from timm.layers import LayerScale
from timm.layers import GluMlp, Mlp, RmsNorm, SwiGLU
from timm.models import beit, deit, eva, vision_transformer


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
    elif type(turn) is timm.layers.RotaryEmbeddingMixed:
        found, usual = {"rope": "mixed"}, turn.temperature  # of what they are drawn as
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


def attention_of(block: torch.nn.Module) -> torch.nn.Module:
    """Which holds what two attentions are made one by."""
    return getattr(block, "attn", block)


def keys(vit: vision_transformer.VisionTransformer) -> dict[str, object]:
    """As models/vit_spec.cpp reads them; what is as in the plainest ViT is left out."""
    distilled = type(vit) is deit.VisionTransformerDistilled
    rotary, relative = type(vit) is eva.Eva, type(vit) is beit.Beit
    expect(distilled or rotary or relative or type(vit) is vision_transformer.VisionTransformer, type(vit).__name__)
    block, patch = vit.blocks[0], vit.patch_embed
    after = type(block) in (vision_transformer.ResPostBlock, eva.EvaBlockPostNorm)
    side_by_side = type(block) in (vision_transformer.ParallelScalingBlock, vision_transformer.DiffParallelScalingBlock)
    expect(after or side_by_side or type(block) in (vision_transformer.Block, eva.EvaBlock, beit.Block), f"blocks are {type(block).__name__}")
    mlp = None if side_by_side else block.mlp
    gated = type(mlp) in (GluMlp, SwiGLU)
    expect(side_by_side or gated or type(mlp) is Mlp, f"an MLP that is {type(mlp).__name__}")
    expect(not isinstance(mlp, GluMlp) or not mlp.gate_last, "a gate that is the second half")
    attention = block if side_by_side else block.attn
    differential = hasattr(attention, "lambda_init")
    norm = block.in_norm if side_by_side else block.norm1
    if side_by_side:
        expect(block.in_proj.bias is not None, "a first layer without a bias")
        expect((block.out_proj is not None) == differential, "other last layers")
    hidden = block.in_split[0] if side_by_side else mlp.fc2.in_features
    expect(type(patch) is timm.layers.PatchEmbed, f"a stem that is {type(patch).__name__}")
    pool = getattr(vit, "attn_pool", None)
    expect(vit.global_pool in ("token", "avg", "map"), f"pooling by {vit.global_pool!r}")
    if pool is not None:
        expect(type(pool) is timm.layers.AttentionPoolLatent, f"pooling by {type(pool).__name__}")
        expect(pool.latent_len == 1 and pool.pos_embed is None, "another attention pool")
        expect(isinstance(pool.q_norm, torch.nn.Identity), "an attention pool with norms of queries and keys")
    of_heads = [attention_of(b).sub_norm for b in vit.blocks] if differential else []
    expect(all(type(n) is RmsNorm and n.eps == 1e-5 for n in of_heads), "another norm of the difference")
    expect(not differential or not attention.dual_lambda, "a difference of two numbers")
    norms = [m for m in vit.modules() if "Norm" in type(m).__name__ and type(m) is not type(block) and not any(m is n for n in of_heads)]
    rms = isinstance(norm, RmsNorm)
    expect(all(isinstance(n, RmsNorm if rms else torch.nn.LayerNorm) for n in norms), "norms of several kinds")
    eps = {n.eps for n in norms}
    expect(len(eps) == 1, f"norms of several epsilons, {eps}")
    kinds = (timm.layers.Attention, timm.layers.AttentionRope, eva.EvaAttention, timm.layers.DiffAttention, beit.Attention)
    expect(side_by_side or type(attention) in kinds, f"attention that is {type(attention).__name__}")
    expect(getattr(attention, "gate", None) is None, "attention with a gate")
    owned = [getattr(attention_of(b), "num_kv_heads", attention.num_heads) for b in vit.blocks]  # keys, by block
    full = next((i for i, heads in enumerate(owned) if heads != attention.num_heads), 0)
    expect(len(set(owned)) == 1 or owned == owned[::-1] and len(set(owned[full:len(owned) - full])) == 1,
           "keys that heads share in some blocks")
    normed = not relative and not isinstance(attention.q_norm, torch.nn.Identity)
    expect(relative or normed == (not isinstance(attention.k_norm, torch.nn.Identity)), "a norm of queries or keys alone")
    expect(not normed or not (side_by_side or differential), "a norm of queries and keys in such a block")
    if side_by_side:
        lasts = (block.out_proj,) if differential else (block.attn_out_proj, block.mlp_out_proj)
    else:
        lasts = (attention.proj, mlp.fc1_g if isinstance(mlp, SwiGLU) else mlp.fc1, mlp.fc2)
    biases = {layer.bias is None for layer in lasts}
    expect(len(biases) == 1, "biases in some of the last layers")
    activation = block.mlp_act if side_by_side else mlp.act
    act = type(activation).__name__
    tanh = act == "GELUTanh" or getattr(activation, "approximate", "none") == "tanh"
    expect(act == "SiLU" if gated else act in ("GELU", "GELUTanh", "QuickGELU"), f"the activation {act}")
    (height, width), (side, other) = patch.img_size, patch.patch_size
    expect(side == other, "patches that are not square")
    dim = vit.embed_dim
    found: dict[str, object] = {"image": height, "patch": side, "dim": dim, "depth": len(vit.blocks),
                                "heads": attention.num_heads}
    if width != height:
        found["width"] = width
    if len(set(owned)) > 1 or owned[0] != attention.num_heads:
        found |= {"kv-heads": owned[full], "kv-full": full} if full else {"kv-heads": owned[full]}
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
    if side_by_side:
        query = key = block.in_proj.bias
    elif attention.qkv is not None:
        query, key = attention.qkv.bias, attention.qkv.bias
        if getattr(attention, "q_bias", None) is not None:
            query = attention.q_bias
    else:
        query, key = attention.q_proj.bias, attention.k_proj.bias
    if query is None:
        found["qkv-bias"] = 0
    elif key is None:
        found["key-bias"] = 0
    if relative:
        expect(vit.rel_pos_bias is None or attention.relative_position_bias_table is None, "two relative positions")
        if vit.rel_pos_bias is not None:
            found["relative"] = "shared"
        elif attention.relative_position_bias_table is not None:
            found["relative"] = "blocks"
    if after:
        found["norm-after"] = 1
    found |= rope(vit) if rotary else {}
    if biases.pop():
        found["proj-bias"] = 0
    for key, there in {"differential": differential, "parallel": side_by_side, "swiglu": gated, "rms-norm": rms, "patch-norm": not isinstance(patch.norm, torch.nn.Identity),
                       "qk-norm": normed, "attn-norm": not side_by_side and not relative and not isinstance(attention.norm, torch.nn.Identity),
                       "mlp-norm": not side_by_side and not isinstance(mlp.norm, torch.nn.Identity)}.items():
        if there:
            found[key] = 1
    if not relative and not isinstance(vit.norm_pre, torch.nn.Identity):
        found["norm-before"] = 1
    scale = getattr(block, "ls" if side_by_side else "ls1", None)
    if (block.gamma_1 is not None) if relative or rotary and not after else isinstance(scale, LayerScale):
        found["layer-scale"] = 1
        if rotary and not after and block.gamma_2 is None:
            found["mlp-scale"] = 0
    if distilled:
        found["pool"] = "two-heads"
        found["registers"] = 1
    elif pool is not None:
        found["pool"] = "attention-all" if getattr(vit, "pool_include_prefix", rotary) else "attention"
        if pool.num_heads != attention.num_heads:
            found["pool-heads"] = pool.num_heads
        if pool.mlp.fc1.out_features != hidden:
            found["pool-hidden"] = pool.mlp.fc1.out_features
    elif vit.global_pool == "avg":
        found["pool"] = "mean-all" if getattr(vit, "pool_include_prefix", False) else "mean"
    if not isinstance(vit.fc_norm, torch.nn.Identity):
        found["norm"] = "pooled"
    elif isinstance(vit.norm, torch.nn.Identity):
        found["norm"] = "none"
    if getattr(vit, "reg_token", None) is not None:
        found["registers"] = vit.reg_token.shape[1]
    return found


def main() -> None:
    names = sorted({n.split(".")[0] for module in (vision_transformer, deit, eva, beit)
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

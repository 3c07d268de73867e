#!/usr/bin/env python3
"""Makes tests/golden/weights: one small random ViT as each library saves it, and what each library computes with it.

  timm/ hf/ hf_base/ hf5/   as timm's save_for_hf and transformers' save_pretrained write them; hf5: the state dict's own keys
  *.npz                     the layouts of Google's vit_jax and big_vision, written with NumPy
  expected.safetensors      images (1, 3, H, W); logits.CASE and logits.CASE.20 (at another image size);
                            positions.METHOD.FROM.TO, and positions.FROM that they are made from

vit_jax and big_vision are written out below in NumPy, in double precision; the other libraries compute for themselves.
Needs numpy, scipy, torch, timm, transformers and safetensors; Shear itself needs none of them.
"""

import argparse
import pathlib
import shutil
import struct
import zlib

import numpy as np
import scipy.ndimage
import timm
import torch
import transformers
from safetensors.torch import save_file
from timm.layers import resample_abs_pos_embed

HERE = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "weights"
IMAGE, OTHER_IMAGE, PATCH, DIM, DEPTH, HEADS, HIDDEN, CLASSES = 12, 20, 4, 12, 2, 3, 24, 5
NAMES = ["cat", "dog", "yak", "été", "a, b"]


def timm_model(**changes) -> torch.nn.Module:
    arguments = dict(img_size=IMAGE, patch_size=PATCH, embed_dim=DIM, depth=DEPTH, num_heads=HEADS, mlp_ratio=HIDDEN // DIM,
                     num_classes=CLASSES)
    return timm.create_model("vit_base_patch16_224", **(arguments | changes)).eval()


def randomise(model: torch.nn.Module) -> None:
    generator = torch.Generator().manual_seed(7)
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        is_gamma = "norm" in name and name.endswith("weight")
        parameter.data = 1 + 0.2 * noise if is_gamma else 0.3 * noise


def hf_config(**changes) -> transformers.ViTConfig:
    return transformers.ViTConfig(
        hidden_size=DIM, num_hidden_layers=DEPTH, num_attention_heads=HEADS, intermediate_size=HIDDEN, image_size=IMAGE,
        patch_size=PATCH, num_labels=CLASSES, id2label=dict(enumerate(NAMES)),
        label2id={name: i for i, name in enumerate(NAMES)}, **changes)


# -- Google's layouts --------------------------------------------------------------------------------------------------


def flax_layout(state: dict, big_vision: bool) -> dict:
    """timm's state dict as flax's modules hold it."""
    attention, norm2, mlp = ("MultiHeadDotProductAttention_0", "LayerNorm_1", "MlpBlock_0") if big_vision else (
        "MultiHeadDotProductAttention_1", "LayerNorm_2", "MlpBlock_3")
    w = {name: value.numpy() for name, value in state.items()}
    out = {
        "cls": w["cls_token"],
        "embedding/kernel": w["patch_embed.proj.weight"].transpose(2, 3, 1, 0),
        "embedding/bias": w["patch_embed.proj.bias"],
        "Transformer/encoder_norm/scale": w["norm.weight"],
        "Transformer/encoder_norm/bias": w["norm.bias"],
        "head/kernel": w["head.weight"].T,
        "head/bias": w["head.bias"],
    }
    if big_vision:
        out["pos_embedding"] = w["pos_embed"][:, 1:]  # the class token joins after the positions
    else:
        out["Transformer/posembed_input/pos_embedding"] = w["pos_embed"]
    for i in range(DEPTH):
        ours, theirs = f"blocks.{i}.", f"Transformer/encoderblock_{i}/"
        qkv, qkv_bias = w[ours + "attn.qkv.weight"], w[ours + "attn.qkv.bias"]
        for part, name in enumerate(("query", "key", "value")):
            rows = slice(part * DIM, (part + 1) * DIM)
            out[f"{theirs}{attention}/{name}/kernel"] = qkv[rows].T.reshape(DIM, HEADS, DIM // HEADS)
            out[f"{theirs}{attention}/{name}/bias"] = qkv_bias[rows].reshape(HEADS, DIM // HEADS)
        out[f"{theirs}{attention}/out/kernel"] = w[ours + "attn.proj.weight"].T.reshape(HEADS, DIM // HEADS, DIM)
        out[f"{theirs}{attention}/out/bias"] = w[ours + "attn.proj.bias"]
        for name, norm in (("norm1", "LayerNorm_0"), ("norm2", norm2)):
            out[f"{theirs}{norm}/scale"] = w[f"{ours}{name}.weight"]
            out[f"{theirs}{norm}/bias"] = w[f"{ours}{name}.bias"]
        for name, dense in (("fc1", "Dense_0"), ("fc2", "Dense_1")):
            out[f"{theirs}{mlp}/{dense}/kernel"] = w[f"{ours}mlp.{name}.weight"].T
            out[f"{theirs}{mlp}/{dense}/bias"] = w[f"{ours}mlp.{name}.bias"]
    return {name: np.ascontiguousarray(value) for name, value in out.items()}


def flax_forward(w: dict, image: np.ndarray, big_vision: bool) -> np.ndarray:
    """vit_jax's and big_vision's VisionTransformer with a class token, dense by dense."""
    attention, norm2, mlp = ("MultiHeadDotProductAttention_0", "LayerNorm_1", "MlpBlock_0") if big_vision else (
        "MultiHeadDotProductAttention_1", "LayerNorm_2", "MlpBlock_3")
    w = {name: value.astype(np.float64) for name, value in w.items()}

    def norm(x, name):
        mean, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
        return (x - mean) / np.sqrt(var + 1e-6) * w[name + "/scale"] + w[name + "/bias"]

    def gelu(x):  # jax.nn.gelu's default is the approximation
        return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))

    side = image.shape[-1] // PATCH
    patches = image[0].transpose(1, 2, 0).reshape(side, PATCH, side, PATCH, 3)
    x = np.einsum("ahbwc,hwco->abo", patches, w["embedding/kernel"]).reshape(1, side * side, DIM) + w["embedding/bias"]
    positions = w["pos_embedding" if big_vision else "Transformer/posembed_input/pos_embedding"]
    prefix = 0 if big_vision else 1
    if positions.shape[1] != side * side + prefix:
        positions = np.concatenate([positions[:, :prefix], zoomed(positions[0, prefix:], side)[None]], axis=1)
    if big_vision:
        x = np.concatenate([w["cls"], x + positions], axis=1)
    else:
        x = np.concatenate([w["cls"], x], axis=1) + positions
    for i in range(DEPTH):
        block = f"Transformer/encoderblock_{i}/"
        y = norm(x, block + "LayerNorm_0")
        q, k, v = (np.einsum("bnd,dhk->bnhk", y, w[f"{block}{attention}/{name}/kernel"]) + w[f"{block}{attention}/{name}/bias"]
                   for name in ("query", "key", "value"))
        logits = np.einsum("bnhk,bmhk->bhnm", q / np.sqrt(DIM // HEADS), k)
        share = np.exp(logits - logits.max(-1, keepdims=True))
        share /= share.sum(-1, keepdims=True)
        y = np.einsum("bhnm,bmhk->bnhk", share, v)
        x = x + np.einsum("bnhk,hkd->bnd", y, w[f"{block}{attention}/out/kernel"]) + w[f"{block}{attention}/out/bias"]
        y = norm(x, block + norm2)
        y = gelu(y @ w[f"{block}{mlp}/Dense_0/kernel"] + w[f"{block}{mlp}/Dense_0/bias"])
        x = x + y @ w[f"{block}{mlp}/Dense_1/kernel"] + w[f"{block}{mlp}/Dense_1/bias"]
    return norm(x, "Transformer/encoder_norm")[:, 0] @ w["head/kernel"] + w["head/bias"]


def zoomed(grid: np.ndarray, side: int) -> np.ndarray:
    """As vit_jax, big_vision and BackRazor."""
    old = round(len(grid) ** 0.5)
    zoom = (side / old, side / old, 1)
    return scipy.ndimage.zoom(grid.reshape(old, old, -1), zoom, order=1).reshape(side * side, -1)


def stacked(w: dict) -> dict:
    """big_vision's `scan` keeps all blocks in one array."""
    out = {name: value for name, value in w.items() if "encoderblock_" not in name}
    for name in w:
        if "encoderblock_0" in name:
            blocks = [w[name.replace("encoderblock_0", f"encoderblock_{i}")] for i in range(DEPTH)]
            out[name.replace("encoderblock_0", "encoderblock")] = np.stack(blocks)
    return out


def save_zip64(path: pathlib.Path, arrays: dict) -> None:
    """As zip files beyond 4 GiB are: every size and place stands in a zip64 field, the end in a zip64 record."""
    body, directory = b"", b""
    for name, array in arrays.items():
        header = str({"descr": array.dtype.str, "fortran_order": False, "shape": array.shape}).encode()
        header += b" " * (-(len(header) + 11) % 64) + b"\n"
        data = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + array.tobytes()
        name, crc, at = (name + ".npy").encode(), zlib.crc32(data), len(body)
        sizes = struct.pack("<HHQQ", 1, 16, len(data), len(data))
        body += struct.pack("<IHHHHHIIIHH", 0x04034B50, 45, 0, 0, 0, 0x21, crc, 2**32 - 1, 2**32 - 1, len(name), len(sizes))
        body += name + sizes + data
        extra = struct.pack("<HHQQQ", 1, 24, len(data), len(data), at)
        directory += struct.pack("<IHHHHHHIIIHHHHHII", 0x02014B50, 45, 45, 0, 0, 0, 0x21, crc, 2**32 - 1, 2**32 - 1, len(name),
                                 len(extra), 0, 0, 0, 0, 2**32 - 1) + name + extra
    count, end64 = len(arrays), len(body) + len(directory)
    end = struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 45, 45, 0, 0, count, count, len(directory), len(body))
    end += struct.pack("<IIQI", 0x07064B50, 0, end64, 1)
    end += struct.pack("<IHHHHIIH", 0x06054B50, 2**16 - 1, 2**16 - 1, 2**16 - 1, 2**16 - 1, 2**32 - 1, 2**32 - 1, 0)
    path.write_bytes(body + directory + end)


# -- Everything ----------------------------------------------------------------------------------------------------------


def position_cases(expected: dict) -> None:
    generator = torch.Generator().manual_seed(3)
    for old, new in ((4, 7), (7, 4), (3, 5), (14, 6), (5, 1), (1, 3)):
        grid = torch.randn(1, old * old + 1, 2, generator=generator)
        expected[f"positions.{old}"] = grid
        hf = transformers.models.vit.modeling_vit.ViTEmbeddings(transformers.ViTConfig(hidden_size=2, image_size=old, patch_size=1))
        hf.position_embeddings.data = grid
        results = {
            "zoom": torch.from_numpy(np.concatenate([grid[0, :1], zoomed(grid[0, 1:].numpy(), new)])[None]),
            "bilinear": resample_abs_pos_embed(grid, [new, new], interpolation="bilinear", antialias=False),
            "bicubic": hf.interpolate_pos_encoding(torch.zeros(1, new * new + 1, 2), new, new),
            "bicubic-antialias": resample_abs_pos_embed(grid, [new, new]),
        }
        for method, result in results.items():
            expected[f"positions.{method}.{old}.{new}"] = result.detach().float().contiguous()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, default=HERE, help="directory (default: %(default)s)")
    out = parser.parse_args().out
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    images = {size: torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(size)) for size in (IMAGE, OTHER_IMAGE)}
    expected = {f"images.{size}": image for size, image in images.items()}

    model = timm_model()
    randomise(model)
    arguments = dict(img_size=IMAGE, patch_size=PATCH, embed_dim=DIM, depth=DEPTH, num_heads=HEADS, mlp_ratio=HIDDEN // DIM)
    timm.models.save_for_hf(model, out / "timm", model_config=dict(label_names=NAMES), model_args=arguments, safe_serialization=True)
    again = timm.create_model(f"local-dir:{out / 'timm'}", pretrained=True).eval()
    expected["logits.timm"] = again(images[IMAGE])
    assert torch.equal(expected["logits.timm"], model(images[IMAGE]))
    resized = timm.create_model(f"local-dir:{out / 'timm'}", pretrained=True, img_size=OTHER_IMAGE).eval()
    expected["logits.timm.20"] = resized(images[OTHER_IMAGE])

    hf = transformers.ViTForImageClassification(hf_config()).eval()
    randomise(hf)
    hf.save_pretrained(out / "hf")
    transformers.ViTImageProcessor(size={"height": IMAGE, "width": IMAGE}, image_mean=[0.4, 0.5, 0.6]).save_pretrained(out / "hf")
    again = transformers.ViTForImageClassification.from_pretrained(out / "hf").eval()
    expected["logits.hf"] = again(images[IMAGE]).logits
    assert torch.allclose(expected["logits.hf"], hf(images[IMAGE]).logits, atol=1e-5)
    expected["logits.hf.20"] = hf(images[OTHER_IMAGE], interpolate_pos_encoding=True).logits
    base = transformers.ViTModel(hf_config())  # with a pooler and without a head
    randomise(base)
    base.save_pretrained(out / "hf_base")

    tanh = transformers.ViTForImageClassification(hf_config(hidden_act="gelu_pytorch_tanh", layer_norm_eps=1e-3)).eval()
    randomise(tanh)
    (out / "hf5").mkdir()
    tanh.config.save_pretrained(out / "hf5")
    save_file(tanh.state_dict(), out / "hf5" / "model.safetensors")
    expected["logits.hf5"] = tanh(images[IMAGE]).logits

    state = model.state_dict()
    google, big_vision = flax_layout(state, False), flax_layout(state, True)
    in21k = google | {"pre_logits/kernel": np.eye(DIM, dtype=np.float32), "pre_logits/bias": np.zeros(DIM, np.float32)}
    np.savez(out / "stored.npz", **in21k)
    np.savez_compressed(out / "deflated.npz", **{"opt/target/" + name: value for name, value in google.items()})
    np.savez(out / "big_vision.npz", **{"params/" + name: value for name, value in big_vision.items()})
    np.savez(out / "stacked.npz", **{"params/" + name: np.asfortranarray(value) for name, value in stacked(big_vision).items()})
    save_zip64(out / "zip64.npz", google)
    for size, suffix in ((IMAGE, ""), (OTHER_IMAGE, f".{OTHER_IMAGE}")):
        image = images[size].double().numpy()
        for name, w in (("google", google), ("big_vision", big_vision)):
            logits = flax_forward(w, image, name == "big_vision")
            expected[f"logits.{name}{suffix}"] = torch.from_numpy(logits).float()

    # timm's own reading of the same file: the check of our layout, and its way to resize.
    for size, name in ((IMAGE, "timm_npz"), (OTHER_IMAGE, "timm_npz.20")):
        loaded = timm_model(img_size=size)
        loaded.load_pretrained(str(out / "stored.npz"))
        expected[f"logits.{name}"] = loaded(images[size])
    assert torch.allclose(expected["logits.timm_npz"], expected["logits.timm"], atol=1e-5)
    loaded = timm_model(act_layer="gelu_tanh")
    loaded.load_pretrained(str(out / "stored.npz"))
    assert torch.allclose(loaded(images[IMAGE]), expected["logits.google"], atol=1e-5)

    position_cases(expected)
    save_file({name: value.detach().contiguous() for name, value in expected.items()}, out / "expected.safetensors")
    total = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    print(f"timm {timm.__version__}, transformers {transformers.__version__}, torch {torch.__version__}: {total} bytes in {out}")


if __name__ == "__main__":
    main()

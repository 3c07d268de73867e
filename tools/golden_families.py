#!/usr/bin/env python3
"""Makes tests/golden/families: a small random model of each kind as its library saves it, and the logits it computes.

  CASE/                   the weights and the config beside them, as save_for_hf and save_pretrained write them
  expected.safetensors    images (2, 3, H, W), the same for all; logits.CASE

Needs torch, timm, torchvision, transformers and safetensors; Shear itself needs none of them.
"""

import argparse
import pathlib
import re
import shutil
import zlib

import timm
import torch
import torchvision
import transformers
from safetensors.torch import save_file
from timm.models._hub import save_for_hf

HERE = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "families"
IMAGE, PATCH, DIM, DEPTH, HEADS, HIDDEN, CLASSES = 12, 4, 24, 1, 3, 40, 5
IMAGES = torch.randn(2, 3, IMAGE, IMAGE, generator=torch.Generator().manual_seed(1))


def randomise(model: torch.nn.Module, seed: int) -> torch.nn.Module:
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        is_scale = parameter.dim() == 1 and re.search(r"(norm|ln_|gamma|lambda|\.ln).*(weight|gamma|gamma_.|lambda1)$", name)
        parameter.data = 1 + 0.2 * noise if is_scale else 0.3 * noise
    return model.eval()


def of_timm(architecture: str, **changes):
    def make(folder: pathlib.Path) -> torch.Tensor:
        arguments = dict(img_size=IMAGE, patch_size=PATCH, embed_dim=DIM, depth=DEPTH, num_heads=HEADS, num_classes=CLASSES)
        model = randomise(timm.create_model(architecture, **(arguments | changes)), zlib.crc32(architecture.encode()))
        save_for_hf(model, folder, safe_serialization=True)
        return model(IMAGES)
    return make


def of_transformers(make_model, pick=lambda output: output.logits):
    def make(folder: pathlib.Path) -> torch.Tensor:
        model = randomise(make_model(), 5)
        model.save_pretrained(folder)
        return pick(model(IMAGES))
    return make


def image_and_text(kind, config, **changes):
    text = dict(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, vocab_size=8,
                max_position_embeddings=4, bos_token_id=0, eos_token_id=1, pad_token_id=1)
    return kind(config(text_config=text, vision_config=SIZES | changes, num_labels=CLASSES))


def torchvision_model(folder: pathlib.Path) -> torch.Tensor:
    model = torchvision.models.VisionTransformer(image_size=IMAGE, patch_size=PATCH, num_layers=DEPTH, num_heads=HEADS,
                                                 hidden_dim=DIM, mlp_dim=HIDDEN, num_classes=CLASSES)
    model = randomise(model, 6)
    torch.save(model.state_dict(), folder / "vit.pth")
    return model.double()(IMAGES.double()).float()  # its fast path in single precision loses digits


def open_clip_model(folder: pathlib.Path) -> torch.Tensor:
    """Under OpenAI's names, with a tensor of the text tower; computed by timm."""
    model = timm.create_model("vit_base_patch16_clip_224", img_size=IMAGE, patch_size=PATCH, embed_dim=DIM, depth=DEPTH,
                              num_heads=HEADS, num_classes=CLASSES)
    model = randomise(model, 7)
    model.head.bias.data.zero_()
    names = {"cls_token": "class_embedding", "pos_embed": "positional_embedding", "patch_embed.proj": "conv1",
             "norm_pre": "ln_pre", "blocks": "transformer.resblocks", "norm1": "ln_1", "norm2": "ln_2",
             "attn.qkv.": "attn.in_proj_", "attn.proj": "attn.out_proj", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj"}
    tensors = {"logit_scale": torch.ones(1), "transformer.resblocks.0.ln_1.weight": torch.ones(8)}
    for key, value in model.state_dict().items():
        if key == "head.bias":
            continue
        if key in ("cls_token", "pos_embed"):
            value = value.squeeze()
        if key == "head.weight":
            key, value = "proj", value.T
        if key.startswith("norm."):
            key = "ln_post." + key.removeprefix("norm.")
        for ours, theirs in names.items():
            key = key.replace(ours, theirs)
        tensors["visual." + key] = value.contiguous()
    save_file(tensors, folder / "open_clip_model.safetensors")
    return model(IMAGES)


T = transformers
SIZES = dict(hidden_size=DIM, num_hidden_layers=DEPTH, num_attention_heads=HEADS, intermediate_size=HIDDEN,
             image_size=IMAGE, patch_size=PATCH)
LABELS = SIZES | dict(num_labels=CLASSES)
DINO = {key: value for key, value in LABELS.items() if key != "intermediate_size"} | dict(mlp_ratio=2)
CASES = {
    "aimv2": of_timm("aimv2_large_patch14_224", mlp_ratio=2),
    "beit3": of_timm("beit3_base_patch16_224", mlp_ratio=2),
    "deit_distilled": of_timm("deit_tiny_distilled_patch16_224", mlp_ratio=2),
    "dinov3": of_timm("vit_tiny_patch16_dinov3_qkvb", mlp_ratio=2),
    "eva02": of_timm("eva02_base_patch14_448", mlp_ratio=2),
    "eva02_tiny": of_timm("eva02_tiny_patch14_224", mlp_ratio=2),
    "pe_core": of_timm("vit_pe_core_tiny_patch16_384"),
    "res_post": of_timm("vit_base_patch16_rpn_224", mlp_ratio=2),
    "beit": of_timm("beit_base_patch16_224", mlp_ratio=2),
    "siglip": of_timm("vit_base_patch16_siglip_224", mlp_ratio=2),
    "dwee": of_timm("vit_dwee_patch16_reg1_gap_256", mlp_ratio=2),
    "dpwee": of_timm("vit_dpwee_patch16_reg1_gap_256", mlp_ratio=2),
    "pwee": of_timm("vit_pwee_patch16_reg1_gap_256", mlp_ratio=2),
    "rope_mixed": of_timm("vit_small_patch16_rope_mixed_ape_224", mlp_ratio=2),
    "eva02_enormous": of_timm("eva02_enormous_patch14_clip_224", mlp_ratio=2),
    "sapiens2": of_timm("vit_large_patch16_sapiens2", mlp_ratio=2, num_kv_heads=1),
    "hf_deit": of_transformers(lambda: T.DeiTForImageClassification(T.DeiTConfig(**LABELS))),
    "hf_deit_teacher": of_transformers(lambda: T.DeiTForImageClassificationWithTeacher(T.DeiTConfig(**LABELS))),
    "hf_msn": of_transformers(lambda: T.ViTMSNForImageClassification(T.ViTMSNConfig(**LABELS))),
    "hf_ijepa": of_transformers(lambda: T.IJepaForImageClassification(T.IJepaConfig(**LABELS))),
    "hf_beit": of_transformers(
        lambda: T.BeitForImageClassification(T.BeitConfig(**LABELS, use_relative_position_bias=True))),
    "hf_beit_shared": of_transformers(
        lambda: T.BeitForImageClassification(T.BeitConfig(
            **LABELS, use_shared_relative_position_bias=True, use_mean_pooling=False,
            use_absolute_position_embeddings=True, use_mask_token=True))),
    "hf_data2vec": of_transformers(
        lambda: T.Data2VecVisionForImageClassification(T.Data2VecVisionConfig(
            **LABELS, use_relative_position_bias=True))),
    "hf_dinov2": of_transformers(lambda: T.Dinov2ForImageClassification(T.Dinov2Config(**DINO))),
    "hf_dinov2_swiglu": of_transformers(
        lambda: T.Dinov2ForImageClassification(T.Dinov2Config(**DINO, use_swiglu_ffn=True))),
    "hf_dinov2_registers": of_transformers(
        lambda: T.Dinov2WithRegistersForImageClassification(T.Dinov2WithRegistersConfig(**DINO))),
    "hf_clip": of_transformers(lambda: image_and_text(T.CLIPForImageClassification, T.CLIPConfig)),
    "hf_clip_projection": of_transformers(
        lambda: T.CLIPVisionModelWithProjection(T.CLIPVisionConfig(**SIZES, projection_dim=CLASSES)),
        lambda output: output.image_embeds),
    "hf_siglip": of_transformers(lambda: image_and_text(T.SiglipForImageClassification, T.SiglipConfig)),
    "open_clip": open_clip_model,
    "torchvision": torchvision_model,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, default=HERE, help="directory (default: %(default)s)")
    out = parser.parse_args().out
    shutil.rmtree(out, ignore_errors=True)
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)
    torch.manual_seed(1)
    expected = {"images": IMAGES}
    for name, make in CASES.items():
        folder = out / name
        folder.mkdir(parents=True)
        with torch.no_grad():
            expected["logits." + name] = make(folder).contiguous()
        size = sum(path.stat().st_size for path in folder.iterdir())
        print(f"{name}: {size} bytes, {', '.join(sorted(path.name for path in folder.iterdir()))}")
    save_file(expected, out / "expected.safetensors")
    print(f"in all: {sum(path.stat().st_size for path in out.rglob('*') if path.is_file())} bytes")


if __name__ == "__main__":
    main()

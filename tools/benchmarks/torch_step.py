#!/usr/bin/env python3
"""Training steps of the same ViT in PyTorch, for `tools/bench peers`.

Speaks as bench_step does: reads numbers of steps from standard input, and answers each with one line of JSON.  The
model is written plainly from PyTorch's own modules, operation for operation what timm's VisionTransformer does.
"""

import argparse
import inspect
import json
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

import pruned_saves

NAMED = {"tiny": (192, 12, 3), "small": (384, 12, 6), "base": (768, 12, 12), "large": (1024, 24, 16)}


def parse_model(spec: str) -> dict:
    """A spec as `shear train --model` takes it, to a dictionary of numbers."""
    name, _, keys = spec.partition(":")
    config = dict(image=224, patch=16, dim=768, depth=12, heads=12, classes=1000, channels=3, mlp=4)
    if name != "vit":
        _, size, patch, image = name.split("_")  # vit_tiny_patch16_224
        config["dim"], config["depth"], config["heads"] = NAMED[size]
        config["patch"], config["image"] = int(patch.removeprefix("patch")), int(image)
    for pair in filter(None, keys.split(",")):
        key, value = pair.split("=")
        config[key] = int(value)
    return config


class Attention(nn.Module):
    def __init__(self, dim: int, heads: int, saves: pruned_saves.Saves | None):
        super().__init__()
        self.heads, self.saves = heads, saves
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, tokens, dim = x.shape
        qkv = self.qkv(x).reshape(batch, tokens, 3, self.heads, dim // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)  # (batch, heads, tokens, width)
        # The published method prunes the probabilities, so they must be there as a matrix; PyTorch 1 knew no other way.
        if self.saves or not hasattr(F, "scaled_dot_product_attention"):
            scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
            context = scores.softmax(dim=-1) @ v
        else:
            context = F.scaled_dot_product_attention(q, k, v)
        return self.proj(context.transpose(1, 2).reshape(batch, tokens, dim))


class Block(nn.Module):
    def __init__(self, dim: int, heads: int, mlp: int, saves: pruned_saves.Saves | None):
        super().__init__()
        self.saves = saves
        self.norm1, self.attn = nn.LayerNorm(dim, eps=1e-6), Attention(dim, heads, saves)
        self.norm2, self.fc1, self.fc2 = nn.LayerNorm(dim, eps=1e-6), nn.Linear(dim, mlp), nn.Linear(mlp, dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.saves:
            return self.pruned(x)
        x = x + self.attn(self.norm1(x))
        return x + self.fc2(F.gelu(self.fc1(self.norm2(x))))

    def pruned(self, x: torch.Tensor) -> torch.Tensor:
        """The same, with what each kind of operation saves pruned in its own way."""
        with self.saves.of_norm():
            y = self.norm1(x)
        with self.saves.of_product():
            x = x + self.attn(y)
        with self.saves.of_norm():
            y = self.norm2(x)
        with self.saves.of_product():
            y = self.fc1(y)
        with self.saves.of_gelu():
            y = F.gelu(y)
        with self.saves.of_product():
            return x + self.fc2(y)


class Vit(nn.Module):
    def __init__(self, config: dict, remake: bool, saves: pruned_saves.Saves | None):
        super().__init__()
        dim, patch = config["dim"], config["patch"]
        self.remake = remake
        self.patches = nn.Conv2d(config["channels"], dim, patch, stride=patch)
        self.cls = nn.Parameter(torch.zeros(1, 1, dim))
        self.positions = nn.Parameter(torch.randn(1, (config["image"] // patch) ** 2 + 1, dim) * 0.02)
        self.blocks = nn.ModuleList(
            Block(dim, config["heads"], config["mlp"] * dim, saves) for _ in range(config["depth"])
        )
        self.norm, self.head = nn.LayerNorm(dim, eps=1e-6), nn.Linear(dim, config["classes"])

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.patches(images).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls.expand(x.shape[0], -1, -1), x], dim=1) + self.positions
        for block in self.blocks:
            x = checkpoint(block, x, use_reentrant=False) if self.remake else block(x)
        return self.head(self.norm(x)[:, 0])


def peak_rss() -> int:
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="as for shear train")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=["f32", "bf16"], default="f32", help="bf16: under autocast")
    parser.add_argument("--optimizer", choices=["sgd", "adamw"], default="sgd")
    parser.add_argument("--how", choices=["eager", "compile", "checkpoint", "backrazor"], default="eager")
    parser.add_argument("--prune", type=float, default=0.8, help="of backrazor: the share that is dropped")
    flags = parser.parse_args()

    start_rss = peak_rss()
    torch.manual_seed(1)
    torch.set_num_threads(flags.threads)
    config = parse_model(flags.model)
    saves = pruned_saves.Saves(flags.prune, flags.batch) if flags.how == "backrazor" else None
    model = Vit(config, flags.how == "checkpoint", saves).to(flags.device)
    if saves:
        saves.leave_alone(model.parameters())
    kind, how = (torch.optim.SGD, {"momentum": 0.9}) if flags.optimizer == "sgd" else (torch.optim.AdamW, {})
    fused = {"fused": True} if "fused" in inspect.signature(kind).parameters else {}
    optimizer = kind(model.parameters(), lr=1e-3, **how, **fused)
    images = torch.randn(flags.batch, config["channels"], config["image"], config["image"], device=flags.device)
    labels = torch.randint(config["classes"], (flags.batch,), device=flags.device)
    forward = torch.compile(model) if flags.how == "compile" else model

    def step() -> float:
        optimizer.zero_grad()
        with torch.autocast(flags.device, torch.bfloat16, enabled=flags.precision == "bf16"):
            loss = F.cross_entropy(forward(images), labels)
        loss.backward()
        optimizer.step()
        if flags.device == "cuda":
            torch.cuda.synchronize()
        return loss.item()

    for line in sys.stdin:
        seconds, loss = [], float("nan")
        for _ in range(int(line)):
            start = time.perf_counter()
            loss = step()
            seconds.append(time.perf_counter() - start)
        answer = {
            "seconds": seconds,
            "loss": loss,
            "peak_bytes": torch.cuda.max_memory_allocated() if flags.device == "cuda" else None,
            "rss_peak_bytes": peak_rss(),
            "rss_start_bytes": start_rss,
            "version": torch.__version__,
        }
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()

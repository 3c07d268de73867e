#!/usr/bin/env python3
"""Checks who may include whom: a layer sees itself and those named beside it, and nothing else."""

import pathlib
import re
import sys

ROOT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent)

# Public headers by layer.
HEADERS = {
    "core": "error site shape allocator arena storage tensor random backend device parameters threads utf8 machine suggest",
    "autograd": "saved policy tape",
    "ops": "ops",
    "policies": "policies",
    "nn": "nn",
    "optim": "optim",
    "data": "data",
    "io": "io",
    "train": "train weights",
}
BELOW = {
    "core": "",
    "cpu": "core",
    "cuda": "core kernels",  # the members of CudaBackend that launch kernels stand beside them
    "kernels": "core cuda",
    "shape": "core",
    "autograd": "core",
    "ops": "core autograd",
    "policies": "core",  # and the two headers in which policies and ops meet, see below
    "nn": "core autograd ops",
    "models": "core autograd ops nn",
    "optim": "core",
    "data": "core",
    "io": "core",
    "train": "core autograd ops policies nn models optim data io",
    "tools": "core autograd ops policies nn models optim data io train",
}
MEET = {"shear/saved.h", "shear/policy.h"}
OPEN_HEADERS = {header: layer for layer, names in HEADERS.items() for header in names.split()}


def layer_of(path: pathlib.Path) -> str:
    parts = path.relative_to(ROOT).parts
    if parts[0] == "include":
        return OPEN_HEADERS.get(path.stem, "(unknown header)")
    return parts[1] if parts[0] == "src" else parts[0]


def target_of(include: str) -> str | None:
    """The layer of an include, or None for a system header."""
    parts = include.split("/")
    if parts[0] == "shear":
        return OPEN_HEADERS.get(pathlib.Path(include).stem, "(unknown header)")
    return parts[0] if parts[0] in BELOW else None


def main() -> int:
    wrong, seen = [], 0
    files = [f for d in ("include", "src", "models", "tools", "kernels") for f in sorted((ROOT / d).rglob("*"))]
    for path in files:
        if path.suffix not in {".h", ".cpp", ".cu", ".cuh"}:
            continue
        seen += 1
        layer, text, where = layer_of(path), path.read_text(), path.relative_to(ROOT)
        if layer not in BELOW:
            wrong.append(f"{where}: belongs to no layer")
            continue
        allowed = {layer, *BELOW[layer].split()}
        for include in re.findall(r'^\s*#\s*include\s+"([^"]+)"', text, re.M):
            target = target_of(include)
            if target is None and "/" not in include:
                continue  # a neighbour in the same folder
            if layer == "policies" and target == "autograd":
                if include not in MEET:
                    wrong.append(f"{where}: a policy meets ops only in {sorted(MEET)}, not in {include}")
            elif target not in allowed:
                wrong.append(f"{where}: {layer} may not include {include} ({target})")
        if "<Eigen" in text and str(where) != "src/cpu/gemm.cpp":
            wrong.append(f"{where}: Eigen is included in src/cpu/gemm.cpp alone")
        if layer == "cpu" and re.search(r"\bTensor\b", text):
            wrong.append(f"{where}: kernels see views, never Tensor")
        if re.search(r"^\s*#\s*if.*CUDA", text, re.M) and str(where) != "src/core/make_backend.cpp":
            wrong.append(f"{where}: the one #ifdef for CUDA stands in src/core/make_backend.cpp")
    if seen < 40:
        wrong.append(f"only {seen} files were found under {ROOT}")
    print("\n".join(wrong) if wrong else f"{seen} files keep to their layers")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

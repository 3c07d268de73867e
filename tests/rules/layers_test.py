#!/usr/bin/env python3
"""Checks who may include whom: a layer sees itself and those named beside it, and nothing else."""

import pathlib
import re
import sys

ROOT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent.parent)

# Public headers by layer.
HEADERS = {
    "core": "api error site shape allocator arena storage tensor view random code packed precision backend make_backend device "
            "parameters threads utf8 machine suggest",
    "verdict": "verdict policy",
    "tape": "saved tape gradient_sink op",
    "ops": "ops",
    "policies": "policies",
    "nn": "nn",
    "model": "model",
    "models": "mlp vit",
    "optim": "optim",
    "data": "data",
    "io": "io",
    "weights": "weights",
    "train": "train",
}
BELOW = {
    "core": "",
    "backends": "core",  # each backend sees itself alone, and the CUDA one the kernels that it launches, see below
    "kernels": "core",  # device code alone: who launches it stands in src/backends/cuda
    "verdict": "core",
    "tape": "core verdict",
    "ops": "core verdict tape",
    "policies": "core verdict",  # policies and ops meet in verdicts alone
    "nn": "core verdict tape ops",
    "model": "core verdict tape ops nn",
    "models": "core verdict tape ops nn model",
    "optim": "core tape",  # which is a sink of it
    "data": "core",
    "io": "core",
    "weights": "core verdict tape ops nn model models data io",  # models: its schemas alone, see below
    "train": "core verdict tape ops policies nn model optim data io weights",
    "tools": "core verdict tape ops policies nn model models optim data io weights train",
}
# What a policy may see of a value, and what that may include in turn: no backend, no storage, no op.
PLAIN = {"shear/api.h", "shear/policy.h", "shear/verdict.h", "shear/code.h", "shear/shape.h"}
# Who names a family of models: what knows its files, what measures its operators, and examples.  All else sees Model.
NAMES_A_FAMILY = re.compile(r"src/weights/(vit_schema|naming|source_config|config_json|export|leftovers)\.(h|cpp)|tools/(benchmarks|examples)/.*")
# Who includes these sees no kernel.
NO_KERNELS = ["shear/view.h", "shear/packed.h", "shear/device.h", "shear/tape.h", "shear/ops.h", "shear/optim.h", "shear/train.h"]
OPEN_HEADERS = {header: layer for layer, names in HEADERS.items() for header in names.split()}


def layer_of(path: pathlib.Path) -> str:
    parts = path.relative_to(ROOT).parts
    if parts[0] == "include":
        return layer_of_header(parts[1:])
    return parts[1] if parts[0] == "src" else parts[0]


def layer_of_header(parts: tuple[str, ...] | list[str]) -> str:
    """Of shear/NAME.h, shear/models/NAME.h, or a part of the list of kernels, shear/kernels/NAME.inc."""
    return "core" if parts[1] == "kernels" else OPEN_HEADERS.get(pathlib.Path(parts[-1]).stem, "(unknown header)")


def backend_of(parts: tuple[str, ...] | list[str]) -> str | None:
    """"cpu", "cuda" or "shape" in .../backends/cpu/...; None in no such folder."""
    below = list(parts)[list(parts).index("backends") + 1 :] if "backends" in parts else []
    return below[0] if len(below) > 1 else None


def target_of(include: str) -> str | None:
    """The layer of an include, or None for a system header."""
    parts = include.split("/")
    if parts[0] == "shear":
        return layer_of_header(parts)
    return parts[0] if parts[0] in BELOW else None


def includes_of(text: str) -> list[str]:
    return re.findall(r'^\s*#\s*include\s+"([^"]+)"', text, re.M)


def reached(header: str, seen: set[str]) -> set[str]:
    """The public headers that come with one."""
    if header not in seen:
        seen.add(header)
        for include in includes_of((ROOT / "include" / header).read_text()):
            reached(include, seen)
    return seen


def faults_of_kernels() -> list[str]:
    """A group of kernels is in the list, and has a file of its name in every backend that computes."""
    wrong = [f"{h} brings every kernel along" for h in NO_KERNELS if "shear/backend.h" in reached(h, set())]
    groups = {p.stem for p in (ROOT / "include/shear/kernels").glob("*.inc")} - {"list"}
    listed = includes_of((ROOT / "include/shear/kernels/list.inc").read_text())
    if sorted(f"shear/kernels/{g}.inc" for g in groups) != sorted(listed):
        wrong.append(f"include/shear/kernels/list.inc: includes {listed}, expected {sorted(groups)}")
    for group in sorted(groups):
        for backend in ("cpu", "cuda"):
            if not any((ROOT / "src/backends" / backend / f"{group}{end}").exists() for end in (".cpp", ".cu")):
                wrong.append(f"src/backends/{backend}: no file {group}, which is a group of kernels")
    return wrong


def main() -> int:
    wrong, seen = faults_of_kernels(), 0
    files = [f for d in ("include", "src", "models", "tools", "kernels") for f in sorted((ROOT / d).rglob("*"))]
    for path in files:
        if path.suffix not in {".h", ".inc", ".cpp", ".cu", ".cuh"}:
            continue
        seen += 1
        layer, text, where = layer_of(path), path.read_text(), path.relative_to(ROOT)
        if layer not in BELOW:
            wrong.append(f"{where}: belongs to no layer")
            continue
        allowed = {layer, *BELOW[layer].split()}
        for include in includes_of(text):
            target = target_of(include)
            if target is None and "/" not in include:
                continue  # a neighbour in the same folder
            if f"shear/{path.name}" in PLAIN and include not in PLAIN:
                wrong.append(f"{where}: a policy's contract includes nothing but {sorted(PLAIN)}, not {include}")
            elif target == "backends" and backend_of(include.split("/")) not in {backend_of(where.parts), None}:
                wrong.append(f"{where}: a backend sees itself alone, not {include}")
            elif target == "models" and layer != "models" and not NAMES_A_FAMILY.fullmatch(str(where)):
                wrong.append(f"{where}: sees a Model, not {include}")
            elif target == "kernels" and backend_of(where.parts) == "cuda":
                continue
            elif target not in allowed:
                wrong.append(f"{where}: {layer} may not include {include} ({target})")
        if "<Eigen" in text and str(where) != "src/backends/cpu/gemm.cpp":
            wrong.append(f"{where}: Eigen is included in src/backends/cpu/gemm.cpp alone")
        if "backends/cpu" in str(where) and re.search(r"\bTensor\b", text):
            wrong.append(f"{where}: kernels see views, never Tensor")
        if re.search(r"^\s*#\s*if.*CUDA", text, re.M) and str(where) != "src/backends/make_backend.cpp":
            wrong.append(f"{where}: the one #ifdef for CUDA stands in src/backends/make_backend.cpp")
    if seen < 40:
        wrong.append(f"only {seen} files were found under {ROOT}")
    print("\n".join(wrong) if wrong else f"{seen} files keep to their layers")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

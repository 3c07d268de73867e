#!/usr/bin/env python3
"""Checks who may include whom: a layer sees what src/layers.toml says, its arrows are an order, and the build keeps to it.

    layers_test.py [SOURCE [BUILD]]"""

import json
import pathlib
import re
import shlex
import sys
import tomllib

ROOT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent.parent)
LAYERS = tomllib.loads((ROOT / "src/layers.toml").read_text())
# What a policy may see of a value, and what that may include in turn: no backend, no storage, no op.
PLAIN = {"shear/api.h", "shear/policy.h", "shear/verdict.h", "shear/code.h", "shear/shape.h"}
# Of the weights those that know a family's files; all else sees Model.
KNOWS_A_FAMILY = re.compile("vit_schema|naming|source_config|config_json|export|library_model|leftovers")
# Who includes these sees no kernel.
NO_KERNELS = ["shear/view.h", "shear/packed.h", "shear/device.h", "shear/tape.h", "shear/ops.h", "shear/optim.h", "shear/train.h"]


def public_layer(include: str) -> str | None:
    """Of shear/NAME.h, or of shear/FOLDER/NAME."""
    parts = include.removeprefix("shear/").split("/")
    name = parts[0] + "/" if len(parts) > 1 else parts[0].removesuffix(".h")
    return next((layer for layer, said in LAYERS.items() if name in said.get("headers", [])), None)


def room_of(path: str) -> str | None:
    """The layer that a path lies in, below the root or src: of those that hold it, the innermost."""
    inside = path.removeprefix("src/")
    return max((layer for layer in LAYERS if inside.startswith(layer + "/")), key=len, default=None)


def layer_of(where: pathlib.Path) -> str | None:
    return public_layer(str(where).removeprefix("include/")) if where.parts[0] == "include" else room_of(str(where))


def may_include(layer: str, include: str) -> bool:
    sees = LAYERS[layer].get("sees", [])
    if include.startswith("shear/"):
        return public_layer(include) in {layer, *sees}
    room = room_of(include)
    if room in {None, layer}:  # a neighbour in the same folder, or the room itself
        return room == layer or "/" not in include
    shown = LAYERS[room].get("shows", [])
    return room in sees and (shown == ["*"] or include.removeprefix(room + "/") in shown)


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


def faults_of_table() -> list[str]:
    """Each header has one layer, and each layer stands above all that it sees: the arrows are an order."""
    wrong, above = [], set()
    for layer, said in LAYERS.items():
        wrong += [f"src/layers.toml: {layer} sees {other}, which does not stand before it" for other in said.get("sees", []) if other not in above]
        above.add(layer)
    for path in sorted((ROOT / "include/shear").iterdir()):
        name = path.name + "/" if path.is_dir() else path.stem
        having = [layer for layer, said in LAYERS.items() if name in said.get("headers", [])]
        if len(having) != 1:
            wrong.append(f"include/shear/{path.name}: expected one layer in src/layers.toml, found {having}")
    return wrong


def faults_of_build(build: pathlib.Path) -> list[str]:
    """Whatever is compiled of a layer has that layer's include path, and no other folder of the sources in it."""
    wrong, held, root, build = [], set(), ROOT.resolve(), build.resolve()
    for entry in json.loads((build / "compile_commands.json").read_text()):
        path = (pathlib.Path(entry["directory"]) / entry["file"]).resolve()
        if not path.is_relative_to(root) or not (layer := room_of(str(path.relative_to(root)))):
            continue
        where, own = path.relative_to(root), build / "seen" / layer.replace("/", "_")
        said = [w[2:] for w in shlex.split(entry["command"]) if w.startswith("-I")]
        folders = [(pathlib.Path(entry["directory"]) / folder).resolve() for folder in said]
        if layer in {"backends", "backends/cuda"} and own not in folders:
            continue  # the emulator compiles them too, against its own CUDA
        for folder in folders:
            of_sources = folder.is_relative_to(root) and not folder.is_relative_to(build)
            if folder.exists() and folder not in {own, path.parent} and (of_sources or folder.is_relative_to(build / "seen")):
                wrong.append(f"{where}: compiled with -I{folder}, expected {own} alone")
        if own not in folders:
            wrong.append(f"{where}: compiled without {own}")
        held.add(layer)
    missing = {"core", "tape", "ops", "policies", "models", "train", "tools/shear"} - held
    return wrong + [f"{layer}: nothing of it is in compile_commands.json" for layer in sorted(missing)]


def main() -> int:
    wrong, seen = faults_of_table() + faults_of_kernels(), 0
    if len(sys.argv) > 2:
        wrong += faults_of_build(pathlib.Path(sys.argv[2]))
    files = [f for d in ("include", "src", "models", "tools", "kernels") for f in sorted((ROOT / d).rglob("*"))]
    for path in files:
        if path.suffix not in {".h", ".inc", ".cpp", ".cu", ".cuh"}:
            continue
        seen += 1
        text, where = path.read_text(), path.relative_to(ROOT)
        layer = layer_of(where)
        if layer is None:
            wrong.append(f"{where}: belongs to no layer")
            continue
        for include in includes_of(text):
            if f"shear/{path.name}" in PLAIN and include not in PLAIN:
                wrong.append(f"{where}: a policy's contract includes nothing but {sorted(PLAIN)}, not {include}")
            elif not may_include(layer, include):
                wrong.append(f"{where}: {layer} may not include {include}")
            elif layer == "weights" and public_layer(include) == "models" and not KNOWS_A_FAMILY.fullmatch(where.stem):
                wrong.append(f"{where}: sees a Model, not {include}")
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

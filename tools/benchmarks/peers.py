"""tools/bench peers: the same training step in Shear and in PyTorch, in turns."""

import pathlib

from turns import Contestant

HERE = pathlib.Path(__file__).resolve().parent
# A heap that keeps its pages, as Shear's slab does: without it PyTorch gives them back and faults them in, step by step.
KEEP_PAGES = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "4000000000", "MALLOC_TOP_PAD_": "200000000"}
# As tools/shear sets it for itself.
SHEAR = {"GOMP_SPINCOUNT": "1000"}


def shear(step: str, flags: list[str], policy: str) -> Contestant:
    return Contestant(f"Shear {policy}", [step, *flags, "--policy", policy], SHEAR)


def torch(python: str, flags: list[str], name: str, *how: str, environment: dict[str, str] = KEEP_PAGES) -> Contestant:
    return Contestant(name, [python, str(HERE / "torch_step.py"), *flags, *how], environment)

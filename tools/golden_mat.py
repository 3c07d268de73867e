#!/usr/bin/env python3
"""Makes tests/golden/mat/: a small Flowers-102 as scipy writes it, packed and not, in the types that MATLAB chooses.

    python3 tools/golden_mat.py
"""
import pathlib

import numpy
from scipy import io

FOLDER = pathlib.Path(__file__).parent.parent / "tests" / "golden" / "mat"
FOLDER.mkdir(parents=True, exist_ok=True)


def row(values, kind):
    return numpy.array([values], kind)


LABELS = [1, 102, 3, 3, 1, 102, 77, 77, 3, 1, 1, 102]
PARTS = {"trnid": [2, 9, 4], "valid": [1, 12], "tstid": [3, 5, 6, 7, 8, 10, 11]}
io.savemat(FOLDER / "setid.mat", {part: row(ids, numpy.uint16) for part, ids in PARTS.items()}, do_compression=True)
io.savemat(FOLDER / "imagelabels.mat", {"labels": row(LABELS, numpy.uint8)}, do_compression=True)
io.savemat(FOLDER / "plain.mat", {
    "words": "not numbers", "square": numpy.eye(3), "as_double": row(LABELS, float), "one": 5,
    "column": row([-1, 70000], numpy.int32).T, "long": row([2**40], numpy.int64), "half": row([1, 2.5], float),
    "complex": row([1 + 2j], complex), "none": numpy.zeros((0, 0)), "single": row([3, -4], numpy.float32)})
for path in sorted(FOLDER.iterdir()):
    print(path.name, path.stat().st_size)

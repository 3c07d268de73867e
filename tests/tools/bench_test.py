#!/usr/bin/env python3
"""Runs tools/bench on a model so small that its figures mean nothing, and checks that its reports are whole.

bench_test.py SOURCE BUILD SHEAR with|without, the last of Google Benchmark.  What it tells of memory is held to what
`shear plan` says.  PyTorch is played by a program that answers as torch_step.py does.
"""

import json
import pathlib
import struct
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

SOURCE, BUILD, SHEAR = map(pathlib.Path, sys.argv[1:4])
MODEL = ["--models", "vit:image=8,patch=4,dim=16,depth=2,heads=2,classes=3,channels=1", "--batch", "4"]
TURNS = ["--threads", "1", "--rounds", "2", "--seconds", "0", "--warm-up", "1"]

FAKE_TORCH = """#!/usr/bin/env python3
import json, sys
if sys.argv[1] == "-c":
    print("9.9 nobody's")
else:
    if "compile" in sys.argv:
        sys.exit(3)
    for line in sys.stdin:
        bytes = {"peak_bytes": None, "rss_peak_bytes": 100, "rss_start_bytes": 10}
        print(json.dumps({"seconds": [2.0] * int(line), **bytes}), flush=True)
"""


def bench(out: pathlib.Path, command: str, *flags: str, model: list[str] = MODEL) -> dict:
    """The report that the command writes, once its drawing is seen to be one."""
    program = [sys.executable, SOURCE / "tools" / "benchmarks" / "bench.py", "--build", BUILD, command, *model]
    ran = subprocess.run([*map(str, program), *flags, "--out", str(out)], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert any(word in ran.stdout for word in ("of bound", "ratio", "auto within")), ran.stdout
    assert xml.etree.ElementTree.parse(out / f"{command}.svg").getroot().tag.endswith("svg")
    return json.loads((out / f"{command}.json").read_text())


def policies_are_measured_against_full_and_their_bytes_are_the_planned_ones(out: pathlib.Path) -> None:
    rows = bench(out, "policies", *TURNS)["models"][0]["rows"]
    assert all(row["planned_seconds"] > 0 for row in rows), rows
    names = [row["policy"] for row in rows]
    flags = ["--model", MODEL[1], "--batch", "4", "--threads", "1", "--optimizer", "sgd", "--policy", ";".join(names)]
    plan = json.loads(subprocess.run([SHEAR, "plan", "--no-time", "--json", *flags], capture_output=True, check=True).stdout)
    assert [(p["policy"], p["peak_bytes"]) for p in plan["policies"]] == [(r["policy"], r["peak_bytes"]) for r in rows]
    assert names[0] == "full" and rows[0]["time_ratio"] == 1 and rows[0]["peak_ratio"] == 1
    assert all(len(row["step_seconds"]) >= 2 and row["time_ratio"] > 0 for row in rows)
    assert all(row["rss_peak_bytes"] > row["peak_bytes"] > row["saved_bytes"] > 0 for row in rows)


def peers_take_turns_and_who_cannot_run_is_told_of(out: pathlib.Path) -> None:
    fake = out / "python3"
    fake.write_text(FAKE_TORCH)
    fake.chmod(0o700)
    found = bench(out, "peers", *TURNS, "--python", str(fake), "--groups", "exact", "bf16")
    assert found["torch"] == "9.9 nobody's"
    rows = found["models"][0]["rows"]
    failed = [row["name"] for row in rows if "error" in row]
    assert failed == ["PyTorch, torch.compile", "PyTorch, torch.compile, bf16"], failed
    for row in rows:
        if row["name"] == "PyTorch":
            assert row["step_seconds"] == [2.0, 2.0] and row["time_ratio"] == 1 and row["rss_ratio"] == 1
        if row["framework"] == "Shear":
            assert row["time_ratio"] == row["step_seconds_median"] / 2
            assert row["rss_ratio"] == row["rss_peak_bytes"] / 100
    assert {row["name"] for row in rows if row["framework"] == "Shear"} >= {"full", "lean", "full, bf16"}


def what_lies_below_the_activations_has_groups_of_its_own(out: pathlib.Path) -> None:
    fake = out / "python3"
    fake.write_text(FAKE_TORCH)
    fake.chmod(0o700)
    larger = ["--models", "vit:image=8,patch=4,dim=40,depth=2,heads=2,classes=3,channels=1"]  # matrices of 4,800
    groups = ["--groups", "parts", "least", "--optimizer", "adamw"]
    found = bench(out, "peers", *TURNS, "--python", str(fake), *groups, *larger)
    assert found["optimizer"] == "adamw"
    peaks = {row["name"]: row["peak_bytes"] for row in found["models"][0]["rows"]}
    assert peaks["tokens"] > peaks["tokens, in backward"] > peaks["tokens, floor"]


def operators_stand_beside_their_bounds(out: pathlib.Path) -> None:
    found = bench(out, "ops", "--threads", "1", "2", "--rounds", "1", "--seconds", "0", "--quick")
    assert [bound["threads"] for bound in found["bounds"]] == [1, 2]
    assert all(bound[key] > 0 for bound in found["bounds"] for key in ("fma_flops", "gemm_flops", "copied_bytes"))
    for threads in (1, 2):
        rows = {row["operator"]: row for row in found["operators"] if row["threads"] == threads}
        assert len(rows) >= 30, sorted(rows)
        for row in rows.values():
            assert row["seconds"] > 0 and abs(row["share"] * row["seconds"] / row["bound_seconds"] - 1) < 1e-3, row
        layers, parts = ("qkv", "proj", "fc1", "fc2"), ("forward", "dX", "dW")
        linears = [rows[f"{layer} {part}"] for layer in layers for part in parts]
        total = rows["all linears of a block"]["seconds"]
        assert abs(sum(row["seconds"] for row in linears) - total) < 1e-9 * total


def auto_stands_beside_families_of_policies(out: pathlib.Path) -> None:
    data = out / "data"
    data.mkdir()
    for part, count in (("train", 24), ("t10k", 6)):
        pixels = bytes(i * i % 251 for i in range(count * 64))
        (data / f"{part}-images-idx3-ubyte").write_bytes(struct.pack(">4I", 0x803, count, 8, 8) + pixels)
        (data / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 0x801, count) + bytes(i % 3 for i in range(count)))
    model = ["--model", "vit:image=8,patch=2,dim=32,depth=2,heads=2,classes=3,channels=1", "--batch", "256"]
    found = bench(out, "frontier", "--by-block", "--data", str(data), "--images", "4", "--batches", "1", "--threads", "1", model=model)
    rows = [row for family in found["families"].values() for row in family]
    assert len(rows) > 20 and all(row["error"] > 0 and 0 < row["bytes"] < found["full_bytes"] for row in rows), rows
    assert found["auto"] and all(row["bytes"] <= row["share"] * found["full_bytes"] for row in found["auto"]), found["auto"]
    assert all(row["planned_ratio"] > 0 for row in rows), rows


def main() -> None:
    tests = [
        policies_are_measured_against_full_and_their_bytes_are_the_planned_ones,
        peers_take_turns_and_who_cannot_run_is_told_of,
        what_lies_below_the_activations_has_groups_of_its_own,
        auto_stands_beside_families_of_policies,
    ]
    if sys.argv[4] == "with":
        tests.append(operators_stand_beside_their_bounds)
    for test in tests:
        with tempfile.TemporaryDirectory() as out:
            test(pathlib.Path(out))
        print(test.__name__.replace("_", " "))


if __name__ == "__main__":
    main()

"""tools/bench peers: the same training step in Shear and in PyTorch, in turns."""

import pathlib
import subprocess
import sys

import report
from turns import Contestant, Result, take_turns

HERE = pathlib.Path(__file__).resolve().parent

# A heap that keeps its pages, as Shear's slab does: else PyTorch gives them back and faults them in again in every step.
KEEP_PAGES = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "4000000000", "MALLOC_TOP_PAD_": "200000000"}
# As tools/shear sets it for itself.
SHEAR = {"GOMP_SPINCOUNT": "1000"}

EAGER, DEFAULTS, COMPILED = "PyTorch", "PyTorch, default malloc", "PyTorch, torch.compile"
REFERENCE = EAGER

# Who takes turns with whom: as many processes as a machine has memory for.  What everything is measured against is in
# each group.
GROUPS = {
    "exact": [EAGER, DEFAULTS, COMPILED, "full", "lean"],
    "pruned": [
        EAGER,
        "PyTorch, checkpoint",
        "PyTorch, BackRazor by hooks",
        "full",
        "checkpoint",
        "backrazor",
        "prebr",
        "prebr++",
        "tokens",
    ],
}
HOW = {
    EAGER: ["eager"],
    DEFAULTS: ["eager"],
    COMPILED: ["compile"],
    "PyTorch, checkpoint": ["checkpoint"],
    "PyTorch, BackRazor by hooks": ["backrazor"],
}

MODELS = {
    "ViT-Ti/16": ("vit_tiny_patch16_224", 8),
    "ViT-S/16": ("vit_small_patch16_224", 8),
    "ViT-B/16": ("vit_base_patch16_224", 8),
    "Fashion ViT": ("vit:image=28,patch=4,dim=192,depth=6,heads=3,classes=10,channels=1", 128),
}


def is_torch(row: str) -> bool:
    return row in HOW


def contestant(row: str, flags: list[str], step: str, python: str) -> Contestant:
    if not is_torch(row):
        return Contestant(row, [step, *flags, "--policy", row], SHEAR)
    environment = {} if row == DEFAULTS else KEEP_PAGES
    return Contestant(row, [python, str(HERE / "torch_step.py"), *flags, "--how", *HOW[row]], environment)


# -- PyTorch ------------------------------------------------------------------------------------------------------------


def torch_of(python: str) -> str | None:
    """The version of an interpreter's PyTorch and where it came from; None where it has none."""
    say = "import torch; print(torch.__version__, 'Debian' if '/dist-packages/' in torch.__file__ else 'PyPI')"
    try:
        asked = subprocess.run([python, "-c", say], capture_output=True, text=True)
    except OSError:
        return None
    return asked.stdout.strip() if asked.returncode == 0 else None


def find_torch(given: str | None, build: pathlib.Path) -> tuple[str, str]:
    """An interpreter with PyTorch, and which PyTorch: PyPI's where it can be had, else Debian's."""
    if given:
        version = torch_of(given)
        if not version:
            sys.exit(f"tools/bench: --python {given}: cannot import torch, expected an interpreter that can")
        return given, version
    own = build / "peers-venv"
    inside = str(own / "bin" / "python3")
    for python in (sys.executable, inside):
        if version := torch_of(python):
            return python, version
    print("installing PyTorch from PyPI", file=sys.stderr)
    for command in (
        [report.ROOT / "tools" / "install", "peers"],
        [sys.executable, "-m", "venv", own],
        [inside, "-m", "pip", "install", "--quiet", "torch", "numpy"],
    ):
        if subprocess.run([str(word) for word in command]).returncode != 0:
            break
    if version := torch_of(inside):
        return inside, version
    print("PyTorch could not be installed from PyPI: taking Debian's", file=sys.stderr)
    subprocess.run([str(report.ROOT / "tools" / "install"), "debian_torch"], check=True)
    version = torch_of("/usr/bin/python3")
    if not version:
        sys.exit("tools/bench: no PyTorch could be installed, neither PyPI's nor Debian's; expected one of them")
    return "/usr/bin/python3", version


# -- The report ---------------------------------------------------------------------------------------------------------


def row_of(result: Result, group: str, reference: Result) -> dict:
    row = {"name": result.name, "framework": "PyTorch" if is_torch(result.name) else "Shear", "group": group}
    if result.error:
        return row | {"error": result.error}
    row |= {
        "step_seconds_median": result.median,
        "step_seconds": result.seconds,
        "rss_peak_bytes": result.answer["rss_peak_bytes"],
        "rss_start_bytes": result.answer.get("rss_start_bytes"),
        "peak_bytes": result.answer["peak_bytes"],
    }
    if not reference.error:
        row["time_ratio"] = result.median / reference.median
        row["rss_ratio"] = result.answer["rss_peak_bytes"] / reference.answer["rss_peak_bytes"]
    return row


def show(model: dict) -> str:
    lines = []
    for row in model["rows"]:
        name = ("Shear " if row["framework"] == "Shear" else "") + row["name"]
        if "error" in row:
            lines.append([name, row["error"], "", "", "", "", ""])
            continue
        seconds = row["step_seconds"]
        lines.append(
            [
                name,
                f"{1e3 * row['step_seconds_median']:.1f}",
                f"{1e3 * min(seconds):.1f}-{1e3 * max(seconds):.1f}",
                str(len(seconds)),
                f"{row['time_ratio']:.2f}" if "time_ratio" in row else "-",
                report.mib(row["rss_peak_bytes"]),
                f"{row['rss_ratio']:.2f}" if "rss_ratio" in row else "-",
            ]
        )
    header = ["", "step, ms", "range", "steps", "ratio", "peak RSS, MiB", "ratio"]
    return f"\n{model['title']}, batch {model['batch']}\n" + report.table(header, lines)


def draw(found: dict) -> str:
    models = found["models"]
    names: dict[str, list[str]] = {}
    for model in models:
        for row in model["rows"]:
            listed = names.setdefault(row["framework"], [])
            if row["name"] not in listed:
                listed.append(row["name"])

    def values(name: str, key: str) -> list[float | None]:
        return [next((row.get(key) for row in model["rows"] if row["name"] == name), None) for model in models]

    groups = [
        [(f"{side} {name}" if side == "Shear" else name, [values(name, "time_ratio"), values(name, "rss_ratio")])
         for name in names[side]]
        for side in names
    ]  # fmt: skip
    ticks = [0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5]
    panels = [
        report.Panel("Time of a step, of PyTorch's", 0.4, 8, [0.5, 0.7, 1, 1.5, 2, 3, 5, 8], log=True),
        report.Panel("Peak resident memory, of PyTorch's", 0.1, 2, [t for t in [0.1, *ticks] if t <= 2], log=True),
    ]
    of = found["machine"]
    subtitle = f"{of['cpu']}, {found['threads']} threads, f32, SGD with momentum; PyTorch {found['torch']}, eager"
    series = [f"{m['title']}, batch {m['batch']}" for m in models]
    return report.dots("The same training step in Shear and in PyTorch", subtitle, series, panels, groups)


def run(flags, step: str, build: pathlib.Path) -> None:
    python, version = find_torch(flags.python, build)
    found = {"machine": report.machine(), "torch": version, "threads": flags.threads, "models": []}
    print(f"{found['machine']['cpu']}, {flags.threads} threads, f32; PyTorch {version}")
    for title in flags.models:
        spec, batch = MODELS[title]
        model = {"title": title, "model": spec, "batch": flags.batch or batch, "rows": []}
        how = ["--model", spec, "--batch", str(model["batch"]), "--threads", str(flags.threads)]
        how += ["--device", flags.device]
        for group in flags.groups:
            print(f"{title}, {group}", file=sys.stderr)
            listed = [contestant(row, how, step, python) for row in GROUPS[group]]
            results = take_turns(listed, flags.seconds, flags.rounds, flags.warm_up)
            reference = next(r for r in results if r.name == REFERENCE)
            model["rows"] += [row_of(result, group, reference) for result in results]
        found["models"].append(model)
        print(show(model), flush=True)
    report.write_json(flags.out / "peers.json", found)
    report.write(flags.out / "peers.svg", draw(found))

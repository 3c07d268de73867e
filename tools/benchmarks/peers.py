"""tools/bench peers: the same training step in Shear and in PyTorch, in turns."""

import json
import pathlib
import subprocess
import sys

import report
from turns import Contestant, Result, take_turns

HERE = pathlib.Path(__file__).resolve().parent

# A heap that keeps its pages, as Shear's slab does: else PyTorch gives them back and faults them in anew in every step.
KEEP_PAGES = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "4000000000", "MALLOC_TOP_PAD_": "200000000"}
# As tools/shear sets it for itself.
SHEAR = {"GOMP_SPINCOUNT": "1000"}

# What PyTorch is asked for, as flags of torch_step.py.
EAGER = "PyTorch"
DEFAULTS = "PyTorch, default malloc"
TORCH = {
    EAGER: ["--how", "eager"],
    DEFAULTS: ["--how", "eager"],
    "PyTorch, torch.compile": ["--how", "compile"],
    "PyTorch, checkpoint": ["--how", "checkpoint"],
    "PyTorch, BackRazor by hooks": ["--how", "backrazor"],
    "PyTorch, bf16": ["--how", "eager", "--precision", "bf16"],
    "PyTorch, torch.compile, bf16": ["--how", "compile", "--precision", "bf16"],
}
# How Shear does it, behind a policy and ", ".
FLOOR = {"in backward": ["--update", "in-backward"], "8 bits": ["--state", "8bit"], "24 bits": ["--weights-as", "bf16+8"]}
HOW = {
    "": [],
    "bf16": ["--precision", "bf16"],
    **FLOOR,
    "floor": [word for flags in FLOOR.values() for word in flags],
}
# Who takes turns with whom: as many processes as a machine has memory for.  What is not PyTorch is a policy of Shear's,
# perhaps with how.  What everything is measured against is in each group.
REFERENCE = EAGER
GROUPS = {
    "exact": [EAGER, DEFAULTS, "PyTorch, torch.compile", "full", "lean"],
    "pruned": [EAGER, "PyTorch, checkpoint", "PyTorch, BackRazor by hooks", "full", "checkpoint", "backrazor"],
    "sampled": [EAGER, "full", "prebr", "prebr++", "tokens"],
    "bf16": [EAGER, "PyTorch, bf16", "PyTorch, torch.compile, bf16", "full", "full, bf16", "prebr++, bf16"],
}
# Asked for by name alone: what parameters, gradients and the optimizer's state cost.
MORE_GROUPS = {
    "parts": [EAGER, "tokens", "tokens, in backward", "tokens, 8 bits", "tokens, 24 bits", "tokens, floor"],
    "least": [EAGER, "tokens, floor", "prebr++:sample=0.5,qkv=4, floor"],
}

MODELS = {
    "ViT-Ti/16": ("vit_tiny_patch16_224", 8),
    "ViT-S/16": ("vit_small_patch16_224", 8),
    "ViT-B/16": ("vit_base_patch16_224", 8),
    "Fashion ViT": ("vit:image=28,patch=4,dim=192,depth=6,heads=3,classes=10,channels=1", 128),
}
LARGE = {  # asked for by name alone
    "ViT-L/16": ("vit_large_patch16_224", 8),
    "ViT-H/14": ("vit:image=224,patch=14,dim=1280,depth=32,heads=16,classes=1000", 4),
}


def model_of(title: str, batch: int | None) -> tuple[str, int]:
    """What --model and --batch say for one of MODELS or LARGE, or for a model that is spelled out."""
    spec, usual = (MODELS | LARGE).get(title, (title, 8))
    return spec, batch or usual


def contestant(row: str, flags: list[str], step: str, python: str) -> Contestant:
    if row in TORCH:
        environment = {} if row == DEFAULTS else KEEP_PAGES
        return Contestant(row, [python, str(HERE / "torch_step.py"), *flags, *TORCH[row]], environment)
    policy, _, how = row.partition(", ")
    return Contestant(row, [step, *flags, "--policy", policy, *HOW[how]], SHEAR)


# -- PyTorch ----------------------------------------------------------------------------------------------------------


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


# -- The report -------------------------------------------------------------------------------------------------------


def row_of(result: Result, group: str, reference: Result) -> dict:
    row = {"name": result.name, "framework": "PyTorch" if result.name in TORCH else "Shear", "group": group}
    if result.error:
        return row | {"error": result.error}
    row |= {
        "step_seconds_median": result.median,
        "step_seconds": result.seconds,
        "busy_others": result.others,
        "rss_peak_bytes": result.answer["rss_peak_bytes"],
        "rss_start_bytes": result.answer.get("rss_start_bytes"),
        "peak_bytes": result.answer["peak_bytes"],
    }
    row["time_ratio"] = result.median / reference.median
    row["rss_ratio"] = result.answer["rss_peak_bytes"] / reference.answer["rss_peak_bytes"]
    return row


def label(row: dict) -> str:
    return row["name"] if row["framework"] == "PyTorch" else "Shear " + row["name"]


def show(model: dict, group: str) -> str:
    lines = []
    for row in model["rows"]:
        if row["group"] != group:
            continue
        if "error" in row:
            lines.append([label(row), row["error"], "", "", "", "", ""])
            continue
        seconds = row["step_seconds"]
        lines.append(
            [
                label(row),
                f"{1e3 * row['step_seconds_median']:.1f}",
                f"{1e3 * min(seconds):.1f}-{1e3 * max(seconds):.1f}",
                str(len(seconds)),
                f"{row['time_ratio']:.2f}",
                report.mib(row["rss_peak_bytes"]),
                f"{row['rss_ratio']:.2f}",
            ]
        )
    header = ["", "step, ms", "range", "steps", "ratio", "peak RSS, MiB", "ratio"]
    return f"\n{model['title']}, batch {model['batch']}\n" + report.table(header, lines)


def draw(found: dict) -> str:
    models = found["models"]
    rows = [row for model in models for row in model["rows"]]

    def values(name: str, key: str) -> list[float | None]:
        return [next((row.get(key) for row in model["rows"] if label(row) == name), None) for model in models]

    groups = []
    for framework in ("PyTorch", "Shear"):
        names = dict.fromkeys(label(row) for row in rows if row["framework"] == framework)
        groups.append([(name, [values(name, "time_ratio"), values(name, "rss_ratio")]) for name in names])
    panels = [
        report.Panel("Time of a step, of PyTorch's", 0.3, 8, [0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 8], log=True),
        report.Panel("Peak resident memory, of PyTorch's", 0, 1.2, [0, 0.2, 0.4, 0.6, 0.8, 1, 1.2]),
    ]
    of = found["machine"]
    by = "SGD with momentum" if found["optimizer"] == "sgd" else "AdamW"
    subtitle = f"{of['cpu']}, {found['threads']} threads, {by}; 1 is PyTorch {found['torch']}, eager, f32"
    series = [f"{m['title']}, batch {m['batch']}" for m in models]
    return report.dots("The same training step in Shear and in PyTorch", subtitle, series, panels, groups)


def begin(flags, version: str) -> dict:
    """An empty report; or, where results are added, the one that is there, if it is of the same machine and Shear."""
    found = {"machine": report.machine(), "torch": version, "threads": flags.threads}
    found |= {"optimizer": flags.optimizer, "models": []}
    path = flags.out / "peers.json"
    if not flags.add or not path.exists():
        return found
    before = json.loads(path.read_text())
    for what, then, now in [
        ("CPU", before["machine"]["cpu"], found["machine"]["cpu"]),
        ("revision", before["machine"]["revision"], found["machine"]["revision"]),
        ("PyTorch", before["torch"], version),
        ("threads", before["threads"], flags.threads),
        ("optimizer", before["optimizer"], flags.optimizer),
    ]:
        if then != now:
            sys.exit(f"tools/bench: --add: {path} is of {what} {then}, this run of {now}; expected the same")
    before["machine"]["command"] += f"; {found['machine']['command']}"
    return before


def run(flags, step: str, build: pathlib.Path) -> None:
    python, version = find_torch(flags.python, build)
    found = begin(flags, version)
    print(f"{found['machine']['cpu']}, {flags.threads} threads, {flags.optimizer}; PyTorch {version}")
    for title in flags.models:
        spec, batch = model_of(title, flags.batch)
        model = next((m for m in found["models"] if (m["title"], m["batch"]) == (title, batch)), None)
        if not model:
            model = {"title": title, "model": spec, "batch": batch, "rows": []}
            found["models"].append(model)
        how = ["--model", spec, "--batch", str(batch), "--threads", str(flags.threads), "--device", flags.device]
        how += ["--optimizer", flags.optimizer]
        for group in flags.groups:
            print(f"{title}, {group}", file=sys.stderr)
            listed = [contestant(row, how, step, python) for row in (GROUPS | MORE_GROUPS)[group]]
            results = take_turns(listed, flags.seconds, flags.rounds, flags.warm_up)
            reference = next(r for r in results if r.name == REFERENCE)
            if reference.error:
                sys.exit(f"tools/bench: {reference.error}; expected training steps in PyTorch")
            model["rows"] = [row for row in model["rows"] if row["group"] != group]
            model["rows"] += [row_of(result, group, reference) for result in results]
            print(show(model, group), flush=True)
    report.write_json(flags.out / "peers.json", found)
    report.write(flags.out / "peers.svg", draw(found))

"""tools/bench ops: the operators of a training step, each beside its bound."""

import json
import pathlib
import subprocess
import sys
import tempfile

import peers
import report
from turns import clean_environment

# The products of a block's linears; their sum is the part of a step that GEMM bounds.
LINEARS = [f"{layer} {part}" for layer in ("qkv", "proj", "fc1", "fc2") for part in ("forward", "dX", "dW")]
ALL_LINEARS = "all linears of a block"


def measure(program: str, flags, specs: list[str], batch: int, threads: int) -> dict:
    """What Google Benchmark found, as it writes it."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "ops.json"
        command = [program, "--threads", str(threads), "--device", flags.device]
        command += ["--precision", flags.precision, "--models", ";".join(specs)]
        command += ["--batch", str(batch), f"--benchmark_min_time={flags.seconds}", f"--benchmark_filter={flags.filter}"]
        command += [f"--benchmark_repetitions={flags.rounds}", f"--benchmark_out={out}", "--benchmark_out_format=json"]
        if flags.quick:
            command.append("--quick")
        ran = subprocess.run(command, env=clean_environment() | peers.SHEAR, capture_output=True, text=True)
        if ran.returncode != 0:
            sys.exit(f"{ran.stderr}tools/bench: bench_ops ended with status {ran.returncode}")
        return json.loads(out.read_text())


def rows_of(measured: dict, titles: dict[str, str], threads: int) -> list[dict]:
    """Medians, where there were repetitions."""
    rows = []
    for one in measured["benchmarks"]:
        if one.get("aggregate_name", "median") != "median" or one.get("repetitions", 1) > 1 and "aggregate_name" not in one:
            continue
        operator, spec, _ = one["run_name"].rsplit("/", 2)  # the last part says "real_time"
        rows.append(
            {
                "operator": operator,
                "model": titles[spec],
                "threads": threads,
                "seconds": one["real_time"] * 1e-6,
                "bound_seconds": one["bound_us"] * 1e-6,
                "bound_by": "memory" if one["bound_by_memory"] else "gemm",
                "share": one["share"],
                "flops_per_second": one["flops"],
                "bytes_per_second": one["bytes"],
            }
        )
    return rows + sums_of(rows, threads)


def sums_of(rows: list[dict], threads: int) -> list[dict]:
    """All products of a block's linears together, model by model."""
    sums = []
    for title in dict.fromkeys(row["model"] for row in rows):
        linears = [row for row in rows if row["model"] == title and row["operator"] in LINEARS]
        if len(linears) < len(LINEARS):
            continue
        seconds, bound = (sum(row[key] for row in linears) for key in ("seconds", "bound_seconds"))
        done = {
            rate: sum(row[rate] * row["seconds"] for row in linears) / seconds
            for rate in ("flops_per_second", "bytes_per_second")
        }
        sums.append({"operator": ALL_LINEARS, "model": title, "threads": threads, "seconds": seconds})
        sums[-1] |= {"bound_seconds": bound, "bound_by": "gemm", "share": bound / seconds, **done}
    return sums


def show(found: dict, title: str) -> str:
    lines = []
    mine = [row for row in found["operators"] if row["model"] == title]
    for operator in dict.fromkeys(row["operator"] for row in mine):
        by_threads = {row["threads"]: row for row in mine if row["operator"] == operator}
        cells = [operator, next(iter(by_threads.values()))["bound_by"]]
        for threads in found["threads"]:
            row = by_threads[threads]
            cells += [f"{1e3 * row['seconds']:.3f}", f"{100 * row['share']:.0f}%"]
            rate, unit = ("flops_per_second", "GFLOP/s") if row["bound_by"] == "gemm" else ("bytes_per_second", "GB/s")
            cells.append(f"{row[rate] / 1e9:.1f} {unit}")
        first, last = (by_threads[threads]["seconds"] for threads in (found["threads"][0], found["threads"][-1]))
        if len(found["threads"]) > 1:
            cells.append(f"{first / last:.2f}")
        lines.append(cells)
    header = ["", "bound by"]
    for threads in found["threads"]:
        header += [f"{threads} thread{'s' if threads > 1 else ''}, ms", "of bound", "rate"]
    if len(found["threads"]) > 1:
        header.append("speed-up")
    return f"\n{title}\n" + report.table(header, lines)


def show_bounds(bounds: dict) -> str:
    fma = f"{bounds['fma_flops'] / 1e9:.0f} GFLOP/s in registers, " if bounds["fma_flops"] > 0 else ""
    best = f"{bounds['gemm_flops'] / 1e9:.0f} in the best square GEMM ({bounds['gemm_size']:.0f})"
    plural = "s" if bounds["threads"] > 1 else ""
    return f"{bounds['threads']} thread{plural}: {fma}{best}, {bounds['copied_bytes'] / 1e9:.1f} GB/s copied (read and written)"


def draw(found: dict) -> str:
    threads = found["threads"][-1]
    rows = [row for row in found["operators"] if row["threads"] == threads]
    titles = list(dict.fromkeys(row["model"] for row in rows))

    def shares(operator: str) -> list[list[float | None]]:
        of = {row["model"]: row["share"] for row in rows if row["operator"] == operator}
        return [[of.get(title) for title in titles]]

    groups = []
    for bound in ("gemm", "memory"):
        operators = dict.fromkeys(row["operator"] for row in rows if row["bound_by"] == bound)
        groups.append([(operator, shares(operator)) for operator in operators])
    panel = report.Panel("Share of its bound that is reached", 0, 1.2, [0, 0.2, 0.4, 0.6, 0.8, 1, 1.2])
    bounds = found["bounds"][-1]
    subtitle = f"{found['machine']['cpu']}, {found['precision']}, {show_bounds(bounds)}"
    return report.dots("Operators of a training step", subtitle, titles, [panel], [g for g in groups if g])


def run(flags, program: str) -> None:
    found = {"machine": report.machine(), "precision": flags.precision, "threads": flags.threads, "bounds": [], "operators": []}
    print(f"{found['machine']['cpu']}, {flags.precision}")
    batches: dict[int, dict[str, str]] = {}  # what runs in one process: the models of a batch, title by spec
    for title in flags.models:
        spec, batch = peers.model_of(title, flags.batch)
        batches.setdefault(batch, {})[spec] = title
    for threads in flags.threads:
        for batch, titles in batches.items():
            measured = measure(program, flags, list(titles), batch, threads)
            bounds = {
                key: float(measured["context"][key]) for key in ("fma_flops", "gemm_flops", "gemm_size", "copied_bytes")
            }
            found["bounds"].append({"threads": threads, "batch": batch, **bounds})
            found["operators"] += rows_of(measured, titles, threads)
            print(show_bounds(found["bounds"][-1]), flush=True)
    for title in flags.models:
        print(show(found, title))
    report.write_json(flags.out / "ops.json", found)
    report.write(flags.out / "ops.svg", draw(found))

"""tools/bench policies: every policy's training step beside that of `full`, in turns, and what plan said of it."""

import pathlib
import sys

import peers
import report
from ask import ask
from turns import Contestant, take_turns

POLICIES = ["full", "full:attention=materialised", "lean", "checkpoint", "backrazor", "prebr-", "prebr", "prebr++"]
POLICIES += ["prebr++:sample=0.5,qkv=4", "tokens"]


def show(model: dict) -> str:
    lines = [
        [
            row["policy"],
            f"{1e3 * row['step_seconds_median']:.1f}",
            f"{1e3 * min(row['step_seconds']):.1f}-{1e3 * max(row['step_seconds']):.1f}",
            str(len(row["step_seconds"])),
            f"{row['time_ratio']:.2f}",
            f"{1e3 * row['planned_seconds']:.1f}",
            f"{row['planned_seconds'] / row['step_seconds_median']:.2f}",
            report.mib(row["peak_bytes"]),
            f"{row['peak_ratio']:.2f}",
            report.mib(row["saved_bytes"]),
            report.mib(row["rss_peak_bytes"]),
        ]
        for row in model["rows"]
    ]
    header = ["", "step, ms", "range", "steps", "ratio", "planned, ms", "of it", "peak, MiB", "ratio", "saved, MiB", "peak RSS, MiB"]
    return f"\n{model['title']}, batch {model['batch']}\n" + report.table(header, lines)


def draw(found: dict) -> str:
    models = found["models"]
    rows = [
        (policy, [[model["rows"][i][key] for model in models] for key in ("time_ratio", "peak_ratio")])
        for i, policy in enumerate(found["policies"])
    ]
    panels = [
        report.Panel("Time of a step, of full's", 0.6, 1.6, [0.6, 0.8, 1, 1.2, 1.4, 1.6]),
        report.Panel("Bytes of a step at their peak, of full's", 0, 1.4, [0, 0.2, 0.4, 0.6, 0.8, 1, 1.2, 1.4]),
    ]
    subtitle = f"{found['machine']['cpu']}, {found['threads']} threads, f32, SGD with momentum"
    series = [f"{m['title']}, batch {m['batch']}" for m in models]
    return report.dots("A training step under each policy", subtitle, series, panels, [rows])


def planned_seconds(shear: pathlib.Path, policies: list[str], how: list[str], out: pathlib.Path) -> list[float]:
    """Of a step under each, from kernels that are timed now."""
    command = [str(shear), "plan", "--json", "--time-anew", "--optimizer", "sgd", "--policy", ";".join(policies), *how]
    return [row.get("seconds", float("nan")) for row in ask(command, out)["policies"]]


def run(flags, step: str, shear: pathlib.Path) -> None:
    policies = ["full", *(p for p in flags.policies if p != "full")]
    found = {"machine": report.machine(), "threads": flags.threads, "policies": policies, "models": []}
    print(f"{found['machine']['cpu']}, {flags.threads} threads, f32")
    for title in flags.models:
        spec, batch = peers.model_of(title, flags.batch)
        how = ["--model", spec, "--batch", str(batch), "--threads", str(flags.threads), "--device", flags.device]
        print(title, file=sys.stderr)
        listed = [Contestant(p, [step, *how, "--policy", p], peers.SHEAR) for p in policies]
        results = take_turns(listed, flags.seconds, flags.rounds, flags.warm_up)
        if failed := [r for r in results if r.error]:
            sys.exit(f"tools/bench: {failed[0].error}; expected training steps")
        full = results[0]
        seconds = planned_seconds(shear, policies, how, flags.out)
        rows = [
            {
                "policy": r.name,
                "step_seconds_median": r.median,
                "time_ratio": r.median / full.median,
                "peak_ratio": r.answer["peak_bytes"] / full.answer["peak_bytes"],
                "planned_seconds": planned,
                "step_seconds": r.seconds,
                "busy_others": r.others,
                **{key: r.answer[key] for key in ("peak_bytes", "saved_bytes", "rss_peak_bytes")},
            }
            for r, planned in zip(results, seconds)
        ]
        found["models"].append({"title": title, "model": spec, "batch": batch, "rows": rows})
        print(show(found["models"][-1]), flush=True)
    report.write_json(flags.out / "policies.json", found)
    report.write(flags.out / "policies.svg", draw(found))

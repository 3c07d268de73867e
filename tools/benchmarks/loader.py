"""tools/bench loader: how many images a second the loader prepares, and how many each model's step takes."""

import json
import subprocess
import sys

import peers
import report
from turns import Contestant, clean_environment, take_turns


def prepared(program: str, data: str, spec: str, threads: int, seconds: float) -> float:
    flags = ["--data", data, "--model", spec, "--threads", str(threads), "--seconds", str(seconds)]
    ran = subprocess.run([program, *flags], env=clean_environment(), capture_output=True, text=True)
    if ran.returncode != 0:
        sys.exit(f"{ran.stderr}tools/bench: bench_loader ended with status {ran.returncode}")
    return json.loads(ran.stdout)["images_per_second"]


def run(flags, program: str, step: str) -> None:
    found = {"machine": report.machine(), "data": flags.data, "threads": flags.threads, "models": []}
    print(f"{found['machine']['cpu']}: images a second")
    for title in flags.models:
        spec, batch = peers.model_of(title, flags.batch)
        how = ["--model", spec, "--batch", str(batch), "--threads", str(flags.threads), "--device", flags.device]
        result = take_turns([Contestant(title, [step, *how], peers.SHEAR)], flags.seconds, 1, 2)[0]
        if result.error:
            sys.exit(f"tools/bench: {result.error}; expected training steps")
        loader = prepared(program, flags.data, spec, 1, flags.seconds)
        taken = batch / result.median
        found["models"].append(
            {
                "title": title,
                "model": spec,
                "loaded_per_second": loader,
                "trained_per_second": taken,
                "ratio": loader / taken,
            }
        )
    header = ["", "loaded by one thread", f"trained on by {flags.threads}", "ratio"]
    lines = [
        [m["title"], f"{m['loaded_per_second']:.0f}", f"{m['trained_per_second']:.1f}", f"{m['ratio']:.1f}"]
        for m in found["models"]
    ]
    print(report.table(header, lines))
    report.write_json(flags.out / "loader.json", found)

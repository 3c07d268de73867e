"""tools/bench frontier: what a byte keeps of the gradient, under families of policies and as `auto` chooses."""

import pathlib

import report
from ask import ask

FAMILIES = {
    "codes": ["codes:bits=2,group=256,qkv=2,gelu=2", "codes:bits=2,gelu=2", "codes:bits=2", "codes", "codes:group=32", "codes:bits=4", "codes:bits=8,qkv=8,gelu=8"],
    "tokens": [f"tokens:keep={keep}" for keep in (0.1, 0.25, 0.5, 0.75)],
    "prebr++:qkv=4": [f"prebr++:sample={sample},qkv=4" for sample in (0.2, 0.35, 0.5, 0.75)],
    "prebr": [f"prebr:prune={prune}" for prune in (0.9, 0.8, 0.65, 0.5)],
    "backrazor": [f"backrazor:prune={prune}" for prune in (0.9, 0.8, 0.6, 0.4)],
}
SHARES = [0.12, 0.14, 0.16, 0.18, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6]


def show(found: dict) -> str:
    lines = [
        [
            f"{row['share']:.2f}",
            f"{row['bytes'] / found['full_bytes']:.3f}",
            f"{row['expected_error']:.3f}",
            f"{row['error']:.3f}",
            f"{row['cosine']:.4f}",
            f"{row['planned_ratio']:.2f}",
            f"{row['time_ratio']:.2f}",
        ]
        for row in found["auto"]
    ]
    header = ["auto within", "of full", "expected error", "error", "cosine", "planned time", "time"]
    families = [
        [family, row["policy"], f"{row['bytes'] / found['full_bytes']:.3f}", f"{row['error']:.3f}", f"{row['cosine']:.4f}", f"{row['time_ratio']:.2f}"]
        for family, rows in found["families"].items()
        for row in rows
    ]
    chosen = [f"{row['share']:.2f}  {row['policy']}" for row in found["auto"]]
    return "\n".join([report.table(header, lines), "", *chosen, ""]) + "\n" + report.table(["family", "policy", "of full", "error", "cosine", "time"], families)


def draw(found: dict) -> str:
    def points(rows: list[dict]) -> list[tuple[float, float]]:
        return sorted((row["bytes"] / found["full_bytes"], row["error"]) for row in rows if row["error"] > 0)

    lines = {**{family: points(rows) for family, rows in found["families"].items()}, "auto": points(found["auto"])}
    x = report.Panel("bytes of a step at its peak, of full's", 0.1, 0.65, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    y = report.Panel("relative error of the gradients of block weights", 0.0001, 3, [0.0001, 0.001, 0.01, 0.1, 1], log=True)
    subtitle = f"{found['model']}: bytes at batch {found['batch']}, gradients of {found['images']} images"
    return report.curves("What a byte keeps of the gradient", subtitle, lines, x, y)


def run(flags, shear: pathlib.Path) -> None:
    weights = ["--weights", flags.weights] if flags.weights else []
    running = ["--threads", str(flags.threads), "--optimizer", "sgd"]
    planning = [str(shear), "plan", "--json", "--model", flags.model, "--optimizer", "sgd", "--threads", str(flags.threads)]
    every = ["full", *(policy for family in FAMILIES.values() for policy in family)]
    whole = ask([*planning, "--no-time", "--batch", str(flags.batch), "--policy", ";".join(every)], flags.out)
    planned = {row["policy"]: row["peak_bytes"] for row in whole["policies"]}
    comparing = [str(shear), "compare", "--gradients-only", "--json", "--data", flags.data, "--model", flags.model, *weights, *running]
    comparing += ["--batch", str(flags.images), "--cosine-batches", str(flags.batches)]
    errors = []
    if flags.by_block:
        ask([*comparing, "--by-block", "--out", str(flags.out)], flags.out)
        errors = ["--block-errors", str(flags.out / "blocks.json")]
    auto = []
    for share in SHARES:
        budget = ["--policy", "auto", "--budget", str(int(share * planned["full"])), *errors]
        row = ask([*planning, "--no-time", "--batch", str(flags.batch), *budget], flags.out, allowed=(0, 4))["policies"][0]
        if "chosen" in row and row["fits"] and row["fits_with"] == "":
            auto.append({"share": share, "policy": row["chosen"], "bytes": row["peak_bytes"], "expected_error": row["gradient_error"]})
    specs = list(dict.fromkeys([*every, *(row["policy"] for row in auto)]))
    measured = {row["policy"]: row for row in ask([*comparing, "--policy", ";".join(specs)], flags.out)["policies"]}
    told = ask([*planning, "--time-anew", "--batch", str(flags.images), "--policy", ";".join(specs)], flags.out)["policies"]
    seconds = {row["policy"]: row.get("seconds", float("nan")) for row in told}
    found = {"machine": report.machine(), "model": flags.model, "batch": flags.batch, "images": flags.images * flags.batches, "full_bytes": planned["full"]}

    def row_of(policy: str, bytes_: int) -> dict:
        row = measured[policy]
        return {
            "policy": policy,
            "bytes": bytes_,
            "error": row["block_error"],
            "cosine": row["block_cosine"],
            "time_ratio": row["step_seconds_median"] / measured["full"]["step_seconds_median"],
            "planned_ratio": seconds[policy] / seconds["full"],
        }

    found["families"] = {family: [row_of(policy, planned[policy]) for policy in policies] for family, policies in FAMILIES.items()}
    found["auto"] = [{**row, **row_of(row["policy"], row["bytes"])} for row in auto]
    print(show(found))
    report.write_json(flags.out / "frontier.json", found)
    report.write(flags.out / "frontier.svg", draw(found))

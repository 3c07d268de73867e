"""tools/bench: the measurements; see --help."""

import argparse
import pathlib

import frontier
import loader
import ops
import peers
import policies
import report


def common(parser: argparse.ArgumentParser, models: list[str]) -> None:
    known = ", ".join(peers.MODELS | peers.LARGE)
    parser.add_argument("--models", nargs="+", default=models, metavar="MODEL", help=f"{known}, or as for shear train")
    parser.add_argument("--batch", type=int, help="images (default: 8, of the Fashion ViT 128)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    out = report.ROOT / "runs" / "bench"
    parser.add_argument("--out", type=pathlib.Path, default=out, help="folder for JSON and SVG (default: runs/bench)")


def turns(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=int, default=2, help="of each process (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each process (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=2, help="of a turn, or one step (default: %(default)s)")
    parser.add_argument("--warm-up", type=int, default=2, help="steps before the first turn (default: %(default)s)")


def main() -> None:
    what = "Measures Shear, on a machine that does nothing else."
    parser = argparse.ArgumentParser(prog="tools/bench", description=what)
    parser.add_argument("--build", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    what = "operators of a training step, each beside its bound: the best rate of products, or bytes copied in a second"
    one = commands.add_parser("ops", help=what, description=what)
    common(one, ["ViT-Ti/16", "ViT-S/16", "ViT-B/16"])
    one.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="one after another (default: 1 2)")
    one.add_argument("--rounds", type=int, default=3, help="of which the median counts (default: %(default)s)")
    one.add_argument("--seconds", type=float, default=0.05, help="of a round, at least (default: %(default)s)")
    one.add_argument("--precision", default="f32", help="of products: f32 or bf16 (default: %(default)s)")
    one.add_argument("--filter", default=".", help="only operators that this regular expression fits")
    one.add_argument("--quick", action="store_true", help="to see that all runs: bounds and shares mean nothing")

    what = "the same training step in Shear and in PyTorch, in turns"
    one = commands.add_parser("peers", help=what, description=what)
    common(one, list(peers.MODELS))
    turns(one)
    every = peers.GROUPS | peers.MORE_GROUPS
    one.add_argument("--groups", nargs="+", choices=every, default=list(peers.GROUPS), help="who takes turns")
    one.add_argument("--optimizer", choices=["sgd", "adamw"], default="sgd", help="(default: %(default)s)")
    one.add_argument("--add", action="store_true", help="to the report in --out, in place of the same groups")
    one.add_argument("--python", help="an interpreter with PyTorch (default: this one, else one that is installed)")

    what = "a training step under each policy beside that under `full`, in turns, and beside what `shear plan` tells"
    one = commands.add_parser("policies", help=what, description=what)
    common(one, list(peers.MODELS))
    turns(one)
    one.add_argument("--policies", nargs="+", default=policies.POLICIES, metavar="POLICY", help="(default: all)")

    what = "what a byte keeps of the gradient: error and bytes of families of policies, and of what auto chooses"
    one = commands.add_parser("frontier", help=what, description=what)
    one.add_argument("--data", required=True, help="as for shear train")
    one.add_argument("--model", required=True, help="as for shear train, with its classes")
    one.add_argument("--weights", help="as for shear train; their head trained, else no gradient comes back")
    one.add_argument("--by-block", action="store_true", help="auto goes by what codes of each block add to this model, measured first")
    one.add_argument("--batch", type=int, default=64, help="that bytes are of (default: %(default)s)")
    one.add_argument("--images", type=int, default=8, help="of a batch that gradients are of (default: %(default)s)")
    one.add_argument("--batches", type=int, default=4, help="as many (default: %(default)s)")
    one.add_argument("--threads", type=int, default=2, help="(default: %(default)s)")
    out = report.ROOT / "runs" / "bench"
    one.add_argument("--out", type=pathlib.Path, default=out, help="folder for JSON and SVG (default: runs/bench)")

    what = "images a second that the loader prepares, beside those that a training step takes"
    one = commands.add_parser("loader", help=what, description=what)
    common(one, list(peers.MODELS))
    one.add_argument("--data", required=True, help="as for shear train, with its classes")
    one.add_argument("--threads", type=int, default=2, help="of the step; the loader has one (default: %(default)s)")
    one.add_argument("--seconds", type=float, default=2, help="of each measurement (default: %(default)s)")

    flags = parser.parse_args()
    flags.out.mkdir(parents=True, exist_ok=True)
    programs = flags.build / "tools" / "benchmarks"
    if flags.command == "ops":
        ops.run(flags, str(programs / "bench_ops"))
    elif flags.command == "peers":
        peers.run(flags, str(programs / "bench_step"), flags.build)
    elif flags.command == "frontier":
        frontier.run(flags, flags.build / "tools" / "shear" / "shear")
    elif flags.command == "loader":
        loader.run(flags, str(programs / "bench_loader"), str(programs / "bench_step"))
    else:
        policies.run(flags, str(programs / "bench_step"), flags.build / "tools" / "shear" / "shear")


if __name__ == "__main__":
    main()

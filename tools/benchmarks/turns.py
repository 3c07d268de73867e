"""Processes that take training steps in turns, so that whatever the machine does meanwhile happens to all of them.

A contestant is a process of its own that reads numbers of steps and answers each with a line of JSON: bench_step or
torch_step.py.  While it waits it computes nothing.
"""

import dataclasses
import json
import os
import statistics
import subprocess
import sys
import time


@dataclasses.dataclass
class Contestant:
    name: str
    command: list[str]
    environment: dict[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Result:
    name: str
    seconds: list[float]  # of each timed step
    answer: dict  # the last line: peak bytes, resident bytes
    others: float = 0  # processors that others kept busy in its turns, at the worst
    error: str = ""  # what it said where it did not run; then there are no seconds

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


def clean_environment() -> dict[str, str]:
    """What a user's shell happens to set for some BLAS, OpenMP or malloc is no part of a comparison."""
    set_for_speed = ("OPENBLAS_", "OMP_", "GOMP_", "MKL_", "MALLOC_")
    return {key: value for key, value in os.environ.items() if not key.startswith(set_for_speed)}


DISTURBED = 0.1  # processors: from here on a turn's seconds are told of as not to be believed
TICKS = os.sysconf("SC_CLK_TCK")  # a second


def busy_seconds() -> float:
    """What all processors together have worked since the machine started, and what was taken from them."""
    with open("/proc/stat") as stat:
        user, nice, system, _, _, irq, soft, stolen, *_ = map(int, stat.readline().split()[1:])
    return (user + nice + system + irq + soft + stolen) / TICKS


class Running:
    """A contestant's process."""

    def __init__(self, contestant: Contestant):
        self.name = contestant.name
        self.process = subprocess.Popen(
            contestant.command,
            env=clean_environment() | contestant.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def steps(self, count: int) -> dict:
        try:
            self.process.stdin.write(f"{count}\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise RuntimeError(f"{self.name} ended with status {self.process.wait()}")
        return json.loads(line)

    def own_seconds(self) -> float:
        with open(f"/proc/{self.process.pid}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS  # in user mode and in the kernel

    def turn(self, count: int) -> tuple[dict, float]:
        """Steps, and how many processors others kept busy meanwhile."""
        start, others = time.monotonic(), busy_seconds() - self.own_seconds()
        answer = self.steps(count)
        others = busy_seconds() - self.own_seconds() - others
        took = time.monotonic() - start
        return answer, max(0.0, others / took) if took > 20 / TICKS else 0.0  # the kernel counts in ticks

    def stop(self) -> None:
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


def take_turns(contestants: list[Contestant], seconds: float, rounds: int, warm_up: int) -> list[Result]:
    """Everybody warms up; then `rounds` times everybody, in the same order, takes steps for `seconds`, at least one.

    One that cannot run is told of and left out.
    """
    running, results, counts = {}, {}, {}
    try:
        for contestant in contestants:
            print(f"  warming up {contestant.name}", file=sys.stderr, flush=True)
            results[contestant.name] = Result(contestant.name, [], {})
            running[contestant.name] = process = Running(contestant)
            try:
                took = min(process.steps(warm_up)["seconds"])
                counts[contestant.name] = max(1, round(seconds / took))
            except RuntimeError as e:
                results[contestant.name].error = str(e)
                running.pop(contestant.name).stop()
        for turn in range(rounds):
            print(f"  round {turn + 1} of {rounds}", file=sys.stderr, flush=True)
            for name, process in running.items():
                answer, others = process.turn(counts[name])
                results[name].seconds += answer.pop("seconds")
                results[name].answer = answer
                results[name].others = max(results[name].others, others)
                if others > DISTURBED:
                    print(f"  {name}: others kept {others:.1f} processors busy meanwhile", file=sys.stderr, flush=True)
    finally:
        for process in running.values():
            process.stop()
    return list(results.values())

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
    error: str = ""  # what it said where it did not run; then there are no seconds

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


def clean_environment() -> dict[str, str]:
    """What a user's shell happens to set for some BLAS, OpenMP or malloc is no part of a comparison."""
    set_for_speed = ("OPENBLAS_", "OMP_", "GOMP_", "MKL_", "MALLOC_")
    return {key: value for key, value in os.environ.items() if not key.startswith(set_for_speed)}


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

    def stop(self) -> None:
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


def take_turns(contestants: list[Contestant], seconds: float, rounds: int, warm_up: int) -> list[Result]:
    """Everybody warms up; then `rounds` times everybody in the same order takes steps for about `seconds`, at least one.

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
                answer = process.steps(counts[name])
                results[name].seconds += answer.pop("seconds")
                results[name].answer = answer
    finally:
        for process in running.values():
            process.stop()
    return list(results.values())

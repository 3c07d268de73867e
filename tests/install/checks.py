"""What the tests of an installation share: a command's outcome, and sentences on what does not hold."""

import subprocess

wrong: list[str] = []


def run(*command, **kwargs) -> subprocess.CompletedProcess:
    return subprocess.run([str(c) for c in command], text=True, capture_output=True, **kwargs)


def expect(holds: bool, sentence: str) -> None:
    if not holds:
        wrong.append(sentence)

#!/usr/bin/env python3
"""Checks the man page and the completions of shells that a build has made from the command line.

    pages_test.py FOLDER EXECUTABLE"""

import os
import pathlib
import re
import shutil
import sys
import tempfile

from checks import expect, run, wrong

FOLDER, SHEAR = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2]
# What completes a line in bash: its last word is the one at the cursor.
COMPLETE = """
source "$1"
shift
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
compopt() { :; }  # there is no line being edited
_shear shear "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


def expect_words(found: set[str], expected: set[str], where: str) -> None:
    expect(expected <= found, f"{where}: {sorted(expected - found)} are missing")


def check_man_page(flags: dict[str, set[str]]) -> None:
    result = run("man", "--warnings", "--encoding=UTF-8", "-l", FOLDER / "shear.1",
                 env={**os.environ, "MANWIDTH": "80", "MAN_KEEP_FORMATTING": "", "LC_ALL": "C.UTF-8", "MANPAGER": "cat"})
    expect(result.returncode == 0 and not result.stderr, f"man: status {result.returncode}, {result.stderr}")
    page = re.sub("\x1b\\[[0-9;]*m|.\b", "", result.stdout)
    for line in page.splitlines():
        expect(len(line) <= 80, f"shear.1: wider than 80 columns: {line}")
    sections = dict(re.findall(r"^   shear (\w+)\n(.*?)(?=^   shear |^\S)", page, re.M | re.S))
    expect_words(set(sections), set(flags), "shear.1")
    for command, own in flags.items():
        expect_words(set(re.findall(r"(?<!\w)--[a-z][a-z0-9-]*", sections.get(command, ""))), own - {"--help"},
                     f"shear.1, {command}")
    for section in ("NAME", "SYNOPSIS", "DESCRIPTION", "COMMANDS", "POLICIES", "EXIT STATUS", "EXAMPLE"):
        expect(f"\n{section}\n" in page, f"shear.1 has no section {section}")


def complete(*words: str, cwd: str | None = None) -> set[str]:
    result = run("bash", "-c", COMPLETE, "bash", FOLDER / "shear", "shear", *words, cwd=cwd)
    expect(result.returncode == 0 and not result.stderr, f"bash completes {words}: {result.stderr}")
    return set(result.stdout.split("\n")) - {""}


def check_bash(flags: dict[str, set[str]]) -> None:
    expect(run("bash", "-n", FOLDER / "shear").returncode == 0, "bash does not read its completion")
    expect_words(complete(""), set(flags) | {"help"}, "bash, the commands")
    expect(complete("tra") == {"train", "trace"}, "bash: tra is train or trace")
    expect_words(complete("help", ""), set(flags), "bash, help")
    for command, own in flags.items():
        expect_words(complete(command, "-"), own, f"bash, {command}")
    for words, expected in ((["train", "--precision", ""], {"f32", "bf16"}), (["train", "--precision", "=", "b"], {"bf16"}),
                            (["eval", "--device", ""], {"cpu", "cuda"}), (["plan", "--optimizer", "s"], {"sgd"}),
                            (["train", "--policy", "prebr"], {"prebr-", "prebr", "prebr++"}), (["train", "--batch", ""], set()),
                            (["plan", "--model", "vit_huge_patch16_r"], {"vit_huge_patch16_radio_v3", "vit_huge_patch16_radio_v4"})):
        found = complete(*words)
        expect(found == expected, f"bash completes {words} to {sorted(found)}, expected {sorted(expected)}")
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "photo of a cat.jpg").touch()
        for words in (["predict", "ph"], ["train", "--weights", "ph"], ["inspect", "ph"], ["eval", "--data", "=", "ph"]):
            expect(complete(*words, cwd=folder) == {"photo of a cat.jpg"}, f"bash offers no file for {words}")


def check_by_reading(shell: str, name: str, flags: dict[str, set[str]]) -> None:
    """Every command and flag is there; and the shell itself finds no fault, where it is installed."""
    text = (FOLDER / name).read_text()
    prefix = "" if shell == "zsh" else "-l "
    for command, own in flags.items():
        expect(command in text, f"{name}: {command} is missing")
        for flag in own:
            expect(f"{prefix}{flag if shell == 'zsh' else flag[2:]}" in text, f"{name}, {command}: {flag} is missing")
    if not shutil.which(shell):
        print(f"{shell} is not installed: {name} was only read")
        return
    result = run(shell, "-n", FOLDER / name)
    expect(result.returncode == 0 and not result.stderr, f"{shell}: {result.stderr}")


def main() -> int:
    page = run(SHEAR, "--help").stdout
    commands = re.findall(r"^  (\w+)  ", page[page.index("Commands:") : page.index("shear help")], re.M)
    expect(len(commands) > 9, f"shear --help lists {commands}")
    flags = {}
    for command in commands:
        text = run(SHEAR, command, "--help").stdout
        flags[command] = {word for line in text.splitlines() if line.startswith("  -") for word in
                          re.findall(r"--[a-z][a-z0-9-]*", line[:26].split("  ", 2)[1])} | {"--help"}
        expect(len(flags[command]) > 1, f"shear {command} --help lists no flag")
    check_man_page(flags)
    check_bash(flags)
    check_by_reading("zsh", "_shear", flags)
    check_by_reading("fish", "shear.fish", flags)
    print("\n".join(wrong) if wrong else f"{sum(map(len, flags.values()))} flags of {len(commands)} commands")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

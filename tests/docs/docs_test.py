#!/usr/bin/env python3
"""Checks what the pages for people name: links, anchors, files, commands and flags are there.

    docs_test.py [ROOT [SHEAR]]

Without the executable SHEAR commands are not checked.  Each rule brings a page that breaks it and one that does not,
which are tried first: a rule that finds nothing is not a rule.
"""

import pathlib
import re
import shlex
import subprocess
import sys
from typing import Callable, Iterator, NamedTuple

ROOT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent.parent).resolve()
PAGES = ["README.md", ".github/CONTRIBUTING.md", "tools/docs/*.md", "tests/*/README.md"]
FOLDERS = ("src", "tests", "tools", "include", "kernels", "models", ".github", ".ci")  # of the repository
README_LINES, README_COLUMNS = 150, 150

# What each command of shear takes, by its help; "" is shear itself.  Empty: there is no executable.
Help = dict[str, set[str]]


class Page(NamedTuple):
    path: pathlib.Path
    text: str

    def lines(self) -> Iterator[tuple[int, str | None, str]]:
        """Number, language of the code block that the line is in (None: in none), text; fences are left out."""
        language = None
        for number, line in enumerate(self.text.split("\n"), 1):
            if fence := re.match(r"\s*```(\w*)", line):
                language = fence[1] if language is None else None
            else:
                yield number, language, line

    def prose(self) -> Iterator[tuple[int, str]]:
        return ((number, line) for number, language, line in self.lines() if language is None)

    def spans(self) -> Iterator[tuple[int, str]]:
        return ((number, span) for number, line in self.prose() for span in re.findall(r"`([^`]+)`", line))

    def commands(self) -> Iterator[tuple[int, list[str]]]:
        """The words of each line in shell blocks, whole where it goes on behind a backslash."""
        begun, first = "", 0
        for number, language, line in self.lines():
            if language != "sh":
                continue
            first = number if not begun else first
            begun += line.rstrip("\\")
            if not line.endswith("\\"):
                if words := shlex.split(begun, comments=True):
                    yield first, words
                begun = ""


def anchors(text: str) -> set[str]:
    """Of the headings, as GitHub makes them."""
    found: dict[str, int] = {}
    for _, line in Page(ROOT, text).prose():
        if heading := re.match(r"#+\s+(.*?)\s*#*$", line):
            slug = re.sub(r"[^\w\- ]", "", heading[1].replace("`", "").lower()).replace(" ", "-")
            found[slug] = found.get(slug, -1) + 1
    return {slug if i == 0 else f"{slug}-{i}" for slug, last in found.items() for i in range(last + 1)}


def broken_links(page: Page, _: Help) -> Iterator[tuple[int, str]]:
    for number, line in page.prose():
        line = re.sub(r"`[^`]*`", "", line)
        for target in re.findall(r"\]\(([^)\s]+)[^)]*\)", line) + re.findall(r"^\[[^\]]+\]:\s*(\S+)", line):
            if re.match(r"[a-z]+:", target):
                continue  # of the web
            name, _, anchor = target.partition("#")
            path = page.path.parent / name if name else page.path
            if not path.exists():
                yield number, f"the link {target} leads nowhere"
            elif anchor and anchor not in anchors(page.text if not name else path.read_text()):
                yield number, f"the link {target} names a heading that is not there"


def repository_path(word: str, page: Page) -> pathlib.Path | None:
    """Where a word that looks like a path of the repository leads, by the root or by the page's own folder."""
    first, slash, _ = word.partition("/")
    if not slash or not re.fullmatch(r"[\w./*+-]+", word):
        return None
    if first in FOLDERS:
        return ROOT / word
    beside = page.path.parent
    return beside / word if beside != ROOT and (beside / first).is_dir() else None


def absent_paths(page: Page, _: Help) -> Iterator[tuple[int, str]]:
    named = [(number, span.split()[0]) for number, span in page.spans() if span.strip()]
    named += [(n, line.split()[0]) for n, language, line in page.lines() if language is not None and line[:1].strip()]
    for number, word in named:
        path = repository_path(word, page)
        if path is None:
            continue
        relative = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
        there = any(ROOT.glob(str(relative))) if "*" in word else path.exists()
        if not there or (word.endswith("/") and not path.is_dir()):
            yield number, f"{word} is not there"


def shear_commands(page: Page) -> Iterator[tuple[int, list[str]]]:
    """What follows `shear`, in shell blocks and in spans."""
    for number, words in page.commands():
        if pathlib.PurePath(words[0]).name == "shear":
            yield number, words[1:]
    for number, span in page.spans():
        words = span.split()
        if words[0] == "shear" and len(words) > 1:
            yield number, words[1:]


def unknown_commands(page: Page, known: Help) -> Iterator[tuple[int, str]]:
    if not known:
        return
    for number, words in shear_commands(page):
        command = "" if words[0].startswith("-") else words[0]
        if command == "help" or command.isupper():
            continue  # shear COMMAND --help
        if command not in known:
            yield number, f"shear has no command {command}"
            continue
        for flag in (word.partition("=")[0] for word in words if re.match(r"--\w", word)):
            if flag not in known[command]:
                yield number, f"shear {command} has no flag {flag}"


def unknown_flags(page: Page, known: Help) -> Iterator[tuple[int, str]]:
    """Flags that stand alone in a span, or behind a script of ours: of any command or script."""
    if not known:
        return
    anybodys = set().union(*known.values())
    tools = ROOT / "tools"
    for script in (p for p in [*tools.iterdir(), *tools.glob("benchmarks/*.py")] if p.is_file()):
        anybodys |= set(re.findall(r"--[a-z][\w-]*", script.read_text()))
    groups = [(n, span.split()) for n, span in page.spans() if span.startswith("--")]
    groups += [(n, words) for n, words in page.commands() if words[0].startswith("tools/")]
    groups += [(n, span.split()) for n, span in page.spans() if span.startswith("tools/")]
    for number, words in groups:
        for flag in (word.partition("=")[0] for word in words if re.match(r"--\w", word)):
            if flag not in anybodys:
                yield number, f"nothing of ours has a flag {flag}"


def too_long(page: Page, _: Help) -> Iterator[tuple[int, str]]:
    if page.path != ROOT / "README.md":
        return
    lines = page.text.rstrip("\n").split("\n")
    if len(lines) > README_LINES:
        yield len(lines), f"has {len(lines)} lines, expected at most {README_LINES}: the rest is for tools/docs"
    for number, line in enumerate(lines, 1):
        if len(line) > README_COLUMNS:
            yield number, f"has {len(line)} columns, expected at most {README_COLUMNS}"


class Rule(NamedTuple):
    find: Callable[[Page, Help], Iterator[tuple[int, str]]]
    breaks: list[str]  # each is found once
    keeps: str


RULES = [
    Rule(
        broken_links,
        ["[a](tools/docs/no_such.md)", "![p](tools/readme/no_such.svg)", "# One\n[a](#two)", "[a]: no_such.md",
         "[a](README.md#no-such-heading)"],
        "# C++'s own `x`, twice\n## Two\n## Two\n[a](#cs-own-x-twice) [b](#two-1) ![p](tools/readme/compare.svg)\n"
        "[w](https://no.such.place/) `[c](no_such.md)` [L](LICENSE)\n```sh\n[d](no_such.md)\n```\n",
    ),
    Rule(
        absent_paths,
        ["`src/no_such.cpp`", "`tests/ops/*_no_such.cpp`", "`tools/test/`", "```sh\ntools/no_such --long\n```",
         "```\nsrc/no_such/   a room\n```", "see `tools/no_such --flag`"],
        "`src/ops` `src/ops/` `tests/ops/*_test.cpp` `tools/test --long` `build/no_such` `run/no_such` `a|b/c`\n"
        "```sh\ncat src/no_such.cpp\n```\n",
    ),
    Rule(
        unknown_commands,
        ["```sh\nshear trian --data x\n```", "```sh\nshear train --dato x\n```", "`shear train --dato`",
         "```sh\nshear train --data x \\\n  --dato y   # it goes on\n```", "`shear --data`",
         "```sh\nbuild/tools/shear/shear train --epoch=3\n```"],
        "`shear` `shear COMMAND --help` `shear train` `shear --version` shear trian\n"
        '```sh\nshear train --data "x --dato" --steps=3   # not --dato\nmeson setup --dato\n```\n'
        "```\nshear trian\n```\n",
    ),
    Rule(
        unknown_flags,
        ["`--dato x`", "```sh\ntools/test --no-such-flag\n```", "`tools/test --no-such-flag`"],
        "`--data x` `--long` `tools/test --long` `-Dcuda=disabled`\n```sh\ntools/test --sanitize\nmeson --dato\n```\n",
    ),
    Rule(too_long, ["x\n" * (README_LINES + 1), "x" * (README_COLUMNS + 1)], "x\n" * README_LINES + "\n"),
]
TRIED_HELP: Help = {"": {"--version"}, "train": {"--data", "--steps"}}


def try_rules() -> list[str]:
    wrong = []
    for rule in RULES:
        for planted in rule.breaks:
            if (found := len(list(rule.find(Page(ROOT / "README.md", planted), TRIED_HELP)))) != 1:
                wrong.append(f"{rule.find.__name__} finds {found} mistakes in {planted[:80]!r}, expected 1")
        for _, what in rule.find(Page(ROOT / "README.md", rule.keeps), TRIED_HELP):
            wrong.append(f"{rule.find.__name__} takes offence where nothing is wrong: {what}")
    return wrong


def ask(shear: str) -> Help:
    def flags(*words: str) -> str:
        return subprocess.run([shear, *words], check=True, capture_output=True, text=True).stdout

    def of(page: str) -> set[str]:
        return set(re.findall(r"(?:^|[\s,])(--[a-z][\w-]*)", page, re.M))

    top = flags("--help")
    commands = re.findall(r"^  ([a-z]+) ", top.partition("Commands:")[2].partition("\n\n")[0], re.M)
    return {"": of(top), **{command: of(flags("help", command)) for command in commands}}


def main() -> int:
    wrong = try_rules()
    known = ask(sys.argv[2]) if len(sys.argv) > 2 else {}
    if known and len(known) < 5:
        wrong.append(f"only the commands {sorted(known)} are in the help of {sys.argv[2]}")
    pages = [Page(path, path.read_text()) for pattern in PAGES for path in sorted(ROOT.glob(pattern))]
    if len(pages) < 6:
        wrong.append(f"only {len(pages)} pages were found under {ROOT}")
    for page in pages:
        for rule in RULES:
            for number, what in sorted(set(rule.find(page, known))):
                wrong.append(f"{page.path.relative_to(ROOT)}:{number}: {what}")
    commands = sum(len(list(shear_commands(page))) for page in pages)
    if commands < 10:
        wrong.append(f"only {commands} commands of shear were found in {len(pages)} pages")
    print("\n".join(wrong) if wrong else f"{len(pages)} pages name what is there, in {commands} commands of shear too")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

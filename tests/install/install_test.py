#!/usr/bin/env python3
"""Installs a build into a temporary prefix and uses it as others do.

    install_test.py SOURCE BUILD COMPILER SANITIZERS

Checks what lies where; that every public header compiles alone, without the headers of third parties and without a
warning; that the examples build against the shared and the static library and do what they promise, with g++ and
clang++; what the shared library exports; and that the sources configure as a Meson subproject."""

import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from checks import expect, run, wrong

SOURCE, BUILD = (pathlib.Path(p).resolve() for p in sys.argv[1:3])
COMPILER, SANITIZERS = sys.argv[3:5]
MESON = os.environ.get("MESONINTROSPECT", "meson introspect").split()[:-1]
EXAMPLES = ["own_op", "own_policy", "training_loop"]
WARNINGS = ["-std=c++20", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror"]
THIRD_PARTIES = re.compile(r"/(Eigen|nlohmann|CLI|unsupported)/")
# A class or function of the library, behind the words that stand before what belongs to it.
EXPORTED = re.compile(r"^(?:(?:vtable|typeinfo|typeinfo name|VTT|guard variable|TLS (?:init|wrapper) function) for "
                      r"|(?:non-)?virtual thunk to )*shear::(\w+)")


def expect_done(result: subprocess.CompletedProcess, what: str) -> subprocess.CompletedProcess:
    expect(result.returncode == 0, f"{what}: status {result.returncode}\n{result.stdout[-3000:]}{result.stderr[-3000:]}")
    return result


def compilers() -> list[str]:
    """Each with which a user may come.  What is sanitized can only be linked by who sanitized it."""
    if SANITIZERS != "none":
        print(f"the build is sanitized: with its own compiler, {COMPILER}, alone")
        return [COMPILER]
    found = ["g++", "clang++" if shutil.which("clang++") else "clang++-14"]
    for name in found:
        expect(shutil.which(name) is not None, f"{name} is not installed: see tools/install")
    return [name for name in found if shutil.which(name)]


class Installed:
    """A build, installed below a folder with the prefix that it was configured for."""

    def __init__(self, folder: pathlib.Path):
        expect_done(run(*MESON, "install", "--no-rebuild", "--quiet", "-C", BUILD, "--destdir", folder), "meson install")
        headers = next(folder.rglob("include/shear/tensor.h"), None)
        if headers is None:
            sys.exit("\n".join([*wrong, "no header was installed"]))
        self.prefix = headers.parents[2]
        self.shared = next(self.prefix.rglob("libshear.so"))
        self.static = self.shared.with_name("libshear.a")
        self.sanitize = [] if SANITIZERS == "none" else [f"-fsanitize={SANITIZERS}"]

    def pkg_config(self, *words) -> list[str]:
        path = self.shared.parent / "pkgconfig"
        result = run("pkg-config", f"--define-variable=prefix={self.prefix}", *words, "shear",
                     env={**os.environ, "PKG_CONFIG_PATH": str(path)})
        return expect_done(result, f"pkg-config {' '.join(words)}").stdout.split()


def check_layout(installed: Installed) -> None:
    ours = {p.relative_to(SOURCE / "include") for end in ("h", "inc") for p in (SOURCE / "include").rglob(f"*.{end}")}
    theirs = {p.relative_to(installed.prefix / "include") for p in (installed.prefix / "include").rglob("*")}
    expect({p for p in theirs if p.suffix} == ours, f"include: {sorted(map(str, ours ^ theirs))} are not on both sides")
    for path in ("bin/shear", "share/man/man1/shear.1", "share/bash-completion/completions/shear",
                 "share/zsh/vendor-completions/_shear", "share/fish/vendor_completions.d/shear.fish"):
        expect((installed.prefix / path).is_file(), f"{path} is not installed")
    expect(installed.static.is_file(), "libshear.a is not installed")
    version = run(installed.prefix / "bin/shear", "--version").stdout.strip()
    expect(installed.shared.resolve().name == f"libshear.so.{version}", f"{installed.shared.resolve()} is not {version}")
    name = re.search(r"SONAME\s+(\S+)", run("objdump", "-p", installed.shared).stdout)
    expect(name is not None and name[1] == "libshear.so." + ".".join(version.split(".")[:2]), f"soname: {name}")
    expect(installed.pkg_config("--modversion") == [version], f"pkg-config does not tell version {version}")


def check_header(compiler: str, header: str, flags: list[str]) -> None:
    result = run(compiler, *WARNINGS, *flags, "-x", "c++", "-fsyntax-only", "-MD", "-MF", "/dev/stdout", "-",
                 input=f'#include "{header}"\n')
    expect_done(result, f"{compiler}: {header} alone")
    others = sorted({path for path in result.stdout.split() if THIRD_PARTIES.search(path)})
    expect(not others, f"{header} includes {others}")


def check_macros(installed: Installed) -> None:
    for path in sorted((installed.prefix / "include").rglob("*.h")):
        text = path.read_text()
        expect("\n#pragma once\n" in text, f"{path.name}: no #pragma once")
        for name in re.findall(r"^[ \t]*#[ \t]*define[ \t]+(\w+)", text, re.M):
            expect(name.startswith("SHEAR_"), f"{path.name}: the macro {name} has no prefix SHEAR_")


def check_lists(installed: Installed) -> None:
    """What is included in a class declares kernels, and nothing else."""
    lists = sorted((installed.prefix / "include").rglob("*.inc"))
    expect(len(lists) > 1, "no list of kernels is installed")
    for path in lists:
        text = re.sub(r"//.*", "", path.read_text())
        text = re.sub(r"SHEAR_(KERNEL|SCRATCH)\(.*?\);\n", "", text, flags=re.S)
        text = re.sub(r'#(include "shear/kernels/\w+\.inc"|undef SHEAR_\w+)\n', "", text)
        expect(not text.strip(), f"{path.name}: declares what is no kernel: {text.strip()}")


def check_exports(installed: Installed) -> None:
    """Only what a public header names, and of kernels nothing."""
    public = set(re.findall(r"\w+", "\n".join(p.read_text() for p in (SOURCE / "include").rglob("*.h"))))
    kernels = "\n".join(p.read_text() for p in (SOURCE / "src/backends").rglob("*.h"))
    hidden = set(re.findall(r"^(?:class|struct) (\w+)", kernels, re.M)) - public
    expect("CpuBackend" in hidden, "no class of a backend was found under src/backends")
    seen = 0
    for line in run("nm", "-DC", "--defined-only", installed.shared).stdout.splitlines():
        symbol = line.split(maxsplit=2)[2]
        match = EXPORTED.match(symbol)
        expect(match is not None, f"exported, but not of namespace shear: {symbol}")
        if match:
            seen += 1
            expect(match[1] in public, f"exported, but in no public header: {symbol}")
            expect(not hidden & set(re.findall(r"\w+", symbol)), f"a kernel is exported: {symbol}")
    expect(seen > 200, f"only {seen} symbols are exported")


def check_example(installed: Installed, compiler: str, example: str, flags: list[str], folder: pathlib.Path) -> None:
    object_file = folder / f"{example}-{compiler}.o"
    source = SOURCE / "tools/examples" / f"{example}.cpp"
    if expect_done(run(compiler, *WARNINGS, "-Wpedantic", "-O1", *installed.sanitize, *flags, "-c", source, "-o",
                       object_file), f"{compiler} {example}").returncode:
        return
    static = [str(installed.static) if word == "-lshear" else word for word in installed.pkg_config("--static", "--libs")]
    for kind, libraries in (("shared", installed.pkg_config("--libs")), ("static", static)):
        program = folder / f"{example}-{compiler}-{kind}"
        what = f"{compiler}, {kind} library: {example}"
        if expect_done(run(compiler, object_file, *installed.sanitize, *libraries, "-o", program), f"{what}: linked").returncode:
            continue
        needs = "libshear.so" in run("objdump", "-p", program).stdout
        expect(needs == (kind == "shared"), f"{what}: is linked to the other one")
        path = str(installed.shared.parent) if kind == "shared" else ""
        result = run(program, cwd=folder, env={**os.environ, "LD_LIBRARY_PATH": path, "OMP_NUM_THREADS": "1"})
        if expect_done(result, what).returncode == 0 and kind == "shared" and compiler == "g++":
            print(f"{example}: {result.stdout.strip().splitlines()[-1]}")


def check_subproject(folder: pathlib.Path) -> None:
    """Configures, and compiles one example; with SHEAR_LONG=1 builds the library once more, which takes minutes, and runs
    all."""
    project = folder / "project"
    shutil.copytree(SOURCE / "tools/examples", project)
    (project / "subprojects").mkdir()
    (project / "subprojects/shear").symlink_to(SOURCE)
    environment = {**os.environ, "PKG_CONFIG_PATH": ""}
    result = expect_done(run(*MESON, "setup", project / "build", project, "-Dshear:cuda=disabled", env=environment),
                         "as a subproject")
    expect("shear" in re.findall(r"^\s+(\w+)\s+: YES", result.stdout, re.M), f"no subproject shear:\n{result.stdout}")
    if result.returncode == 0:
        expect_done(run("ninja", "-C", project / "build", "own_policy.p/own_policy.cpp.o"), "against a subproject")
    if os.environ.get("SHEAR_LONG"):
        result = expect_done(run(*MESON, "test", "-C", project / "build", *EXAMPLES), "the examples of a project with a subproject")
        expect(f"Ok: {len(EXAMPLES)}" in re.sub(r" +", " ", result.stdout), f"not all examples ran:\n{result.stdout}")


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="shear-install-") as name:
        folder = pathlib.Path(name)
        installed = Installed(folder / "root")
        flags = installed.pkg_config("--cflags")
        headers = sorted(str(p.relative_to(SOURCE / "include")) for p in (SOURCE / "include").rglob("*.h"))
        check_layout(installed)
        check_macros(installed)
        check_lists(installed)
        if SANITIZERS == "none":  # which is optimised: what is inlined is not exported
            check_exports(installed)
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            jobs = [pool.submit(check_subproject, folder)]
            for compiler in compilers():
                jobs += [pool.submit(check_example, installed, compiler, e, flags, folder) for e in EXAMPLES]
                jobs += [pool.submit(check_header, compiler, h, flags) for h in headers]
            for job in jobs:
                job.result()
        print(f"{len(headers)} headers" if not wrong else "\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""`shear --device cuda` on a machine without a GPU: exit 5, one sentence, nothing else.  Skipped where there is one."""

import pathlib
import subprocess
import sys
import tempfile


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        data, out = pathlib.Path(folder) / "data", pathlib.Path(folder) / "out"
        data.mkdir()
        command = [sys.argv[1], "gradients", "--device", "cuda", "--model", "vit:image=16,patch=4,dim=8,depth=1,heads=1",
                   "--data", str(data), "--out", str(out)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if pathlib.Path("/dev/nvidia0").exists():
        print("there is a GPU here")
        return 77
    said = done.stderr.strip()
    print(f"exit {done.returncode}: {said}")
    return 0 if done.returncode == 5 and "no CUDA device was found" in said and "\n" not in said and not done.stdout else 1


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""`shear --device cuda` on a machine without a GPU: exit 5, one sentence, nothing else.  Skipped where there is one."""

import pathlib
import shutil
import subprocess
import sys
import tempfile

PHOTO = pathlib.Path(__file__).resolve().parent.parent.parent / "golden" / "images" / "grey8.png"


def main() -> int:
    if pathlib.Path("/dev/nvidia0").exists():
        print("there is a GPU here")
        return 77
    with tempfile.TemporaryDirectory() as folder:
        data, out = pathlib.Path(folder) / "data", pathlib.Path(folder) / "out"
        for part in ("train", "val"):
            for name in ("one", "other"):
                (data / part / name).mkdir(parents=True)
                shutil.copy(PHOTO, data / part / name)
        model = "vit:image=16,patch=4,dim=8,depth=1,heads=1,channels=1"
        command = [sys.argv[1], "train", "--device", "cuda", "--model", model, "--data", str(data), "--steps", "1",
                   "--batch", "2", "--out", str(out)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        left = out.exists()
    said = done.stderr.strip()
    print(f"exit {done.returncode}: {said}")
    one_sentence = "no CUDA device was found" in said and "\n" not in said
    return 0 if done.returncode == 5 and one_sentence and not done.stdout and not left else 1


if __name__ == "__main__":
    sys.exit(main())

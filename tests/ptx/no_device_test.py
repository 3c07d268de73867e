#!/usr/bin/env python3
"""`shear --device cuda` on a machine without a GPU: exit 5, one sentence, nothing else.  Skipped where there is one."""

import pathlib
import struct
import subprocess
import sys
import tempfile
import zlib


def grey_png(side: int, level: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = (b"\0" + bytes([level]) * side) * side
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def main() -> int:
    if pathlib.Path("/dev/nvidia0").exists():
        print("there is a GPU here")
        return 77
    with tempfile.TemporaryDirectory() as folder:
        data, out = pathlib.Path(folder) / "data", pathlib.Path(folder) / "out"
        for part in ("train", "val"):
            for level, name in enumerate(("dark", "light")):
                (data / part / name).mkdir(parents=True)
                (data / part / name / "0.png").write_bytes(grey_png(16, 200 * level))
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

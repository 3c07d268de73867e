#!/usr/bin/env python3
"""Makes the seeds of tests/fuzz/corpus for the readers of data sets; those of images and MAT-files are golden files.

    python3 tools/fuzz_seeds.py
"""
import gzip
import pathlib
import struct

TESTS = pathlib.Path(__file__).parent.parent / "tests"
MAT = TESTS / "golden" / "mat"


def pieces(*files):
    return b"".join(struct.pack(">H", len(f)) + f for f in files[:-1]) + files[-1]


def exif(orientation, endian, entries):
    rows = b"".join(struct.pack(endian + "HHIHH", tag, 3, 1, orientation, 0) for tag in entries)
    header = b"II*\0" if endian == "<" else b"MM\0*"
    return header + struct.pack(endian + "IH", 8, len(entries)) + rows + bytes(40)


labels = struct.pack(">II", 0x801, 3) + bytes([0, 9, 4])
images = struct.pack(">IIII", 0x803, 3, 2, 2) + bytes(range(12))
lists = (b"1 001.Albatross\n2 002.Auklet\n", b"1 1\n2 2\n3 2\n", b"1 1\n2 0\n3 1\n",
         b"1 a/1.jpg\n2 b/2.jpg\n3 b/a b.jpg\n")
packed = [gzip.compress(data, mtime=0) for data in (labels, images)]
records = [b"\x01\x02" + bytes(3072), b"\x13\x63" + bytes(3072)]
SEEDS = {
    "idx": {"plain": pieces(labels, images), "gzip": pieces(*packed)},
    "cifar": {"ten": pieces(b"cat\ndog\n", b"", bytes(3073)), "hundred": pieces(b"", *records)},
    "flowers": {"small": pieces((MAT / "imagelabels.mat").read_bytes(), (MAT / "setid.mat").read_bytes())},
    "cub": {"small": pieces(*lists)},
    "csv": {"split": b"path,label,split\n1.png,a,train\n\"x, y.png\",\"b \"\"c\"\"\",val\r\n2.png,a,test\n",
            "plain": b"\xef\xbb\xbfLabel,other,PATH\na,,1.png\nb,\"two\nlines\",2.png"},
    "exif": {"little": exif(6, "<", [0x112]), "big": exif(8, ">", [0x10F, 0x112, 0x131]),
             "xmp": b'<rdf:Description tiff:Orientation="6"/>'},
}
for target, seeds in SEEDS.items():
    folder = TESTS / "fuzz" / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in seeds.items():
        (folder / name).write_bytes(data)

#!/usr/bin/env python3
"""Makes tests/golden/images/, small images of every kind, and tests/image_golden.h, what Pillow decodes them to.

    python3 tools/golden_images.py

Needs Pillow 13 or later and numpy.  Kinds that Pillow does not write are made from its files by changing a header, or
by the few lines of PNG below.  Where Shear differs is said beside it.  "Upright" is Pillow's ImageOps.exif_transpose.
"""
import io
import pathlib
import struct
import zlib

import numpy
import PIL
from PIL import Image, ImageOps

ROOT = pathlib.Path(__file__).parent.parent / "tests"
FOLDER = ROOT / "golden" / "images"
WIDTH, HEIGHT = 21, 13

y, x = numpy.mgrid[0:HEIGHT, 0:WIDTH]
RAMPS = numpy.stack([x * 12, y * 19, x * 7 + y * 9, 255 - x * 11 + y], -1).astype(numpy.uint8)  # modulo 256
RGB = Image.fromarray(RAMPS[:, :, :3].copy())
GREY = Image.fromarray(RAMPS[:, :, 2].copy())
CMYK = Image.fromarray(RAMPS, "CMYK")
RGBA = Image.fromarray(RAMPS, "RGBA")


def saved(image, form, **options):
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def exif(orientation, endian="<"):
    entry = struct.pack(endian + "HHIHH", 0x0112, 3, 1, orientation, 0)
    return (b"II*\0" if endian == "<" else b"MM\0*") + struct.pack(endian + "IH", 8, 1) + entry + bytes(4)


def patched(data, at, byte):
    return data[:at] + bytes([byte]) + data[at + 1:]


# -- PNG of any kind ---------------------------------------------------------------------------------------------------
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def scanlines(samples, bits):
    lines = b""
    for row in samples:
        flat = row.reshape(-1)
        if bits == 16:
            line = flat.astype(">u2").tobytes()
        elif bits == 8:
            line = flat.astype(numpy.uint8).tobytes()
        else:
            line = numpy.packbits(((flat[:, None] >> numpy.arange(bits - 1, -1, -1)) & 1).astype(numpy.uint8)).tobytes()
        lines += b"\0" + line
    return lines


def png(kind, bits, interlaced=False, before=b"", after=b""):
    channels = CHANNELS[kind]
    samples = numpy.stack([(x * 2731 + y * 5003 + c * 9001) for c in range(channels)], -1) % (1 << 16) >> (16 - bits)
    if kind == 3:
        entries = min(1 << bits, 100)
        samples = samples % entries
        before = chunk(b"PLTE", bytes((i * 37 + 11 * c) % 256 for i in range(entries) for c in range(3))) + before
    data = b""
    for left, top, dx, dy in ADAM7 if interlaced else [(0, 0, 1, 1)]:
        part = samples[top::dy, left::dx]
        if part.size:
            data += scanlines(part, bits)
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, bits, kind, 0, 0, interlaced)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + before + chunk(b"IDAT", zlib.compress(data, 9)) + after +
            chunk(b"IEND", b""))


# -- All of them -------------------------------------------------------------------------------------------------------
files = {}
for name, image in {"grey": GREY, "rgb": RGB, "cmyk": CMYK}.items():
    for progressive in (False, True):
        kind = name + ("_progressive" if progressive else "")
        files[f"{kind}.jpg"] = saved(image, "JPEG", progressive=progressive, quality=90)
for subsampling in ("4:4:4", "4:2:2", "4:2:0"):
    files[f"rgb_{subsampling.replace(':', '')}.jpg"] = saved(RGB, "JPEG", subsampling=subsampling)
square = saved(RGB.resize((32, 32)), "JPEG", subsampling="4:2:2")
frame = square.index(b"\xff\xc0")
files["rgb_440.jpg"] = patched(square, frame + 11, 0x12)  # two rows, not two columns, to a sample of chroma
files["rgb_restarts.jpg"] = saved(RGB, "JPEG", restart_marker_blocks=1)
ycck = files["cmyk.jpg"]
files["ycck.jpg"] = patched(ycck, ycck.index(b"Adobe") + 11, 2)
for orientation in range(0, 10):  # 0 and 9 are none
    files[f"turned{orientation}.jpg"] = saved(RGB, "JPEG", exif=b"Exif\0\0" + exif(orientation), quality=95)
files["turned6_big_endian.jpg"] = saved(RGB, "JPEG", exif=b"Exif\0\0" + exif(6, ">"), quality=95)
files["turned8_grey.jpg"] = saved(GREY, "JPEG", exif=b"Exif\0\0" + exif(8), quality=95)
for colours, depths in {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}.items():
    for bits in depths:
        for interlaced in (False, True):
            name = {0: "grey", 2: "rgb", 3: "palette", 4: "grey_alpha", 6: "rgb_alpha"}[colours]
            files[f"{name}{bits}{'_interlaced' if interlaced else ''}.png"] = png(colours, bits, interlaced)
files["palette_transparent.png"] = png(3, 8, before=chunk(b"tRNS", bytes([0, 100, 255])))
files["grey_transparent.png"] = png(0, 8, before=chunk(b"tRNS", b"\0\x55"))
files["rgb_transparent.png"] = png(2, 8, before=chunk(b"tRNS", b"\0\0\0\x23\0\x46"))
files["rgb_gamma.png"] = png(2, 8, before=chunk(b"gAMA", struct.pack(">I", 100000)))
files["turned6.png"] = png(2, 8, before=chunk(b"eXIf", exif(6)))
files["turned6_after.png"] = png(2, 8, after=chunk(b"eXIf", exif(6)))
for name, image in {"rgb": RGB, "alpha": RGBA}.items():
    files[f"{name}_lossy.webp"] = saved(image, "WEBP", quality=80)
    files[f"{name}_lossless.webp"] = saved(image, "WEBP", lossless=True, exact=True)
files["turned6.webp"] = saved(RGB, "WEBP", quality=80, exif=exif(6))
files["turned5_prefix.webp"] = saved(RGB, "WEBP", lossless=True, exif=b"Exif\0\0" + exif(5))


def fnv1a(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return value


FOLDER.mkdir(parents=True, exist_ok=True)
lines = []
for name, data in sorted(files.items()):
    (FOLDER / name).write_bytes(data)
    image = Image.open(io.BytesIO(data))
    image = ImageOps.exif_transpose(image)
    grey = "grey" in name
    if image.mode == "I;16":  # whose convert clips at 255: all but the darkest would be white
        image = Image.fromarray((numpy.asarray(image) >> 8).astype(numpy.uint8))
    colour = image.convert("RGB")
    pixels = numpy.asarray(colour)
    if grey:
        assert (pixels == pixels[:, :, :1]).all(), name
        pixels = pixels[:, :, 0]
    print(name, image.mode, colour.size, len(data))
    size = f"{colour.width}, {colour.height}, {1 if grey else 3}"
    lines.append(f'    {{"{name}", {size}, {fnv1a(pixels.tobytes()):#018x}}},')

(ROOT / "image_golden.h").write_text(f"""// Printed by tools/golden_images.py; not to be edited.
// Pillow {PIL.__version__}.
#pragma once
#include <cstdint>

// clang-format off
namespace golden {{

struct Decoded {{
  const char* file;  // in tests/golden/images
  int width, height, channels;
  uint64_t hash;  // FNV-1a of the pixels
}};
inline constexpr Decoded decoded[] = {{
{chr(10).join(lines)}
}};

}}  // namespace golden
""")
print(sum(map(len, files.values())), "bytes in", len(files), "files")

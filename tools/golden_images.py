#!/usr/bin/env python3
"""Makes tests/golden/images/, small images of every kind, and tests/data/image_golden.h, what Pillow decodes them to.

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


# -- BMP and TIFF of any kind ------------------------------------------------------------------------------------------
def padded_rows(samples, bits):
    lines = [scanlines(row[None], bits)[1:] for row in samples]
    return b"".join(line + bytes(-len(line) % 4) for line in lines)


def bmp(bits, pixels, palette=b"", compression=0, masks=b"", top_down=False, header=40, colours=0):
    height = -HEIGHT if top_down else HEIGHT
    if header == 12:
        info = struct.pack("<IHHHH", 12, WIDTH, HEIGHT, 1, bits)
    else:
        info = struct.pack("<IiiHHIIiiII", 40, WIDTH, height, 1, bits, compression, len(pixels), 0, 0, colours, 0)
    before = info + masks + palette
    return b"BM" + struct.pack("<IHHI", 14 + len(before) + len(pixels), 0, 0, 14 + len(before)) + before + pixels


def tiff(samples, photometric, bits, compression=1, endian="<", separate=False, tile=None, more={}):
    """`more`: tag to (type, values).  Deflate (8) or nothing as compression; rows or tiles of `tile` a side."""
    samples = samples.reshape(HEIGHT, WIDTH, -1)
    count = samples.shape[2]
    blocks = []
    for plane in numpy.split(samples, count, 2) if separate else [samples]:
        side = tile or max(HEIGHT, WIDTH)
        for top in range(0, HEIGHT, side):
            for left in range(0, WIDTH, side):
                block = plane[top:top + side, left:left + side]
                if tile:
                    block = numpy.pad(block, ((0, tile - block.shape[0]), (0, tile - block.shape[1]), (0, 0)))
                if bits == 16:
                    data = block.astype(endian + "u2").tobytes()
                else:
                    data = b"".join(scanlines(row[None], bits)[1:] for row in block)
                blocks.append(zlib.compress(data, 9) if compression == 8 else data)
    tags = {256: (3, [WIDTH]), 257: (3, [HEIGHT]), 258: (3, [bits] * count), 259: (3, [compression]),
            262: (3, [photometric]), 277: (3, [count]), 284: (3, [2 if separate else 1]), **more}
    if tile:
        tags |= {322: (3, [tile]), 323: (3, [tile])}
    at, size = (324, 325) if tile else (273, 279)
    tags |= {at: (4, [0] * len(blocks)), size: (4, [len(b) for b in blocks])}
    head = 8 + 2 + 12 * len(tags) + 4
    room = {1: "B", 2: "B", 3: "H", 4: "I"}
    behind = head + sum(n for kind, values in tags.values() if (n := struct.calcsize(room[kind]) * len(values)) > 4)
    tags[at] = (4, [behind + sum(map(len, blocks[:i])) for i in range(len(blocks))])
    directory, far = struct.pack(endian + "H", len(tags)), b""
    for tag, (kind, values) in sorted(tags.items()):
        data = struct.pack(endian + room[kind] * len(values), *values)
        value = data.ljust(4, b"\0") if len(data) <= 4 else struct.pack(endian + "I", head + len(far))
        far += data if len(data) > 4 else b""
        directory += struct.pack(endian + "HHI", tag, kind, len(values)) + value
    start = (b"II*\0" if endian == "<" else b"MM\0*") + struct.pack(endian + "I", 8)
    return start + directory + bytes(4) + far + b"".join(blocks)


def webp_of(*chunks):
    data = b"".join(name + struct.pack("<I", len(d)) + d + bytes(len(d) % 2) for name, d in chunks)
    return b"RIFF" + struct.pack("<I", len(data) + 4) + b"WEBP" + data


def u24(*values):
    return b"".join(struct.pack("<I", v)[:3] for v in values)


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

# Orientation wherever Pillow finds it.
XMP = b'<rdf:Description tiff:Orientation="6"/>'
XMP_NAME = b"http://ns.adobe.com/xap/1.0/\0"
PROFILE = b"\nexif\n      38\n" + (b"Exif\0\0" + exif(6)).hex().encode() + b"\n"


def app1(data):
    jpeg = files["rgb_444.jpg"]
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(data) + 2) + data + jpeg[2:]


LONG = exif(6).replace(b"\x12\x01\x03\0", b"\x12\x01\x04\0")  # of type LONG
NONE = exif(6).replace(b"\x12\x01", b"\x0f\x01")  # another tag
files["turned6_long.jpg"] = app1(b"Exif\0\0" + LONG)
files["turned6_twice.jpg"] = app1(b"Exif\0\0Exif\0\0" + exif(6))
files["turned6_xmp.jpg"] = app1(XMP_NAME + XMP)
files["turned3_not_xmp.jpg"] = app1(b"Exif\0\0" + exif(3))[:2] + app1(XMP_NAME + XMP)[2:len(XMP_NAME + XMP) + 6] + app1(
    b"Exif\0\0" + exif(3))[2:]
files["turned6_prefix.png"] = png(2, 8, before=chunk(b"eXIf", b"Exif\0\0" + exif(6)))
files["turned6_long.png"] = png(2, 8, before=chunk(b"eXIf", LONG))
files["turned6_profile.png"] = png(2, 8, before=chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(PROFILE)))
files["turned6_profile_after.png"] = png(2, 8, after=chunk(b"tEXt", b"Raw profile type exif\0" + PROFILE))
files["turned6_xmp.png"] = png(2, 8, before=chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP))
files["turned6_xmp_packed.png"] = png(
    2, 8, before=chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(XMP)) + chunk(b"eXIf", NONE))
files["exif_empty.png"] = png(2, 8, before=chunk(b"eXIf", b""))
still = files["rgb_lossy.webp"][12:]
still = (still[:4], still[8:])
canvas = (b"VP8X", bytes([4, 0, 0, 0]) + u24(WIDTH - 1, HEIGHT - 1))
files["turned6_xmp.webp"] = webp_of(canvas, still, (b"XMP ", XMP))
files["turned6_twice.webp"] = webp_of((b"VP8X", b"\x08" + canvas[1][1:]), still, (b"EXIF", b"Exif\0\0" * 2 + exif(6)))

# What is damaged or odd, and read nevertheless.
files["palette_long.png"] = png(3, 4, before=chunk(b"gAMA", bytes(4)) * 2 + chunk(b"iCCP", b"x\0\0junk"))
plte = files["palette_long.png"].index(b"PLTE") - 4
files["palette_long.png"] = (files["palette_long.png"][:plte] +
                             chunk(b"PLTE", files["palette_long.png"][plte + 8:plte + 56] + bytes(60)) +
                             files["palette_long.png"][plte + 60:])
restarts = saved(RGB.resize((64, 64)), "JPEG", restart_marker_blocks=2, quality=90)
marks = [i for i in range(len(restarts) - 1) if restarts[i] == 0xFF and 0xD0 <= restarts[i + 1] <= 0xD7]
files["restart_lost.jpg"] = restarts[:marks[1]] + restarts[marks[2]:]
files["end_missing.jpg"] = files["rgb_444.jpg"][:-2] + bytes(16)
files["broken_off.jpg"] = restarts[:marks[3] + 9] + b"\xff\xd9"

# The first frame of an animation lies on a larger canvas.
frame = u24(2, 1, WIDTH - 1, HEIGHT - 1, 100) + b"\0"  # 4 and 2 pixels in
lossless = (b"VP8L", files["rgb_lossless.webp"][20:])
for name, image, flags in (("animated", still, 2), ("animated_alpha", lossless, 0x12)):
    data = image[0] + struct.pack("<I", len(image[1])) + image[1] + bytes(len(image[1]) % 2)
    canvas = (b"VP8X", bytes([flags, 0, 0, 0]) + u24(29, 19))
    files[f"{name}.webp"] = webp_of(canvas, (b"ANIM", b"\x11\x22\x33\xff\0\0"), (b"ANMF", frame + data),
                                    (b"ANMF", frame + data))

# GIF
colours = RGB.quantize(20)
for interlaced in (0, 1):
    files[f"palette{'_interlaced' if interlaced else ''}.gif"] = saved(colours, "GIF", interlace=interlaced)
shades = saved(GREY, "GIF", optimize=False)
ramp = bytes(i for i in range(256) for _ in range(3))
files["grey.gif"] = shades[:13] + ramp + shades[13 + 768:]
files["grey_no_table.gif"] = shades[:10] + b"\0" + shades[11:13] + shades[13 + 768:]
plain = files["palette.gif"]
image = plain.index(b",", 13 + 3 * 32)
files["transparent_offset.gif"] = (plain[:6] + struct.pack("<HH", 30, 20) + plain[10:image] +
                                   b"!\xf9\x04\1\0\0\7\0," + struct.pack("<HH", 4, 2) + plain[image + 5:])
files["beyond_screen.gif"] = plain[:6] + struct.pack("<HH", 10, 5) + plain[10:]
second = colours.transpose(Image.Transpose.ROTATE_180)
files["animated.gif"] = saved(colours, "GIF", save_all=True, append_images=[second])

# BMP
INDEX = (x * 3 + y * 5).astype(numpy.uint32)
PALETTE = bytes(v for i in range(256) for v in (i * 37 % 256, (i * 91 + 5) % 256, (i * 13 + 77) % 256, 0))
SHADES = bytes(v for i in range(256) for v in (i, i, i, 0))
for bits in (1, 4):
    files[f"palette{bits}.bmp"] = bmp(bits, padded_rows(INDEX % (1 << bits), bits), PALETTE[:4 << bits])
files["palette8_top_down.bmp"] = bmp(8, padded_rows(INDEX % 50, 8), PALETTE[:160], top_down=True, colours=40)
files["palette4_old.bmp"] = bmp(4, padded_rows(INDEX % 16, 4), bytes(PALETTE[i] for i in range(64) if i % 4 < 3),
                                header=12)
files["grey8.bmp"] = bmp(8, padded_rows(INDEX % 50, 8), SHADES[:400], colours=100)
files["grey1.bmp"] = bmp(1, padded_rows(INDEX % 2, 1), bytes(4) + b"\xff\xff\xff\0")
files["rgb24.bmp"] = saved(RGB, "BMP")
words = INDEX * 2411 % 65536
files["rgb16.bmp"] = bmp(16, b"".join(row.astype("<u2").tobytes() + b"\0\0" for row in words))
files["rgb16_565.bmp"] = bmp(16, b"".join(row.astype("<u2").tobytes() + b"\0\0" for row in words), compression=3,
                             masks=struct.pack("<III", 0xF800, 0x7E0, 0x1F))
longs = (INDEX.astype(numpy.uint64) * 2654435761 % (1 << 32)).astype("<u4")
files["rgb32.bmp"] = bmp(32, longs.tobytes())
files["rgb32_fields.bmp"] = bmp(32, longs.tobytes(), compression=3,
                                masks=struct.pack("<III", 0xFF000000, 0xFF0000, 0xFF00))
lines = [b"\x09" + bytes([i]) + b"\0\5" + bytes(range(i, i + 5)) + b"\0" + b"\7\x33\0\0" for i in range(HEIGHT - 2)]
files["run_lengths8.bmp"] = bmp(8, b"".join(lines) + b"\3\x44\0\2\2\1\x10\x55\0\1", PALETTE[:400], compression=1,
                                colours=100)
lines = [b"\x0a" + bytes([i * 23 % 256]) + b"\0\7\x12\x34\x56\x70\4\x9a\0\0" for i in range(HEIGHT)]
files["run_lengths4.bmp"] = bmp(4, b"".join(lines), PALETTE[:64], compression=2)

# TIFF
files["turned6.tif"] = tiff(RAMPS[:, :, :3], 2, 8, more={274: (3, [6])})
files["turned6_xmp.tif"] = tiff(RAMPS[:, :, :3], 2, 8, 8, more={700: (1, list(XMP))})
files["rgb16_separate.tif"] = tiff(RAMPS[:, :, :3].astype(int) * 257, 2, 16, 8, ">", separate=True)
files["rgb_tiles.tif"] = tiff(RAMPS[:, :, :3], 2, 8, 8, tile=16)
files["alpha_associated.tif"] = tiff(RAMPS, 2, 8, 8, more={338: (3, [1])})
files["alpha.tif"] = tiff(RAMPS, 2, 8, 8, more={338: (3, [2])})
files["cmyk.tif"] = tiff(RAMPS, 5, 8, 8)
files["cmyk_separate.tif"] = tiff(RAMPS, 5, 8, 8, separate=True)
files["grey16.tif"] = tiff(RAMPS[:, :, 2].astype(int) * 256 + 77, 1, 16, endian=">")
for bits in (1, 4, 8):
    files[f"grey{bits}.tif"] = tiff(RAMPS[:, :, 2] >> (8 - bits), 1, bits)
    files[f"grey{bits}_white_is_0.tif"] = tiff(RAMPS[:, :, 2] >> (8 - bits), 0, bits, 8, tile=16)
for bits in (1, 4, 8):
    table = [(i * 7919 + c * 3331) % 65536 for c in range(3) for i in range(1 << bits)]
    files[f"palette{bits}.tif"] = tiff(RAMPS[:, :, 2] >> (8 - bits), 3, bits, 8, more={320: (3, table)})
BILEVEL = GREY.convert("1")
for name, image, how in (("lzw", RGB, "tiff_lzw"), ("packbits", RGB, "packbits"), ("jpeg", RGB, "jpeg"),
                         ("grey_jpeg", GREY, "jpeg"), ("grey_group4", BILEVEL, "group4"),
                         ("grey_group3", BILEVEL, "group3")):
    files[f"{name}.tif"] = saved(image, "TIFF", compression=how)


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
    if image.mode.startswith("I;16"):  # whose convert clips at 255: all but the darkest would be white
        image = Image.fromarray((numpy.asarray(image) >> 8).astype(numpy.uint8))
    colour = image.convert("RGB")
    pixels = numpy.asarray(colour)
    if grey:
        assert (pixels == pixels[:, :, :1]).all(), name
        pixels = pixels[:, :, 0]
    print(name, image.mode, colour.size, len(data))
    size = f"{colour.width}, {colour.height}, {1 if grey else 3}"
    lines.append(f'    {{"{name}", {size}, {fnv1a(pixels.tobytes()):#018x}}},')

(ROOT / "data" / "image_golden.h").write_text(f"""// Printed by tools/golden_images.py; not to be edited.
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
assert max(map(len, files.values())) < 4096
print(sum(map(len, files.values())), "bytes in", len(files), "files")

// Decoding images of every kind and shade, sound and broken.
#include <doctest/doctest.h>
#include <zlib.h>

#include <algorithm>
#include <cstring>

#include "data/exif.h"
#include "image_files.h"
#include "image_golden.h"
#include "tests_dir.h"

namespace shear::test {
namespace {

using namespace std::string_literals;

int largest_difference(const Image& a, const Image& b) {
  REQUIRE(a.width == b.width);
  REQUIRE(a.height == b.height);
  REQUIRE(a.channels == b.channels);
  REQUIRE(a.pixels.size() == b.pixels.size());
  int largest = 0;
  for (size_t i = 0; i < a.pixels.size(); ++i) largest = std::max(largest, std::abs(a.pixels[i] - b.pixels[i]));
  return largest;
}

// Smooth enough for JPEG to keep it nearly as it is.
Image gradient(int width, int height, int channels) {
  Image image{width, height, channels, {}};
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (int c = 0; c < channels; ++c) image.pixels.push_back(static_cast<uint8_t>(40 + x + 2 * y + 10 * c));
  return image;
}

std::string decoding(const fs::path& path) {
  return sentence(Fault::input, [&] { decode_image(path); });
}

void put_big_endian(std::vector<uint8_t>& bytes, size_t at, uint32_t value) {
  for (size_t i = 0; i < 4; ++i) bytes[at + i] = static_cast<uint8_t>(value >> (24 - 8 * i));
}

// As a PNG's chunks end with it: of bytes [from, to).
uint32_t crc(const std::vector<uint8_t>& bytes, size_t from, size_t to) {
  return static_cast<uint32_t>(crc32(0, bytes.data() + from, static_cast<uInt>(to - from)));
}

}  // namespace

TEST_CASE("an image of every kind decodes to Pillow's bytes, upright") {
  for (const golden::Decoded& g : golden::decoded) {
    CAPTURE(std::string(g.file));
    const Image image = decode_image(tests_dir() / "golden/images" / g.file);
    CHECK(image.width == g.width);
    CHECK(image.height == g.height);
    CHECK(image.channels == g.channels);
    CHECK(fnv1a(image.pixels) == g.hash);
  }
}

TEST_CASE("a JPEG decodes in colour and in grey, baseline and progressive") {
  const TempDir folder;
  for (const int channels : {1, 3})
    for (const bool progressive : {false, true}) {
      const Image image = gradient(50, 37, channels);
      write_jpeg(folder / "a.jpg", image, {100, progressive});
      CHECK(largest_difference(decode_image(folder / "a.jpg"), image) <= 4);
    }
}

TEST_CASE("a CMYK JPEG becomes the light that its inks leave") {
  const TempDir folder;
  // Inverted, as Adobe stores it: cyan 20%, magenta 60%, no yellow, black 50% leave R 102, G 51, B 127.
  write_jpeg(folder / "inks.jpg", flat(16, 16, {204, 102, 255, 127}), {100});
  CHECK(largest_difference(decode_image(folder / "inks.jpg"), flat(16, 16, {102, 51, 127})) <= 2);
}

TEST_CASE("a PNG decodes to the same bytes, in colour and in grey, whatever its name") {
  const TempDir folder;
  for (const int channels : {1, 3}) {
    const Image image = pattern(31, 17, channels);
    write_png(folder / "named.jpg", image);
    CHECK(largest_difference(decode_image(folder / "named.jpg"), image) == 0);
  }
}

TEST_CASE("the alpha of a PNG is left out, in colour, grey and palette: what lies under it shows") {
  const TempDir folder;
  write_png(folder / "rgba.png", 2, 1, SPNG_COLOR_TYPE_TRUECOLOR_ALPHA, 8, {200, 100, 50, 255, 200, 100, 50, 51});
  CHECK(decode_image(folder / "rgba.png").pixels == std::vector<uint8_t>{200, 100, 50, 200, 100, 50});

  write_png(folder / "la.png", 3, 1, SPNG_COLOR_TYPE_GRAYSCALE_ALPHA, 8, {200, 255, 200, 51, 200, 0});
  const Image grey = decode_image(folder / "la.png");
  CHECK(grey.channels == 1);
  CHECK(grey.pixels == std::vector<uint8_t>{200, 200, 200});

  write_png(folder / "palette.png", 3, 1, SPNG_COLOR_TYPE_INDEXED, 8, {0, 1, 2}, [](spng_ctx* context) {
    spng_plte palette{};
    palette.n_entries = 3;
    palette.entries[0] = {10, 20, 30, 0};
    palette.entries[1] = {200, 100, 50, 0};
    palette.entries[2] = {7, 8, 9, 0};
    spng_set_plte(context, &palette);
    spng_trns transparency{};
    transparency.n_type3_entries = 2;
    transparency.type3_alpha[0] = 255;
    transparency.type3_alpha[1] = 51;
    spng_set_trns(context, &transparency);
  });
  CHECK(decode_image(folder / "palette.png").pixels == std::vector<uint8_t>{10, 20, 30, 200, 100, 50, 7, 8, 9});
}

TEST_CASE("16 bits of a PNG become 8 and a single bit becomes black or white") {
  const TempDir folder;
  const auto bytes_of = [](const std::vector<uint16_t>& samples) {
    std::vector<uint8_t> bytes(2 * samples.size());
    std::memcpy(bytes.data(), samples.data(), bytes.size());
    return bytes;
  };
  write_png(folder / "rgb16.png", 1, 1, SPNG_COLOR_TYPE_TRUECOLOR, 16, bytes_of({0x12ab, 0xff00, 0x8001}));
  CHECK(decode_image(folder / "rgb16.png").pixels == std::vector<uint8_t>{0x12, 0xff, 0x80});
  write_png(folder / "grey16.png", 2, 1, SPNG_COLOR_TYPE_GRAYSCALE, 16, bytes_of({0x12ab, 0xff00}));
  const Image grey = decode_image(folder / "grey16.png");
  CHECK(grey.channels == 1);
  CHECK(grey.pixels == std::vector<uint8_t>{0x12, 0xff});
  write_png(folder / "bits.png", 5, 1, SPNG_COLOR_TYPE_GRAYSCALE, 1, {0b10110000});
  CHECK(decode_image(folder / "bits.png").pixels == std::vector<uint8_t>{255, 0, 255, 255, 0});
}

TEST_CASE("a JPEG cut anywhere is refused") {
  const TempDir folder;
  for (const bool progressive : {false, true}) {
    write_jpeg(folder / "whole.jpg", pattern(64, 48, 3), {90, progressive});
    const std::vector<uint8_t> whole = read_file(folder / "whole.jpg");
    for (size_t size = 3; size < whole.size(); size = std::max(size + 1, std::min(size * 9 / 8, whole.size() - 1))) {
      CAPTURE(size);
      write_file(folder / "cut.jpg", {whole.begin(), whole.begin() + static_cast<ptrdiff_t>(size)});
      const std::string sentence = decoding(folder / "cut.jpg");
      CHECK(contains(sentence, "cut.jpg: is a broken JPEG ("));
    }
  }
}

TEST_CASE("a JPEG whose data break off before its end marker is read up to there, as Pillow reads it") {
  const TempDir folder;
  write_jpeg(folder / "a.jpg", pattern(64, 48, 3));
  const Image whole = decode_image(folder / "a.jpg");
  std::vector<uint8_t> bytes = read_file(folder / "a.jpg");
  bytes[bytes.size() / 2] = 0xff;
  bytes[bytes.size() / 2 + 1] = 0xd9;
  write_file(folder / "a.jpg", bytes);
  const Image image = decode_image(folder / "a.jpg");
  const size_t rows = size_t{8} * 3 * 64;
  CHECK(std::equal(image.pixels.begin(), image.pixels.begin() + rows, whole.pixels.begin()));
  CHECK(image.pixels != whole.pixels);
}

TEST_CASE("a PNG cut anywhere in its pixels, or with a wrong bit, is refused") {
  const TempDir folder;
  write_png(folder / "whole.png", pattern(40, 30, 3));
  const std::vector<uint8_t> whole = read_file(folder / "whole.png");
  for (size_t size = 8; size + 24 < whole.size(); size += 50) {
    CAPTURE(size);
    write_file(folder / "cut.png", {whole.begin(), whole.begin() + static_cast<ptrdiff_t>(size)});
    CHECK(contains(decoding(folder / "cut.png"), "cut.png: is a broken PNG ("));
  }
  std::vector<uint8_t> changed = whole;
  changed[whole.size() / 2] ^= 1;
  write_file(folder / "changed.png", changed);
  CHECK(contains(decoding(folder / "changed.png"), "changed.png: is a broken PNG ("));
}

TEST_CASE("a PNG with thousands of chunks that hold no pixels decodes, wherever they stand") {
  const TempDir folder;
  const Image image = pattern(31, 17, 3);
  write_png(folder / "a.png", image);
  const std::vector<uint8_t> bytes = read_file(folder / "a.png");
  std::vector<uint8_t> text{0, 0, 0, 3, 't', 'E', 'X', 't', 'k', 0, 'v', 0, 0, 0, 0};
  put_big_endian(text, 11, crc(text, 4, 11));
  for (const size_t at : {size_t{33}, bytes.size() - 12}) {  // behind the header, before the end
    std::vector<uint8_t> changed(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(at));
    for (int i = 0; i < 3000; ++i) changed.insert(changed.end(), text.begin(), text.end());
    changed.insert(changed.end(), bytes.begin() + static_cast<ptrdiff_t>(at), bytes.end());
    write_file(folder / "many.png", changed);
    CHECK(decode_image(folder / "many.png").pixels == image.pixels);
    changed[42] ^= 1;  // in the first text, where that is before the pixels
    write_file(folder / "many.png", changed);
    CHECK(contains(decoding(folder / "many.png"), at == 33 ? "wrong sum of its chunk tEXt" : "is a broken PNG ("));
  }
}

TEST_CASE("a GIF, BMP or TIFF cut anywhere in its pixels is refused") {
  const TempDir folder;
  for (const char* name :
       {"palette.gif", "palette_interlaced.gif", "palette4.bmp", "rgb24.bmp", "rgb32_fields.bmp", "run_lengths8.bmp",
        "run_lengths4.bmp", "alpha.tif", "palette8.tif", "rgb16_separate.tif", "lzw.tif", "packbits.tif"}) {
    const std::vector<uint8_t> whole = read_file(tests_dir() / "golden/images" / name);
    for (size_t size = 20; size + 16 < whole.size(); size += 1 + size / 20) {
      CAPTURE(text(name, " ", size));
      write_file(folder / "cut", {whole.begin(), whole.begin() + static_cast<ptrdiff_t>(size)});
      const std::string said = decoding(folder / "cut");
      CHECK((contains(said, "cut: is a broken ") || contains(said, "cut: claims ")));
    }
  }
}

TEST_CASE("what a header of GIF, BMP or TIFF claims is held against the bytes there are") {
  const TempDir folder;
  const auto changed = [&](const char* name, size_t at, std::initializer_list<uint8_t> bytes) {
    std::vector<uint8_t> file = read_file(tests_dir() / "golden/images" / name);
    std::copy(bytes.begin(), bytes.end(), file.begin() + static_cast<ptrdiff_t>(at));
    write_file(folder / "changed", file);
    CHECK_THROWS_AS(probe_image(folder / "changed"), Error);
    return decoding(folder / "changed");
  };
  CHECK(contains(changed("palette.gif", 6, {0xff, 0xff, 0xff, 0xff}), "claims 65535 x 65535 pixels"));
  CHECK(contains(changed("palette.gif", 13 + 96 + 5, {0x20, 0x4e, 0x10, 0x27}),
                 "claims 20000 x 10000 pixels, more than its"));
  CHECK(contains(changed("rgb24.bmp", 18, {0x20, 0x4e, 0, 0, 0x10, 0x27}), "bytes for 20000 x 10000 pixels"));
  CHECK(contains(changed("run_lengths8.bmp", 18, {0, 0, 1}), "claims 65536 x 13 pixels"));
  CHECK(contains(changed("palette4.bmp", 28, {3}), "is a BMP of 3 bits a pixel"));
  CHECK(contains(changed("palette4.bmp", 30, {5}), "is a BMP of compression 5"));
  CHECK(contains(changed("rgb32_fields.bmp", 54, {0x0f, 0xf0}), "bit fields"));
  // The tags of a TIFF by golden_images.py stand in order, from byte 10 on: width, height, bits, compression, kind.
  CHECK(contains(changed("alpha.tif", 18, {0xff, 0xff}), "claims 65535 x 13 pixels"));
  CHECK(contains(changed("alpha.tif", 18, {0x30, 0x75, 0, 0, 1, 1, 3, 0, 1, 0, 0, 0, 0x88, 0x13}), "more than its"));
  CHECK(contains(changed("grey4.tif", 42, {12}), "of 12 bits a sample"));
  CHECK(contains(changed("alpha.tif", 54, {0x50, 0xc3}), "is a TIFF of compression 50000"));
  CHECK(contains(changed("alpha.tif", 66, {8}), "photometric interpretation 8"));
}

TEST_CASE("a WebP cut anywhere is refused") {
  const TempDir folder;
  for (const char* name : {"rgb_lossy.webp", "alpha_lossy.webp", "alpha_lossless.webp", "animated.webp"}) {
    const std::vector<uint8_t> whole = read_file(tests_dir() / "golden/images" / name);
    for (size_t size = 12; size < whole.size(); ++size) {
      CAPTURE(text(name, " ", size));
      write_file(folder / "cut.webp", {whole.begin(), whole.begin() + static_cast<ptrdiff_t>(size)});
      CHECK(contains(decoding(folder / "cut.webp"), "cut.webp: is a broken WebP ("));
    }
  }
}

TEST_CASE("EXIF that makes no sense leaves the image as it is stored") {
  const auto bytes_of = [](const std::string& s) {
    return Bytes(reinterpret_cast<const uint8_t*>(s.data()), s.size());
  };
  const auto orientation_of = [&](const std::string& tiff, const std::string& xmp = "") {
    return orientation(bytes_of(tiff), bytes_of(xmp));
  };
  const std::string entry = "\x12\x01\3\0\1\0\0\0\6\0\0\0"s, end = "\0\0\0\0"s;
  const std::string sound = "II*\0\x08\0\0\0\1\0"s + entry + end;
  CHECK(orientation_of(sound) == 6);
  CHECK(orientation_of("MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\x08\0\0"s + end) == 8);
  for (size_t size = 0; size < 22; ++size) CHECK(orientation_of(sound.substr(0, size)) == 1);
  const auto with = [&](size_t at, char byte) {
    std::string changed = sound;
    changed[at] = byte;
    return orientation_of(changed);
  };
  CHECK(with(0, 'X') == 1);     // no TIFF
  CHECK(with(7, '\x7f') == 1);  // the directory lies far behind the end
  CHECK(with(8, '\xff') == 6);  // more entries than there is room for, but this one is there
  CHECK(with(10, 0) == 1);      // another tag
  CHECK(with(12, 2) == 1);      // of a type that is no number
  CHECK(with(18, 9) == 1);      // no orientation
  CHECK(with(18, 0) == 1);
}

TEST_CASE("orientation is read from XMP where EXIF does not say, and from EXIF of any whole number") {
  const auto bytes_of = [](const std::string& s) {
    return Bytes(reinterpret_cast<const uint8_t*>(s.data()), s.size());
  };
  const auto tiff = [](const std::string& entry) { return "II*\0\x08\0\0\0\1\0"s + entry + "\0\0\0\0"s; };
  const auto found = [&](const std::string& exif, const std::string& xmp) {
    return orientation(bytes_of(exif), bytes_of(xmp));
  };
  const std::string six = tiff("\x12\x01\3\0\1\0\0\0\6\0\0\0"s), eight = R"(<x tiff:Orientation="8"/>)";
  CHECK(found("", eight) == 8);
  CHECK(found("", "<tiff:Orientation>3</tiff:Orientation>") == 3);
  CHECK(found("", "tiff:Orientation tiff:Orientation='6' tiff:Orientation=\"x\" tiff:Orientation=\"5\"") == 5);
  CHECK(found("", "<x tiff:Orientation=\"9\"/>") == 1);
  CHECK(found("", "<x tiff:Orientation=\"") == 1);
  CHECK(found(six, eight) == 6);
  CHECK(found("junk", eight) == 8);
  CHECK(found(tiff("\x0f\x01\3\0\1\0\0\0\6\0\0\0"s), eight) == 8);  // another tag
  CHECK(found(tiff("\x12\x01\3\0\0\0\0\0\6\0\0\0"s), eight) == 8);  // of no values
  CHECK(found(tiff("\x12\x01\3\0\1\0\0\0\0\0\0\0"s), eight) == 1);  // it does say
  for (const char type : std::initializer_list<char>{4, 6, 8, 9, 13})
    CHECK(found(tiff("\x12\x01"s + type + "\0\1\0\0\0\6\0\0\0"s), "") == 6);
  for (const char type : std::initializer_list<char>{1, 2, 5, 7})
    CHECK(found(tiff("\x12\x01"s + type + "\0\1\0\0\0\6\0\0\0"s), "") == 1);
  CHECK(found(tiff("\x12\x01\4\0\2\0\0\0\x1a\0\0\0"s) + "\7\0\0\0\1\0\0\0"s, "") == 7);     // two, elsewhere
  CHECK(found(tiff("\x12\x01\4\0\2\0\0\0\x1b\0\0\0"s) + "\7\0\0\0\1\0\0\0"s, eight) == 8);  // beyond the end
  for (const std::string& prefix : {"Exif\0\0"s, "Exif\0\0Exif\0\0"s}) CHECK(found(prefix + six, "") == 6);
}

TEST_CASE("an image that claims absurd dimensions is refused before it is decoded") {
  const TempDir folder;
  write_jpeg(folder / "a.jpg", pattern(16, 16, 3));
  std::vector<uint8_t> jpeg = read_file(folder / "a.jpg");
  const uint8_t frame[] = {0xff, 0xc0, 0, 17, 8};  // then height and width, 16 bits each
  const auto at = std::search(jpeg.begin(), jpeg.end(), std::begin(frame), std::end(frame)) - jpeg.begin();
  put_big_endian(jpeg, static_cast<size_t>(at) + 5, 40'000u << 16 | 16);
  write_file(folder / "tall.jpg", jpeg);
  CHECK(contains(decoding(folder / "tall.jpg"), "tall.jpg: claims 16 x 40000 pixels"));
  put_big_endian(jpeg, static_cast<size_t>(at) + 5, 20'000u << 16 | 20'000);
  write_file(folder / "large.jpg", jpeg);
  CHECK(contains(decoding(folder / "large.jpg"), "large.jpg: claims 20000 x 20000 pixels"));

  // The sum of the header's chunk has to fit, or it is refused for that.
  const auto claim = [&](uint32_t width, uint32_t height) {
    write_png(folder / "a.png", flat(1, 1, {0, 0, 0}));
    std::vector<uint8_t> png = read_file(folder / "a.png");
    put_big_endian(png, 16, width);
    put_big_endian(png, 20, height);
    put_big_endian(png, 29, crc(png, 12, 29));
    write_file(folder / "claim.png", png);
    return decoding(folder / "claim.png");
  };
  CHECK(contains(claim(30'001, 1), "claims 30001 x 1 pixels, expected 1 to 30000 a side"));
  CHECK(contains(claim(20'000, 20'000), "claims 20000 x 20000 pixels, expected 1 to 30000 a side"));
  CHECK(contains(claim(10'000, 10'000), "claims 10000 x 10000 pixels, more than its"));
}

TEST_CASE("what is no image is refused with what was found") {
  const TempDir folder;
  const auto of = [&](const std::string& bytes) {
    write_file(folder / "a.jpg", {bytes.begin(), bytes.end()});
    CHECK_THROWS_AS(probe_image(folder / "a.jpg"), Error);
    const std::string said = decoding(folder / "a.jpg"), end = ", expected a JPEG, PNG, WebP, GIF, BMP or TIFF image";
    CHECK(said.ends_with(end));
    const size_t begin = said.find("a.jpg: ") + 7;
    return said.substr(begin, said.size() - end.size() - begin);
  };
  CHECK(of("hello") == "begins with the bytes 68 65 6c 6c 6f");
  CHECK(of("") == "is empty");
  CHECK(of("\0\0\0\x1c"
           "ftypheic\0\0\0\0mif1heic"s) == "is HEIC");
  CHECK(of("\0\0\0\x1c"
           "ftypmif1\0\0\0\0"s) == "is HEIC");
  CHECK(of("\0\0\0\x1c"
           "ftypavif\0\0\0\0mif1"s) == "is AVIF");
  CHECK(of("\0\0\0\x1c"
           "ftypisom\0\0\0\0"s) == "is a film, MP4 or its like");
  CHECK(of("\xff\x0a\xfa\x1f"s) == "is JPEG XL");
  CHECK(of("\0\0\0\x0cJXL \r\n\x87\n"s) == "is JPEG XL");
  CHECK(of("\0\0\0\x0cjP  \r\n\x87\n"s) == "is JPEG 2000");
  CHECK(of("\xff\x4f\xff\x51\0"s) == "is JPEG 2000");
  CHECK(of("8BPS\0\1"s) == "is a Photoshop document");
  CHECK(of("%PDF-1.7") == "is a PDF document");
  CHECK(of("<svg xmlns=") == "is SVG");
  CHECK(of("\xef\xbb\xbf<?xml version=\"1.0\"?>\n<!-- by hand -->\n<svg>") == "is SVG");
  CHECK(of("<?xml version=\"1.0\"?><a/>") == "is XML");
  CHECK(of("\n\n <!DOCTYPE HTML><html>") == "is a web page saved under an image's name");
  CHECK(of("<html lang=en>") == "is a web page saved under an image's name");
  CHECK(of("version https://git-lfs.github.com/spec/v1\noid sha256:0") ==
        "is a pointer of Git LFS: the image itself was not fetched");
  CHECK(contains(decoding(folder / "none.png"), "none.png: cannot be opened (No such file"));
  CHECK(contains(decoding(folder.path()), "expected a regular file"));
}

TEST_CASE("grey becomes colour and comes back unchanged, colour becomes luma") {
  const Image grey = pattern(16, 16, 1);
  const Image colour = to_channels(grey, 3);
  CHECK(colour.channels == 3);
  CHECK(to_channels(colour, 1).pixels == grey.pixels);
  CHECK(to_channels(flat(1, 1, {255, 0, 0}), 1).pixels == std::vector<uint8_t>{76});
  CHECK(to_channels(flat(1, 1, {0, 255, 0}), 1).pixels == std::vector<uint8_t>{150});
  CHECK(to_channels(flat(1, 1, {0, 0, 255}), 1).pixels == std::vector<uint8_t>{29});
}

}  // namespace shear::test

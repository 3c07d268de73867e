// What an image's header tells before it is decoded: its size, and the memory that decoding takes.
#include <doctest/doctest.h>
#include <malloc.h>
#include <sys/wait.h>
#include <unistd.h>
#include <webp/encode.h>

#include "image_files.h"
#include "image_golden.h"
#include "tests_dir.h"

#if defined(__SANITIZE_ADDRESS__)
constexpr bool sanitized = true;  // which keeps what was freed
#else
constexpr bool sanitized = false;
#endif

namespace shear::test {
namespace {

constexpr int width = 1600, height = 1200;
constexpr size_t megabyte = 1'000'000;

// The most that was resident since the last call, in bytes.
size_t resident_peak() {
  std::ifstream status("/proc/self/status");
  size_t peak = 0;
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) peak = std::strtoull(line.c_str() + 6, nullptr, 10) * 1024;
  std::ofstream("/proc/self/clear_refs") << "5";
  return peak;
}

// In a process of its own, which has decoded `small` first: then the code that decodes is in memory.
size_t peak_of_decoding(const fs::path& path, const fs::path& small) {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    mallopt(M_MMAP_THRESHOLD, 64 * 1024);  // large pieces go back when they are freed
    decode_image(small);
    malloc_trim(0);
    resident_peak();
    const size_t before = resident_peak();
    const Image image = decode_image(path);
    const size_t peak = resident_peak() - before;
    const bool written = write(ends[1], &peak, sizeof peak) == sizeof peak;
    _exit(written && !image.pixels.empty() ? 0 : 1);
  }
  size_t peak = 0;
  int status = 0;
  REQUIRE(read(ends[0], &peak, sizeof peak) == sizeof peak);
  REQUIRE(waitpid(child, &status, 0) == child);
  close(ends[0]);
  close(ends[1]);
  CHECK(status == 0);
  return peak;
}

// Checks the estimate of what `write(path, width, height)` writes against what decoding it takes.
template <class Write>
void check_estimate(const std::string& kind, const Write& write) {
  CAPTURE(kind);
  const TempDir folder;
  write(folder / "small", 40, 30);
  write(folder / "large", width, height);
  const ImageHeader header = probe_image(folder / "large");
  CHECK(header.width == width);
  CHECK(header.height == height);
  if (sanitized || !std::ofstream("/proc/self/clear_refs")) return;  // cannot be measured
  mallopt(M_PERTURB, 0);  // which meson sets: what is allocated and never touched would count
  const size_t peak = peak_of_decoding(folder / "large", folder / "small");
  // The kernel counts resident pages for each processor, and adds them up in batches of 128 KiB.
  CHECK(peak <= header.decode_bytes + megabyte / 2);
  CHECK(header.decode_bytes <= peak + peak / 8 + megabyte / 2);
}

std::vector<uint8_t> webp(const Image& image, bool alpha, bool lossless) {
  Image coloured = image;
  if (alpha) {
    coloured.channels = 4;
    coloured.pixels.clear();
    for (size_t i = 0; i < image.pixels.size(); i += 3)
      for (size_t c = 0; c < 4; ++c) coloured.pixels.push_back(c < 3 ? image.pixels[i + c] : image.pixels[i] / 2 + 99);
  }
  WebPConfig config;
  WebPPicture picture;
  REQUIRE(WebPConfigInit(&config));
  REQUIRE(WebPPictureInit(&picture));
  config.method = 0;
  config.quality = lossless ? 0 : 75;
  config.lossless = lossless;
  picture.use_argb = lossless;
  picture.width = image.width;
  picture.height = image.height;
  WebPMemoryWriter writer;
  WebPMemoryWriterInit(&writer);
  picture.writer = WebPMemoryWrite;
  picture.custom_ptr = &writer;
  const int stride = image.width * coloured.channels;
  REQUIRE((alpha ? WebPPictureImportRGBA : WebPPictureImportRGB)(&picture, coloured.pixels.data(), stride));
  REQUIRE(WebPEncode(&config, &picture));
  const std::vector<uint8_t> bytes(writer.mem, writer.mem + writer.size);
  WebPMemoryWriterClear(&writer);
  WebPPictureFree(&picture);
  return bytes;
}

}  // namespace

TEST_CASE("the header of an image of every kind tells its size and what decoding takes at least") {
  for (const golden::Decoded& g : golden::decoded) {
    CAPTURE(std::string(g.file));
    const fs::path path = tests_dir() / "golden/images" / g.file;
    const ImageHeader header = probe_image(path);
    CHECK(header.width * header.height == g.width * g.height);
    CHECK((header.width == g.width || header.width == g.height));
    CHECK(header.channels == g.channels);
    CHECK(header.decode_bytes >= fs::file_size(path) + static_cast<size_t>(g.width * g.height * g.channels));
  }
}

TEST_CASE("what the header of a JPEG says of memory holds") {
  for (const bool progressive : {false, true}) {
    for (const int channels : {1, 3, 4})
      check_estimate(text(progressive ? "progressive" : "baseline", " JPEG of ", channels),
                     [&](const fs::path& path, int w, int h) {
                       write_jpeg(path, pattern(w, h, channels), {75, progressive});
                     });
    check_estimate(text(progressive ? "progressive" : "baseline", " JPEG, turned"),
                   [&](const fs::path& path, int w, int h) {
                     write_jpeg(path, pattern(w, h, 3), {75, progressive});
                     write_file(path, with_exif(read_file(path), 6));
                   });
  }
}

TEST_CASE("what the header of a PNG says of memory holds") {
  const auto check = [](const std::string& kind, spng_color_type type, int bits, size_t bytes, bool interlaced) {
    check_estimate(kind, [&](const fs::path& path, int w, int h) {
      std::vector<uint8_t> data(static_cast<size_t>(w) * static_cast<size_t>(h) * bytes);
      for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<uint8_t>(i * i >> 8);
      const auto fast = [](spng_ctx* context) { spng_set_option(context, SPNG_IMG_COMPRESSION_LEVEL, 1); };
      write_png(path, w, h, type, bits, data, fast, interlaced);
    });
  };
  check("PNG", SPNG_COLOR_TYPE_TRUECOLOR, 8, 3, false);
  check("interlaced PNG", SPNG_COLOR_TYPE_TRUECOLOR, 8, 3, true);
  check("grey PNG", SPNG_COLOR_TYPE_GRAYSCALE, 8, 1, false);
  check("grey PNG of 16 bits", SPNG_COLOR_TYPE_GRAYSCALE, 16, 2, false);
  check("PNG of 16 bits with alpha", SPNG_COLOR_TYPE_TRUECOLOR_ALPHA, 16, 8, false);
}

TEST_CASE("what the header of a WebP says of memory holds") {
  for (const bool alpha : {false, true})
    for (const bool lossless : {false, true})
      check_estimate(
          text(lossless ? "lossless" : "lossy", " WebP", alpha ? " with alpha" : ""),
          [&](const fs::path& path, int w, int h) { write_file(path, webp(pattern(w, h, 3), alpha, lossless)); });
}

TEST_CASE("what the header of a GIF, BMP or TIFF says of memory holds") {
  // A header of these, and zeros: the pixels of BMP and of an uncompressed TIFF.
  const auto put = [](std::vector<uint8_t>& bytes, std::initializer_list<size_t> values, size_t width_of) {
    for (const size_t value : values)
      for (size_t i = 0; i < width_of; ++i) bytes.push_back(static_cast<uint8_t>(value >> (8 * i)));
  };
  check_estimate("BMP", [&](const fs::path& path, int w, int h) {
    const size_t row = (static_cast<size_t>(w) * 3 + 3) / 4 * 4, height_of = static_cast<size_t>(h);
    std::vector<uint8_t> bytes{'B', 'M'};
    put(bytes, {0, 0, 54, 40, static_cast<size_t>(w), height_of, 1 | 24 << 16, 0, 0, 0, 0, 0, 0}, 4);
    bytes.resize(bytes.size() + row * height_of);
    write_file(path, bytes);
  });
  check_estimate("BMP of run lengths", [&](const fs::path& path, int w, int h) {
    std::vector<uint8_t> bytes{'B', 'M'};
    put(bytes, {0, 0, 54 + 1024, 40, static_cast<size_t>(w), static_cast<size_t>(h), 1 | 8 << 16, 1, 0, 0, 0, 0, 0}, 4);
    bytes.resize(54 + 1024);
    bytes[60] = 7;  // a colour
    for (int y = 0; y < h; ++y) {
      for (int x = 0; x < w; x += 40) put(bytes, {40, 1}, 1);
      put(bytes, {0, 0}, 1);
    }
    write_file(path, bytes);
  });
  check_estimate("GIF", [&](const fs::path& path, int w, int h) {
    std::vector<uint8_t> bytes{'G', 'I', 'F', '8', '9', 'a'};
    put(bytes, {static_cast<size_t>(w), static_cast<size_t>(h)}, 2);
    put(bytes, {0x80, 0, 0, 1, 2, 3, 4, 5, 6, ','}, 1);
    put(bytes, {0, 0, static_cast<size_t>(w), static_cast<size_t>(h)}, 2);
    put(bytes, {0, 7}, 1);  // codes of 8 bits: clear the table before each two pixels
    std::vector<uint8_t> codes;
    for (int i = 0; i < w * h; i += 2) put(codes, {0x80, 1, 0}, 1);
    for (size_t at = 0; at < codes.size(); at += 240) {
      const size_t count = std::min<size_t>(240, codes.size() - at);
      put(bytes, {count}, 1);
      bytes.insert(bytes.end(), codes.begin() + static_cast<ptrdiff_t>(at),
                   codes.begin() + static_cast<ptrdiff_t>(at + count));
    }
    put(bytes, {0, ';'}, 1);
    write_file(path, bytes);
  });
  for (const int kind : {2, 5})  // RGB, CMYK
    for (const size_t turned : {size_t{1}, size_t{6}}) {
      for (const bool separate : {false, true})
        check_estimate(
            text("TIFF of kind ", kind, ", ", turned, separate ? ", separate" : ""),
            [&](const fs::path& path, int w, int h) {
              const size_t planes = kind == 2 ? 3 : 4, rows = separate ? planes : 1, head = 8 + 2 + 10 * 12 + 4;
              const size_t pixels = static_cast<size_t>(w) * static_cast<size_t>(h), each = pixels * planes / rows;
              std::vector<uint8_t> bytes{'I', 'I', '*', 0, 8, 0, 0, 0, 10, 0};
              const auto tag = [&](size_t name, size_t type, size_t count, size_t value) {
                put(bytes, {name, type}, 2);
                put(bytes, {count, value}, 4);
              };
              tag(256, 4, 1, static_cast<size_t>(w));
              tag(257, 4, 1, static_cast<size_t>(h));
              tag(258, 3, planes, head);
              tag(262, 3, 1, static_cast<size_t>(kind));
              tag(273, 4, rows, rows == 1 ? head + 40 : head + 8);
              tag(274, 3, 1, turned);
              tag(277, 3, 1, planes);
              tag(278, 4, 1, static_cast<size_t>(h));
              tag(279, 4, rows, rows == 1 ? each : head + 24);
              tag(284, 3, 1, separate ? 2 : 1);
              put(bytes, {0}, 4);
              put(bytes, {8, 8, 8, 8}, 2);
              for (size_t i = 0; i < 4; ++i) put(bytes, {head + 40 + i * each}, 4);
              for (size_t i = 0; i < 4; ++i) put(bytes, {each}, 4);
              bytes.resize(head + 40 + pixels * planes);
              write_file(path, bytes);
            });
    }
}

TEST_CASE("a header is found behind whatever stands before it, and no more is read than that") {
  const TempDir folder;
  write_jpeg(folder / "a.jpg", pattern(40, 30, 3));
  std::vector<uint8_t> jpeg = read_file(folder / "a.jpg");
  std::vector<uint8_t> segment(65'000);
  const uint8_t head[] = {0xff, 0xe2, (65'000 - 2) >> 8, (65'000 - 2) & 0xff};
  std::copy(std::begin(head), std::end(head), segment.begin());
  for (int i = 0; i < 20; ++i) jpeg.insert(jpeg.begin() + 2, segment.begin(), segment.end());
  write_file(folder / "a.jpg", jpeg);
  CHECK(probe_image(folder / "a.jpg").width == 40);
  CHECK(decode_image(folder / "a.jpg").width == 40);
}

}  // namespace shear::test

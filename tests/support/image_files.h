// Image files for the tests of the data layer, made on the spot.
#pragma once
#include <spng.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include <jpeglib.h>

#include "errors.h"
#include "shear/data.h"
#include "temp_dir.h"

namespace shear::test {

namespace fs = std::filesystem;

inline std::vector<uint8_t> read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void write_file(const fs::path& path, const std::vector<uint8_t>& bytes) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(bytes.data()), std::ssize(bytes));
}

// A curved gradient with hard edges, as pattern() in tools/golden_resize.py.
inline Image pattern(int width, int height, int channels) {
  Image image{width, height, channels, {}};
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (int c = 0; c < channels; ++c)
        image.pixels.push_back(static_cast<uint8_t>(
            (x / 4 + y / 3) % 5 == 0 ? 255 : (3 * x * x + 5 * y * y + 7 * x * y + 37 * c) / 2 % 256));
  return image;
}

inline Image flat(int width, int height, const std::vector<uint8_t>& colour) {
  Image image{width, height, static_cast<int>(colour.size()), {}};
  for (int i = 0; i < width * height; ++i) image.pixels.insert(image.pixels.end(), colour.begin(), colour.end());
  return image;
}

struct JpegOptions {
  int quality = 95;
  bool progressive = false;
};

// 1 channel: grey; 3: RGB, stored as YCbCr; 4: CMYK, inverted as Adobe does.
inline void write_jpeg(const fs::path& path, const Image& image, const JpegOptions& options = {}) {
  fs::create_directories(path.parent_path());
  jpeg_compress_struct info{};
  jpeg_error_mgr errors{};
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  std::FILE* file = std::fopen(path.c_str(), "wb");
  jpeg_stdio_dest(&info, file);
  info.image_width = static_cast<JDIMENSION>(image.width);
  info.image_height = static_cast<JDIMENSION>(image.height);
  info.input_components = image.channels;
  info.in_color_space = image.channels == 1 ? JCS_GRAYSCALE : image.channels == 3 ? JCS_RGB : JCS_CMYK;
  jpeg_set_defaults(&info);
  jpeg_set_quality(&info, options.quality, TRUE);
  if (options.progressive) jpeg_simple_progression(&info);
  jpeg_start_compress(&info, TRUE);
  std::vector<uint8_t> pixels = image.pixels;
  while (info.next_scanline < info.image_height) {
    JSAMPROW row = pixels.data() + size_t{info.next_scanline} * static_cast<size_t>(image.width * image.channels);
    jpeg_write_scanlines(&info, &row, 1);
  }
  jpeg_finish_compress(&info);
  jpeg_destroy_compress(&info);
  std::fclose(file);
}

// A JPEG with a segment of EXIF that says how it was held, behind its first marker.
inline std::vector<uint8_t> with_exif(std::vector<uint8_t> jpeg, uint8_t orientation) {
  const uint8_t segment[] = {0xff, 0xe1, 0,    34, 'E', 'x', 'i', 'f', 0, 0, 'I',         'I', '*', 0, 8, 0, 0, 0,
                             1,    0,    0x12, 1,  3,   0,   1,   0,   0, 0, orientation, 0,   0,   0, 0, 0, 0, 0};
  jpeg.insert(jpeg.begin() + 2, std::begin(segment), std::end(segment));
  return jpeg;
}

// `pixels` as PNG stores them, but 16-bit samples in the machine's byte order.
inline void write_png(const fs::path& path, int width, int height, spng_color_type type, int bits,
                      const std::vector<uint8_t>& pixels, const std::function<void(spng_ctx*)>& more = {},
                      bool interlaced = false) {
  spng_ctx* context = spng_ctx_new(SPNG_CTX_ENCODER);
  spng_set_option(context, SPNG_ENCODE_TO_BUFFER, 1);
  spng_ihdr header{};
  header.width = static_cast<uint32_t>(width);
  header.height = static_cast<uint32_t>(height);
  header.color_type = static_cast<uint8_t>(type);
  header.bit_depth = static_cast<uint8_t>(bits);
  header.interlace_method = interlaced;
  spng_set_ihdr(context, &header);
  if (more) more(context);
  int status = spng_encode_image(context, pixels.data(), pixels.size(), SPNG_FMT_PNG, SPNG_ENCODE_FINALIZE);
  require(status == SPNG_OK, "write_png: ", spng_strerror(status));
  size_t size = 0;
  void* bytes = spng_get_png_buffer(context, &size, &status);
  const uint8_t* first = static_cast<const uint8_t*>(bytes);
  write_file(path, {first, first + size});
  std::free(bytes);
  spng_ctx_free(context);
}

inline void write_png(const fs::path& path, const Image& image) {
  write_png(path, image.width, image.height,
            image.channels == 1 ? SPNG_COLOR_TYPE_GRAYSCALE : SPNG_COLOR_TYPE_TRUECOLOR, 8, image.pixels);
}

inline uint64_t fnv1a(const std::vector<uint8_t>& bytes) {
  uint64_t value = 0xcbf29ce484222325;
  for (const uint8_t byte : bytes) value = (value ^ byte) * 0x100000001b3;
  return value;
}

inline bool contains(std::string_view all, std::string_view part) { return all.find(part) != std::string_view::npos; }

}  // namespace shear::test

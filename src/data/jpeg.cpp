// JPEG through libjpeg.
//
// libjpeg reports errors by a callback that must not return.  Throwing through C frames is undefined, so the callback
// jumps: `attempt` is the only frame a jump returns to, and nothing with a destructor lives between it and libjpeg.
#include <csetjmp>
#include <cstddef>
#include <cstdio>  // jpeglib.h needs it first
#include <cstring>
#include <new>

#include <jpeglib.h>

#include <jerror.h>  // after jpeglib.h, which says what is built in

#include "data/codec.h"
#include "data/exif.h"
#include "shear/error.h"

namespace shear {
namespace {

constexpr int max_scans =
    500;  // a small progressive file can hold many thousands, and each costs a pass over the image

constexpr uint64_t max_pixels_per_byte = 8 * 64 * 4;  // a block of 8 x 8, of one sample for 4 pixels, for every bit

struct Decoder {
  jpeg_decompress_struct info{};
  jpeg_error_mgr errors{};
  jpeg_progress_mgr progress{};
  std::jmp_buf back;
  char sentence[JMSG_LENGTH_MAX] = "";
  const std::string& name;

  explicit Decoder(const std::string& file) : name(file) {
    info.err = jpeg_std_error(&errors);
    info.client_data = this;
    errors.error_exit = [](j_common_ptr common) { give_up(common); };
    errors.emit_message = [](j_common_ptr common, int level) { hear(common, level); };
    errors.output_message = [](j_common_ptr) {};
    progress.progress_monitor = [](j_common_ptr common) { count_scans(common); };
    attempt([this] { jpeg_create_decompress(&info); });
    info.progress = &progress;
  }
  ~Decoder() { jpeg_destroy_decompress(&info); }
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  // Runs calls into libjpeg; what goes wrong there is thrown from here.
  template <class Calls>
  void attempt(Calls calls) {
    if (setjmp(back) == 0) return calls();
    if (errors.msg_code == JERR_OUT_OF_MEMORY) throw std::bad_alloc();
    fail(Fault::input, name, ": is a broken JPEG (", sentence, "), expected a whole one");
  }

 private:
  static Decoder& self(j_common_ptr common) { return *static_cast<Decoder*>(common->client_data); }

  [[noreturn]] static void give_up(j_common_ptr common) {
    Decoder& decoder = self(common);
    decoder.errors.format_message(common, decoder.sentence);
    std::longjmp(decoder.back, 1);
  }

  // libjpeg fills in grey where data is missing and calls that a warning; for training data it is damage.  Oddities
  // that leave every pixel intact (bytes between markers, an unknown JFIF revision) pass.
  static void hear(j_common_ptr common, int level) {
    if (level >= 0) return;
    switch (common->err->msg_code) {
      case JWRN_JPEG_EOF:
      case JWRN_HIT_MARKER:
      case JWRN_HUFF_BAD_CODE:
      case JWRN_ARITH_BAD_CODE:
      case JWRN_MUST_RESYNC:
      case JWRN_BOGUS_PROGRESSION:
        give_up(common);
      default:
        ++common->err->num_warnings;
    }
  }

  static void count_scans(j_common_ptr common) {
    Decoder& decoder = self(common);
    if (!common->is_decompressor || decoder.info.input_scan_number <= max_scans) return;
    std::snprintf(decoder.sentence, sizeof decoder.sentence, "more than %d scans", max_scans);
    std::longjmp(decoder.back, 1);
  }
};

// Adobe's inverted CMYK, as nearly every such file is, to RGB: what is left of the white light after C, M, Y and K.
void cmyk_to_rgb(const uint8_t* in, int pixels, uint8_t* out) {
  for (int i = 0; i < pixels; ++i, in += 4, out += 3) {
    const unsigned light = in[3];
    for (int c = 0; c < 3; ++c) {
      const unsigned product = (255u - in[c]) * light + 128u;
      out[c] = static_cast<uint8_t>(light - (((product >> 8) + product) >> 8));  // minus the product / 255, rounded
    }
  }
}

constexpr int exif_marker = JPEG_APP0 + 1;

int orientation(const jpeg_decompress_struct& info) {
  for (const jpeg_marker_struct* marker = info.marker_list; marker; marker = marker->next)
    if (marker->marker == exif_marker && marker->data_length >= 6 && std::memcmp(marker->data, "Exif\0\0", 6) == 0)
      return exif_orientation(Bytes(marker->data, marker->data_length).subspan(6));
  return 1;
}

}  // namespace

bool is_jpeg(Bytes bytes) { return bytes.size() >= 3 && bytes[0] == 0xff && bytes[1] == 0xd8 && bytes[2] == 0xff; }

Image decode_jpeg(Bytes bytes, const std::string& name) {
  Decoder decoder(name);
  jpeg_decompress_struct& info = decoder.info;
  decoder.attempt([&] {
    jpeg_mem_src(&info, bytes.data(), bytes.size());
    jpeg_save_markers(&info, exif_marker, 0xffff);
    jpeg_read_header(&info, TRUE);
  });
  const int turned = orientation(info);  // read now: with the last row libjpeg forgets it
  check_dimensions(info.image_width, info.image_height, name);
  // Huffman codes take at least a bit for each block's mean; arithmetic ones, which hardly anyone writes, may take
  // less.
  if (!info.arith_code && uint64_t{info.image_width} * info.image_height > max_pixels_per_byte * bytes.size())
    fail(Fault::input, name, ": claims ", info.image_width, " x ", info.image_height, " pixels, more than its ",
         bytes.size(), " bytes can hold");
  const bool grey = info.num_components == 1, cmyk = info.num_components == 4;
  if (!grey && !cmyk && info.num_components != 3)
    fail(Fault::input, name, ": is a JPEG of ", info.num_components, " components, expected 1, 3 or 4");
  info.out_color_space = grey ? JCS_GRAYSCALE : cmyk ? JCS_CMYK : JCS_RGB;

  const int width = static_cast<int>(info.image_width), height = static_cast<int>(info.image_height);
  Image image{width, height, grey ? 1 : 3, {}};
  const size_t stride = static_cast<size_t>(width) * static_cast<size_t>(image.channels);
  decoder.attempt([&] { jpeg_start_decompress(&info); });
  image.pixels.resize(stride * static_cast<size_t>(height));
  std::vector<uint8_t> inks(cmyk ? 4 * static_cast<size_t>(width) : 0);  // one row of C M Y K
  decoder.attempt([&] {
    while (info.output_scanline < info.output_height) {
      uint8_t* pixels = image.pixels.data() + stride * info.output_scanline;
      JSAMPROW row = cmyk ? inks.data() : pixels;
      jpeg_read_scanlines(&info, &row, 1);
      if (cmyk) cmyk_to_rgb(inks.data(), width, pixels);
    }
    jpeg_finish_decompress(&info);
  });
  return upright(std::move(image), turned);
}

}  // namespace shear

// JPEG through libjpeg.
//
// libjpeg reports errors by a callback that must not return.  Throwing through C frames is undefined, so the callback
// jumps: `attempt` is the only frame a jump returns to, and nothing with a destructor lives between it and libjpeg.
#include <csetjmp>
#include <cstddef>
#include <cstdio>  // jpeglib.h needs it first
#include <new>
#include <string_view>

#include <jpeglib.h>

#include <jerror.h>  // after jpeglib.h, which says what is built in

#include "data/codec.h"
#include "data/exif.h"
#include "data/ink.h"
#include "shear/error.h"

namespace shear {
namespace {

constexpr int max_scans =
    500;  // a small progressive file can hold many thousands, and each costs a pass over the image

constexpr uint64_t max_pixels_per_byte = 8 * 64 * 4;  // a block of 8 x 8, of one sample for 4 pixels, for every bit

// What libjpeg takes for itself: tables, rows of blocks as they are decoded, rows of pixels on their way to RGB.
constexpr size_t libjpeg_bytes = 128 * 1024, rows_of_blocks = 2, row_samples = 16;

struct Decoder {
  jpeg_decompress_struct info{};
  jpeg_error_mgr errors{};
  jpeg_progress_mgr progress{};
  std::jmp_buf back;
  char sentence[JMSG_LENGTH_MAX] = "";
  const std::string& name;
  bool has_all_rows = false;

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

  // What libjpeg calls a warning, and what Pillow makes of it, whose readings models are trained on elsewhere:
  //   JPEG_EOF                                 the file ends: an error before the last row, nothing behind it, where
  //   only
  //                                            the marker of the end is missing
  //   MUST_RESYNC, HIT_MARKER, HUFF_BAD_CODE,  the data are damaged: silence; libjpeg finds the next restart, or fills
  //   in ARITH_BAD_CODE, BOGUS_PROGRESSION        grey up to the end all others                               bytes
  //   between markers, an unknown JFIF revision and the like, which leave
  //                                            every pixel intact: silence
  static void hear(j_common_ptr common, int level) {
    if (level >= 0) return;
    if (common->err->msg_code == JWRN_JPEG_EOF && !self(common).has_all_rows) give_up(common);
    ++common->err->num_warnings;
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
    for (int c = 0; c < 3; ++c) out[c] = through_ink(in[3], 255u - in[c]);
  }
}

constexpr int metadata_marker = JPEG_APP0 + 1;  // of EXIF and of XMP

// Several segments of EXIF are one that had to be cut, of XMP the last counts.
int orientation_in(const jpeg_decompress_struct& info) {
  constexpr std::string_view exif_name("Exif\0\0", 6), xmp_name("http://ns.adobe.com/xap/1.0/\0", 29);
  std::vector<uint8_t> exif;
  Bytes xmp;
  for (const jpeg_marker_struct* marker = info.marker_list; marker; marker = marker->next) {
    if (marker->marker != metadata_marker) continue;
    const Bytes data(marker->data, marker->data_length);
    if (begins_with(data, exif_name))
      exif.insert(exif.end(), data.begin() + exif_name.size(), data.end());
    else if (begins_with(data, xmp_name))
      xmp = data.subspan(xmp_name.size());
  }
  return orientation(exif, xmp);
}

// A JPEG whose header has been read and found sound.
struct Opened {
  Decoder decoder;
  int channels = 0, turned = 1;
  uint64_t file_bytes;

  // `file` bytes are in the file, of which `head` is the beginning.
  Opened(Bytes head, uint64_t file, const std::string& name) : decoder(name), file_bytes(file) {
    jpeg_decompress_struct& info = decoder.info;
    decoder.attempt([&] {
      jpeg_mem_src(&info, head.data(), head.size());
      jpeg_save_markers(&info, metadata_marker, 0xffff);
      jpeg_read_header(&info, TRUE);
    });
    turned = orientation_in(info);  // read now: with the last row libjpeg forgets it
    check_dimensions(info.image_width, info.image_height, name);
    // Huffman codes take at least a bit for each block's mean; arithmetic ones, which hardly anyone writes, may take
    // less.
    if (!info.arith_code && uint64_t{info.image_width} * info.image_height > max_pixels_per_byte * file)
      fail(Fault::input, name, ": claims ", info.image_width, " x ", info.image_height, " pixels, more than its ", file,
           " bytes can hold");
    const bool grey = info.num_components == 1, cmyk = info.num_components == 4;
    if (!grey && !cmyk && info.num_components != 3)
      fail(Fault::input, name, ": is a JPEG of ", info.num_components, " components, expected 1, 3 or 4");
    channels = grey ? 1 : 3;
    info.out_color_space = grey ? JCS_GRAYSCALE : cmyk ? JCS_CMYK : JCS_RGB;
  }

  ImageHeader header() {
    jpeg_decompress_struct& info = decoder.info;
    // A few rows of blocks of every component, and in several scans the coefficients of all of the image.
    size_t beside = libjpeg_bytes, row = 0;
    for (const jpeg_marker_struct* marker = info.marker_list; marker; marker = marker->next)
      beside += marker->data_length;
    for (int i = 0; i < info.num_components; ++i) {
      const jpeg_component_info& component = info.comp_info[i];
      const auto padded = [](JDIMENSION blocks, int factor) {
        const size_t f = static_cast<size_t>(factor);
        return (blocks + f - 1) / f * f;
      };
      const size_t across = padded(component.width_in_blocks, component.h_samp_factor);
      row += across * static_cast<size_t>(component.v_samp_factor) * DCTSIZE2;
      if (jpeg_has_multiple_scans(&info))
        beside += across * padded(component.height_in_blocks, component.v_samp_factor) * sizeof(JBLOCK);
    }
    beside += rows_of_blocks * row + row_samples * size_t{info.image_width};
    return make_header(static_cast<int>(info.image_width), static_cast<int>(info.image_height), channels, file_bytes,
                       beside, turned);
  }
};

}  // namespace

bool is_jpeg(Bytes bytes) { return bytes.size() >= 3 && bytes[0] == 0xff && bytes[1] == 0xd8 && bytes[2] == 0xff; }

ImageHeader jpeg_header(const Encoded& file, const std::string& name) {
  return header_of_beginning(file, [&](Bytes head) { return Opened(head, file.size(), name).header(); });
}

Image decode_jpeg(Bytes bytes, const std::string& name) {
  Opened opened(bytes, bytes.size(), name);
  Decoder& decoder = opened.decoder;
  jpeg_decompress_struct& info = decoder.info;
  const int width = static_cast<int>(info.image_width), height = static_cast<int>(info.image_height);
  Image image{width, height, opened.channels, {}};
  const size_t stride = static_cast<size_t>(width) * static_cast<size_t>(image.channels);
  decoder.attempt([&] { jpeg_start_decompress(&info); });
  image.pixels.resize(stride * static_cast<size_t>(height));
  const bool cmyk = info.out_color_space == JCS_CMYK;
  std::vector<uint8_t> inks(cmyk ? 4 * static_cast<size_t>(width) : 0);  // one row of C M Y K
  decoder.attempt([&] {
    while (info.output_scanline < info.output_height) {
      uint8_t* pixels = image.pixels.data() + stride * info.output_scanline;
      JSAMPROW row = cmyk ? inks.data() : pixels;
      jpeg_read_scanlines(&info, &row, 1);
      if (cmyk) cmyk_to_rgb(inks.data(), width, pixels);
    }
    decoder.has_all_rows = true;
    jpeg_finish_decompress(&info);
  });
  return upright(std::move(image), opened.turned);
}

}  // namespace shear

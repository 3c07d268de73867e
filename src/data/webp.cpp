// WebP through libwebp.
#include <webp/decode.h>
#include <webp/demux.h>

#include <memory>
#include <new>

#include "data/codec.h"
#include "data/exif.h"
#include "shear/error.h"

namespace shear {
namespace {

const char* what_is_wrong(VP8StatusCode status) {
  switch (status) {
    case VP8_STATUS_NOT_ENOUGH_DATA:
      return "it ends early";
    case VP8_STATUS_UNSUPPORTED_FEATURE:
      return "it asks for what libwebp does not know";
    default:
      return "its data make no sense";
  }
}

void check(VP8StatusCode status, const std::string& name) {
  if (status == VP8_STATUS_OUT_OF_MEMORY) throw std::bad_alloc();
  if (status != VP8_STATUS_OK)
    fail(Fault::input, name, ": is a broken WebP (", what_is_wrong(status), "), expected a whole one");
}

WebPBitstreamFeatures features(Bytes bytes, const std::string& name) {
  WebPBitstreamFeatures found;
  check(WebPGetFeatures(bytes.data(), bytes.size(), &found), name);
  return found;
}

// The extended header says whether there is EXIF or XMP: then they are looked for among the chunks, which are a name of
// four letters, a size, and as many bytes, one more where that is odd.
int orientation_in(const Encoded& file) {
  constexpr size_t first_chunk = 12, chunk_header = 8, flags_at = 20;
  const auto size_at = [&](Bytes chunk) {
    return chunk[4] | uint32_t{chunk[5]} << 8 | uint32_t{chunk[6]} << 16 | uint32_t{chunk[7]} << 24;
  };
  const Bytes head = file.read(first_chunk, chunk_header + 1);
  if (head.size() <= chunk_header || !begins_with(head, "VP8X")) return 1;
  static_assert(first_chunk + chunk_header == flags_at);
  bool has_exif = (head[chunk_header] & EXIF_FLAG) != 0, has_xmp = (head[chunk_header] & XMP_FLAG) != 0;
  std::vector<uint8_t> exif, xmp;
  for (uint64_t at = first_chunk; has_exif || has_xmp;) {
    const Bytes chunk = file.read(at, chunk_header);
    if (chunk.size() < chunk_header) break;
    const uint32_t size = size_at(chunk);
    const bool is_exif = has_exif && begins_with(chunk, "EXIF"), is_xmp = has_xmp && begins_with(chunk, "XMP ");
    if (is_exif || is_xmp) {
      const Bytes data = file.read(at + chunk_header, size);
      (is_exif ? exif : xmp).assign(data.begin(), data.end());
      (is_exif ? has_exif : has_xmp) = false;  // the first counts
    }
    at += chunk_header + uint64_t{size} + size % 2;
  }
  return orientation(exif, xmp);
}

// The first frame of an animation, or a still image as its only one: where it lies on the canvas, which is black where
// it does not.
struct Frame {
  Bytes bytes;  // an image of its own
  int canvas_width, canvas_height, left, top, width, height;
  bool lossless, alpha;
};

// `whole`: all of the file is there, else maybe its beginning.
Frame first_frame(Bytes bytes, bool whole, const std::string& name) {
  const WebPBitstreamFeatures all = features(bytes, name);
  check_dimensions(static_cast<uint64_t>(all.width), static_cast<uint64_t>(all.height), name);
  if (!all.has_animation)
    return {bytes, all.width, all.height, 0, 0, all.width, all.height, all.format == 2, all.has_alpha != 0};
  struct Delete {
    void operator()(WebPDemuxer* demuxer) const { WebPDemuxDelete(demuxer); }
    void operator()(WebPIterator* frame) const { WebPDemuxReleaseIterator(frame); }
  };
  const WebPData data{bytes.data(), bytes.size()};
  WebPDemuxState state;
  const std::unique_ptr<WebPDemuxer, Delete> demuxer(whole ? WebPDemux(&data) : WebPDemuxPartial(&data, &state));
  WebPIterator iterator{};
  const std::unique_ptr<WebPIterator, Delete> frame(&iterator);
  if (!demuxer || !WebPDemuxGetFrame(demuxer.get(), 1, frame.get())) check(VP8_STATUS_NOT_ENOUGH_DATA, name);
  const Bytes fragment(frame->fragment.bytes, frame->fragment.size);
  const WebPBitstreamFeatures found = features(fragment, name);
  return {fragment,     all.width,     all.height,        frame->x_offset,     frame->y_offset,
          frame->width, frame->height, found.format == 2, found.has_alpha != 0};
}

// What libwebp takes beside the pixels: of a lossless image all of it in four bytes a pixel, else a few rows of blocks;
// and the alpha, which is decoded though it is left out.
size_t libwebp_bytes(const Frame& frame) {
  const size_t pixels = static_cast<size_t>(frame.width) * static_cast<size_t>(frame.height);
  const size_t rows = 256 * 1024 + 128 * static_cast<size_t>(frame.width);
  return rows + (frame.lossless ? 4 * pixels : frame.alpha ? 2 * pixels : 0);
}

}  // namespace

bool is_webp(Bytes bytes) {
  return bytes.size() >= 12 && begins_with(bytes, "RIFF") && begins_with(bytes.subspan(8), "WEBP");
}

ImageHeader webp_header(const Encoded& file, const std::string& name) {
  const int turned = orientation_in(file);
  return header_of_beginning(file, [&](Bytes head) {
    const Frame frame = first_frame(head, head.size() == file.size(), name);
    return make_header(frame.canvas_width, frame.canvas_height, 3, file.size(), libwebp_bytes(frame), turned);
  });
}

Image decode_webp(Bytes bytes, const std::string& name) {
  const Frame frame = first_frame(bytes, true, name);
  WebPDecoderConfig config;
  if (!WebPInitDecoderConfig(&config)) fail(Fault::internal, "libwebp is of another version than its headers");
  Image image{frame.canvas_width, frame.canvas_height, 3, {}};
  const size_t stride = 3 * static_cast<size_t>(image.width);
  image.pixels.resize(stride * static_cast<size_t>(image.height));
  const size_t first = stride * static_cast<size_t>(frame.top) + 3 * static_cast<size_t>(frame.left);
  config.output.colorspace = MODE_RGB;  // alpha, where there is one, is left out
  config.output.is_external_memory = 1;
  config.output.u.RGBA = {image.pixels.data() + first, static_cast<int>(stride), image.pixels.size() - first};
  check(WebPDecode(frame.bytes.data(), frame.bytes.size(), &config), name);
  return upright(std::move(image), orientation_in(Encoded(bytes)));
}

}  // namespace shear

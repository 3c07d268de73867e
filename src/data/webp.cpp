// WebP through libwebp.
#include <webp/decode.h>
#include <webp/demux.h>

#include <cstring>
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

int orientation(Bytes bytes) {
  struct Delete {
    void operator()(WebPDemuxer* demuxer) const { WebPDemuxDelete(demuxer); }
  };
  const WebPData data{bytes.data(), bytes.size()};
  const std::unique_ptr<WebPDemuxer, Delete> demuxer(WebPDemux(&data));
  WebPChunkIterator chunk{};
  int found = 1;
  if (demuxer && WebPDemuxGetChunk(demuxer.get(), "EXIF", 1, &chunk)) {
    Bytes exif(chunk.chunk.bytes, chunk.chunk.size);
    if (exif.size() >= 6 && std::memcmp(exif.data(), "Exif\0\0", 6) == 0)
      exif = exif.subspan(6);  // some writers' habit
    found = exif_orientation(exif);
  }
  WebPDemuxReleaseChunkIterator(&chunk);
  return found;
}

}  // namespace

bool is_webp(Bytes bytes) {
  return bytes.size() >= 12 && std::memcmp(bytes.data(), "RIFF", 4) == 0 &&
         std::memcmp(bytes.data() + 8, "WEBP", 4) == 0;
}

Image decode_webp(Bytes bytes, const std::string& name) {
  WebPDecoderConfig config;
  if (!WebPInitDecoderConfig(&config)) fail(Fault::internal, "libwebp is of another version than its headers");
  const auto attempt = [&](VP8StatusCode status) {
    if (status == VP8_STATUS_OUT_OF_MEMORY) throw std::bad_alloc();
    if (status != VP8_STATUS_OK)
      fail(Fault::input, name, ": is a broken WebP (", what_is_wrong(status), "), expected a whole one");
  };
  attempt(WebPGetFeatures(bytes.data(), bytes.size(), &config.input));
  if (config.input.has_animation) fail(Fault::input, name, ": is an animated WebP, expected a still image");
  check_dimensions(static_cast<uint64_t>(config.input.width), static_cast<uint64_t>(config.input.height), name);
  Image image{config.input.width, config.input.height, 3, {}};
  const size_t stride = 3 * static_cast<size_t>(image.width);
  image.pixels.resize(stride * static_cast<size_t>(image.height));
  config.output.colorspace = MODE_RGB;  // alpha, where there is one, is left out
  config.output.is_external_memory = 1;
  config.output.u.RGBA = {image.pixels.data(), static_cast<int>(stride), image.pixels.size()};
  attempt(WebPDecode(bytes.data(), bytes.size(), &config));
  return upright(std::move(image), orientation(bytes));
}

}  // namespace shear

// Files that are no image which we read, by how they begin.
#include "data/signatures.h"

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <string_view>

#include "data/exif.h"

namespace shear {
namespace {

struct Signature {
  size_t at;
  std::string_view bytes;
  const char* what;
};
constexpr Signature signatures[] = {
    {4, "ftypavif", "is AVIF"},
    {4, "ftypavis", "is AVIF"},
    {4, "ftyphei", "is HEIC"},
    {4, "ftyphev", "is HEIC"},
    {4, "ftypmif1", "is HEIC"},
    {4, "ftypmsf1", "is HEIC"},
    {4, "ftyp", "is a film, MP4 or its like"},
    {0, {"\0\0\0\x0cJXL \r\n", 10}, "is JPEG XL"},
    {0, "\xff\x0a", "is JPEG XL"},
    {0, {"\0\0\0\x0cjP  \r\n", 10}, "is JPEG 2000"},
    {0, "\xff\x4f\xff\x51", "is JPEG 2000"},
    {0, "8BPS", "is a Photoshop document"},
    {0, "%PDF-", "is a PDF document"},
    {0, "%!PS", "is PostScript"},
    {0, {"\0\0\1\0", 4}, "is an icon"},
    {0, "P5\n", "is a portable greymap"},
    {0, "P6\n", "is a portable pixmap"},
    {0, "DDS ", "is a DirectDraw surface"},
    {0, "qoif", "is QOI"},
    {0, "#?RADIANCE", "is Radiance HDR"},
    {0, "v/1\1", "is OpenEXR"},
    {0, "\x93NUMPY", "is an array of NumPy"},
    {0, "PK\3\4", "is a zip archive"},
    {0, "\x1f\x8b", "is packed by gzip"},
    {0, "version https://git-lfs.github.com/spec/", "is a pointer of Git LFS: the image itself was not fetched"},
};

// The beginning of a text, without blanks and a byte order mark before it, in small letters.
std::string text_of(Bytes head) {
  std::string_view text = characters(head);
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
  std::string small(text);
  std::transform(small.begin(), small.end(), small.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return small;
}

}  // namespace

std::string what_is(Bytes head) {
  if (head.empty()) return "is empty";
  for (const Signature& known : signatures)
    if (characters(head).substr(std::min(known.at, head.size())).starts_with(known.bytes)) return known.what;
  const std::string text = text_of(head);
  if (text.starts_with("<!doctype html") || text.starts_with("<html") || text.starts_with("<head"))
    return "is a web page saved under an image's name";
  if (text.starts_with('<') && text.find("<svg") != std::string::npos) return "is SVG";
  if (text.starts_with("<?xml") || text.starts_with("<!doctype")) return "is XML";
  std::string shown = "begins with the bytes";
  for (const uint8_t byte : head.first(std::min<size_t>(head.size(), 8))) {
    char hex[4];
    std::snprintf(hex, sizeof hex, " %02x", byte);
    shown += hex;
  }
  return shown;
}

}  // namespace shear

// How a photo was held, as its file says.
#pragma once
#include <optional>
#include <string_view>

#include "data/files.h"
#include "shear/data.h"

namespace shear {

// 1 to 8, 1 where the file does not say or where it cannot be read: damage there does not touch a pixel.  As Pillow's
// getexif finds it: in EXIF, and only where EXIF has no such tag in XMP.  Either may be empty.
int orientation(Bytes exif, Bytes xmp);

// Tag 0x0112 of the first directory of a TIFF structure, as JPEG, PNG and WebP carry it, behind "Exif\0\0" or not.
// None where there is no such tag, 1 where it has no meaning.
std::optional<int> exif_orientation(Bytes);

// tiff:Orientation, an attribute or an element of a packet of XML.
std::optional<int> xmp_orientation(Bytes);

// The image as it should be seen: of the eight orientations four mirror it, and four swap its sides.
Image upright(Image, int orientation);

inline std::string_view characters(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }
inline bool begins_with(Bytes bytes, std::string_view with) { return characters(bytes).starts_with(with); }

}  // namespace shear

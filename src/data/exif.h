// What EXIF says about how a photo was held.
#pragma once
#include "data/files.h"
#include "shear/data.h"

namespace shear {

// Tag 0x0112 of the first directory of a TIFF structure, as JPEG (after "Exif\0\0"), PNG and WebP carry it: 1 to 8, 1
// where there is none or where it cannot be read.  Damage there does not touch a pixel.
int exif_orientation(Bytes tiff);

// The image as it should be seen: of the eight orientations four mirror it, and four swap its sides.
Image upright(Image, int orientation);

}  // namespace shear

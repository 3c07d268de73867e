// Text for a terminal of some width.
#pragma once
#include <cstddef>
#include <string>

namespace shear::tool {

// Of the terminal that a descriptor is, now; 80 where that is not known.
size_t columns_of(int descriptor);

// A bar where there is room, then the text, cut so that the line does not wrap.
std::string live_line(double share, const std::string& rest, size_t columns);

// Breaks lines at blanks so that none is wider; an indented line goes on `hang` further in.  Lines
// that name a command to copy ("  shear ...") stay whole.
std::string wrapped(const std::string& text, size_t columns, size_t hang = 0);

// A table of two columns: `left` beside `right`, which is broken at blanks; below it where they would not fit.
std::string beside(const std::string& left, const std::string& right, size_t indent, size_t columns);

}  // namespace shear::tool

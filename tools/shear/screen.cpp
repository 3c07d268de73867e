// Text for a terminal of some width.
#include "screen.h"

#include <sys/ioctl.h>

#include <algorithm>
#include <cmath>

#include "shear/utf8.h"

namespace shear::tool {

namespace {

// Words of a line, each line at most as wide as there are columns, every one indented.
std::string filled(std::string_view text, size_t first_indent, size_t indent, size_t columns) {
  std::string out(first_indent, ' ');
  size_t width = first_indent;
  bool fresh = true;
  while (!text.empty()) {
    const size_t blank = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, blank);
    text.remove_prefix(std::min(text.size(), blank + 1));
    if (word.empty()) {
      if (fresh) continue;  // blanks between words stay, those where a line is broken go
      out += ' ';
      ++width;
      continue;
    }
    const size_t wide = display_width(word);
    if (!fresh && width + 1 + wide > columns) {
      out.erase(out.find_last_not_of(' ') + 1);
      out += '\n' + std::string(indent, ' ');
      width = indent;
      fresh = true;
    }
    out += (fresh ? "" : " ") + std::string(word);
    width += (fresh ? 0 : 1) + wide;
    fresh = false;
  }
  return out;
}

}  // namespace

size_t columns_of(int descriptor) {
  winsize size{};
  constexpr size_t unknown = 80;
  return ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : unknown;
}

std::string live_line(double share, const std::string& rest, size_t columns) {
  const size_t cells = columns >= 120 ? 20 : columns >= 60 ? 10 : 0;
  std::string line;
  if (cells > 0) {
    const auto full = static_cast<size_t>(std::clamp(share, 0., 1.) * static_cast<double>(cells) + 0.5);
    line = '[' + std::string(full, '=') + std::string(cells - full, ' ') + "] ";
  }
  return cut_to_width(line + rest, columns > 3 ? columns - 3 : columns / 2);  // a terminal may write ^C behind it
}

std::string wrapped(const std::string& text, size_t columns, size_t hang) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string line = text.substr(at, end - at);
    at = end + 1;
    const size_t indent = std::min(line.find_first_not_of(' '), line.size());
    const bool whole = display_width(line) <= columns || line.compare(indent, 6, "shear ") == 0;
    out += (whole ? line
                  : filled(std::string_view(line).substr(indent), indent, indent + (indent > 0 ? hang : 0), columns)) +
           '\n';
  }
  return out;
}

std::string beside(const std::string& left, const std::string& right, size_t indent, size_t columns) {
  if (right.empty()) return left + '\n';
  const size_t width = display_width(left);
  constexpr size_t least = 30;  // columns that are worth a column
  if (columns < indent + least) return left + '\n' + filled(right, 6, 6, columns) + '\n';
  const std::string text = filled(right, indent, indent, columns) + '\n';
  return width + 1 < indent ? left + text.substr(width) : left + '\n' + text;
}

}  // namespace shear::tool

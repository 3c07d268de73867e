// Tables for people.
#include "table.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdio>

#include "shear/utf8.h"

namespace shear::tool {

void Table::add(std::vector<std::string> row) {
  for (std::string& cell : row) cell = printable(cell);
  rows_.push_back(std::move(row));
}

static bool numeric(const std::string& cell) {
  return cell.empty() || cell == "-" || std::isdigit(static_cast<unsigned char>(cell[0])) ||
         (cell.size() > 1 && cell[0] == '-' && std::isdigit(static_cast<unsigned char>(cell[1])));
}

std::ostream& operator<<(std::ostream& out, const Table& table) {
  const auto& rows = table.rows_;
  const size_t columns = rows[0].size();
  std::vector<size_t> widths(columns);
  std::vector<bool> right(columns, rows.size() > 1);
  for (size_t r = 0; r < rows.size(); ++r)
    for (size_t c = 0; c < columns; ++c) {
      widths[c] = std::max(widths[c], display_width(rows[r][c]));
      if (r > 0 && !numeric(rows[r][c])) right[c] = false;
    }
  for (const auto& row : rows) {
    std::string line;
    for (size_t c = 0; c < columns; ++c) {
      const std::string pad(widths[c] - display_width(row[c]), ' ');
      line += (c ? "  " : "") + (right[c] ? pad + row[c] : row[c] + pad);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out << line << '\n';
  }
  return out;
}

std::string fixed(double value, int digits) {
  char digits_of[64];
  std::snprintf(digits_of, sizeof digits_of, "%.*f", digits, value);
  return digits_of;
}

std::string percent(double share) { return fixed(100 * share, 1) + "%"; }
std::string mib(size_t bytes) { return fixed(static_cast<double>(bytes) / 0x1p20, 1); }

std::string human_bytes(size_t bytes) {
  static constexpr const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < std::size(units)) value /= 1024, ++unit;
  return fixed(value, unit == 0 ? 0 : 1) + ' ' + units[unit];
}

std::string human_time(double seconds) {
  const long total = std::lround(std::max(0., seconds));
  char written[64];
  if (total >= 3600)
    std::snprintf(written, sizeof written, "%ld:%02ld:%02ld", total / 3600, total / 60 % 60, total % 60);
  else
    std::snprintf(written, sizeof written, "%ld:%02ld", total / 60, total % 60);
  return written;
}

std::string grouped(int64_t number) {
  std::string digits = std::to_string(number);
  for (std::ptrdiff_t at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > (number < 0 ? 1 : 0); at -= 3)
    digits.insert(static_cast<size_t>(at), ",");
  return digits;
}

}  // namespace shear::tool

// The lines of a CSV (RFC 4180).
#include "data/csv_lines.h"

#include <algorithm>

namespace shear {

CsvLines::CsvLines(const std::filesystem::path& path) : path_(path), file_(path, "a CSV"), rest_(file_.text()) {}

std::vector<std::string> CsvLines::first_line(char delimiter) const {
  std::string_view line = rest_;
  line.remove_prefix(std::min(line.find_first_not_of("\r\n"), line.size()));
  line = line.substr(0, line.find_first_of("\r\n"));
  std::vector<std::string> fields(1);
  bool quoted = false;
  for (const char c : line) {
    if (c == '"')
      quoted = !quoted;
    else if (c == delimiter && !quoted)
      fields.emplace_back();
    else
      fields.back() += c;
  }
  return fields;
}

bool CsvLines::next(std::vector<std::string>& fields) {
  while (!rest_.empty()) {
    fields.clear();
    line_ = next_line_;
    while (take_field(fields.emplace_back())) {
    }
    if (fields.size() > 1 || !fields[0].empty()) return true;
  }
  return false;
}

char CsvLines::take() {
  const char c = rest_.front();
  rest_.remove_prefix(1);
  if (c == '\n') ++next_line_;
  return c;
}

bool CsvLines::take_field(std::string& field) {
  if (!rest_.empty() && rest_.front() == '"') {
    take();
    for (;;) {
      if (rest_.empty()) refuse("a quoted field has no end, expected a second \"");
      const char c = take();
      if (c != '"') {
        field += c;
      } else if (!rest_.empty() && rest_.front() == '"') {
        field += take();
      } else {
        break;
      }
    }
    if (!rest_.empty() && rest_.front() != delimiter_ && rest_.front() != '\r' && rest_.front() != '\n')
      refuse("a quoted field goes on after its second \", expected ",
             delimiter_ == ','   ? "a comma"
             : delimiter_ == ';' ? "a semicolon"
                                 : "a tab",
             " or the end of the line");
  }
  while (!rest_.empty()) {
    const char c = take();
    if (c == delimiter_) return true;
    if (c == '\n') break;
    if (c != '\r' || (!rest_.empty() && rest_.front() != '\n')) field += c;
  }
  return false;
}

}  // namespace shear

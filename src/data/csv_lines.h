// The lines of a CSV (RFC 4180), with commas, semicolons or tabs between fields.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "data/files.h"
#include "shear/error.h"

namespace shear {

class CsvLines {
 public:
  explicit CsvLines(const std::filesystem::path&);

  // The first line's fields if this stood between them: whatever that is, without complaint.
  std::vector<std::string> first_line(char delimiter) const;
  void use(char delimiter) { delimiter_ = delimiter; }  // a comma before

  // The fields of the next line that is not empty; false at the end.
  bool next(std::vector<std::string>& fields);
  int64_t line() const { return line_; }  // of what next gave, from 1

  template <class... Parts>
  [[noreturn]] void refuse(const Parts&... parts) const {
    fail(Fault::input, path_.string(), ", line ", line_, ": ", parts...);
  }

 private:
  char take();
  bool take_field(std::string& field);  // whether another field follows in the line

  std::filesystem::path path_;
  TextFile file_;
  std::string_view rest_;
  char delimiter_ = ',';
  int64_t line_ = 1, next_line_ = 1;
};

}  // namespace shear

// Tables for people.
#pragma once
#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

namespace shear::tool {

// Columns as wide as their widest cell; numbers to the right, words to the left.
class Table {
 public:
  explicit Table(std::vector<std::string> header) : rows_{std::move(header)} {}
  void add(std::vector<std::string> row);  // made printable
  friend std::ostream& operator<<(std::ostream&, const Table&);

 private:
  std::vector<std::vector<std::string>> rows_;
};

std::string fixed(double value, int digits);  // "0.912"
std::string percent(double share);            // "91.2%"
std::string mib(size_t bytes);                // "17970.0"
std::string human_bytes(size_t bytes);        // "17.5 GiB"
std::string human_time(double seconds);       // "1:02:03"
std::string grouped(int64_t number);          // "86,567,656"

}  // namespace shear::tool

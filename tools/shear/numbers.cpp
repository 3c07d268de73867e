// Flags whose value is a number.
#include "numbers.h"

#include <charconv>

#include "shear/threads.h"

namespace shear::tool {

static_assert(thread_counts.high == most_threads);

namespace {

template <class T>
struct Plain {
  using type = T;
};
template <class T>
struct Plain<std::optional<T>> {
  using type = T;
};

// What reads the words and checks them: the widest of each kind.
template <class T>
using Widest = std::conditional_t<std::is_floating_point_v<T>, double,
                                  std::conditional_t<std::is_same_v<T, uint64_t>, uint64_t, int64_t>>;

template <class T>
T read_number(const std::string& flag, const std::string& word, const NumberRange& range) {
  T value{};
  const char* end = word.data() + word.size();
  const auto read = std::from_chars(word.data(), end, value);
  if (read.ec != std::errc{} || read.ptr != end)
    fail(Fault::usage, flag, " ", word.empty() ? "\"\"" : word, ": expected a ",
         std::is_floating_point_v<T> ? "number from " : "whole number from ", range.str());
  range.check(flag, value);
  return value;
}

std::vector<std::string> split(const std::string& words) {
  std::vector<std::string> parts;
  for (size_t at = 0;;) {
    const size_t comma = words.find(',', at);
    parts.push_back(words.substr(at, comma - at));
    if (comma == std::string::npos) return parts;
    at = comma + 1;
  }
}

}  // namespace

template <class T>
CLI::Option* add_number(CLI::App& app, const std::string& flag, T& value, const NumberRange& range,
                        const std::string& help) {
  using Number = typename Plain<T>::type;
  const auto read = [&value, flag, range](const CLI::results_t& words) {
    value = static_cast<Number>(read_number<Widest<Number>>(flag, words.back(), range));
    return true;
  };
  CLI::Option* option = app.add_option(flag, read, text(help, " (", range.str(), ")"));
  option->type_name("N");
  if constexpr (std::is_same_v<T, Number>) option->default_str(text(value));
  return option;
}

template CLI::Option* add_number(CLI::App&, const std::string&, int&, const NumberRange&, const std::string&);
template CLI::Option* add_number(CLI::App&, const std::string&, int64_t&, const NumberRange&, const std::string&);
template CLI::Option* add_number(CLI::App&, const std::string&, uint64_t&, const NumberRange&, const std::string&);
template CLI::Option* add_number(CLI::App&, const std::string&, float&, const NumberRange&, const std::string&);
template CLI::Option* add_number(CLI::App&, const std::string&, double&, const NumberRange&, const std::string&);
template CLI::Option* add_number(CLI::App&, const std::string&, std::optional<int64_t>&, const NumberRange&,
                                 const std::string&);
template CLI::Option* add_number(CLI::App&, const std::string&, std::optional<double>&, const NumberRange&,
                                 const std::string&);

CLI::Option* add_indices(CLI::App& app, const std::string& flag, std::vector<int64_t>& values,
                         const std::string& help) {
  static constexpr NumberRange range{0, 4294967294};  // a data set holds fewer than 2^32
  const auto read = [&values, flag](const CLI::results_t& words) {
    for (const std::string& word : split(words.back())) values.push_back(read_number<int64_t>(flag, word, range));
    return true;
  };
  return app.add_option(flag, read, help)->type_name("I,J,...");
}

std::vector<double> read_numbers(const std::string& flag, const std::string& words, const NumberRange& range) {
  std::vector<double> values;
  for (const std::string& word : split(words)) values.push_back(read_number<double>(flag, word, range));
  return values;
}

}  // namespace shear::tool

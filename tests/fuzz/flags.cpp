// A command line, a word to a line: it is understood or refused with Fault::usage; nothing of it is done.
#include <cstdint>
#include <cstdlib>

#include "shear/error.h"
#include "tools/shear/command_line.h"

using namespace shear;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::vector<std::string> words(1);
  for (const uint8_t c : std::basic_string_view(data, size)) {
    if (c == '\n')
      words.emplace_back();
    else if (c != 0)  // no argument of a program holds one
      words.back() += static_cast<char>(c);
  }
  if (words.back().empty()) words.pop_back();
  try {
    const tool::CommandLine line = tool::parse_command_line(words);
    if (!line.run == line.text.empty()) std::abort();  // either a command, or a text
  } catch (const Error& e) {
    if (e.fault() != Fault::usage) std::abort();
  }
  return 0;
}

// The completion of fish: a line for each flag of each command.
#include "pages.h"

namespace shear::pages {

namespace {

std::string in_quotes(const std::string& words) {
  std::string out = "'";
  for (const char c : words) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + '\'';
}

std::string line_of(const Flag& flag, const std::string& when) {
  std::string line = "complete -c shear -n '" + when + '\'';
  for (const std::string& name : flag.names)
    line += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
  std::string words;
  for (const std::string& word : flag.words) words += (words.empty() ? "" : " ") + word;
  if (flag.files)
    line += flag.names.empty() ? " -F" : " -r -F";
  else if (!words.empty())
    line += " -x -a " + in_quotes(words);
  else if (!flag.takes.empty())
    line += " -x";
  return line + (flag.names.empty() ? "" : " -d " + in_quotes(flag.what)) + '\n';
}

}  // namespace

std::string fish_completion(const CommandPages& pages) {
  std::string text =
      "# fish completion for shear.  Made from the command line by tools/pages.\n\ncomplete -c shear -f\n";
  const std::string nothing_yet = "__fish_use_subcommand", seen = "__fish_seen_subcommand_from ";
  std::string names;
  for (const Flag& flag : pages.flags) text += line_of(flag, nothing_yet);
  for (const Command& command : pages.commands) {
    text += "complete -c shear -n " + nothing_yet + " -a " + command.name + " -d " + in_quotes(command.what) + '\n';
    names += (names.empty() ? "" : " ") + command.name;
  }
  text += "complete -c shear -n " + nothing_yet + " -a help -d 'prints the page of a command'\n";
  text += "complete -c shear -n '" + seen + "help' -a '" + names + "'\n";
  for (const Command& command : pages.commands)
    for (const Flag& flag : command.flags) text += line_of(flag, seen + command.name);
  return text;
}

}  // namespace shear::pages

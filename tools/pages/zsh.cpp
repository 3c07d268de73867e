// The completion of zsh, by _arguments: each flag with its sentence.
#include "pages.h"

namespace shear::pages {

namespace {

// Within '...' of the shell, and with these characters kept from _arguments, _describe or compadd.
std::string quoted(const std::string& words, const std::string& special) {
  std::string out;
  for (const char c : words) {
    if (c == '\'')
      out += "'\\'";
    else if (special.find(c) != std::string::npos)
      out += '\\';
    out += c;
  }
  return out;
}

std::string action(const Flag& flag) {
  if (flag.files) return "_files";
  std::string words;
  for (const std::string& word : flag.words) words += ' ' + word;
  if (words.empty()) return " ";  // nothing is offered, the message tells what is expected
  return flag.go_on ? "{compadd -S \"\" --" + words + '}' : '(' + words.substr(1) + ')';
}

std::string spec(const Flag& flag) {
  const std::string value = ':' + quoted(flag.takes, ":\\") + ':' + action(flag);
  if (flag.names.empty()) return (flag.repeated ? "'*" : "'") + value + '\'';
  const std::string what = '[' + quoted(flag.what, "[]\\") + ']';
  std::string specs;
  for (const std::string& name : flag.names)
    specs += (specs.empty() ? "'" : " '") + name + (flag.takes.empty() ? what : '=' + what + value) + '\'';
  return specs;
}

}  // namespace

std::string zsh_completion(const CommandPages& pages) {
  std::string text = R"(#compdef shear
# Made from the command line by tools/pages.

_shear_commands() {
  local -a commands=(
)";
  for (const Command& command : pages.commands)
    text += "    '" + command.name + ':' + quoted(command.what, "\\") + "'\n";
  text +=
      "    'help:prints the page of a command'\n  )\n  _describe -t commands command commands\n}\n\n_shear() {\n"
      "  local curcontext=$curcontext state line\n  typeset -A opt_args\n  _arguments -C \\\n";
  for (const Flag& flag : pages.flags) text += "    " + spec(flag) + " \\\n";
  text += R"(    '1:command:_shear_commands' '*::argument:->arguments'
  [[ $state == arguments ]] || return
  case $words[1] in
    help) _arguments '1:command:_shear_commands' ;;
)";
  for (const Command& command : pages.commands) {
    text += "    " + command.name + ")\n      _arguments";
    for (const Flag& flag : command.flags) text += " \\\n        " + spec(flag);
    text += " ;;\n";
  }
  return text + "  esac\n}\n\n_shear \"$@\"\n";
}

}  // namespace shear::pages

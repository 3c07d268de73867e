// The completion of bash: a word of the command, a file, or one of the words that a flag takes.
#include <map>

#include "pages.h"

namespace shear::pages {

namespace {

std::string joined(const std::vector<std::string>& words, const char* between) {
  std::string all;
  for (const std::string& word : words) all += (all.empty() ? "" : between) + word;
  return all;
}

// What may come after a flag, as shell code.
std::string after(const Flag& flag) {
  if (flag.files) return "_shear_files; return";
  if (flag.words.empty()) return "return";
  return (flag.go_on ? "compopt -o nospace; words='" : "words='") + joined(flag.words, " ") + '\'';
}

std::string case_of(const Command& command) {
  std::string text = "    " + command.name + ")\n      case $prev in\n", all, words_alone;
  std::map<std::string, std::vector<std::string>> by_code;  // flags that are followed by the same
  for (const Flag& flag : command.flags) {
    if (flag.names.empty()) {
      if (flag.files) words_alone = " || _shear_files";
      continue;
    }
    all += (all.empty() ? "" : " ") + flag.names.back();
    if (flag.takes.empty()) continue;
    auto& names = by_code[after(flag)];
    names.insert(names.end(), flag.names.begin(), flag.names.end());
  }
  for (const auto& [code, names] : by_code) text += "        " + joined(names, "|") + ") " + code + " ;;\n";
  return text + "        *) [[ $cur == -* ]] && words='" + all + '\'' + words_alone + " ;;\n      esac ;;\n";
}

}  // namespace

std::string bash_completion(const CommandPages& pages) {
  std::string commands, flags;
  for (const Command& command : pages.commands) commands += command.name + ' ';
  for (const Flag& flag : pages.flags) flags += ' ' + flag.names.back();
  std::string text = R"(# bash completion for shear.  Made from the command line by tools/pages.

_shear_files() {
  compopt -o filenames
  mapfile -t COMPREPLY < <(compgen -f -- "$cur")
}

_shear() {
  local cur=$2 prev=$3 command='' words='' i
  COMPREPLY=()
  # --flag=value is three words to bash
  [[ $cur == = ]] && cur=''
  [[ $prev == = ]] && prev=${COMP_WORDS[COMP_CWORD - 2]}
  for ((i = 1; i < COMP_CWORD; ++i)); do
    if [[ ${COMP_WORDS[i]} != -* ]]; then
      command=${COMP_WORDS[i]}
      break
    fi
  done
  case $command in
    '') words=')";
  text += commands + "help" + flags + "' ;;\n    help) words='" + commands + "' ;;\n";
  for (const Command& command : pages.commands) text += case_of(command);
  return text + R"(  esac
  [[ -z $words ]] || mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}

complete -F _shear shear
)";
}

}  // namespace shear::pages

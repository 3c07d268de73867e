// shear(1), in the man macros of troff.
#include <algorithm>
#include <sstream>

#include "pages.h"

namespace shear::pages {

namespace {

// Text as it is: a hyphen that begins a flag is a minus, which can be copied; no line begins a request.
std::string prose(const std::string& words) {
  std::string out;
  for (size_t i = 0; i < words.size(); ++i) {
    const char c = words[i], before = i == 0 ? ' ' : words[i - 1], after = i + 1 < words.size() ? words[i + 1] : ' ';
    if (c == '\\')
      out += "\\e";
    else if (c == '-' && (before == ' ' || before == '-' || before == '(' || after == '-'))
      out += "\\-";
    else
      out += c;
  }
  return out.starts_with('.') || out.starts_with('\'') ? "\\&" + out : out;
}

std::string literal(const std::string& words) {
  std::string out;
  for (const char c : words) out += c == '-' ? "\\-" : c == '\\' ? "\\e" : std::string(1, c);
  return out;
}

std::string bold(const std::string& words) { return "\\fB" + literal(words) + "\\fR"; }

// A sentence with its full stop.
std::string sentence(const std::string& words) { return prose(words) + (words.ends_with('.') ? "\n" : ".\n"); }

// A command, broken before flags where it is long, so that it fits a page and can still be copied.
std::string to_copy(const std::string& command) {
  constexpr size_t widest = 64;
  std::string lines, line;
  std::istringstream in(command);
  std::vector<std::string> parts;  // a flag with what it takes
  for (std::string word; in >> word;)
    if (parts.empty() || word.starts_with("--"))
      parts.push_back(word);
    else
      parts.back() += ' ' + word;
  for (const std::string& part : parts) {
    if (!line.empty() && line.size() + 1 + part.size() > widest) {
      lines += literal(line) + " \\e\n";
      line = "   ";
    }
    line += (line.empty() ? "" : " ") + part;
  }
  return ".PP\n.in +4n\n.EX\n" + lines + literal(line) + "\n.EE\n.in\n.nh\n";  // .EE hyphenates again
}

std::string flag_text(const Flag& flag) {
  std::string names;
  for (const std::string& name : flag.names) names += (names.empty() ? "" : ", ") + bold(name);
  if (!flag.takes.empty()) names += (names.empty() ? "\\fI" : " \\fI") + literal(flag.takes) + "\\fR";
  if (flag.repeated) names += " ...";
  std::string text = ".TP\n" + names + '\n' + sentence(flag.what);
  if (flag.required) text += "Required.\n";
  if (!flag.otherwise.empty()) text += "Default: " + sentence(flag.otherwise);
  return text;
}

std::string synopsis_of(const Command& command) {
  std::string words = bold("shear " + command.name) + " [\\fIflags\\fR]";
  for (const Flag& flag : command.flags)
    if (flag.required && !flag.names.empty()) words += ' ' + bold(flag.names.back()) + " \\fI" + flag.takes + "\\fR";
  for (const Flag& flag : command.flags)
    if (flag.names.empty()) {
      const std::string word = "\\fI" + literal(flag.takes) + "\\fR" + (flag.repeated ? " ..." : "");
      words += flag.required ? ' ' + word : " [" + word + ']';
    }
  return words;
}

std::string command_text(const Command& command) {
  std::string text = ".SS \"shear " + command.name + "\"\n" + synopsis_of(command) + "\n.PP\n" + sentence(command.what);
  std::vector<Flag> flags = command.flags;
  std::erase_if(flags, [](const Flag& flag) { return flag.names == std::vector<std::string>{"-h", "--help"}; });
  std::stable_sort(flags.begin(), flags.end(), [](const Flag& a, const Flag& b) {  // those without a group first
    return a.group.empty() && !b.group.empty();
  });
  std::vector<std::string> groups;
  for (const Flag& flag : flags)
    if (std::find(groups.begin(), groups.end(), flag.group) == groups.end()) groups.push_back(flag.group);
  for (const std::string& g : groups) {
    if (!g.empty()) text += ".PP\n\\fI" + prose(g) + "\\fR\n";
    for (const Flag& flag : flags)
      if (flag.group == g) text += flag_text(flag);
  }
  if (command.policies) text += ".PP\nPolicies are told of below.\n";
  if (!command.example.empty()) text += ".PP\nExample:\n" + to_copy(command.example);
  return text;
}

// The table of the help pages, "  NAME   what it does", then paragraphs of a line each.
std::string policies_text(const std::string& help) {
  std::string text;
  std::istringstream in(help);
  bool table = false;
  for (std::string line; std::getline(in, line);) {
    if (line.empty()) continue;
    if (line.starts_with("  ")) {
      const size_t end = line.find(' ', 2), next = std::min(line.find_first_not_of(' ', end), line.size());
      text += ".TP\n" + bold(line.substr(2, end - 2)) + '\n' + prose(line.substr(next)) + '\n';
      table = true;
    } else {
      text += (table ? ".PP\n" : "") + prose(line) + '\n';
    }
  }
  return text;
}

// "Exit status: 0 done; 1 a fault of ours; ..." as a table.
std::string statuses(std::string remark) {
  std::string text;
  remark = remark.substr(remark.find(": ") + 2);
  std::istringstream in(remark);
  for (std::string part; std::getline(in, part, ';');) {
    const size_t begin = part.find_first_not_of(' '), space = part.find(' ', begin);
    text += ".TP\n" + bold(part.substr(begin, space - begin)) + '\n' + sentence(part.substr(space + 1));
  }
  return text;
}

}  // namespace

std::string man_page(const CommandPages& pages) {
  std::string lower = pages.what;
  if (!lower.empty() && lower[0] >= 'A' && lower[0] <= 'Z') lower[0] = static_cast<char>(lower[0] - 'A' + 'a');
  if (lower.ends_with('.')) lower.pop_back();
  std::string text = ".\\\" Made from the command line by tools/pages.\n.TH SHEAR 1 \"\" \"shear " + pages.version +
                     "\" \"User Commands\"\n.nh\n.ad l\n.SH NAME\nshear \\- " + prose(lower) +
                     "\n.SH SYNOPSIS\n\\fBshear\\fR \\fICOMMAND\\fR [\\fIflags\\fR]\n.br\n"
                     "\\fBshear help\\fR [\\fICOMMAND\\fR]\n.SH DESCRIPTION\n" +
                     sentence(pages.what);
  for (const Command& command : pages.commands) text += ".TP\n" + bold(command.name) + '\n' + sentence(command.what);
  std::string exit_status;
  for (const std::string& remark : pages.remarks)
    if (remark.starts_with("Exit status: "))
      exit_status = ".SH EXIT STATUS\n" + statuses(remark);
    else
      text += ".PP\n" + prose(remark) + '\n';
  text += ".SH FLAGS WITHOUT A COMMAND\n";
  for (const Flag& flag : pages.flags) text += flag_text(flag);
  text += ".SH COMMANDS\n";
  for (const Command& command : pages.commands) text += command_text(command);
  text += ".SH POLICIES\n" + policies_text(pages.policies) + exit_status;
  if (!pages.example.empty()) text += ".SH EXAMPLE\n" + to_copy(pages.example);
  return text;
}

}  // namespace shear::pages

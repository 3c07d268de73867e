// The command line as plain descriptions, and the pages that are made of them when Shear is built.
#pragma once
#include <string>
#include <vector>

namespace shear::pages {

struct Flag {
  std::vector<std::string> names;  // "-h", "--help"; none: a word without a flag
  std::string takes;               // "N", "FILE"; empty: nothing
  std::string what, otherwise;     // its sentence; its default, empty: none
  std::string group;               // "Optimization"; empty: none in particular
  std::vector<std::string> words;  // what it may be given, or may begin with where it may `go_on`
  bool go_on = false, required = false, repeated = false, files = false;
};

struct Command {
  std::string name, what;
  std::vector<Flag> flags;
  std::string example;    // "shear plan ..."
  bool policies = false;  // its page tells of them
};

struct CommandPages {
  std::string version, what, example;
  std::vector<Flag> flags;
  std::vector<Command> commands;
  std::string policies;              // a table and what follows it, as on the help pages
  std::vector<std::string> remarks;  // paragraphs below the commands
};
CommandPages describe();

std::string man_page(const CommandPages&);
std::string bash_completion(const CommandPages&);
std::string zsh_completion(const CommandPages&);
std::string fish_completion(const CommandPages&);

}  // namespace shear::pages

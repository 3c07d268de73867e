// The words after `shear`: what they ask for, before anything of it is done.
#pragma once
#include <memory>

#include "command.h"

namespace shear::tool {

struct CommandLine {
  std::unique_ptr<CLI::App> app;  // `run` refers to its flags
  Run run;                        // empty: there is only the text to print
  std::string text;               // a help page, or the version
};

// Every command with its flags, and nothing to run: for the pages that tools/pages makes.
CommandLine all_commands();

// Throws Fault::usage with a sentence for words that it does not understand.
CommandLine parse_command_line(std::vector<std::string> words);

}  // namespace shear::tool

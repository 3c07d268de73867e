// shear_pages FOLDER: writes the man page and the completions of shells there.
#include <fstream>
#include <iostream>

#include "pages.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "shear_pages: expected a folder\n";
    return 2;
  }
  const std::string folder = std::string(argv[1]) + '/';
  const shear::pages::CommandPages pages = shear::pages::describe();
  const auto write = [&](const char* name, const std::string& text) {
    std::ofstream(folder + name, std::ios::binary) << text << std::flush;
    if (std::ifstream in(folder + name, std::ios::ate); in.tellg() == static_cast<std::streamoff>(text.size())) return;
    std::cerr << "shear_pages: " << folder << name << " cannot be written\n";
    std::exit(3);
  };
  write("shear.1", man_page(pages));
  write("shear", bash_completion(pages));
  write("_shear", zsh_completion(pages));
  write("shear.fish", fish_completion(pages));
}

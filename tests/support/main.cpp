// The main of doctest files.  Settings are spelled as the executable spells them: its sentences are the library's.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include "shear/error.h"

int main(int argc, char** argv) {
  shear::spell_settings("--");
  return doctest::Context(argc, argv).run();
}

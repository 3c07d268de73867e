// The main of the interpreter's own tests, which need nothing of Shear.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

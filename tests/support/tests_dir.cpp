#include "tests_dir.h"

std::filesystem::path tests_dir() { return SHEAR_TESTS_DIR; }

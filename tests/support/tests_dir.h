// Where the tests' files lie.  Compiled into one object alone, so that a compiler cache serves the rest wherever the
// tree was checked out.
#pragma once
#include <filesystem>

std::filesystem::path tests_dir();

// Lines for a terminal: none is wider than it.
#include "tools/shear/screen.h"

#include <doctest/doctest.h>

#include <sstream>
#include <vector>

#include "shear/utf8.h"

using namespace shear;
using namespace shear::tool;

static std::vector<std::string> lines(const std::string& text) {
  std::vector<std::string> found;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) found.push_back(line);
  return found;
}

TEST_CASE("the live line never reaches the last column, whatever stands in it") {
  const std::string rest =
      "step 12/3000  0:23 left  epoch 0.40  loss 2.3021 ± 0.1  accuracy 10.2%  猫と犬と猫と犬  36.6 MiB";
  for (size_t columns = 2; columns < 200; ++columns) {
    CAPTURE(columns);
    const std::string line = live_line(0.4, rest, columns);
    CHECK(display_width(line) < columns);
    CHECK(is_utf8(line));
  }
  CHECK(live_line(0.5, "half", 80) == "[=====     ] half");
  CHECK(live_line(0.5, "half", 40) == "half");
  CHECK(live_line(2, "over", 80) == "[==========] over");
  CHECK(live_line(-1, "under", 80) == "[          ] under");
}

TEST_CASE("a help page's rows and paragraphs are no wider than the terminal") {
  const std::string what = "share of each class's training images to hold out, where there is no validation part [0]";
  for (const size_t columns : {32, 40, 57, 80, 100, 200}) {
    CAPTURE(columns);
    for (const std::string& line : lines(beside("  --val-share N", what, 26, columns)))
      CHECK(display_width(line) <= std::max<size_t>(columns, 26));
    for (const std::string& line : lines(wrapped("  name        " + what + "\n\n" + what + "\n", columns, 12)))
      CHECK(display_width(line) <= columns);
  }
  CHECK(beside("  --top N", "classes per image", 26, 80) == "  --top N                 classes per image\n");
  CHECK(beside("  --a-flag-with-a-long-name N", "x", 26, 80) ==
        "  --a-flag-with-a-long-name N\n                          x\n");
  CHECK(beside("  --top N", "classes per image", 26, 40) == "  --top N\n      classes per image\n");
  CHECK(beside("  --json", "", 26, 80) == "  --json\n");
  CHECK(wrapped("one two three\n", 8) == "one two\nthree\n");
  CHECK(wrapped("  a   one two three\n", 12, 4) == "  a   one\n      two\n      three\n");
  const std::string command = "  shear train --data photos/ --weights vit_small.safetensors --out run/\n";
  CHECK(wrapped(command, 20) == command);
}

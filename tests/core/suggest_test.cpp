// "did you mean", and how wide text is on a terminal.
#include "shear/suggest.h"

#include <doctest/doctest.h>

#include "errors.h"
#include "shear/models/vit.h"
#include "shear/policies.h"
#include "shear/utf8.h"

using namespace shear;
using namespace shear::test;

TEST_CASE("the distance of two names counts letters inserted, dropped, replaced and swapped") {
  CHECK(edit_distance("", "") == 0);
  CHECK(edit_distance("lean", "lean") == 0);
  CHECK(edit_distance("Lean", "lEAN") == 0);
  CHECK(edit_distance("", "abc") == 3);
  CHECK(edit_distance("abc", "") == 3);
  CHECK(edit_distance("lan", "lean") == 1);
  CHECK(edit_distance("leean", "lean") == 1);
  CHECK(edit_distance("learn", "lean") == 1);
  CHECK(edit_distance("laen", "lean") == 1);
  CHECK(edit_distance("full", "tokens") == 6);
}

TEST_CASE("the nearest name is told where one is near") {
  const std::vector<std::string> names{"train", "trace", "eval", "predict"};
  CHECK(nearest("trane", names) == "trace");
  CHECK(nearest("trian", names) == "train");
  CHECK(nearest("PREDICT", names) == "predict");
  CHECK(nearest("xyz", names).empty());
  CHECK(nearest("", names).empty());
  CHECK(nearest(std::string(100000, 'a'), names).empty());
  CHECK(did_you_mean("evla", names) == " (did you mean eval?)");
  CHECK(did_you_mean("zebra", names).empty());
}

TEST_CASE("policies, their keys, models and their keys are suggested") {
  const auto policy = [](const char* spec) { return sentence(Fault::usage, [&] { make_policy(spec); }); };
  const auto model = [](const char* spec) { return sentence(Fault::usage, [&] { parse_model(spec); }); };
  const auto says = [](const std::string& found, const char* part) { return found.find(part) != std::string::npos; };
  CHECK(says(policy("fuller"), "policy fuller: unknown (did you mean full?), expected one of full, lean"));
  CHECK(says(policy("prebr++:perod=3"), "unknown key perod (did you mean period?), expected"));
  CHECK(says(policy("lean:prune=1"), "unknown key prune, it has none"));
  CHECK(says(policy("tokens@blocks.*|laen"), "did you mean lean?"));
  CHECK(says(model("vit_bas_patch16_224"), "did you mean vit_base_patch16_224?"));
  CHECK(says(model("vit:imge=28"), "did you mean image?"));
}

TEST_CASE("text is as wide as a terminal shows it, and is cut between characters") {
  CHECK(display_width("abc") == 3);
  CHECK(display_width("±é") == 2);
  CHECK(display_width("猫と犬") == 6);
  CHECK(display_width("e\u0301") == 1);  // a letter and an accent that stands on it
  CHECK(cut_to_width("abcdef", 4) == "abcd");
  CHECK(cut_to_width("abc", 4) == "abc");
  CHECK(cut_to_width("a±b", 2) == "a±");
  CHECK(cut_to_width("猫と犬", 5) == "猫と");
  CHECK(cut_to_width("e\u0301x", 1) == "e\u0301");
  CHECK(cut_to_width("abc", 0).empty());
}

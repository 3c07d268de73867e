// Sentences name settings: how they are spelled is the application's affair.
#include <doctest/doctest.h>

#include "errors.h"
#include "shear/optim.h"
#include "shear/train.h"
#include "tools/shear/exit_code.h"

using namespace shear;
using namespace shear::test;

TEST_CASE("a sentence spells settings as the application does, and without a word from it by their names") {
  const auto sentences = [] {
    Recipe recipe;
    recipe.data = "photos";
    recipe.accumulate = 3;
    return sentence(Fault::usage, [&] { resolve_defaults(recipe); }) + "; " +
           sentence(Fault::usage, [&] { recipe_range("batch").check(setting("batch"), int64_t{0}); });
  };
  spell_settings("");
  CHECK(sentences() ==
        "accumulate 3: expected a divisor of batch 128; batch 0: expected a whole number from 1 to 65536");
  spell_settings("--");
  CHECK(sentences() ==
        "--accumulate 3: expected a divisor of --batch 128; --batch 0: expected a whole number from 1 to 65536");
}

TEST_CASE("each fault has the exit status that scripts rely on") {
  CHECK(tool::exit_code(Fault::internal) == 1);
  CHECK(tool::exit_code(Fault::usage) == 2);
  CHECK(tool::exit_code(Fault::input) == 3);
  CHECK(tool::exit_code(Fault::memory) == 4);
  CHECK(tool::exit_code(Fault::device) == 5);
}

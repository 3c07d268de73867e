// shear models: what it lists is what shear plan says of each.
#include <doctest/doctest.h>

#include "shear/model.h"
#include "shell.h"

using namespace shear;
using namespace shear::test;

TEST_CASE("every model that has a name is listed with what shear plan says of it") {
  Shell shear;
  const auto all = shear({"models", "--json"}).json();
  CHECK(all.size() == known_models().size());
  const auto two = shear({"models", "vit_tiny", "--policy", "lean", "--json"}).json();
  REQUIRE(two.size() >= 1);
  const auto& tiny = two[0];
  CHECK(tiny["model"] == "vit_tiny_patch16_224");
  CHECK(tiny["image"] == 224);
  CHECK(tiny["parameters"] == 5717416);  // timm's
  for (const char* batch : {"8", "128"}) {
    const auto plan =
        shear({"plan", "--no-time", "--model", "vit_tiny_patch16_224", "--policy", "lean", "--batch", batch, "--json"})
            .json();
    CHECK(tiny["bytes"][batch] == plan["policies"][0]["peak_bytes"]);
  }
  const Result table = shear({"models", "tiny"});
  CHECK(table.out.find("vit_tiny_patch16_224") != std::string::npos);
  CHECK(table.out.find("vit_base") == std::string::npos);
}

TEST_CASE("a word that no model's name holds is refused, and so is a policy that there is not") {
  Shell shear;
  shear.refuses(2, {"models", "resnet"}, {"no model is called like resnet"});
  shear.refuses(2, {"models", "--policy", "fuller"}, {"fuller", "lean"});
}

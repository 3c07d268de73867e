// shear export: the parameters of a run in f16.
#include <cmath>

#include "shell.h"

using namespace shear;
using namespace shear::test;

TEST_CASE("export leaves the parameters of a checkpoint in f16, which evaluate as the weights do") {
  Shell shear;
  write_idx(shear.dir / "data");
  REQUIRE(shear({"train", "--data", shear.path("data"), "--model", tiny_model, "--out", shear.path("run"), "--epochs",
                 "2", "--batch", "16", "--lr", "3e-3"})
              .status == 0);
  const std::string out = shear.path("short.safetensors"), last = shear.path("run/last.safetensors");
  REQUIRE(shear({"export", "--weights", last, "--dtype", "f16", "--out", out}).status == 0);
  const auto held = shear({"inspect", out, "--json"}).json(),
             all = shear({"inspect", shear.path("run/model.safetensors"), "--json"}).json();
  CHECK(held["elements"] == all["elements"]);
  CHECK(held["bytes"] == 2 * held["elements"].get<int64_t>());
  for (const auto& t : held["tensors"]) CHECK(t["dtype"] == "F16");
  const auto accuracy = [&](const std::string& weights) {
    return shear({"eval", "--data", shear.path("data"), "--weights", weights, "--json"}).json();
  };
  const double loss = accuracy(out)["loss"], exact = accuracy(shear.path("run/model.safetensors"))["loss"];
  CHECK(std::fabs(loss - exact) < 1e-3 * exact);
  shear.refuses(2, {"export", "--weights", last, "--dtype", "f8", "--out", out}, {"--dtype"});
}

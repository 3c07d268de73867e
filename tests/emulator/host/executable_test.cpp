// The executable on an emulated device.
#include "shell.h"

#include <doctest/doctest.h>

#include <cmath>

using namespace shear;
using namespace shear::test;

namespace {

struct Variable {
  Variable(const char* n, const char* value) : name(n) { setenv(name, value, 1); }
  ~Variable() { unsetenv(name); }
  const char* name;
};

std::vector<double> losses(const std::filesystem::path& run) {
  std::vector<double> all;
  for (const std::string& line : lines_of(run / "metrics.jsonl"))
    if (const auto j = nlohmann::json::parse(line); j["kind"] == "step") all.push_back(j["loss"]);
  return all;
}

}  // namespace

TEST_CASE("CUDA: shear trains, plans, evaluates and resumes on a device as it does on the CPU") {
  Shell shear;
  write_idx(shear.dir / "data");
  REQUIRE(shear(shear.train("cpu", {"--policy", "prebr++"})).status == 0);
  REQUIRE(shear(shear.train("cuda", {"--policy", "prebr++", "--device", "cuda"})).status == 0);
  const std::vector<double> cpu = losses(shear.dir / "cpu"), cuda = losses(shear.dir / "cuda");
  REQUIRE(cpu.size() == 12);
  REQUIRE(cuda.size() == 12);
  for (size_t i = 0; i < cpu.size(); ++i) CHECK(std::fabs(cuda[i] / cpu[i] - 1) < 1e-3);

  const auto summary = nlohmann::json::parse(contents(shear.dir / "cuda/summary.json"));
  CHECK(summary["peak_bytes"] == summary["planned_peak_bytes"]);
  const Result plan = shear({"plan", "--model", std::string(tiny_model) + ",classes=10", "--batch", "16", "--policy",
                             "prebr++", "--device", "cuda", "--json"});
  CHECK(plan.json()["policies"][0]["peak_bytes"] == summary["peak_bytes"]);

  const Result eval = shear({"eval", "--data", shear.path("data"), "--weights", shear.path("cuda/model.safetensors"),
                             "--device", "cuda", "--json"});
  CHECK(eval.json()["accuracy"] == summary["accuracy"]);

  REQUIRE(shear(shear.train("parts", {"--policy", "prebr++", "--device", "cuda", "--stop-after", "5"})).status == 130);
  REQUIRE(shear({"train", "--resume", shear.path("parts"), "--device", "cuda"}).status == 0);
  CHECK(losses(shear.dir / "parts") == cuda);  // to the bit
  CHECK(contents(shear.dir / "parts/model.safetensors") == contents(shear.dir / "cuda/model.safetensors"));
}

TEST_CASE("CUDA: without a device shear says so and ends with 5, and without enough memory with 4") {
  Shell shear;
  write_idx(shear.dir / "data");
  {
    const Variable none("CUEMU_DEVICES", "0");
    shear.refuses(5, shear.train("run", {"--device", "cuda"}),
                  {"--device cuda: no CUDA device was found", "--device cpu"});
    const std::string model = std::string(tiny_model) + ",classes=10";
    CHECK(shear({"plan", "--model", model, "--batch", "4", "--policy", "full", "--device", "cuda"}).status == 0);
  }
  const Variable little("CUEMU_MEMORY", "10485760");
  shear.refuses(4, shear.train("run", {"--device", "cuda"}), {"out of memory: the device refused"});
}

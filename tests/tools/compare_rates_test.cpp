// shear compare --rates: each policy at its own best learning rate.
#include <doctest/doctest.h>

#include "compare_flags.h"

using namespace shear;
using namespace shear::test;
namespace fs = std::filesystem;

TEST_CASE("with --rates every policy is compared at its own best of them, and those that lost are in no mean") {
  Shell shear;
  write_idx(shear.dir / "data");
  const Args args = compare(shear, {"--rates", "0.01,1e-7,0.001", "--json"});
  const Result r = shear(args);
  REQUIRE_MESSAGE(r.status == 0, r.err);
  const auto j = r.json();
  REQUIRE(j["runs"].size() == 2 * (3 + 2));
  REQUIRE(j["policies"].size() == 2);
  for (const auto& policy : j["policies"]) {
    std::vector<nlohmann::json> first, best;
    for (const auto& run : j["runs"]) {
      if (run["policy"] != policy["policy"]) continue;
      if (run["seed"] == 0) first.push_back(run);
      if (run["counts"]) best.push_back(run);
    }
    REQUIRE(first.size() == 3);
    REQUIRE(best.size() == 2);  // seeds, after that of the choice
    CHECK(best[0]["seed"] == 1);
    CHECK(best[1]["seed"] == 2);
    CHECK(first[0]["lr"] == 1e-7);
    CHECK(first[1]["lr"] == 0.001);
    CHECK(first[2]["lr"] == 0.01);
    const auto rank = [](const auto& run) {
      return std::pair(-run["accuracy"].template get<double>(), run["loss"].template get<double>());
    };
    const auto& most =
        *std::min_element(first.begin(), first.end(), [&](const auto& a, const auto& b) { return rank(a) < rank(b); });
    CHECK(most["lr"] != 1e-7);  // six steps of that teach nothing
    CHECK(policy["lr"] == most["lr"]);
    CHECK(policy["runs"] == 2);
    double sum = 0;
    for (const auto& run : best) {
      CHECK(run["lr"] == most["lr"]);
      sum += run["accuracy"].get<double>();
    }
    CHECK(policy["accuracy_mean"].get<double>() == doctest::Approx(sum / 2));
  }
  CHECK(fs::exists(shear.dir / "cmp/runs/lean-lr=1e-07-seed0/model.safetensors"));
  const std::string svg = contents(shear.dir / "cmp/rates.svg");
  CHECK(svg.ends_with("</svg>\n"));
  CHECK(circles_in(svg) == 2 * (1 + 3));
  CHECK(lines_of(shear.dir / "cmp/compare.csv")[0].find("lr,counts") != std::string::npos);

  const Result again = shear(args);
  CHECK(again.json() == j);
  CHECK(again.err.find("step 6/6") == std::string::npos);
  const Result edge =
      shear(compare(shear, {"--rates", "1e-7,1e-6", "--seeds", "1", "--policy", "lean", "--out", shear.path("edge")}));
  CHECK(edge.out.find("best lr") != std::string::npos);
  CHECK(edge.err.find("of those tried") != std::string::npos);

  shear.refuses(2, compare(shear, {"--rates", "0.001"}), {"--rates 0.001", "two learning rates"});
  shear.refuses(2, compare(shear, {"--rates", "0.001,1e-3"}), {"--rates 0.001,1e-3", "each once"});
  shear.refuses(2, compare(shear, {"--rates", "0.001,fast"}), {"--rates", "fast"});
  shear.refuses(2, compare(shear, {"--rates", "0.001,0.01", "--lr", "0.1"}), {"--lr 0.1", "--rates"});
}

TEST_CASE("a rate at which the loss is not finite any more is lost, and the others go on") {
  Shell shear;
  write_idx(shear.dir / "data");
  const Args args = compare(shear, {"--rates", "0.01,1000", "--optimizer", "sgd", "--momentum", "0", "--clip", "0",
                                    "--warmup", "0", "--seeds", "1", "--policy", "lean", "--steps", "40", "--json"});
  const Result r = shear(args);
  REQUIRE_MESSAGE(r.status == 0, r.err);
  CHECK(r.err.find("the loss is") != std::string::npos);
  CHECK(r.err.find("lean, lr 1000, seed 0: lost") != std::string::npos);
  const auto j = r.json();
  REQUIRE(j["runs"].size() == 3);  // both rates, and a seed of the other
  for (const auto& run : j["runs"]) {
    CHECK(run.value("lost", false) == (run["lr"] == 1000));
    CHECK(run.contains("accuracy") == (run["lr"] == 0.01));
  }
  CHECK(j["policies"][0]["lr"] == 0.01);
  CHECK(j["policies"][0]["runs"] == 1);
  CHECK(lines_of(shear.dir / "cmp/compare.csv").size() == 4);
  CHECK(shear(args).json() == j);  // the lost one once more, to the same end
  CHECK(circles_in(contents(shear.dir / "cmp/rates.svg")) == 2);
  Args none = args;
  *std::find(none.begin(), none.end(), "0.01,1000") = "900,1000";
  none.insert(none.end(), {"--overwrite"});
  shear.refuses(3, none, {"--rates 900,1000: no loss stayed finite", "lower"});
  // What is not of the rate ends all of it, whatever an earlier run's metrics say.
  Args gone = args;
  *std::find(gone.begin(), gone.end(), shear.path("data")) = shear.path("gone");
  gone.insert(gone.end(), {"--overwrite"});
  shear.refuses(3, gone, {"gone", "does not exist"});
}

// shear compare --gradients-only: what policies, and codes of each block, do to the gradient of weights as they are.
#include <doctest/doctest.h>

#include <cmath>

#include "compare_flags.h"

using namespace shear;
using namespace shear::test;
namespace fs = std::filesystem;

static Args gradients(const Shell& shear, const Args& more) {
  Args args = compare(shear, more);
  const auto at = std::find(args.begin(), args.end(), "--seeds");
  args.erase(at, at + 2);
  args.push_back("--gradients-only");
  return args;
}

TEST_CASE("compare --gradients-only trains nothing and tells each policy's error, cosine, bytes and time") {
  Shell shear;
  write_idx(shear.dir / "data");
  const Args args = gradients(shear, {"--json", "--policy", "lean;codes;codes:bits=2;prebr"});
  const Result r = shear(args);
  REQUIRE_MESSAGE(r.status == 0, r.err);
  const auto j = r.json();
  CHECK(nlohmann::json::parse(contents(shear.dir / "cmp/gradients.json")) == j);
  CHECK(contents(shear.dir / "cmp/gradients.svg").starts_with("<svg"));
  CHECK_FALSE(fs::exists(shear.dir / "cmp/runs"));
  REQUIRE(j["policies"].size() == 5);
  const auto of = [&](size_t i, const char* key) { return j["policies"][i][key].get<double>(); };
  CHECK(j["policies"][0]["policy"] == "full");  // the measure, asked for or not
  for (const size_t exact : {0u, 1u}) {
    CHECK(of(exact, "gradient_error") == 0);
    CHECK(of(exact, "gradient_cosine") == doctest::Approx(1));
    CHECK(of(exact, "block_error") == 0);
    CHECK(of(exact, "channel_error") == 0);
  }
  CHECK(of(2, "block_error") > 0.01);
  CHECK(of(3, "block_error") > 1.5 * of(2, "block_error"));
  CHECK(of(4, "block_error") > of(3, "block_error"));
  CHECK(of(2, "block_cosine") > of(3, "block_cosine"));
  CHECK(of(2, "channel_error") > 0.01);
  CHECK(of(3, "channel_error") > 1.5 * of(2, "channel_error"));
  for (size_t i = 0; i < 5; ++i) CHECK(of(i, "step_seconds_median") > 0);
  // The plan's bytes, with the recipe's optimizer.
  const auto plan =
      shear({"plan", "--no-time", "--model", whole_model, "--batch", "16", "--policy", "codes", "--json"}).json();
  CHECK(j["policies"][2]["saved_bytes"] == plan["policies"][0]["saved_bytes"]);
  // The same again, and a table for people.
  const auto again = shear(args).json();
  for (size_t i = 0; i < 5; ++i) CHECK(again["policies"][i]["gradient_error"] == j["policies"][i]["gradient_error"]);
  const Result table = shear({"compare", "--gradients-only", "--data", shear.path("data"), "--model", tiny_model,
                              "--batch", "16", "--cosine-batches", "1", "--threads", "1"});
  CHECK(table.status == 0);
  CHECK(table.out.find("of block weights") != std::string::npos);
  CHECK(table.out.find("by channel") != std::string::npos);
  shear.refuses(2, gradients(shear, {"--head-only"}), {"--head-only", "--gradients-only"});
  shear.refuses(2, compare(shear, {"--gradients-only"}), {"--seeds", "--gradients-only"});
  shear.refuses(2, gradients(shear, {"--rates", "0.1,0.2"}), {"--rates", "--gradients-only"});
  shear.refuses(3, gradients(shear, {"--out", "/proc/shear"}), {"--out /proc/shear", "cannot make"});
}

TEST_CASE("the error by channel takes each input channel of a weight by its own size") {
  Shell shear;
  write_idx(shear.dir / "data");
  const Result r =
      shear(gradients(shear, {"--json", "--cosine-batches", "1", "--policy", "prebr@blocks.0.attn.qkv|lean"}));
  REQUIRE_MESSAGE(r.status == 0, r.err);
  // Of 224 channels of linears 16 are drawn from: 4 are there, times 4, which is off by 3, and 12 are not.
  CHECK(r.json()["policies"][1]["channel_error"].get<double>() ==
        doctest::Approx(std::sqrt((4 * 9 + 12) / 224.)).epsilon(0.01));
}

TEST_CASE("a gradient that reaches no weight in blocks is no measure of a policy") {
  Shell shear;
  write_idx(shear.dir / "data");
  shear.refuses(2, gradients(shear, {"--train", "head"}), {"--train head", "expected"});
  // A head that does not know all classes is replaced by zeros, through which nothing comes back.
  REQUIRE(shear(shear.train("run", {"--steps", "1"})).status == 0);
  write_idx_part(shear.dir / "more", "train", 96, 8, 12, 1);
  shear.refuses(3, gradients(shear, {"--data", shear.path("more"), "--weights", shear.path("run/model.safetensors")}),
                {"run/model.safetensors: the gradient", "is zero", "expected"});
}

TEST_CASE("compare --by-block tells what codes of each block add, and auto chooses by it") {
  Shell shear;
  write_idx(shear.dir / "data");
  REQUIRE(shear(shear.train("run", {"--steps", "3"})).status == 0);
  const std::string weights = shear.path("run/model.safetensors"), file = shear.path("cmp/blocks.json");
  const Args blocks{"compare",
                    "--gradients-only",
                    "--by-block",
                    "--data",
                    shear.path("data"),
                    "--weights",
                    weights,
                    "--batch",
                    "16",
                    "--cosine-batches",
                    "2",
                    "--threads",
                    "1",
                    "--out",
                    shear.path("cmp"),
                    "--json"};
  const Result r = shear(blocks);
  REQUIRE_MESSAGE(r.status == 0, r.err);
  const auto j = r.json();
  CHECK(nlohmann::json::parse(contents(file)) == j);
  CHECK(j["images"] == 32);
  REQUIRE(j["blocks"].size() == 2);
  double sum = 0;
  for (const auto& block : j["blocks"])
    for (const char* kind : {"linears", "attention", "slopes"}) {
      CHECK(block[kind].get<double>() > 0);
      sum += block[kind].get<double>();
    }
  // Errors of values that are rounded each by itself add up to that of all of them.
  const Result whole =
      shear({"compare", "--gradients-only", "--data", shear.path("data"), "--weights", weights, "--batch", "16",
             "--cosine-batches", "2", "--threads", "1", "--policy", "codes", "--json"});
  REQUIRE_MESSAGE(whole.status == 0, whole.err);
  const auto all = whole.json();
  CHECK(all["policies"][1]["block_error"].get<double>() == doctest::Approx(std::sqrt(sum)).epsilon(0.15));

  const std::string model = std::string(tiny_model) + ",classes=10";
  const auto plan = [&](const Args& more) {
    Args args{"plan", "--no-time", "--threads", "1", "--model", model, "--batch", "64", "--json"};
    args.insert(args.end(), more.begin(), more.end());
    return shear(args);
  };
  const auto codes = plan({"--policy", "codes"}).json();
  const std::string budget = std::to_string(codes["policies"][0]["peak_bytes"].get<int64_t>());
  const auto usual = plan({"--policy", "full;auto", "--budget", budget}).json(),
             measured = plan({"--policy", "full;auto", "--budget", budget, "--block-errors", file}).json();
  CHECK(usual["policies"][1]["gradient_error"] != measured["policies"][1]["gradient_error"]);
  const Result trained = shear(shear.train("auto", {"--policy", "auto", "--batch", "64", "--steps", "1", "--budget",
                                                    budget, "--block-errors", file, "--optimizer", "adamw"}));
  REQUIRE_MESSAGE(trained.status == 0, trained.err);
  CHECK(trained.err.find(measured["policies"][1]["chosen"].get<std::string>()) != std::string::npos);

  // What it is not.
  shear.refuses(2, {"compare", "--by-block", "--data", shear.path("data"), "--out", shear.path("x")},
                {"--by-block", "--gradients-only"});
  Args policy = blocks;
  policy.insert(policy.end(), {"--policy", "lean"});
  shear.refuses(2, policy, {"--policy", "--by-block"});
  shear.refused(plan({"--policy", "full", "--budget", budget, "--block-errors", file}), 2,
                {"--block-errors", "expected --policy auto and --budget"});
  std::ofstream(shear.dir / "other.json")
      << R"({"model": ")" << model
      << R"(", "images": 1, "ranges": "columns of tokens", "blocks": [{"linears": 1, "attention": 1, "slopes": 1}]})";
  shear.refused(plan({"--policy", "auto", "--budget", budget, "--block-errors", shear.path("other.json")}), 3,
                {"of 1 blocks", "expected 2"});
  // Of another image size and other classes the blocks are the same; of another width they are not.
  const auto with = [&](const char* other) {
    auto changed = j;
    changed["model"] = other;
    std::ofstream(shear.dir / "other.json") << changed;
    return plan({"--policy", "auto", "--budget", budget, "--block-errors", shear.path("other.json")});
  };
  CHECK(with("vit:image=16,patch=4,dim=16,depth=2,heads=2,channels=1,classes=3").status == 0);
  shear.refused(with("vit:image=8,patch=4,dim=32,depth=2,heads=2,channels=1,classes=10"), 3, {"dim=32", "dim=16"});
  auto of_another = j;
  of_another.erase("ranges");
  std::ofstream(shear.dir / "other.json") << of_another;
  shear.refused(plan({"--policy", "auto", "--budget", budget, "--block-errors", shear.path("other.json")}), 3,
                {"other.json", "another version"});
  // Extreme ones are answered too.
  for (const double error : {0., 1e-29, 1e29}) {
    auto changed = j;
    for (auto& block : changed["blocks"]) block["linears"] = block["attention"] = block["slopes"] = error;
    std::ofstream(shear.dir / "other.json") << changed;
    CHECK(plan({"--policy", "auto", "--budget", budget, "--block-errors", shear.path("other.json")}).status == 0);
  }
  const auto damaged_json = [&](const std::string& spelling, const std::string& images, const std::string& linears) {
    return R"({"model": ")" + spelling + R"(", "images": )" + images +
           R"(, "ranges": "columns of tokens", "blocks": [{"linears": )" + linears +
           R"(, "attention": 1, "slopes": 1}]})";
  };
  for (const std::string& damaged :
       {std::string(), std::string("[]"),
        R"({"model": ")" + model + R"(", "images": 1, "ranges": "columns of tokens", "blocks": []})",
        damaged_json("x", "1", "1"), damaged_json(model, "1e300", "1"), damaged_json(model, "1", "1e-200"),
        damaged_json(model, "1", "-1")}) {
    std::ofstream(shear.dir / "damaged.json") << damaged;
    shear.refused(plan({"--policy", "auto", "--budget", budget, "--block-errors", shear.path("damaged.json")}), 3,
                  {"--block-errors " + shear.path("damaged.json")});
  }
}

// shear compare and shear trace: what they write, what they do not do twice, and what they refuse.
#include <cmath>
#include <csignal>

#include "compare_flags.h"
#include "tools/shear/svg.h"

using namespace shear;
using namespace shear::test;
namespace fs = std::filesystem;

namespace {

std::vector<std::string> split(const std::string& line) {
  std::vector<std::string> cells(1);
  bool quoted = false;
  for (const char c : line)
    if (c == '"')
      quoted = !quoted;
    else if (c == ',' && !quoted)
      cells.emplace_back();
    else
      cells.back() += c;
  return cells;
}

}  // namespace

TEST_CASE("compare reports every run, and exact policies have the gradient of full") {
  Shell shear;
  write_idx(shear.dir / "data");
  const Result r = shear(compare(shear, {"--json"}));
  REQUIRE_MESSAGE(r.status == 0, r.err);
  const auto j = r.json();
  CHECK(nlohmann::json::parse(contents(shear.dir / "cmp/compare.json")) == j);
  REQUIRE(j["runs"].size() == 4);
  for (const auto& run : j["runs"]) {
    for (const char* key : {"policy", "seed", "steps", "accuracy", "loss", "seconds", "step_seconds_median",
                            "peak_bytes", "planned_peak_bytes", "parameter_bytes", "gradient_bytes", "optimizer_bytes",
                            "saved_bytes", "workspace_bytes", "rss_peak_bytes", "gradient_cosine"})
      CHECK_MESSAGE(run.contains(key), key);
    CHECK(run["steps"] == 6);
    CHECK(run["planned_peak_bytes"] == run["peak_bytes"]);
    CHECK(run["gradient_cosine"].get<double>() >= 0.999999);
    CHECK(run["gradient_cosine"].get<double>() <= 1.000001);
  }
  CHECK(j["runs"][0]["policy"] == "full");
  CHECK(j["runs"][1]["policy"] == "lean");
  CHECK(j["runs"][0]["seed"] == 0);
  CHECK(j["runs"][2]["seed"] == 1);
  CHECK(j["runs"][1]["peak_bytes"] < j["runs"][0]["peak_bytes"]);
  CHECK(j["runs"][0]["accuracy"] ==
        nlohmann::json::parse(contents(shear.dir / "cmp/runs/full-seed0/summary.json"))["accuracy"]);
  // Another seed is another run.
  CHECK(j["runs"][0]["loss"] != j["runs"][2]["loss"]);
}

TEST_CASE("compare runs on the lowest floor, with LoRA and beside the head alone") {
  Shell shear;
  write_idx(shear.dir / "data");
  const Result r = shear(compare(shear, {"--json", "--model", "vit:image=8,patch=4,dim=40,depth=2,heads=2,channels=1",
                                         "--policy", "full;tokens", "--seeds", "1", "--update", "in-backward",
                                         "--state", "8bit", "--weights-as", "bf16+8", "--lora", "4", "--head-only"}));
  REQUIRE_MESSAGE(r.status == 0, r.err);
  const auto runs = r.json()["runs"];
  REQUIRE(runs.size() == 3);
  for (const auto& run : runs) {
    CHECK(run["planned_peak_bytes"] == run["peak_bytes"]);
    CHECK(run["gradient_bytes"] == 0);
  }
  CHECK(runs[0]["gradient_cosine"].get<double>() >= 0.999999);
  CHECK(runs[1]["gradient_cosine"].get<double>() < 0.999999);
  CHECK(runs[1]["gradient_cosine"].get<double>() > 0.1);
  const std::string gradients = contents(shear.dir / "cmp/layers.csv");
  CHECK(gradients.find("blocks.1.mlp.fc2.lora_a.weight") != std::string::npos);
  CHECK(gradients.find("blocks.1.mlp.fc2.weight") == std::string::npos);
  CHECK(runs[2]["optimizer_bytes"] < runs[0]["optimizer_bytes"]);  // LoRA's matrices are not there
}

TEST_CASE("the tables have a line per run and per parameter, the drawing a point per policy") {
  Shell shear;
  write_idx(shear.dir / "data");
  const Result r = shear(compare(shear));
  REQUIRE_MESSAGE(r.status == 0, r.err);
  CHECK(r.out.find("±") != std::string::npos);
  CHECK(r.out.find("lean") != std::string::npos);
  const auto runs = lines_of(shear.dir / "cmp/compare.csv");
  REQUIRE(runs.size() == 5);
  CHECK(runs[0].starts_with("policy,seed,steps,accuracy,loss,"));
  for (const std::string& line : runs) CHECK(split(line).size() == split(runs[0]).size());
  CHECK(runs[2].starts_with("lean,0,6,"));
  const auto layers = lines_of(shear.dir / "cmp/layers.csv");
  const SafeTensors model(shear.dir / "cmp/runs/lean-seed1/model.safetensors");
  REQUIRE(layers.size() == 1 + 4 * model.tensors().size());
  CHECK(layers[0] == "policy,seed,parameter,cosine");
  for (size_t i = 1; i < layers.size(); ++i) {
    const auto cells = split(layers[i]);
    REQUIRE(cells.size() == 4);
    CHECK(model.find(cells[2]));
    CHECK(std::stod(cells[3]) >= 0.999999);
  }
  const std::string svg = contents(shear.dir / "cmp/compare.svg");
  CHECK(svg.starts_with("<svg "));
  CHECK(svg.ends_with("</svg>\n"));
  CHECK(circles_in(svg) == 2);
}

TEST_CASE("a compare that is repeated runs nothing anew, and one with another policy only that") {
  Shell shear;
  write_idx(shear.dir / "data");
  REQUIRE(shear(compare(shear)).status == 0);
  const std::string before = contents(shear.dir / "cmp/compare.json");
  const auto written = fs::last_write_time(shear.dir / "cmp/runs/full-seed0/summary.json");
  const auto known = fs::last_write_time(shear.dir / "cmp/runs/full-seed0/cosine.json");
  const Result again = shear(compare(shear));
  CHECK(again.status == 0);
  CHECK(contents(shear.dir / "cmp/compare.json") == before);
  CHECK(again.err.find("step 6/6") == std::string::npos);
  const Result third = shear(compare(shear, {"--seeds", "1", "--head-only", "--json"}));
  REQUIRE(third.status == 0);
  REQUIRE(third.json()["runs"].size() == 3);
  CHECK(third.json()["runs"][2]["policy"] == "full (head only)");
  CHECK(third.json()["runs"][2]["train"] == "head");
  CHECK(third.json()["runs"][2]["peak_bytes"] < third.json()["runs"][0]["peak_bytes"]);
  CHECK(fs::last_write_time(shear.dir / "cmp/runs/full-seed0/summary.json") == written);
  CHECK(fs::last_write_time(shear.dir / "cmp/runs/full-seed0/cosine.json") == known);
  // Other options do not silently reuse what is there.
  shear.refuses(2, compare(shear, {"--lr", "0.5"}), {"--lr 0.5", "full-seed0", "began with 0.001", "--overwrite"});
  const Result anew = shear(compare(shear, {"--lr", "0.5", "--overwrite", "--json"}));
  REQUIRE(anew.status == 0);
  CHECK(anew.json()["runs"][0]["loss"] != nlohmann::json::parse(before)["runs"][0]["loss"]);
}

TEST_CASE("from weights, the row from scratch begins without them") {
  Shell shear;
  write_idx(shear.dir / "data");
  REQUIRE(shear(shear.train("first", {"--steps", "30"})).status == 0);
  const Result r = shear(
      compare(shear, {"--weights", shear.path("first/model.safetensors"), "--scratch", "--seeds", "1", "--json"}));
  REQUIRE_MESSAGE(r.status == 0, r.err);
  REQUIRE(r.json()["runs"].size() == 3);
  const auto scratch = r.json()["runs"][2];
  CHECK(scratch["policy"] == "full (from scratch)");
  CHECK(scratch["begins_from"] == "scratch");
  CHECK(r.json()["runs"][0]["begins_from"] == "weights");
  CHECK(scratch["loss"] > r.json()["runs"][0]["loss"]);
}

TEST_CASE("an interrupted compare writes a checkpoint, is status 130 and goes on to the same end") {
  Shell shear;
  write_idx(shear.dir / "data");
  const Args args =
      compare(shear, {"--steps", "4000", "--seeds", "1", "--policy", "lean", "--checkpoint-every", "5000"});
  REQUIRE(shear(compare(shear, {"--steps", "4000", "--seeds", "1", "--policy", "lean", "--checkpoint-every", "5000",
                                "--out", shear.path("whole")}))
              .status == 0);
  const pid_t pid = start(executable(), args, shear.dir / "stdout", shear.dir / "stderr");
  wait_for_lines(shear.dir / "cmp/runs/lean-seed0/metrics.jsonl", 3);
  kill(pid, SIGINT);
  CHECK(wait_for(pid) == 130);
  CHECK(contents(shear.dir / "stderr").find("the same command goes on from there") != std::string::npos);
  CHECK_FALSE(fs::exists(shear.dir / "cmp/compare.json"));
  const int64_t step = step_of(shear.dir / "cmp/runs/lean-seed0/last.safetensors");
  CHECK(step >= 3);
  CHECK(step < 4000);
  const Result r = shear(args);
  CHECK(r.status == 0);
  CHECK(r.err.find(": goes on") != std::string::npos);
  CHECK(contents(shear.dir / "cmp/runs/lean-seed0/model.safetensors") ==
        contents(shear.dir / "whole/runs/lean-seed0/model.safetensors"));
}

TEST_CASE("what compare cannot do is one sentence, a failing training's own among them") {
  Shell shear;
  write_idx(shear.dir / "data");
  shear.refuses(2, compare(shear, {"--policy", "full;fuller"}), {"fuller", "lean"});
  shear.refuses(2, compare(shear, {"--policy", "full;full"}), {"full is there twice"});
  shear.refuses(2, compare(shear, {"--seeds", "0"}), {"--seeds"});
  shear.refuses(2, compare(shear, {"--scratch"}), {"--scratch", "--weights"});
  shear.refuses(2, compare(shear, {"--train", "head", "--head-only"}), {"--head-only"});
  shear.refuses(2, compare(shear, {"--accumulate", "5"}), {"--accumulate 5", "--batch 16"});
  shear.refuses(2, {"compare", "--data", shear.path("data"), "--model", tiny_model}, {"--out is missing"});
  CHECK_FALSE(fs::exists(shear.dir / "cmp"));
  shear.refuses(3, compare(shear, {"--data", shear.path("nowhere")}), {"nowhere", "does not exist"});
  shear.refuses(4, compare(shear, {"--memory-limit", "100KiB"}), {"--memory-limit allows 0.1 MiB"});
}

TEST_CASE("files that compare reads again are what it wrote, or are named or made again") {
  Shell shear;
  write_idx(shear.dir / "data");
  const Args args = compare(shear, {"--seeds", "1", "--policy", "full"});
  REQUIRE(shear(args).status == 0);
  const fs::path summary = shear.dir / "cmp/runs/full-seed0/summary.json";
  const std::string good = contents(summary);
  for (
      const std::string& bad : std::vector<std::string>{
          "", "[]", "{}", "\xff\xfe", R"({"accuracy":"0.5"})",
          R"({"accuracy":0.5,"step_seconds_median":null,"peak_bytes":1,"planned_peak_bytes":1,"rss_peak_bytes":1})",
          R"({"accuracy":0.5,"step_seconds_median":1,"peak_bytes":1e300,"planned_peak_bytes":1,"rss_peak_bytes":1})"}) {
    put(summary, bad);
    shear.refuses(3, args, {"summary.json: is not what shear train writes there"});
  }
  put(summary, R"({"accuracy":null,"step_seconds_median":0,"peak_bytes":0,"planned_peak_bytes":1,"rss_peak_bytes":1})");
  CHECK(shear(args).status == 0);
  put(summary, good);
  for (const char* bad : {"", "{}", R"({"batches":"2"})", R"({"batches":2,"overall":"x","parameters":{}})"}) {
    put(shear.dir / "cmp/runs/full-seed0/cosine.json", bad);
    CHECK(shear(args).status == 0);
    CHECK(contents(shear.dir / "cmp/runs/full-seed0/cosine.json").find("\"batches\": 2") != std::string::npos);
  }
  put(summary, "{}");
  shear.refuses(3, {"train", "--resume", shear.path("cmp/runs/full-seed0")}, {"summary.json: is not what shear train"});
}

TEST_CASE("a policy of any spelling has a folder, and two never share one") {
  Shell shear;
  write_idx(shear.dir / "data");
  std::string longest = "full@x";
  for (int i = 0; i < 100; ++i) longest += "|lean@blocks." + std::to_string(i) + ".*";
  const Result r =
      shear(compare(shear, {"--seeds", "1", "--steps", "1", "--policy", longest + "|full;" + longest + "|lean"}));
  CHECK_MESSAGE(r.status == 0, r.err);
  size_t folders = 0;
  for (const fs::directory_entry& entry : fs::directory_iterator(shear.dir / "cmp/runs")) {
    CHECK(entry.path().filename().string().size() <= 255);
    ++folders;
  }
  CHECK(folders == 2);
  shear.refuses(2, compare(shear, {"--policy", "lean@a*|full;lean@a?|full"}),
                {"lean@a?|full and lean@a*|full", "same folder"});
}

TEST_CASE("trace draws a panel per site of what a run sampled") {
  Shell shear;
  std::string lines = "{\"kind\":\"step\",\"step\":1,\"loss\":2}\n";
  for (const int step : {1, 21, 41}) {
    lines += "{\"kind\":\"policy\",\"step\":" + std::to_string(step) + ",\"layers\":[";
    for (const char* site : {"blocks.0.attn.qkv", "blocks.0.mlp.fc1", "blocks.1.mlp.fc1"})
      lines += std::string(site[7] == '0' && site[9] == 'a' ? "" : ",") + "{\"site\":\"" + site +
               "\",\"p_min\":0.05,\"p_25\":0.1,\"p_50\":0.2,\"p_75\":0.4,\"p_max\":1,\"share\":0.2,\"bytes\":640}";
    lines += "]}\n";
  }
  put_below(shear.dir / "run/metrics.jsonl", lines + "{\"kind\":\"pol");
  const Result r = shear({"trace", shear.path("run"), "--out", shear.path("trace.svg"), "--json"});
  REQUIRE_MESSAGE(r.status == 0, r.err);
  CHECK(r.json()["sites"] == 3);
  CHECK(r.json()["first_step"] == 1);
  CHECK(r.json()["last_step"] == 41);
  const std::string svg = contents(shear.dir / "trace.svg");
  for (const char* part : {">mlp.fc1<", ">attn.qkv<", ">blocks.0<", ">blocks.1<", ">step<", ">0.05<"})
    CHECK_MESSAGE(svg.find(part) != std::string::npos, part);
  size_t medians = 0;
  for (size_t at = 0; (at = svg.find("<polyline", at)) != std::string::npos; ++at) ++medians;
  CHECK(medians == 3);
}

TEST_CASE("a run without a trace, and one that is not a trace, are status 3") {
  Shell shear;
  write_idx(shear.dir / "data");
  REQUIRE(shear(shear.train("run", {"--steps", "2"})).status == 0);
  shear.refuses(3, {"trace", shear.path("run"), "--out", shear.path("t.svg")},
                {"metrics.jsonl", "\"policy\"", "prebr"});
  shear.refuses(3, {"trace", shear.path("nowhere")}, {"nowhere", "cannot be read"});
  put_below(shear.dir / "odd/metrics.jsonl", "{\"kind\":\"policy\",\"step\":1,\"layers\":[{\"site\":\"a\"}]}\n");
  shear.refuses(3, {"trace", shear.path("odd"), "--out", shear.path("t.svg")}, {"line 1", "p_min"});
  CHECK_FALSE(fs::exists(shear.dir / "t.svg"));
}

TEST_CASE("what stands in a drawing is escaped, ticks are round, labels do not cover each other") {
  using namespace shear::tool;
  CHECK(svg_escape("a<b & \"c\"'\n") == "a&lt;b &amp; &quot;c&quot;&#39;?");
  Svg svg(10, 10, "x<y");
  svg.write({1, 1}, "</text><script>");
  CHECK(svg.done().find("<script>") == std::string::npos);
  CHECK(svg.done().find("<title>x&lt;y</title>") != std::string::npos);
  CHECK(round_ticks(0, 100, 5) == std::vector<double>{0, 20, 40, 60, 80, 100});
  CHECK(round_ticks(130, 250, 3) == std::vector<double>{150, 200, 250});
  CHECK(tick_label(round_ticks(0, 100, 5)[0]) == "0");
  CHECK(log_ticks(0.04, 1) == std::vector<double>{0.05, 0.1, 0.2, 0.5, 1});
  CHECK(tick_label(0.05) == "0.05");

  const Axes axes{{0, 0}, 600, 400, 0, 1, 0, 1};
  std::vector<Labelled> labels;
  for (int i = 0; i < 8; ++i) labels.push_back({axes.at(0.5 + 0.004 * i, 0.5), "policy number " + std::to_string(i)});
  const std::vector<Point> places = place_labels(labels, axes, 14);
  const double width = text_width(labels[0].text, 14);
  for (size_t i = 0; i < places.size(); ++i)
    for (size_t k = 0; k < i; ++k)
      CHECK((std::abs(places[i].x - places[k].x) >= width || std::abs(places[i].y - places[k].y) >= 1.2 * 14 - 0.01));
}

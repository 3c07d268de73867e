// Flags that are numbers: whatever stands there, a command ends soon, with a status that is not a fault of ours.
#include <cctype>
#include <set>
#include <sstream>

#include "shell.h"

using namespace shear;
using namespace shear::test;

namespace {

const Args edges{"-1",
                 "0",
                 "1",
                 "2147483647",
                 "2147483648",
                 "9223372036854775807",
                 "9223372036854775808",
                 "1e300",
                 "nan",
                 "inf",
                 "-inf",
                 "",
                 "1x",
                 " 1",
                 "0x1",
                 "1e-300"};

const std::set<std::string> never{"nan", "inf", "-inf", "1e300", "1x", " 1", "0x1"};

// The numeric flags of a command, from its help: those that are followed by N, or by what reads numbers of its own.
std::set<std::string> numeric_flags(Shell& shear, const std::string& command) {
  std::istringstream page(shear({command, "--help"}).out);
  std::set<std::string> flags;
  std::string before;
  for (std::string word; page >> word; before = word)
    for (const std::string_view kind : {"N", "SIZE", "V[,V,V]", "I,J,..."})
      if (before.starts_with("--") && word.starts_with(kind) &&
          !(word.size() > kind.size() && std::isupper(word[kind.size()])))
        flags.insert(before);
  return flags;
}

// A command that runs for a moment; a flag that is put behind it stands for the one that is there.
struct Sample {
  Args args;
  size_t least;  // numeric flags that it has
};

Args with(const Args& args, const std::string& flag, const std::string& value) {
  Args all;
  for (size_t i = 0; i < args.size(); ++i)
    if (args[i] == flag)
      ++i;  // and its value
    else if (!(flag == "--epochs" && args[i] == "--steps"))
      all.push_back(args[i]);
    else
      ++i;
  all.insert(all.end(), {flag, value});
  return all;
}

}  // namespace

TEST_CASE("every numeric flag of every command takes a number in its range, or is one sentence") {
  Shell shear;
  write_idx(shear.dir / "data", 20, 10);
  const std::string data = shear.path("data"), weights = shear.path("run/model.safetensors"), out = shear.path("out");
  const Args train{"train", "--data", data, "--model", tiny_model, "--batch", "4", "--steps", "1", "--threads", "1"};
  REQUIRE(shear(with(train, "--out", shear.path("run"))).status == 0);
  REQUIRE(shear({"prepare", "--weights", weights, "--data", data, "--index", "0", "--out", shear.path("b")}).status ==
          0);
  Args again = with(train, "--out", out), compare = again;
  again.push_back("--overwrite");
  compare[0] = "compare";
  compare[2] = shear.path("nowhere");  // what is in range is told of by the first training
  const std::vector<Sample> samples{
      {again, 22},
      {compare, 24},
      {{"plan", "--no-time", "--model", whole_model, "--policy", "lean"}, 5},
      {{"eval", "--data", data, "--weights", weights}, 9},
      {{"predict", "--data", data, "--weights", weights, "--index", "0"}, 8},
      {{"prepare", "--data", data, "--weights", weights, "--index", "0", "--out", out + "/b"}, 6},
      {{"gradients", "--weights", weights, "--batch", shear.path("b"), "--out", out + "/g"}, 3},
  };
  for (const Sample& sample : samples) {
    const std::set<std::string> flags = numeric_flags(shear, sample.args[0]);
    CHECK_MESSAGE(flags.size() >= sample.least, sample.args[0]);
    for (const std::string& flag : flags)
      for (const std::string& value : edges) {
        const auto began = std::chrono::steady_clock::now();
        const Result r = shear(with(sample.args, flag, value));
        const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
        INFO(sample.args[0], ' ', flag, " '", value, "': ", r.status, ", ", r.err);
        CHECK(took.count() < 10);
        CHECK((r.status == 0 || (r.status >= 2 && r.status <= 4)));
        if (r.status != 0) {
          CHECK(r.sentence().starts_with("shear: "));
          CHECK((r.out.empty() || flag == "--budget"));  // its table says what each policy needs
        }
        if (never.contains(value)) CHECK(r.status == 2);
        if (r.status == 2) CHECK(r.sentence().find(flag) != std::string::npos);
      }
  }
}

TEST_CASE("the range that the help tells is the one that is checked, in flags and in a recipe") {
  Shell shear;
  const std::string page = shear({"train", "--help"}).out;
  CHECK(page.find("(1 to 65536)") != std::string::npos);
  shear.refuses(2, {"plan", "--model", whole_model, "--batch", "65537"},
                {"--batch 65537: expected a whole number from 1 to 65536"});
  shear.refuses(2, {"plan", "--model", whole_model, "--batch", "18446744073709551617"},
                {"--batch 18446744073709551617: expected a whole number from 1 to 65536"});
  CHECK(shear({"plan", "--no-time", "--model", whole_model, "--batch", "65536", "--policy", "lean"}).status == 0);
  write_idx(shear.dir / "data");
  shear.refuses(2, shear.train("run", {"--lr", "0"}), {"--lr 0: expected a number from 1e-20 to 1000"});
  shear.refuses(2, shear.train("run", {"--clip", "1e-300"}), {"--clip 1e-300: is lost in 32 bits"});
  shear.refuses(2, shear.train("run", {"--image-std", "0.5,0,0.5"}), {"--image-std 0"});
  write_idx_part(shear.dir / "many", "train", 1200, 8, 10, 1);
  shear.refuses(2, shear.train("run", {"--data", shear.path("many"), "--epochs", "1000000", "--batch", "1"}),
                {"--epochs 1000000: makes 1200000000 steps, expected at most 1000000000"});
}

TEST_CASE("seeds that compare counts on from the last one are refused") {
  Shell shear;
  const Args compare{"compare", "--data", shear.path("nowhere"), "--model", tiny_model, "--out", shear.path("cmp")};
  shear.refuses(2, with(compare, "--seed", "18446744073709551615"), {"--seed 18446744073709551615", "--seeds"});
  shear.refuses(2, with(compare, "--seed", "-1"), {"--seed -1"});
}

TEST_CASE("whatever is planned takes seconds, and what no machine has is status 4") {
  Shell shear;
  const auto plan = [&](const Args& more) {
    Args args{"plan", "--no-time", "--model", "vit_huge_patch14_224"};
    for (size_t i = 0; i < more.size(); i += 2) args = with(args, more[i], more[i + 1]);
    const auto began = std::chrono::steady_clock::now();
    const Result r = shear(args);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
    INFO(r.err);
    CHECK(took.count() < 10);
    return r.status;
  };
  CHECK(plan({"--batch", "16384", "--policy", "full"}) == 0);
  CHECK(plan({"--batch", "65536", "--policy", "full"}) == 4);
  CHECK(plan({"--batch", "65536", "--accumulate", "65536", "--policy", "full;prebr"}) == 0);
  CHECK(plan({"--batch", "50400", "--policy", "full", "--budget", "8GiB"}) == 4);  // of 108 divisors
  CHECK(plan({"--batch", "2", "--policy", "lean;prebr", "--budget", "4096TiB"}) == 0);
  CHECK(plan({"--batch", "4096", "--policy", "auto", "--budget", "200GiB"}) == 0);
  const std::string most = "vit:image=4096,patch=1,dim=16384,depth=256,heads=1024,classes=1000000,channels=64,mlp=64";
  for (const std::string policy : {"full:attention=materialised", "tokens", "checkpoint"})
    for (const char* batch : {"1", "65536"}) CHECK(plan({"--model", most, "--batch", batch, "--policy", policy}) == 4);
}

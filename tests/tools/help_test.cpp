// Help pages and their examples, words that nobody knows, and flags that are missing.
#include <unistd.h>

#include <sstream>

#include "image_files.h"
#include "shear/utf8.h"
#include "shell.h"

using namespace shear;
using namespace shear::test;

namespace {

const std::vector<std::string> commands{"train",   "eval",      "predict", "plan",    "compare", "trace",
                                        "prepare", "gradients", "check",   "inspect", "models",  "export"};

std::string example_of(const std::string& page) {
  const size_t at = page.find("Example:\n  ");
  REQUIRE(at != std::string::npos);
  return page.substr(at + 11, page.find('\n', at + 11) - at - 11);
}

}  // namespace

TEST_CASE("help is asked for in three ways, and is no error") {
  Shell shear;
  const Result page = shear({"--help"});
  CHECK(page.status == 0);
  for (const Args& args : {Args{}, Args{"help"}, Args{"-h"}}) CHECK(shear(args).out == page.out);
  for (const std::string& command : commands) {
    const Result own = shear({command, "--help"});
    CHECK(own.status == 0);
    CHECK(own.err.empty());
    CHECK(shear({"help", command}).out == own.out);
    CHECK(page.out.find("\n  " + command + "  ") != std::string::npos);
  }
  CHECK(shear({"--version"}).out.find('.') != std::string::npos);
}

TEST_CASE("no line of a help page is wider than 80 columns, but for commands to copy") {
  Shell shear;
  for (const std::string& command : commands) {
    std::istringstream page(shear({command, "--help"}).out);
    for (std::string line; std::getline(page, line);)
      if (line.find("  shear ") != 0) CHECK_MESSAGE(display_width(line) <= 80, command, ": ", line);
  }
}

TEST_CASE("help tells what is required, and every number's range and default") {
  Shell shear;
  setenv("COLUMNS", "300", 1);
  const std::string train = shear({"train", "--help"}).out, plan = shear({"plan", "--help"}).out;
  unsetenv("COLUMNS");
  CHECK(train.find("--data PATH REQUIRED") != std::string::npos);
  CHECK(train.find("--out DIR REQUIRED") != std::string::npos);
  CHECK(train.find("images per step (1 to 65536) [128]") != std::string::npos);
  CHECK(train.find("(1e-20 to 1000) [0.001 for adamw, 0.01 for sgd]") != std::string::npos);
  CHECK(plan.find("--model NAME REQUIRED") != std::string::npos);
}

TEST_CASE("what is missing is named with what was expected") {
  Shell shear;
  shear.refuses(2, {"plan"}, {"plan: --model is missing, expected NAME", "shear plan --help"});
  shear.refuses(2, {"inspect"}, {"inspect: FILE is missing"});
  shear.refuses(2, {"eval", "--data", "x"}, {"eval: --weights is missing, expected FILE"});
  shear.refuses(2, {"plan", "--model"}, {"--model: its value is missing, expected NAME"});
  shear.refuses(2, {"plan", "--model", whole_model, "--batch"}, {"--batch: its value is missing, expected N"});
  shear.refuses(2, {"plan", "--model", whole_model, "--batch", "1", "--batch", "2"}, {"--batch is given 2 times"});
}

TEST_CASE("a word that is nearly one that is known is answered with it") {
  Shell shear;
  shear.refuses(2, {"trian"}, {"unknown command trian (did you mean train?), expected one of train, eval"});
  shear.refuses(2, {"help", "plna"}, {"did you mean plan?"});
  shear.refuses(2, {"zebra"}, {"unknown command zebra, expected one of train"});
  shear.refuses(2, {"plan", "--modle", whole_model}, {"plan: unknown flag --modle (did you mean --model?)"});
  shear.refuses(2, {"train", "-batch", "3"}, {"did you mean --batch?"});
  shear.refuses(2, {"plan", "--model", whole_model, "--bacth=3"}, {"unknown flag --bacth (did you mean --batch?)"});
  shear.refuses(2, {"check", "--data", "x", "y"}, {"check: unexpected argument y"});
  shear.refuses(2, {"plan", "--model", "vit_bas_patch16_224"}, {"did you mean vit_base_patch16_224?"});
  shear.refuses(2, {"plan", "--model", whole_model, "--policy", "tokens:kep=0.3"},
                {"unknown key kep (did you mean keep?)"});
  shear.refuses(2, {"\x1b[31m"}, {"\\x1b[31m"});
}

TEST_CASE("the example at the end of every help page works") {
  Shell shear;
  for (const char* name : {"cat", "dog"})
    for (int i = 0; i < 20; ++i)
      write_png(shear.dir / "photos" / name / (std::to_string(i) + ".png"), pattern(8 + i % 3, 9, 3));
  for (const char* name : {"cat.jpg", "dog.jpg"}) write_jpeg(shear.dir / name, pattern(12, 9, 3));
  REQUIRE(shear({"train", "--data", shear.path("photos"), "--model", "vit:image=8,patch=4,dim=16,depth=1,heads=2",
                 "--batch", "20", "--steps", "1", "--threads", "1", "--out", shear.path("first")})
              .status == 0);
  fs::rename(shear.dir / "first/model.safetensors", shear.dir / "vit_small.safetensors");
  fs::create_directories(shear.dir / "bin");
  fs::create_symlink(fs::absolute(executable()), shear.dir / "bin/shear");
  for (const std::string& command : commands) {
    const std::string example = example_of(shear({command, "--help"}).out);
    CHECK(example.starts_with("shear " + command + " "));
    const Result r = shear.run_program(
        "sh", {"-c", "cd " + shear.dir.path().string() +
                         " && PATH=$PWD/bin:$PATH OMP_NUM_THREADS=1 && export PATH OMP_NUM_THREADS && " + example});
    CHECK_MESSAGE(r.status == 0, example, ": ", r.err);
  }
  CHECK(fs::exists(shear.dir / "compare/compare.svg"));
}

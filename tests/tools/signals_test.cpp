// What signals and closed pipes do to a training.
#include <unistd.h>

#include <csignal>
#include <sstream>

#include "shell.h"

using namespace shear;
using namespace shear::test;
namespace fs = std::filesystem;

namespace {

const Args endless{"--steps", "1000000", "--checkpoint-every", "1000000", "--eval-every", "1000000"};

pid_t start_training(Shell& shear, const Args& args) {
  const pid_t pid = start(executable(), args, shear.dir / "stdout", shear.dir / "stderr");
  wait_for_lines(shear.dir / "run/metrics.jsonl", 3);
  return pid;
}

// The CPU time that a process took in its own code.
long ticks_of(pid_t pid) {
  const std::string stat = contents("/proc/" + std::to_string(pid) + "/stat");
  std::istringstream fields(stat.substr(stat.rfind(')') + 1));
  std::string field;
  for (int i = 3; i <= 14; ++i) fields >> field;
  return std::stol(field);
}

bool wait_for_text(const fs::path& path, const std::string& text) {
  for (int i = 0; i < 400; ++i) {
    if (fs::exists(path) && contents(path).find(text) != std::string::npos) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return false;
}

}  // namespace

TEST_CASE("a hangup, and one signal sent twice at once, are an interrupt with a checkpoint") {
  for (const Args& signals : {Args{"HUP"}, Args{"TERM", "TERM"}, Args{"INT", "TERM", "HUP"}}) {
    Shell shear;
    write_idx(shear.dir / "data");
    const pid_t pid = start_training(shear, shear.train("run", endless));
    for (const std::string& signal : signals) kill(pid, signal == "HUP" ? SIGHUP : signal == "INT" ? SIGINT : SIGTERM);
    CHECK(wait_for(pid) == 130);
    CHECK(step_of(shear.dir / "run/last.safetensors") >= 3);
    const std::string said = contents(shear.dir / "stderr");
    CHECK(said.find("interrupting: ") != std::string::npos);
    CHECK(said.find("interrupting: ") == said.rfind("interrupting: "));
  }
}

TEST_CASE("signals that were ignored stay ignored") {
  Shell shear;
  write_idx(shear.dir / "data");
  Args words{"-c", "trap '' HUP INT; exec \"$0\" \"$@\"", executable()};
  for (const std::string& word : shear.train("run", endless)) words.push_back(word);
  const pid_t pid = start("sh", words, shear.dir / "stdout", shear.dir / "stderr");
  wait_for_lines(shear.dir / "run/metrics.jsonl", 3);
  kill(pid, SIGHUP);
  kill(pid, SIGINT);
  const size_t lines = lines_of(shear.dir / "run/metrics.jsonl").size();
  wait_for_lines(shear.dir / "run/metrics.jsonl", lines + 50);
  kill(pid, SIGTERM);
  CHECK(wait_for(pid) == 130);
}

TEST_CASE("an interrupt is answered within a long step, and a second one ends it") {
  Shell shear;
  write_idx(shear.dir / "data", 600, 0);
  const pid_t pid = start(executable(),
                          shear.train("run", {"--model", "vit:image=32,patch=4,dim=192,depth=12,heads=3,channels=1",
                                              "--batch", "600", "--steps", "9"}),
                          shear.dir / "stdout", shear.dir / "stderr");
  for (int i = 0; i < 2000 && !fs::exists(shear.dir / "run/last.safetensors"); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  // Half a second of computing later it is within the first step.
  for (const long begun = ticks_of(pid); ticks_of(pid) < begun + sysconf(_SC_CLK_TCK) / 2;)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  kill(pid, SIGINT);
  CHECK(wait_for_text(shear.dir / "stderr", "interrupting: the step and a checkpoint"));
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));
  kill(pid, SIGINT);
  CHECK(wait_for(pid) == 1000 + SIGINT);
  CHECK(step_of(shear.dir / "run/last.safetensors") == 0);
}

TEST_CASE("commands that keep nothing end as the system ends them") {
  Shell shear;
  write_idx(shear.dir / "data");
  REQUIRE(shear(shear.train("run", {"--steps", "1"})).status == 0);
  write_idx(shear.dir / "data", 60000, 0);
  const pid_t pid = start(executable(),
                          {"eval", "--data", shear.path("data"), "--weights", shear.path("run/model.safetensors"),
                           "--part", "train", "--batch", "1", "--threads", "1"},
                          shear.dir / "stdout", shear.dir / "stderr");
  REQUIRE(wait_for_text(shear.dir / "stderr", "evaluated "));
  kill(pid, SIGINT);
  CHECK(wait_for(pid) == 1000 + SIGINT);
}

TEST_CASE("a training whose stderr nobody reads any more goes on to its end") {
  Shell shear;
  write_idx(shear.dir / "data");
  Args words{"-c", "{ \"$0\" \"$@\"; echo $? >" + shear.path("status") + "; } 2>&1 >" + shear.path("out") + " | true",
             executable()};
  for (const std::string& word : shear.train("run", {"--steps", "200", "--eval-every", "10"})) words.push_back(word);
  shear.run_program("sh", words);
  CHECK(contents(shear.dir / "status") == "0\n");
  CHECK(step_of(shear.dir / "run/last.safetensors") == 200);
  CHECK(contents(shear.dir / "out").find("accuracy") != std::string::npos);
}

TEST_CASE("what is printed where a standard stream is closed ends in no file") {
  Shell shear;
  write_idx(shear.dir / "data");
  Args words{"-c", "exec \"$0\" \"$@\" <&- >&- 2>&-", executable()};
  for (const std::string& word : shear.train("run", {"--steps", "20", "--eval-every", "5"})) words.push_back(word);
  CHECK(shear.run_program("sh", words).status == 3);  // the table at the end has nowhere to go
  CHECK(step_of(shear.dir / "run/last.safetensors") == 20);
  for (const std::string& line : lines_of(shear.dir / "run/metrics.jsonl")) CHECK(nlohmann::json::accept(line));
}

TEST_CASE("results that cannot be written are one sentence, whatever takes them") {
  Shell shear;
  for (const char* where : {">/dev/full", ">&-", "| true"}) {
    Args words{"-c",
               std::string("{ \"$0\" \"$@\"; echo $? >") + shear.path("status") + "; } " + where,
               executable(),
               "plan",
               "--no-time",
               "--model",
               "vit_base_patch16_224",
               "--policy",
               "full",
               "--saves"};
    if (where == std::string("| true"))
      words[1] = "{ sleep 0.2; \"$0\" \"$@\"; echo $? >" + shear.path("status") + "; } | true";
    const Result r = shear.run_program("sh", words);
    CAPTURE(where);
    CHECK(contents(shear.dir / "status") == "3\n");
    CHECK(r.err == "shear: standard output cannot be written to\n");
  }
}

// Whatever fails and whenever: a training ends with a sentence, leaves whole files, and goes on to the bits that it
// would have ended with.  With SHEAR_LONG set every call fails once, else some do.
#include <doctest/doctest.h>

#include <csignal>

#include "shell.h"

using namespace shear;
using namespace shear::test;
namespace fs = std::filesystem;

namespace {

bool is_long() { return std::getenv("SHEAR_LONG") != nullptr; }

// From 1 to `last`: all of them, or `few` that lie apart, both ends among them.
std::vector<int64_t> some(int64_t last, int64_t few) {
  std::vector<int64_t> chosen;
  const int64_t count = is_long() ? last : std::min(few, last);
  for (int64_t i = 0; i < count; ++i) chosen.push_back(count == 1 ? 1 : 1 + i * (last - 1) / (count - 1));
  return chosen;
}

const Args small{"--steps", "8", "--eval-every", "3", "--checkpoint-every", "2", "--policy", "prebr:period=3"};

class Faults {
 public:
  Faults() {
    write_idx(shear_.dir / "data");
    REQUIRE(shear_(shear_.train("whole", small)).status == 0);
  }

  Shell& shear() { return shear_; }

  // The variables, then the command.
  Result under(const Args& variables, const Args& args) {
    Args words = variables;
    words.push_back(executable());
    words.insert(words.end(), args.begin(), args.end());
    return shear_.run_program("env", words);
  }

  static Args failing(const std::string& call, int64_t at, int error) {
    const char* library = std::getenv("SHEAR_FAILING_CALLS");
    REQUIRE_MESSAGE(library, "SHEAR_FAILING_CALLS names the library that makes calls fail");
    return {std::string("LD_PRELOAD=") + library, "ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0",
            "SHEAR_FAIL_CALL=" + call, "SHEAR_FAIL_AT=" + std::to_string(at),
            "SHEAR_FAIL_ERRNO=" + std::to_string(error)};
  }

  int64_t calls(const std::string& call) {
    Args variables = failing(call, 0, 0);
    variables.push_back("SHEAR_FAIL_COUNT=" + shear_.path("count"));
    REQUIRE(under(variables, shear_.train("counted", small)).status == 0);
    fs::remove_all(shear_.dir / "counted");
    return std::stoll(contents(shear_.dir / "count"));
  }

  // The run in `run` is whole as far as it came, and ends with the bits of the one that nothing happened to.
  void goes_on(const std::string& run) {
    const fs::path directory = shear_.dir / run;
    std::error_code ignored;
    if (fs::exists(directory, ignored))
      for (const fs::directory_entry& entry : fs::directory_iterator(directory))
        if (entry.path().extension() == ".safetensors") CHECK_NOTHROW(verify_checksums(SafeTensors(entry.path())));
    Args args{"train", "--resume", shear_.path(run)};
    if (!fs::exists(directory / "last.safetensors", ignored)) {
      args = shear_.train(run, small);
      args.push_back("--overwrite");
    }
    const Result end = shear_(args);
    CHECK_MESSAGE(end.status == 0, end.err);
    for (const char* file : {"last.safetensors", "best.safetensors", "model.safetensors"})
      CHECK_MESSAGE(contents(directory / file) == contents(shear_.dir / "whole" / file), file);
    for (const fs::directory_entry& entry : fs::directory_iterator(directory))
      CHECK_MESSAGE(entry.path().extension() != ".tmp", entry.path().string());
    fs::remove_all(directory);
  }

 private:
  Shell shear_;
};

}  // namespace

TEST_CASE("whichever system call fails, the run ends with a sentence and goes on to the same bits") {
  if (sanitized) return;  // a sanitizer's own calls stand before those that are made to fail
  Faults faults;
  struct Kind {
    const char* call;
    int error;
    int64_t few;
  };
  for (const Kind& kind : {Kind{"write", ENOSPC, 8},
                           {"fsync", EIO, 4},
                           {"rename", EACCES, 5},
                           {"open", EMFILE, 7},
                           {"mmap", ENOMEM, 5},
                           {"link", EPERM, 2},
                           {"unlink", EROFS, 2},
                           {"ftruncate", EIO, 2}}) {
    CAPTURE(kind.call);
    const int64_t count = faults.calls(kind.call);
    CHECK(count > 0);
    for (const int64_t at : some(count, kind.few)) {
      CAPTURE(at);
      const Result r = faults.under(Faults::failing(kind.call, at, kind.error), faults.shear().train("run", small));
      CAPTURE(r.err);
      CHECK((r.status == 0 || r.status == 3 || r.status == 4));
      if (r.status != 0) CHECK(r.sentence().starts_with("shear: "));
      faults.goes_on("run");
    }
  }
}

TEST_CASE("a disk that stays full from some write on leaves a run that goes on to the same bits") {
  if (sanitized) return;
  Faults faults;
  const int64_t count = faults.calls("write");
  for (const int64_t at : some(count, 5)) {
    CAPTURE(at);
    Args variables = Faults::failing("write", at, ENOSPC);
    variables.push_back("SHEAR_FAIL_ON=1");
    const Result r = faults.under(variables, faults.shear().train("run", small));
    CAPTURE(r.err);
    CHECK(r.status == 3);
    CHECK(r.sentence().find("No space left on device") != std::string::npos);
    faults.goes_on("run");
  }
}

TEST_CASE("killed at moments all over its length, a run goes on to the same bits") {
  Faults faults;
  Shell& shear = faults.shear();
  const auto began = std::chrono::steady_clock::now();
  REQUIRE(shear(shear.train("timed", small)).status == 0);
  const auto length = std::chrono::steady_clock::now() - began;
  const int moments = is_long() ? 60 : 6;
  int killed = 0;
  for (int i = 0; i < moments; ++i) {
    CAPTURE(i);
    const pid_t pid = start(executable(), shear.train("run", small), shear.dir / "stdout", shear.dir / "stderr");
    std::this_thread::sleep_for(length * (i + 1) / (moments + 1));
    kill(pid, SIGKILL);
    killed += wait_for(pid) == 1000 + SIGKILL;
    faults.goes_on("run");
  }
  CHECK(killed > moments / 3);
}

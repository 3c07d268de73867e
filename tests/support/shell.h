// Runs the executable that SHEAR_EXE names, and tells what came of it.
#pragma once
#include <doctest/doctest.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <thread>

#include "shear/io.h"
#include "train_fixture.h"

namespace shear::test {

using Args = std::vector<std::string>;

inline std::string executable() {
  const char* path = std::getenv("SHEAR_EXE");
  REQUIRE_MESSAGE(path, "SHEAR_EXE names the executable to test");
  return path;
}

inline pid_t start(const std::string& program, const Args& args, const std::filesystem::path& out,
                   const std::filesystem::path& err) {
  std::vector<std::string> words{program};
  words.insert(words.end(), args.begin(), args.end());
  std::vector<char*> argv;
  for (std::string& w : words) argv.push_back(w.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_addopen(&actions, 2, err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  pid_t pid = -1;
  const int error = posix_spawnp(&pid, program.c_str(), &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  REQUIRE(error == 0);
  return pid;
}

inline int wait_for(pid_t pid) {
  int status = 0;
  REQUIRE(waitpid(pid, &status, 0) == pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

inline const std::string whole_model = std::string(tiny_model) + ",classes=4";

struct Result {
  int status;
  std::string out, err;
  nlohmann::json json() const { return nlohmann::json::parse(out); }
  std::string sentence() const {  // the last line of stderr
    const std::string text = err.substr(0, err.find_last_not_of('\n') + 1);
    return text.substr(text.rfind('\n') + 1);
  }
};

// Whether the tests, and the executable with them, are built under sanitizers, which have needs of their own.
#ifdef __SANITIZE_ADDRESS__
inline constexpr bool sanitized = true;
#else
inline constexpr bool sanitized = false;
#endif

struct Shell {
  TempDir dir;

  Shell() { setenv("XDG_CACHE_HOME", (dir / "cache").c_str(), 1); }  // the user's own is not for tests

  Result run_program(const std::string& program, const Args& args) {
    const int status = wait_for(start(program, args, dir / "stdout", dir / "stderr"));
    return {status, contents(dir / "stdout"), contents(dir / "stderr")};
  }
  Result operator()(const Args& args) { return run_program(executable(), args); }

  // Fails with the status, nothing on stdout, and one sentence that says all of `parts`.
  void refuses(int status, const Args& args, const Args& parts) { refused((*this)(args), status, parts); }
  void refused(const Result& r, int status, const Args& parts) {
    CAPTURE(r.err);
    CHECK(r.status == status);
    CHECK(r.out.empty());
    CHECK(r.sentence().starts_with("shear: "));
    for (const std::string& part : parts) CHECK_MESSAGE(r.sentence().find(part) != std::string::npos, part);
  }

  std::string path(const std::string& name) const { return (dir / name).string(); }

  // The flags of a small training; `more` adds to them or replaces them.
  Args train(const std::string& out, const Args& more = {}) const {
    std::vector<std::pair<std::string, std::string>> flags{
        {"--data", path("data")}, {"--model", tiny_model}, {"--batch", "16"}, {"--threads", "1"}, {"--out", path(out)}};
    const auto given = [&](const std::string& flag) { return std::find(more.begin(), more.end(), flag) != more.end(); };
    if (!given("--epochs")) flags.emplace_back("--steps", "12");
    Args args{"train"};
    for (const auto& [flag, value] : flags)
      if (!given(flag)) args.insert(args.end(), {flag, value});
    args.insert(args.end(), more.begin(), more.end());
    return args;
  }
};

inline void wait_for_lines(const std::filesystem::path& metrics, size_t lines) {
  for (int i = 0; i < 2000 && lines_of(metrics).size() < lines; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  REQUIRE(lines_of(metrics).size() >= lines);
}

inline int64_t step_of(const std::filesystem::path& checkpoint) {
  return nlohmann::json::parse(SafeTensors(checkpoint).metadata().at("shear.progress"))["step"];
}

}  // namespace shear::test

// The trainings that `shear compare` is made of.
#include "compare_runs.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "output.h"
#include "signals.h"

namespace shear::tool {

namespace fs = std::filesystem;

namespace {

pid_t start(std::vector<std::string> words) {
  words.insert(words.begin(), "shear");
  std::vector<char*> argv;
  for (std::string& w : words) argv.push_back(w.data());
  argv.push_back(nullptr);
  const HeldBack held;
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setsigmask(&attributes, &held.before());
  pid_t pid = -1;
  const int error = posix_spawn(&pid, "/proc/self/exe", &files, &attributes, argv.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  if (error != 0)
    fail(error == EAGAIN || error == ENOMEM ? Fault::memory : Fault::input, "compare: a training cannot be started (",
         std::strerror(error), "), expected room for another process, and /proc");
  pass_interrupts_to(pid);
  return pid;
}

int status_of(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0)
    if (errno != EINTR) fail(Fault::internal, "compare: lost the training that runs: ", std::strerror(errno));
  pass_interrupts_to(0);
  if (WIFEXITED(status)) return WEXITSTATUS(status);
  if (interrupted()) return 130;
  // Who is killed outright did nothing: the system takes memory back that way.
  fail(WTERMSIG(status) == SIGKILL ? Fault::memory : Fault::internal, "compare: the training was ended by signal ",
       WTERMSIG(status), " (", strsignal(WTERMSIG(status)), "); the same command goes on from its last checkpoint");
}

fs::path cosine_path(const ComparedRun& run) { return run.directory / "cosine.json"; }

bool read_cosine(ComparedRun& run, int64_t batches) {
  std::ifstream in(cosine_path(run));
  const auto j = nlohmann::ordered_json::parse(in, nullptr, false);
  try {
    if (j.at("batches") != batches) return false;
    run.cosine.overall = j.at("overall");
    run.cosine.parameters.clear();
    for (const auto& [name, cosine] : j.at("parameters").items()) run.cosine.parameters.emplace_back(name, cosine);
  } catch (const nlohmann::json::exception&) {
    return false;  // it is made again
  }
  return true;
}

}  // namespace

void read_summary(ComparedRun& run) {
  const fs::path path = run.directory / "summary.json";
  std::ifstream in(path);
  run.summary = nlohmann::ordered_json::parse(in, nullptr, false);
  // Bytes and seconds are what is drawn; an accuracy that is null was not a number.
  for (const char* key : {"accuracy", "step_seconds_median", "peak_bytes", "planned_peak_bytes", "rss_peak_bytes"}) {
    const auto found = run.summary.is_object() ? run.summary.find(key) : run.summary.end();
    const bool there = found != run.summary.end() && (found->is_number() || (found->is_null() && key[0] == 'a'));
    if (!there || (found->is_number() && !(found->get<double>() >= 0 && found->get<double>() < 1e18)))
      fail(Fault::input, path.string(), ": is not what shear train writes there, expected a number under \"", key, '"');
  }
}

Standing standing(const ComparedRun& run, bool overwrite) {
  if (!fs::exists(run.directory / "last.safetensors")) return Standing::nothing;
  const auto ours = nlohmann::json::parse(to_json(run.recipe));
  const auto theirs = nlohmann::json::parse(to_json(read_recipe(run.directory)));
  for (const auto& [key, value] : ours.items())
    if (theirs.value(key, nlohmann::json()) != value) {
      if (overwrite) return Standing::nothing;
      fail(Fault::usage, "--", key, ' ', value.dump(), ": the run in ", run.directory.string(), " began with ",
           theirs.value(key, nlohmann::json()).dump(), ", expected the same, another --out or --overwrite");
    }
  const bool done = fs::exists(run.directory / "summary.json") && fs::exists(run.directory / "model.safetensors");
  return done ? Standing::done : Standing::half;
}

int train_apart(const ComparedRun& run, const RecipeFlags& flags, Standing from) {
  std::error_code ignored;
  fs::remove(cosine_path(run), ignored);
  std::vector<std::string> words{"train"};
  if (from == Standing::half) {
    words.push_back("--resume=" + run.directory.string());
  } else {
    for (std::string& flag : to_flags(run.recipe)) words.push_back(std::move(flag));
    words.push_back("--out=" + run.directory.string());
    words.push_back("--overwrite");
  }
  if (flags.device.threads > 0) words.push_back(text("--threads=", flags.device.threads));
  words.push_back("--device=" + flags.device.device);
  words.push_back(text("--loader-threads=", flags.loader_threads));
  if (!flags.memory_limit.empty()) words.push_back("--memory-limit=" + flags.memory_limit);
  return status_of(start(std::move(words)));
}

bool was_not_finite(const ComparedRun& run, fs::file_time_type began) {
  const fs::path path = run.directory / "metrics.jsonl";
  std::error_code none;
  if (fs::last_write_time(path, none) < began || none) return false;
  std::ifstream in(path);
  std::string last;
  for (std::string line; std::getline(in, line);) last = std::move(line);
  const auto j = nlohmann::json::parse(last, nullptr, false);
  return j.is_object() && j.value("kind", "") == "not finite";
}

bool find_cosine(ComparedRun& run, const CosineOptions& options) {
  if (read_cosine(run, options.batches)) return true;
  std::optional<GradientCosine> found = gradient_cosine(run.directory, options);
  if (!found) return false;
  run.cosine = std::move(*found);
  nlohmann::ordered_json parameters;
  for (const auto& [name, cosine] : run.cosine.parameters) parameters[name] = cosine;
  const nlohmann::ordered_json j{
      {"batches", options.batches}, {"overall", run.cosine.overall}, {"parameters", parameters}};
  write_text_atomically(cosine_path(run), j.dump(2) + '\n');
  return true;
}

}  // namespace shear::tool

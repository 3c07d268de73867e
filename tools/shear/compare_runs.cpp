// The trainings that `shear compare` is made of.
#include "compare_runs.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>
#include <fstream>

namespace shear::tool {

namespace fs = std::filesystem;

namespace {

std::atomic<bool> stop{false};
std::atomic<pid_t> child{0};
std::atomic<time_t> asked{0};

time_t now() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec;
}

// The training is in a process group of its own, so that it hears of an interrupt from here alone.  A first one lets it
// write its checkpoint; one that comes seconds later ends it.  (Some senders signal both a process and its group.)
extern "C" void pass_on(int) {
  const int error = errno;
  const bool again = stop.exchange(true);
  if (!again) asked = now();
  if (!again || now() > asked + 1) {
    if (const pid_t pid = child; pid > 0)
      kill(pid, SIGTERM);
    else if (again)
      _exit(130);
  }
  errno = error;
}

// Holds the signals back while a process starts: none is lost between its start and the note of its number.
class HeldBack {
 public:
  HeldBack() {
    sigset_t all;
    sigemptyset(&all);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&all, signal);
    sigprocmask(SIG_BLOCK, &all, &before_);
  }
  ~HeldBack() { sigprocmask(SIG_SETMASK, &before_, nullptr); }
  const sigset_t& before() const { return before_; }

 private:
  sigset_t before_;
};

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
  if (error != 0) fail(Fault::internal, "compare: a training cannot be started: ", std::strerror(error));
  child = pid;
  return pid;
}

int status_of(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0)
    if (errno != EINTR) fail(Fault::internal, "compare: lost the training that runs: ", std::strerror(errno));
  child = 0;
  if (WIFEXITED(status)) return WEXITSTATUS(status);
  if (stop) return 130;
  fail(Fault::internal, "compare: the training was ended by signal ", WTERMSIG(status), " (",
       strsignal(WTERMSIG(status)), "); the same command goes on from its last checkpoint");
}

fs::path cosine_path(const ComparedRun& run) { return run.directory / "cosine.json"; }

bool read_cosine(ComparedRun& run, int64_t batches) {
  std::ifstream in(cosine_path(run));
  const auto j = nlohmann::ordered_json::parse(in, nullptr, false);
  if (!j.is_object() || j.value("batches", int64_t{0}) != batches) return false;
  try {
    run.cosine.overall = j.at("overall");
    run.cosine.parameters.clear();
    for (const auto& [name, cosine] : j.at("parameters").items()) run.cosine.parameters.emplace_back(name, cosine);
  } catch (const nlohmann::json::exception&) {
    return false;  // it is made again
  }
  return true;
}

}  // namespace

void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = pass_on;
  action.sa_flags = SA_RESTART;
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction before {};
    sigaction(signal, nullptr, &before);
    if (before.sa_handler != SIG_IGN) sigaction(signal, &action, nullptr);
  }
}

const std::atomic<bool>& interrupted() { return stop; }

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

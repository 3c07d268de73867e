// How long kernels take on this machine, kept in the user's cache.
#include "kernel_times.h"

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <utility>

#include "output.h"
#include "shear/io.h"
#include "shear/threads.h"

namespace shear::tool {

namespace fs = std::filesystem;

namespace {

fs::path cache() {
  const auto named = [](const char* variable) {
    const char* value = std::getenv(variable);
    return value && fs::path(value).is_absolute() ? fs::path(value) : fs::path();
  };
  if (const fs::path xdg = named("XDG_CACHE_HOME"); !xdg.empty()) return xdg / "shear";
  const fs::path home = named("HOME");
  return home.empty() ? home : home / ".cache" / "shear";
}

std::string processor() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("model name")) return line.substr(line.find(':') + 1);
  return {};
}

// This build: another one may compute faster.
std::string executable() {
  std::error_code error;
  const fs::path path = fs::read_symlink("/proc/self/exe", error);
  const auto size = fs::file_size(path, error);
  return text(size, ' ', fs::last_write_time(path, error).time_since_epoch().count());
}

}  // namespace

KeptTimes::KeptTimes(int threads, std::string_view precision, bool anew) : file_(cache()) {
  if (file_.empty()) return;
  const std::string of =
      text(processor(), ", ", threads > 0 ? threads : default_threads(), " threads, ", precision, ", ", executable());
  file_ /= text("times-", short_hash(of), ".json");
  if (!anew) times_ = read();
}

// What is there; nothing where that is not what was written: it is measured again.
KernelTimes KeptTimes::read() const {
  std::ifstream in(file_);
  if (!in) return {};
  std::stringstream all;
  all << in.rdbuf();
  try {
    return KernelTimes::from_json(all.str());
  } catch (const Error&) {
    return {};
  }
}

void KeptTimes::keep() {
  if (file_.empty()) return;
  try {
    std::error_code error;
    fs::create_directories(file_.parent_path(), error);
    KernelTimes all = read();  // of models that this one is not, or that others measure meanwhile
    all.add(times_);
    write_text_atomically(file_, all.to_json() + '\n');
  } catch (const Error& error) {
    say(text("times of kernels are not kept: ", error.what()));
    file_.clear();
  }
}

std::optional<double> KeptTimes::step_seconds(const PlanOptions& options) {
  bool measured = false;
  const auto measures = [&] {
    measured = true;
    if (!std::exchange(said_, true))
      say("measuring how long kernels take on this machine, once for models of this width; --no-time leaves it out");
  };
  try {
    const auto seconds = shear::step_seconds(options, times_, measures);
    if (measured) keep();
    if (!seconds && options.device == DeviceKind::cpu)
      say(text("no time is told of ", options.policy,
               ": its step has a kernel that the short one which was measured has not"));
    return seconds;
  } catch (const Error& error) {
    if (error.fault() != Fault::memory) throw;
    say(text("no time is told: ", error.what()));
    return {};
  }
}

}  // namespace shear::tool

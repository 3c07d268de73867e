// The directory of a training.
#include "train/run_directory.h"
#include "shear/error.h"
#include "shear/io.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "shear/error.h"
#include "shear/io.h"

namespace shear {

namespace fs = std::filesystem;

RunDirectory::RunDirectory(const fs::path& path) : path_(path) {
  if (path.empty())
    fail(Fault::usage, setting("out"), " is missing: expected the directory that the run is written to");
  std::error_code error;
  fs::create_directories(path_, error);
  if (error) fail(Fault::input, setting("out"), " ", path_.string(), ": cannot make this directory: ", error.message());
  lock_ = open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (lock_ < 0)
    fail(Fault::input, setting("out"), " ", path_.string(), ": expected a directory: ", std::strerror(errno));
  if (flock(lock_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    close(lock_);
    fail(Fault::input, setting("out"), " ", path_.string(),
         ": another training runs in this directory, expected one at a time");
  }
}

RunDirectory::~RunDirectory() { close(lock_); }

bool RunDirectory::holds_run() const {
  const std::array files{last(), previous(), best(), model(), metrics(), summary()};
  std::error_code error;
  return std::any_of(files.begin(), files.end(), [&](const fs::path& f) { return fs::exists(f, error); });
}

void RunDirectory::claim() const {
  std::error_code ignored;
  for (const fs::path& file : {last(), best(), model(), metrics(), summary()})
    fs::remove(path_ / ("." + file.filename().string() + ".tmp"), ignored);  // as write_atomically calls them
  const fs::path probe = path_ / ".shear-probe";
  write_text_atomically(probe, "Shear can write here.\n");
  fs::remove(probe, ignored);
}

void RunDirectory::forget_earlier() const {
  for (const fs::path& file : {previous(), best(), model(), metrics(), summary()}) {
    std::error_code error;
    fs::remove(file, error);
    if (error) fail(Fault::input, file.string(), ": cannot be removed: ", error.message());
  }
}

}  // namespace shear

// Writing that never leaves half a file.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <iterator>
#include <stdexcept>
#include <string>

#include "errors.h"
#include "shear/io.h"
#include "temp_dir.h"

using namespace shear;
namespace fs = std::filesystem;

namespace {

size_t files_in(const fs::path& dir) {
  return static_cast<size_t>(std::distance(fs::directory_iterator(dir), fs::directory_iterator()));
}

// The sentence of the refusal, which must be the user's fault.
template <class Write>
std::string refusal(Write write) {
  return test::sentence(Fault::input, write);
}

// Permissions do not bind root: for as long as this lives, we are somebody else.
class Unprivileged {
 public:
  Unprivileged() : root_(::geteuid() == 0) {
    if (root_ && ::seteuid(65534) != 0) throw std::runtime_error("cannot become an unprivileged user");
  }
  ~Unprivileged() {
    if (root_ && ::seteuid(0) != 0) std::abort();
  }

 private:
  bool root_;
};

}  // namespace

TEST_CASE("a text is written, and written over, and nothing stays beside it") {
  const TempDir dir;
  const fs::path file = dir / "summary.json";
  write_text_atomically(file, "first, and longer");
  CHECK(contents(file) == "first, and longer");
  write_text_atomically(file, "second");
  CHECK(contents(file) == "second");
  write_text_atomically(file, "");
  CHECK(contents(file) == "");
  CHECK(files_in(dir.path()) == 1);
}

TEST_CASE("a name without a directory is written into the current one") {
  const TempDir dir;
  const fs::path before = fs::current_path();
  fs::current_path(dir.path());
  write_text_atomically("note", "here");
  fs::current_path(before);
  CHECK(contents(dir / "note") == "here");
}

TEST_CASE("until it is whole, whoever opens the file sees the old one") {
  const TempDir dir;
  const fs::path file = dir / "best.bin";
  put(file, "old");
  write_atomically(file, [&](int fd) {
    write_all(fd, "ne", 2, file);
    CHECK(contents(file) == "old");
    CHECK(contents(dir / ".best.bin.tmp") == "ne");
    write_all(fd, "w", 1, file);
  });
  CHECK(contents(file) == "new");
}

TEST_CASE("a writer that throws leaves the old file and nothing beside it") {
  const TempDir dir;
  const fs::path file = dir / "best.bin";
  put(file, "old");
  const auto interrupted = [&] {
    write_atomically(file, [&](int fd) {
      write_all(fd, "half", 4, file);
      throw std::runtime_error("interrupted");
    });
  };
  CHECK_THROWS_WITH_AS(interrupted(), "interrupted", std::runtime_error);
  CHECK(contents(file) == "old");
  CHECK(files_in(dir.path()) == 1);
}

TEST_CASE("a killed writer leaves the old file, and what it left beside is used up by the next") {
  const TempDir dir;
  const fs::path file = dir / "last.bin";
  put(file, "old");
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    write_atomically(file, [&](int fd) {
      write_all(fd, "half of a much longer text", 26, file);
      ::raise(SIGKILL);
    });
    ::_exit(1);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFSIGNALED(status));
  CHECK(contents(file) == "old");
  CHECK(contents(dir / ".last.bin.tmp") == "half of a much longer text");

  write_text_atomically(file, "new");
  CHECK(contents(file) == "new");
  CHECK(files_in(dir.path()) == 1);
}

TEST_CASE("a second writer of the same file is refused, and the first one finishes") {
  const TempDir dir;
  const fs::path file = dir / "last.bin";
  std::string sentence;
  write_atomically(file, [&](int fd) {
    write_all(fd, "the ", 4, file);
    sentence = refusal([&] { write_text_atomically(file, "second"); });
    write_all(fd, "first", 5, file);
  });
  CHECK(sentence == "cannot write " + file.string() + ": another process is writing it");
  CHECK(contents(file) == "the first");
  CHECK(files_in(dir.path()) == 1);
}

TEST_CASE("a link beside the file is not followed") {
  const TempDir dir;
  put(dir / "precious", "mine");
  fs::create_symlink(dir / "precious", dir / ".out.tmp");
  const std::string sentence = refusal([&] { write_text_atomically(dir / "out", "theirs"); });
  CHECK(sentence.find("cannot create " + (dir / ".out.tmp").string()) != std::string::npos);
  CHECK(contents(dir / "precious") == "mine");
}

TEST_CASE("what a link leads to is replaced, beside itself, and the link stays") {
  const TempDir dir;
  fs::create_directory(dir / "far");
  put(dir / "far/real", "old");
  fs::create_symlink("far/real", dir / "near");  // relative to the link
  fs::create_symlink(dir / "near", dir / "chain");
  write_text_atomically(dir / "chain", "new");
  CHECK(contents(dir / "far/real") == "new");
  CHECK(fs::is_symlink(dir / "near"));
  CHECK(fs::is_symlink(dir / "chain"));
  CHECK(files_in(dir / "far") == 1);
  // One that leads to nothing yet.
  fs::create_symlink("far/coming", dir / "dangling");
  write_text_atomically(dir / "dangling", "there");
  CHECK(contents(dir / "far/coming") == "there");
  CHECK(fs::is_symlink(dir / "dangling"));
  fs::create_symlink("circle", dir / "circle");
  CHECK(refusal([&] { write_text_atomically(dir / "circle", ""); }).find("cannot write") == 0);
}

TEST_CASE("the old file is kept under another name, and a check that throws keeps it in its place") {
  const TempDir dir;
  const fs::path file = dir / "state", before = dir / "before";
  const auto write = [&](std::string_view text, const Replacement& how) {
    write_atomically(
        file, [&](int fd) { write_all(fd, text.data(), text.size(), file); }, how);
  };
  write("one", {.check = {}, .keep_old_as = before});  // there is nothing to keep
  CHECK_FALSE(fs::exists(before));
  write("two", {.check = {}, .keep_old_as = before});
  CHECK(contents(before) == "one");
  std::string seen;
  write("three", {.check = [&](const fs::path& written) { seen = contents(written); }, .keep_old_as = before});
  CHECK(seen == "three");
  CHECK(contents(before) == "two");
  CHECK_THROWS_AS(
      write("four", {.check = [](const fs::path&) { throw std::runtime_error("no"); }, .keep_old_as = before}),
      std::runtime_error);
  CHECK(contents(file) == "three");
  CHECK(contents(before) == "two");
  CHECK(files_in(dir.path()) == 2);
}

TEST_CASE("a directory that cannot be written is named with the reason") {
  const TempDir dir;
  const fs::path closed = dir / "closed";
  fs::create_directory(closed);
  fs::permissions(dir.path(), fs::perms(0755));
  fs::permissions(closed, fs::perms(0555));
  const fs::path file = closed / "model.safetensors";
  const auto write = [&] {
    const Unprivileged user;
    write_text_atomically(file, "x");
  };
  CHECK(refusal(write) == "cannot write " + file.string() + ": cannot create " +
                              (closed / ".model.safetensors.tmp").string() + ": Permission denied");
  CHECK(files_in(closed) == 0);
}

TEST_CASE("a place where no file can be is named with the reason") {
  const TempDir dir;
  const auto sentence = [](const fs::path& file) { return refusal([&] { write_text_atomically(file, "x"); }); };

  const fs::path nowhere = dir / "missing/out.json";
  CHECK(sentence(nowhere) == "cannot write " + nowhere.string() + ": cannot create " +
                                 (dir / "missing/.out.json.tmp").string() + ": No such file or directory");

  put(dir / "file", "x");
  const fs::path inside = dir / "file/out.json";
  CHECK(sentence(inside) == "cannot write " + inside.string() + ": cannot create " +
                                (dir / "file/.out.json.tmp").string() + ": Not a directory");

  CHECK(sentence(dir.path()) == "cannot write " + dir.path().string() + ": it is a directory, expected a file");
  CHECK(sentence(dir.path() / "") == "cannot write " + dir.path().string() + "/: it is a directory, expected a file");

  const fs::path pipe = dir / "pipe";
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  CHECK(sentence(pipe) == "cannot write " + pipe.string() + ": it is neither a regular file nor free");
  CHECK(fs::is_fifo(pipe));
}

TEST_CASE("a full disk is named with the file and the reason, and the old file stays") {
  const TempDir dir;
  const fs::path file = dir / "last.bin";
  put(file, "old");
  const auto write = [&] {
    write_atomically(file, [&](int) {
      const int full = ::open("/dev/full", O_WRONLY);
      REQUIRE(full >= 0);
      const struct Closer {
        int fd;
        ~Closer() { ::close(fd); }
      } closer{full};
      write_all(full, "0123456789", 10, file);
    });
  };
  CHECK(refusal(write) == "cannot write " + file.string() + ": No space left on device after 0 of 10 bytes");
  CHECK(contents(file) == "old");
  CHECK(files_in(dir.path()) == 1);
}

TEST_CASE("a write that signals cut into pieces is written whole") {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const std::string long_text(1 << 20, 'x');
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::close(ends[0]);
    struct sigaction nothing = {};
    nothing.sa_handler = [](int) {};  // and no SA_RESTART: a write that waits returns early
    ::sigaction(SIGALRM, &nothing, nullptr);
    const itimerval often = {{0, 500}, {0, 500}};
    ::setitimer(ITIMER_REAL, &often, nullptr);
    try {
      write_all(ends[1], long_text.data(), long_text.size(), "pipe");
    } catch (const Error&) {
      ::_exit(1);
    }
    ::_exit(0);
  }
  ::close(ends[1]);
  ::usleep(20000);  // the pipe is full, the writer waits
  size_t arrived = 0;
  char buffer[4096];
  for (ssize_t n; (n = ::read(ends[0], buffer, sizeof buffer)) > 0;) arrived += static_cast<size_t>(n);
  ::close(ends[0]);
  int status = -1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  CHECK(arrived == long_text.size());
}

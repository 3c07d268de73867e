// Writing that never leaves half a file: write beside it, flush, rename over it.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "io/mapped_file.h"
#include "shear/error.h"
#include "shear/io.h"

namespace shear {
namespace fs = std::filesystem;

namespace {

std::string reason(int error) { return std::generic_category().message(error); }

template <class Call>
int uninterrupted(Call call) {
  int result;
  do result = call();
  while (result < 0 && errno == EINTR);
  return result;
}

// The file beside, open and ours alone; unless it is kept under its new name, it goes when this goes.
class Beside {
 public:
  explicit Beside(const fs::path& target)
      : target_(target), path_(target.parent_path() / text('.', target.filename().string(), ".tmp")) {
    // What a killed process left behind is taken over.  The lock keeps out a second writer of the same target, whose
    // rename would publish our half.  If the file was renamed or removed before we had the lock, it is no longer ours.
    for (int tries = 1; !take(); ++tries)
      if (tries == 100)
        fail(Fault::input, "cannot write ", target.string(), ": ", path_.string(), " is replaced again and again");
    if (uninterrupted([&] { return ::ftruncate(fd_, 0); }) != 0) stop("empty", errno);
  }
  ~Beside() { drop(); }
  Beside(const Beside&) = delete;
  Beside& operator=(const Beside&) = delete;

  int fd() const { return fd_; }

  void keep(const Replacement& how) {
    if (uninterrupted([&] { return ::fsync(fd_); }) != 0) stop("flush", errno);
    if (how.check) {
      ::posix_fadvise(fd_, 0, 0, POSIX_FADV_DONTNEED);  // so that what is read comes from the disk
      how.check(path_);
    }
    if (!how.keep_old_as.empty()) keep_old(how.keep_old_as);
    if (::rename(path_.c_str(), target_.c_str()) != 0) stop("rename", errno);
    owned_ = false;
  }

 private:
  bool take() {
    fd_ = uninterrupted([&] { return ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666); });
    if (fd_ < 0) stop("create", errno);
    if (::flock(fd_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {  // other errors: a file system without locks
      drop();
      fail(Fault::input, "cannot write ", target_.string(), ": another process is writing it");
    }
    struct stat opened, named;
    owned_ = ::fstat(fd_, &opened) == 0 && ::lstat(path_.c_str(), &named) == 0 && opened.st_dev == named.st_dev &&
             opened.st_ino == named.st_ino;
    if (!owned_) drop();
    return owned_;
  }

  // By a second name, so that the target is there at every moment; where the file system has no links, by moving it.
  // Where neither can be done the old file goes: the new one has been looked at.
  void keep_old(const fs::path& name) const {
    ::unlink(name.c_str());
    if (::link(target_.c_str(), name.c_str()) != 0 && errno != ENOENT) ::rename(target_.c_str(), name.c_str());
  }

  // Removes before it closes, and with that unlocks: the name is ours only as long as the lock.
  void drop() {
    if (owned_) ::unlink(path_.c_str());
    if (fd_ >= 0) ::close(fd_);
    owned_ = false;
    fd_ = -1;
  }

  [[noreturn]] void stop(const char* what, int error) {
    drop();  // a constructor that throws has no destructor
    fail(Fault::input, "cannot write ", target_.string(), ": cannot ", what, " ", path_.string(), ": ", reason(error));
  }

  fs::path target_, path_;
  int fd_ = -1;
  bool owned_ = false;
};

// Makes the rename itself last.  A directory may be writable and not readable, or on a file system that cannot flush
// one: the file is whole all the same.
void flush_directory(const fs::path& target) {
  const fs::path dir = target.has_parent_path() ? target.parent_path() : ".";
  const int fd = uninterrupted([&] { return ::open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
  if (fd < 0) return;
  const int error = uninterrupted([&] { return ::fsync(fd); }) == 0 ? 0 : errno;
  ::close(fd);
  if (error != 0 && error != EINVAL && error != ENOTSUP)
    fail(Fault::input, "cannot write ", target.string(), ": cannot flush its directory: ", reason(error));
}

// Where a chain of links ends, whether or not anything is there.
fs::path end_of_links(fs::path path) {
  constexpr int most = 40;  // as many as the kernel follows
  std::error_code error;
  for (int i = 0; fs::is_symlink(path, error); ++i) {
    const fs::path to = fs::read_symlink(path, error);
    if (error || i == most) fail(Fault::input, "cannot write ", path.string(), ": it is a link that leads to no file");
    path = path.parent_path() / to;
  }
  return path;
}

}  // namespace

void write_atomically(const fs::path& given, const std::function<void(int fd)>& write, const Replacement& how) {
  const fs::path path = end_of_links(given);
  // A rename would put a file in the place of /dev/null, too.
  std::error_code ignored;
  const fs::file_status there = fs::status(path, ignored);
  if (!path.has_filename() || fs::is_directory(there))
    fail(Fault::input, "cannot write ", path.string(), ": it is a directory, expected a file");
  if (fs::exists(there) && !fs::is_regular_file(there))
    fail(Fault::input, "cannot write ", path.string(), ": it is neither a regular file nor free");
  {
    Beside beside(path);
    write(beside.fd());
    beside.keep(how);
  }
  flush_directory(path);
}

void write_all(int fd, const void* data, size_t bytes, const fs::path& path_for_errors) {
  const char* from = static_cast<const char*>(data);
  for (size_t done = 0; done < bytes;) {
    const ssize_t n = ::write(fd, from + done, bytes - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0)
      fail(Fault::input, "cannot write ", path_for_errors.string(), ": ", reason(n < 0 ? errno : EIO), " after ", done,
           " of ", bytes, " bytes");
    done += static_cast<size_t>(n);
  }
}

std::string read_text(const fs::path& path) {
  const MappedFile file(path);
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

void write_text_atomically(const fs::path& path, std::string_view text) {
  write_atomically(path, [&](int fd) { write_all(fd, text.data(), text.size(), path); });
}

}  // namespace shear

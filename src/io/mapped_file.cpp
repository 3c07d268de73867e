// A whole file as read-only bytes.
#include "io/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <system_error>

#include "shear/error.h"

namespace shear {

MappedFile::MappedFile(const std::filesystem::path& path) {
  const auto stop = [&](int error) {
    fail(Fault::input, "cannot read ", path.string(), ": ", std::generic_category().message(error));
  };
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // a pipe is to be refused, not waited for
  if (fd < 0) stop(errno);
  struct stat about;
  int error = ::fstat(fd, &about) == 0 ? 0 : errno;
  const bool regular = error == 0 && S_ISREG(about.st_mode);
  if (regular && about.st_size > 0) {  // nothing cannot be mapped
    void* map = ::mmap(nullptr, static_cast<size_t>(about.st_size), PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED) {
      error = errno;
    } else {
      data_ = static_cast<const std::byte*>(map);
      size_ = static_cast<size_t>(about.st_size);
    }
  }
  ::close(fd);
  if (error != 0) stop(error);
  if (!regular)
    fail(Fault::input, "cannot read ", path.string(), ": it is ",
         S_ISDIR(about.st_mode) ? "a directory" : "a device or pipe", ", expected a file");
}

void MappedFile::let_go(std::span<const std::byte> bytes) const {
  if (bytes.empty() || !data_ || bytes.data() < data_ || bytes.data() >= data_ + size_) return;
  static const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const uintptr_t begin = reinterpret_cast<uintptr_t>(bytes.data()) / page * page,
                  end = (reinterpret_cast<uintptr_t>(bytes.data()) + bytes.size() + page - 1) / page * page;
  // Of a private mapping that nobody writes, only the pages' table forgets: what it says stays in the file.
  ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

MappedFile::~MappedFile() {
  if (data_) ::munmap(const_cast<std::byte*>(data_), size_);
}

}  // namespace shear

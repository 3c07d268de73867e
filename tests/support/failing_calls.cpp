// Loaded before libc (LD_PRELOAD): the Nth call of one kind fails.
//
//   SHEAR_FAIL_CALL   open, write, fsync, rename, link, mmap, ...: a name below
//   SHEAR_FAIL_AT     which one, from 1; 0: none
//   SHEAR_FAIL_ON     where it is set, every one from there on
//   SHEAR_FAIL_ERRNO  errno's value then
//   SHEAR_FAIL_COUNT  a file that the number of calls is written to at the end
//
// What libc calls inside itself (stdio, malloc, the loader) does not pass through here.
#undef _FILE_OFFSET_BITS  // under which open would be open64

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

const char* variable(const char* name, const char* otherwise) {
  const char* value = std::getenv(name);
  return value ? value : otherwise;
}

std::atomic<long> calls{0};

bool fails(const char* call) {
  static const char* const which = variable("SHEAR_FAIL_CALL", "");
  static const long at = std::atol(variable("SHEAR_FAIL_AT", "0"));
  static const bool on = std::getenv("SHEAR_FAIL_ON") != nullptr;
  static const int error = std::atoi(variable("SHEAR_FAIL_ERRNO", "5"));
  if (std::strcmp(which, call) != 0) return false;
  const long number = ++calls;
  if (at == 0 || (on ? number < at : number != at)) return false;
  errno = error;
  return true;
}

template <class F>
F next(const char* name) {
  void* found = dlsym(RTLD_NEXT, name);
  if (!found) std::abort();
  F function;
  std::memcpy(&function, &found, sizeof function);
  return function;
}

struct Count {
  ~Count() {
    if (const char* path = std::getenv("SHEAR_FAIL_COUNT"))
      if (std::FILE* file = std::fopen(path, "w")) {
        std::fprintf(file, "%ld\n", calls.load());
        std::fclose(file);
      }
  }
} count;

mode_t mode_of(int flags, va_list more) { return flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0; }

}  // namespace

// A function of libc under its own name; `call` is what SHEAR_FAIL_CALL says.
#define SHEAR_CALL(result, name, call, parameters, arguments)   \
  extern "C" result name parameters {                           \
    static const auto real = next<result(*) parameters>(#name); \
    if (fails(call)) return static_cast<result>(-1);            \
    return real arguments;                                      \
  }

SHEAR_CALL(ssize_t, write, "write", (int fd, const void* data, size_t bytes), (fd, data, bytes))
SHEAR_CALL(int, fsync, "fsync", (int fd), (fd))
SHEAR_CALL(int, fdatasync, "fdatasync", (int fd), (fd))
SHEAR_CALL(int, rename, "rename", (const char* from, const char* to), (from, to))
SHEAR_CALL(int, link, "link", (const char* from, const char* to), (from, to))
SHEAR_CALL(int, unlink, "unlink", (const char* path), (path))
SHEAR_CALL(int, ftruncate, "ftruncate", (int fd, off_t size), (fd, size))
SHEAR_CALL(int, ftruncate64, "ftruncate", (int fd, off64_t size), (fd, size))

#define SHEAR_OPEN(name)                                                  \
  extern "C" int name(const char* path, int flags, ...) {                 \
    static const auto real = next<int (*)(const char*, int, ...)>(#name); \
    va_list more;                                                         \
    va_start(more, flags);                                                \
    const mode_t mode = mode_of(flags, more);                             \
    va_end(more);                                                         \
    return fails("open") ? -1 : real(path, flags, mode);                  \
  }
SHEAR_OPEN(open)
SHEAR_OPEN(open64)

#define SHEAR_MMAP(name, offset)                                                              \
  extern "C" void* name(void* at, size_t bytes, int rights, int flags, int fd, offset from) { \
    static const auto real = next<void* (*)(void*, size_t, int, int, int, offset)>(#name);    \
    return fails("mmap") ? MAP_FAILED : real(at, bytes, rights, flags, fd, from);             \
  }
SHEAR_MMAP(mmap, off_t)
SHEAR_MMAP(mmap64, off64_t)

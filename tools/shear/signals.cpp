// What an interrupt does.  The handlers call nothing that a handler must not.
#include "signals.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>

namespace shear::tool {

namespace {

constexpr int interrupts[] = {SIGINT, SIGTERM, SIGHUP};

std::atomic<bool> stop{false};
std::atomic<pid_t> child{0};
std::atomic<int64_t> asked{0};  // when the first one came, in milliseconds; 0: none came
std::atomic<bool> terminal{false};

int64_t now() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return int64_t{t.tv_sec} * 1000 + t.tv_nsec / 1000000;
}

void answer() {
  constexpr const char* clear = "\r\x1b[K";  // of the live line
  constexpr const char* sentence = "interrupting: the step and a checkpoint are finished first; again ends at once\n";
  if (terminal) (void)!write(STDERR_FILENO, clear, std::strlen(clear));
  (void)!write(STDERR_FILENO, sentence, std::strlen(sentence));
}

extern "C" void on_interrupt(int signal) {
  const int error = errno;
  const pid_t process = child;
  const int64_t time = now();
  int64_t first = 0;
  // One exchange says both who is the first and when: handlers of several signals run beside each other.
  if (asked.compare_exchange_strong(first, time)) {
    stop = true;
    if (process > 0)
      kill(process, SIGTERM);  // which answers
    else
      answer();
  } else if (time - first > 1000) {
    if (process > 0) {
      kill(process, SIGTERM);
    } else {
      std::signal(signal, SIG_DFL);
      raise(signal);  // once this handler is left
    }
  }
  errno = error;
}

}  // namespace

void catch_interrupts() {
  terminal = isatty(STDERR_FILENO) == 1;
  struct sigaction action {};
  action.sa_handler = on_interrupt;
  action.sa_flags = SA_RESTART;
  for (const int signal : interrupts) {
    struct sigaction before {};
    sigaction(signal, nullptr, &before);
    if (before.sa_handler != SIG_IGN) sigaction(signal, &action, nullptr);
  }
}

const std::atomic<bool>& interrupted() { return stop; }

void ignore_write_signals() {
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
}

void pass_interrupts_to(pid_t process) { child = process; }

HeldBack::HeldBack() {
  sigset_t all;
  sigemptyset(&all);
  for (const int signal : interrupts) sigaddset(&all, signal);
  sigprocmask(SIG_BLOCK, &all, &before_);
}

HeldBack::~HeldBack() { sigprocmask(SIG_SETMASK, &before_, nullptr); }

}  // namespace shear::tool

// What an interrupt does to a command that writes checkpoints: the first one asks it to stop, a later one ends it.
#pragma once
#include <sys/types.h>

#include <atomic>
#include <csignal>

namespace shear::tool {

// From here on SIGINT, SIGTERM and SIGHUP are answered at once, on stderr, and remembered.  What is ignored (nohup, a
// job in the background) stays ignored.  What comes within a second is one interrupt: some senders signal both a
// process and its group.  A later one ends the process as the system does.
void catch_interrupts();
const std::atomic<bool>& interrupted();

// For every command: a write to a pipe or a file that cannot take it is an error with a sentence, not the end.
void ignore_write_signals();

// A process of ours in a group of its own, which hears of interrupts from here alone; 0: there is none.
void pass_interrupts_to(pid_t);

// Holds the signals back while a process starts: none is lost between its start and the note of its number.
class HeldBack {
 public:
  HeldBack();
  ~HeldBack();
  HeldBack(const HeldBack&) = delete;
  HeldBack& operator=(const HeldBack&) = delete;
  const sigset_t& before() const { return before_; }

 private:
  sigset_t before_;
};

}  // namespace shear::tool

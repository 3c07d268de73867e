// shear: one executable, a file per command.  Errors become one sentence on stderr and an exit status.
#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <new>
#include <stdexcept>
#include <system_error>

#include "command_line.h"
#include "exit_code.h"
#include "output.h"
#include "shear/error.h"
#include "signals.h"

namespace {

using shear::Fault;

int complain(Fault fault, std::string sentence) {
  for (char& c : sentence)
    if (c == '\n') c = ' ';
  while (!sentence.empty() && sentence.back() == ' ') sentence.pop_back();
  std::cout.flush();
  shear::tool::say("shear: " + sentence);
  return shear::tool::exit_code(fault);
}

// What the system refused where nobody looked: the machine's state, or a file of the user's.
int complain(const std::system_error& error) {
  const std::error_code code = error.code();
  const auto is = [&](std::errc e) { return code == e; };
  if (is(std::errc::not_enough_memory) || is(std::errc::resource_unavailable_try_again))
    return complain(Fault::memory,
                    shear::text("the system gives no more memory, threads or processes (", code.message(),
                                "), expected fewer --threads and --loader-threads, or higher limits"));
  if (is(std::errc::too_many_files_open) || is(std::errc::too_many_files_open_in_system))
    return complain(Fault::input, shear::text(error.what(), ", expected a higher limit of open files (ulimit -n)"));
  const auto* file = dynamic_cast<const std::filesystem::filesystem_error*>(&error);
  const std::string path = file ? file->path1().string() : "";
  return complain(Fault::input, shear::text(path.empty() ? "a file" : path, ": ", code.message(),
                                            ", expected a file or folder that can be used"));
}

// GCC's OpenMP lets a thread that waits for the others spin for milliseconds.  Where anything else runs on the machine
// the others are then kept from finishing: a training step was seen to take fourteen times as long.  A short spin costs
// nothing on an idle machine.  The runtime reads the variable before main, so it takes a second start to set it.
void spin_briefly(char** argv) {
  if (std::getenv("GOMP_SPINCOUNT") || std::getenv("OMP_WAIT_POLICY")) return;
  setenv("GOMP_SPINCOUNT", "1000", 1);
  execv("/proc/self/exe", argv);  // comes back only where it cannot be done: then as it was
}

// Where a standard stream is closed the next file to be opened would get its number, and what is printed.
void hold_standard_streams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (fcntl(stream, F_GETFD) < 0) (void)!open("/dev/null", O_RDONLY);  // which takes no output either
}

int run(const std::vector<std::string>& words) {
  const shear::tool::CommandLine line = shear::tool::parse_command_line(words);
  std::cout << line.text;
  const int status = line.run ? line.run() : 0;
  if (!std::cout.flush()) return complain(Fault::input, "standard output cannot be written to");
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  spin_briefly(argv);
  hold_standard_streams();
  shear::tool::ignore_write_signals();
  shear::spell_settings("--");
  try {
    return run({argv + std::min(argc, 1), argv + argc});
  } catch (const shear::Error& e) {
    return complain(e.fault(), e.what());
  } catch (const std::bad_alloc&) {
    return complain(Fault::memory, "the machine has no memory left, expected room for the model and its training step");
  } catch (const std::length_error&) {
    return complain(Fault::memory, "something is larger than memory can be, expected smaller data or a smaller model");
  } catch (const std::system_error& e) {
    return complain(e);
  } catch (const std::exception& e) {
    return complain(Fault::internal, e.what());
  }
}

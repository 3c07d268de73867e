// shear: one executable, a file per command.  Errors become one sentence on stderr and an exit status.
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <iostream>
#include <new>

#include "command.h"
#include "shear/error.h"

namespace {

using shear::Fault;

int complain(Fault fault, std::string sentence) {
  for (char& c : sentence)
    if (c == '\n') c = ' ';
  while (!sentence.empty() && sentence.back() == ' ') sentence.pop_back();
  std::cout.flush();
  std::cerr << "shear: " << sentence << std::endl;
  return static_cast<int>(fault);
}

// GCC's OpenMP lets a thread that waits for the others spin for milliseconds.  Where anything else runs on the machine
// the others are then kept from finishing: a training step was seen to take fourteen times as long.  A short spin costs
// nothing on an idle machine.  The runtime reads the variable before main, so it takes a second start to set it.
void spin_briefly(char** argv) {
  if (std::getenv("GOMP_SPINCOUNT") || std::getenv("OMP_WAIT_POLICY")) return;
  setenv("GOMP_SPINCOUNT", "1000", 1);
  execv("/proc/self/exe", argv);  // comes back only where it cannot be done: then as it was
}

int run(int argc, char** argv) {
  CLI::App app("Fine-tunes Vision Transformers with a tape that prunes what it remembers.", "shear");
  app.set_version_flag("--version", SHEAR_VERSION);
  app.require_subcommand(0, 1);
  app.get_formatter()->column_width(34);
  app.footer(
      "Exit status: 0 done; 1 a fault of ours; 2 a wrong flag; 3 bad input; 4 does not fit in memory;\n"
      "5 the device is not there; 130 interrupted, after a checkpoint was written.");
  shear::tool::Run chosen;
  shear::tool::add_train(app, chosen);
  shear::tool::add_eval(app, chosen);
  shear::tool::add_predict(app, chosen);
  shear::tool::add_plan(app, chosen);
  shear::tool::add_compare(app, chosen);
  shear::tool::add_trace(app, chosen);
  shear::tool::add_prepare(app, chosen);
  shear::tool::add_gradients(app, chosen);
  shear::tool::add_check(app, chosen);
  shear::tool::add_inspect(app, chosen);
  shear::tool::add_export(app, chosen);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) return app.exit(e);  // --help, --version
    return complain(Fault::usage, e.what());
  }
  if (!chosen) return complain(Fault::usage, "a command is missing, expected one of those that shear --help lists");
  const int status = chosen();
  if (!std::cout.flush()) return complain(Fault::input, "standard output cannot be written to");
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  spin_briefly(argv);
  std::signal(SIGXFSZ, SIG_IGN);  // a file that may not grow is an error with a sentence
  try {
    return run(argc, argv);
  } catch (const shear::Error& e) {
    return complain(e.fault(), e.what());
  } catch (const std::bad_alloc&) {
    return complain(Fault::memory, "the machine has no memory left, expected room for the model and its training step");
  } catch (const std::exception& e) {
    return complain(Fault::internal, e.what());
  }
}

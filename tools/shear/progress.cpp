// How far it is.
#include "progress.h"

#include <unistd.h>

#include <iostream>

#include "table.h"

namespace shear::tool {

Progress::Progress() : terminal_(isatty(STDERR_FILENO) == 1) {}

Progress::~Progress() {
  if (open_) std::cerr << std::endl;
}

void Progress::say(const std::string& line) {
  if (open_) std::cerr << "\r\x1b[K";
  open_ = false;
  std::cerr << line << std::endl;
}

void Progress::at(double share, const std::string& rest, bool last) {
  using namespace std::chrono_literals;
  const auto now = Clock::now();
  if (!last && now - shown_ < (terminal_ ? 100ms : 10s)) return;
  shown_ = now;
  if (!terminal_) {
    std::cerr << percent(share) << "  " << rest << std::endl;
    return;
  }
  constexpr size_t cells = 20;
  const size_t full = static_cast<size_t>(share * cells + 0.5);
  std::cerr << "\r\x1b[K[" << std::string(full, '=') << std::string(cells - full, ' ') << "] " << rest << std::flush;
  open_ = true;
}

void TrainProgress::step(const StepMetrics& m) {
  constexpr double fade = 0.95;
  const auto mean = [&](double& running, double value) { running = fade * running + (1 - fade) * value; };
  mean(loss_, m.loss);
  mean(accuracy_, m.accuracy);
  mean(seconds_, m.seconds);
  mean(weight_, 1);
  const double left = seconds_ / weight_ * static_cast<double>(m.steps - m.step);
  const bool last = m.step == m.steps;
  out_.at(static_cast<double>(m.step) / static_cast<double>(m.steps),
          text("step ", m.step, "/", m.steps, "  epoch ", fixed(m.epoch, 2), "  loss ", fixed(loss_ / weight_, 4),
               "  accuracy ", percent(accuracy_ / weight_), "  ", fixed(m.images_per_second, 0), " images/s  ",
               human_time(left), " left  ", human_bytes(m.bytes)),
          last);
}

void TrainProgress::evaluating(int64_t done, int64_t total) {
  out_.at(static_cast<double>(done) / static_cast<double>(total), text("evaluating ", done, "/", total));
}

void TrainProgress::evaluated(const EvalMetrics& m) {
  out_.say(text("step ", m.step, "  epoch ", fixed(m.epoch, 2), "  validation: loss ", fixed(m.loss, 4), "  accuracy ",
                percent(m.accuracy), "  top-5 ", percent(m.top5), "  ", human_time(m.seconds),
                m.best ? "  best so far" : ""));
}

}  // namespace shear::tool

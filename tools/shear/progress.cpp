// How far it is.
#include "progress.h"

#include <unistd.h>

#include <iostream>

#include "output.h"
#include "screen.h"
#include "table.h"

namespace shear::tool {

Progress::Progress() : terminal_(isatty(STDERR_FILENO) == 1) {}

Progress::~Progress() {
  if (open_) std::cerr << '\n' << std::flush;
}

void Progress::say(const std::string& line) {
  if (open_) std::cerr << "\r\x1b[K";
  open_ = false;
  tool::say(line);
}

void Progress::at(double share, const std::string& rest, bool last) {
  using namespace std::chrono_literals;
  const auto now = Clock::now();
  if (!last && now - shown_ < (terminal_ ? 100ms : 10s)) return;
  shown_ = now;
  if (!terminal_) return tool::say(percent(share) + "  " + rest);
  std::cerr << "\r\x1b[K" + live_line(share, rest, columns_of(STDERR_FILENO)) << std::flush;
  open_ = true;
}

double seconds_left(const Outlook& o, int64_t step, double step_seconds, double evaluation) {
  const double steps = static_cast<double>(o.steps - step);
  if (o.validation_images == 0) return steps * step_seconds;
  const int64_t last = o.steps % o.eval_every == 0 ? 0 : 1;
  const double evaluations = static_cast<double>(o.steps / o.eval_every - step / o.eval_every + last);
  const double image = step_seconds / static_cast<double>(o.batch);
  return steps * step_seconds +
         evaluations * (evaluation >= 0 ? evaluation : static_cast<double>(o.validation_images) * image / 3);
}

void TrainProgress::step(const StepMetrics& m) {
  constexpr double fade = 0.95;
  const auto mean = [&](double& running, double value) { running = fade * running + (1 - fade) * value; };
  mean(loss_, m.loss);
  mean(accuracy_, m.accuracy);
  mean(seconds_, m.seconds);
  mean(weight_, 1);
  const double left = seconds_left(outlook_, m.step, seconds_ / weight_, evaluation_);
  const bool last = m.step == m.steps;
  out_.at(static_cast<double>(m.step) / static_cast<double>(m.steps),
          text("step ", m.step, "/", m.steps, "  ", human_time(left), " left  epoch ", fixed(m.epoch, 2), "  loss ",
               fixed(loss_ / weight_, 4), "  accuracy ", percent(accuracy_ / weight_), "  ",
               fixed(m.images_per_second, 0), " images/s  ", human_bytes(m.bytes)),
          last);
}

void TrainProgress::evaluating(int64_t done, int64_t total) {
  out_.at(static_cast<double>(done) / static_cast<double>(total), text("evaluating ", done, "/", total));
}

void TrainProgress::measuring(int64_t done, int64_t total) {
  out_.at(static_cast<double>(done) / static_cast<double>(total), text("gradient ", done, "/", total));
}

void TrainProgress::evaluated(const EvalMetrics& m) {
  evaluation_ = m.seconds;
  out_.say(text("step ", m.step, "  epoch ", fixed(m.epoch, 2), "  validation: loss ", fixed(m.loss, 4), "  accuracy ",
                percent(m.accuracy), "  top-5 ", percent(m.top5), "  ", human_time(m.seconds),
                m.best ? "  best so far" : ""));
}

}  // namespace shear::tool

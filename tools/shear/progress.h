// How far it is: a live line on a terminal, plain lines now and then elsewhere.  All of it on stderr.
#pragma once
#include <chrono>
#include <string>

#include "shear/train.h"

namespace shear::tool {

class Progress {
 public:
  Progress();
  ~Progress();
  void say(const std::string& line);                                  // stays
  void at(double share, const std::string& rest, bool last = false);  // the live line

 private:
  using Clock = std::chrono::steady_clock;
  bool terminal_, open_ = false;
  Clock::time_point shown_{};
};

// What is left of a training after `step`: its steps, and the evaluations between them and at the end.
// `evaluation`: seconds of one; below 0 where none was seen: then as many images as that take in forward passes, which
// are a third of a step's work.
double seconds_left(const Outlook&, int64_t step, double step_seconds, double evaluation);

class TrainProgress final : public TrainObserver {
 public:
  void note(const std::string& line) override { out_.say(line); }
  void warn(const std::string& line) override { out_.say("warning: " + line); }
  void begins(const Outlook& outlook) override { outlook_ = outlook; }
  void step(const StepMetrics&) override;
  void evaluating(int64_t done, int64_t total) override;
  void evaluated(const EvalMetrics&) override;
  void measuring(int64_t done, int64_t total) override;

 private:
  Progress out_;
  Outlook outlook_;
  double evaluation_ = -1;                                     // seconds of the last one
  double loss_ = 0, accuracy_ = 0, seconds_ = 0, weight_ = 0;  // running means
};

}  // namespace shear::tool

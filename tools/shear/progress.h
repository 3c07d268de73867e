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

class TrainProgress final : public TrainObserver {
 public:
  void note(const std::string& line) override { out_.say(line); }
  void warn(const std::string& line) override { out_.say("warning: " + line); }
  void step(const StepMetrics&) override;
  void evaluating(int64_t done, int64_t total) override;
  void evaluated(const EvalMetrics&) override;

 private:
  Progress out_;
  double loss_ = 0, accuracy_ = 0, seconds_ = 0, weight_ = 0;  // running means
};

}  // namespace shear::tool

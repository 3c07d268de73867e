// What a training yields step by step: for its summary, and as lines of metrics.jsonl.
#pragma once
#include "shear/train.h"

namespace shear {

// What the steps so far yielded, for the summary.  Its room is made at once.
struct History {
  std::vector<float> loss, accuracy, seconds;  // by step
  double seconds_before = 0;                   // steps and evaluations of the run's earlier parts
  void reserve(int64_t steps);
  void add(double loss, double accuracy, double seconds);
};

// metrics.jsonl: one line per step and per evaluation, now and then one on what the policy samples.  A line is one
// write, and allocates nothing for a step.
class MetricsLog {
 public:
  // Goes on after the lines that a checkpoint knows: steps up to `step`, evaluations up to `evaluated_step`.  Later
  // ones are dropped: they will be made again.  Step 0 begins anew.
  MetricsLog(const std::filesystem::path&, int64_t step, int64_t evaluated_step, History&);
  ~MetricsLog();
  MetricsLog(const MetricsLog&) = delete;
  MetricsLog& operator=(const MetricsLog&) = delete;

  void step(const StepMetrics&);
  void evaluated(const EvalMetrics&);
  void not_finite(int64_t step, const std::string& why);  // that step, which was not made
  void policy(int64_t step, std::span<const SamplingReport>);
  void flush();  // to the disk, before a checkpoint says that the lines are there

 private:
  std::filesystem::path path_;
  int fd_ = -1;
};

}  // namespace shear

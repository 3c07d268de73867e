// The directory of a training: its files, its lock, and the log of its metrics.
#pragma once
#include "shear/train.h"

namespace shear {

class RunDirectory {
 public:
  // Makes the directory and locks it against a second training.  Throws Fault::input with a sentence: before anything
  // is computed.
  explicit RunDirectory(const std::filesystem::path&);
  ~RunDirectory();
  RunDirectory(const RunDirectory&) = delete;
  RunDirectory& operator=(const RunDirectory&) = delete;

  std::filesystem::path last() const { return path_ / "last.safetensors"; }
  std::filesystem::path previous() const { return path_ / "previous.safetensors"; }
  std::filesystem::path best() const { return path_ / "best.safetensors"; }
  std::filesystem::path model() const { return path_ / "model.safetensors"; }
  std::filesystem::path metrics() const { return path_ / "metrics.jsonl"; }
  std::filesystem::path summary() const { return path_ / "summary.json"; }
  const std::filesystem::path& path() const { return path_; }

  bool holds_run() const;
  // Once it is known that the run may be here: removes what a killed writer of a run's files left, and tries to write.
  void claim() const;
  // Removes the files of an earlier run, but for last.safetensors, in whose place the new run's stands by now.
  void forget_earlier() const;

 private:
  std::filesystem::path path_;
  int lock_ = -1;
};

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
  void policy(int64_t step, std::span<const SamplingReport>);
  void flush();  // to the disk, before a checkpoint says that the lines are there

 private:
  std::filesystem::path path_;
  int fd_ = -1;
};

}  // namespace shear

// The directory of a training: its files and its lock.
#pragma once
#include <filesystem>

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

}  // namespace shear

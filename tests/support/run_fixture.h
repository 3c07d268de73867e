// What the tests of whole trainings share: a small recipe, who listens, and what a run wrote.
#pragma once
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "backend.h"
#include "shear/train.h"
#include "train_fixture.h"

namespace shear::test {

struct Listener : TrainObserver {
  std::vector<StepMetrics> steps;
  std::vector<std::string> notes, warnings;
  void note(const std::string& s) override { notes.push_back(s); }
  void warn(const std::string& s) override { warnings.push_back(s); }
  void step(const StepMetrics& m) override { steps.push_back(m); }
};

inline Recipe small_recipe(const std::filesystem::path& data) {
  Recipe r;
  r.data = data.string();
  r.model = tiny_model;
  r.batch = 16;
  r.steps = 30;
  r.lr = 3e-3;
  r.warmup = 3;
  r.eval_every = 7;
  r.checkpoint_every = 10;
  r.seed = 5;
  resolve_defaults(r);
  return r;
}

inline RunOptions in(const std::filesystem::path& out) {
  RunOptions run;
  run.out = out;
  run.threads = 1;
  run.device = test_device();
  return run;
}

inline TrainOutcome train_quietly(const Recipe& recipe, const RunOptions& run) {
  Listener listener;
  return train(recipe, run, listener);
}

inline std::string message_of(const Recipe& recipe, const RunOptions& run, Fault fault) {
  try {
    train_quietly(recipe, run);
  } catch (const Error& e) {
    CHECK(e.fault() == fault);
    return e.what();
  }
  return "nothing was thrown";
}

// The lines of metrics.jsonl without what a clock says.
inline std::vector<nlohmann::json> timeless(const std::filesystem::path& metrics) {
  std::vector<nlohmann::json> lines;
  for (const std::string& line : lines_of(metrics)) {
    nlohmann::json j = nlohmann::json::parse(line);
    j.erase("seconds");
    j.erase("images_per_second");
    lines.push_back(j);
  }
  return lines;
}

inline bool said(const std::vector<std::string>& lines, std::string_view part) {
  for (const std::string& line : lines)
    if (line.find(part) != std::string::npos) return true;
  return false;
}

}  // namespace shear::test

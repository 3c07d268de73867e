// metrics.jsonl and summary.json.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>

#include "train/metrics.h"
#include "weights/json.h"

namespace shear {

void History::reserve(int64_t steps) {
  for (auto* v : {&loss, &accuracy, &seconds}) v->reserve(static_cast<size_t>(steps));
}

void History::add(double l, double a, double s) {
  loss.push_back(static_cast<float>(l));
  accuracy.push_back(static_cast<float>(a));
  seconds.push_back(static_cast<float>(s));
}

// The lines that a checkpoint knows.  A line that a killed or full disk cut short is dropped.
static std::string known_lines(const std::filesystem::path& path, int64_t step, int64_t evaluated_step,
                               History& history) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return {};
  std::istringstream in(read_text(path));
  std::string kept;
  for (std::string line; std::getline(in, line);) {
    const nlohmann::json j = nlohmann::json::parse(line, nullptr, false);
    if (!j.is_object() || !j.contains("step") || !j["step"].is_number_integer()) continue;
    const std::string kind = j.value("kind", "");
    if (j["step"].get<int64_t>() > (kind == "eval" ? evaluated_step : step)) continue;
    if (kind == "step") history.add(j.value("loss", 0.), j.value("accuracy", 0.), j.value("seconds", 0.));
    history.seconds_before += j.value("seconds", 0.);
    kept += line + '\n';
  }
  return kept;
}

MetricsLog::MetricsLog(const std::filesystem::path& path, int64_t step, int64_t evaluated_step, History& history)
    : path_(path) {
  write_text_atomically(path, step == 0 ? "" : known_lines(path, step, evaluated_step, history));
  fd_ = open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  if (fd_ < 0) fail(Fault::input, path.string(), ": cannot be opened for writing: ", std::strerror(errno));
}

MetricsLog::~MetricsLog() { close(fd_); }

void MetricsLog::step(const StepMetrics& m) {
  char line[512];
  const int n =
      std::snprintf(line, sizeof line,
                    "{\"kind\":\"step\",\"step\":%lld,\"epoch\":%.6g,\"loss\":%.9g,\"accuracy\":%.6g,\"lr\":%.9g,"
                    "\"grad_norm\":%.9g,\"images_per_second\":%.6g,\"seconds\":%.6g,\"bytes\":%zu}\n",
                    static_cast<long long>(m.step), m.epoch, m.loss, m.accuracy, m.lr, m.gradient_norm,
                    m.images_per_second, m.seconds, m.bytes);
  write_all(fd_, line, static_cast<size_t>(n), path_);
}

void MetricsLog::evaluated(const EvalMetrics& m) {
  nlohmann::ordered_json j;
  j["kind"] = "eval";
  j["step"] = m.step;
  j["epoch"] = m.epoch;
  j["loss"] = m.loss;
  j["accuracy"] = m.accuracy;
  j["top5"] = m.top5;
  j["samples"] = m.samples;
  j["seconds"] = m.seconds;
  const std::string line = j.dump() + '\n';
  write_all(fd_, line.data(), line.size(), path_);
}

void MetricsLog::not_finite(int64_t step, const std::string& why) {
  const std::string line = nlohmann::ordered_json{{"kind", "not finite"}, {"step", step}, {"why", why}}.dump() + '\n';
  write_all(fd_, line.data(), line.size(), path_);
}

void MetricsLog::policy(int64_t step, std::span<const SamplingReport> layers) {
  nlohmann::ordered_json j;
  j["kind"] = "policy";
  j["step"] = step;
  for (const SamplingReport& r : layers) {
    nlohmann::ordered_json layer;
    layer["site"] = r.site;
    static constexpr const char* names[] = {"p_min", "p_25", "p_50", "p_75", "p_max"};
    for (size_t i = 0; i < r.probability.size(); ++i) layer[names[i]] = short_double(r.probability[i]);
    layer["share"] = r.share;
    layer["bytes"] = r.bytes;
    j["layers"].push_back(std::move(layer));
  }
  const std::string line = j.dump() + '\n';
  write_all(fd_, line.data(), line.size(), path_);
}

void MetricsLog::flush() { fdatasync(fd_); }

std::string to_json(const Summary& s) {
  nlohmann::ordered_json j;
  j["policy"] = s.policy;
  j["steps"] = s.steps;
  j["accuracy"] = s.accuracy;
  j["loss"] = s.loss;
  j["seconds"] = s.seconds;
  j["step_seconds_median"] = s.step_seconds_median;
  j["peak_bytes"] = s.memory.peak;
  j["planned_peak_bytes"] = s.planned_peak_bytes;
  j["parameter_bytes"] = s.memory.parameters;
  j["gradient_bytes"] = s.memory.gradients;
  j["optimizer_bytes"] = s.memory.optimizer;
  j["saved_bytes"] = s.memory.saved;
  j["workspace_bytes"] = s.memory.workspace;
  j["rss_peak_bytes"] = s.rss_peak_bytes;
  j["in_flight_bytes"] = s.in_flight_bytes;
  j["decoding_peak_bytes"] = s.decoding_peak_bytes;
  j["model"] = s.model;
  j["accuracy_of"] = s.validated ? "val" : "train";
  if (s.validated) {
    j["best_accuracy"] = s.best_accuracy;
    j["best_step"] = s.best_step;
  }
  return j.dump(2);
}

size_t rss_peak_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) return std::strtoull(line.c_str() + 6, nullptr, 10) * 1024;
  return 0;
}

}  // namespace shear

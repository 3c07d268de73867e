// Reads every sample of a data set and tells what is broken.
#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>

#include "shear/data.h"
#include "shear/error.h"
#include "shear/threads.h"
#include "shear/utf8.h"

namespace shear {
namespace {

// What one thread saw; ranges start empty.
struct Examined {
  int min_width = INT32_MAX, max_width = 0, min_height = INT32_MAX, max_height = 0;
  std::vector<std::pair<int64_t, std::string>> broken;  // by sample

  void add(const Image& image) {
    min_width = std::min(min_width, image.width);
    max_width = std::max(max_width, image.width);
    min_height = std::min(min_height, image.height);
    max_height = std::max(max_height, image.height);
  }
  void add(const Examined& other) {
    min_width = std::min(min_width, other.min_width);
    max_width = std::max(max_width, other.max_width);
    min_height = std::min(min_height, other.min_height);
    max_height = std::max(max_height, other.max_height);
    broken.insert(broken.end(), other.broken.begin(), other.broken.end());
  }
};

Examined read_all(const Dataset& data) {
  Examined all;
  std::mutex mutex;
  std::exception_ptr failure;
  std::atomic<int64_t> next = 0;
  const auto work = [&] {
    Examined seen;
    try {
      for (int64_t i = next++; i < data.size(); i = next++) {
        try {
          seen.add(data.read(i));
        } catch (const Error& error) {
          seen.broken.emplace_back(i, printable(error.what()));
        }
      }
    } catch (...) {  // no memory: nothing is wrong with the sample
      const std::lock_guard lock(mutex);
      failure = std::current_exception();
    }
    const std::lock_guard lock(mutex);
    all.add(seen);
  };
  {
    std::vector<std::jthread> threads;
    for (int i = 1; i < default_threads(); ++i) threads.emplace_back(work);
    work();
  }
  if (failure) std::rethrow_exception(failure);
  std::sort(all.broken.begin(), all.broken.end());
  return all;
}

void check_part(const std::string& name, const Dataset& data, CheckReport& report) {
  Examined seen = read_all(data);
  CheckReport::Part& part = report.parts.emplace_back();
  part.name = name;
  part.samples = data.size();
  for (const std::string& class_name : data.classes()) part.per_class.emplace_back(class_name, 0);
  for (int64_t i = 0; i < data.size(); ++i) ++part.per_class[static_cast<size_t>(data.label(i))].second;
  if (seen.max_width > 0) {
    part.min_width = seen.min_width;
    part.max_width = seen.max_width;
    part.min_height = seen.min_height;
    part.max_height = seen.max_height;
  }
  for (auto& [index, sentence] : seen.broken) report.broken.push_back(std::move(sentence));
}

}  // namespace

CheckReport check_data(const DataSplits& splits) {
  CheckReport report;
  report.kind = splits.kind;
  if (splits.train) check_part("train", *splits.train, report);
  if (splits.val) check_part("val", *splits.val, report);
  if (splits.test) check_part("test", *splits.test, report);
  return report;
}

}  // namespace shear

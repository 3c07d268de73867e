// What `shear compare` found, for people and for programs.
#pragma once
#include <cmath>

#include "compare_runs.h"
#include "svg.h"
#include "table.h"

namespace shear::tool {

// The runs under one policy, at its best rate where several were tried.
struct PolicyRow {
  std::string policy;
  double rate = 0;
  int64_t runs = 0;
  double accuracy = 0, spread = 0;           // mean and standard deviation over the seeds; 0 for one
  double planned = 0, metered = 0, rss = 0;  // bytes, the most of any run
  double step_seconds = 0;                   // median of the runs' medians
  double time_ratio = 1, memory_ratio = 1;   // to the first policy
  double cosine = 0;                         // mean
};
std::vector<PolicyRow> by_policy(const std::vector<ComparedRun>&);

Table comparison_table(const std::vector<PolicyRow>&, bool rates);
nlohmann::ordered_json comparison_json(const std::vector<ComparedRun>&, const std::vector<PolicyRow>&);
std::string comparison_csv(const std::vector<ComparedRun>&);  // a line per run, the keys of the JSON
std::string layers_csv(const std::vector<ComparedRun>&);      // policy, seed, parameter, cosine
std::string comparison_svg(const std::vector<PolicyRow>&, const std::string& title);  // memory against step time
std::string rates_svg(const std::vector<ComparedRun>&, const std::string& title);     // accuracy against cosine

// Of --gradients-only.
Table gradients_table(const GradientFidelities&);
nlohmann::ordered_json gradients_json(const GradientFidelities&, int64_t batches);
std::string gradients_svg(const GradientFidelities&);  // memory against error

Table blocks_table(const MeasuredBlocks&);  // of --by-block

// Dots with a name each, in the units of the axes; `trails`: smaller ones that belong to a dot, joined by a line.
struct Scatter {
  std::string heading, title, x_axis, y_axis;
  std::vector<Labelled> dots;
  std::vector<std::vector<Point>> trails;  // as many as dots, or none
  double x_most = HUGE_VAL;                // that there can be
};
std::string scatter_svg(const Scatter&);

}  // namespace shear::tool

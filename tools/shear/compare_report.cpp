// What `shear compare` found.
#include "compare_report.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace shear::tool {

namespace {

double number(const nlohmann::ordered_json& j) {
  return j.is_number() ? j.get<double>() : std::numeric_limits<double>::quiet_NaN();
}

double mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double v : values) sum += v;
  return sum / static_cast<double>(values.size());
}

double deviation(const std::vector<double>& values) {
  if (values.size() < 2) return 0;
  const double m = mean(values);
  double sum = 0;
  for (const double v : values) sum += (v - m) * (v - m);
  return std::sqrt(sum / static_cast<double>(values.size() - 1));
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t n = values.size();
  return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

PolicyRow row_of(const std::string& policy, const std::vector<ComparedRun>& runs) {
  std::vector<double> accuracy, seconds, cosine;
  PolicyRow row;
  row.policy = policy;
  for (const ComparedRun& run : runs) {
    if (run.policy != policy || !run.counts) continue;
    ++row.runs;
    row.rate = *run.recipe.lr;
    accuracy.push_back(number(run.summary["accuracy"]));
    seconds.push_back(number(run.summary["step_seconds_median"]));
    cosine.push_back(run.cosine.overall);
    row.planned = std::max(row.planned, number(run.summary["planned_peak_bytes"]));
    row.metered = std::max(row.metered, number(run.summary["peak_bytes"]));
    row.rss = std::max(row.rss, number(run.summary["rss_peak_bytes"]));
  }
  row.accuracy = mean(accuracy);
  row.spread = deviation(accuracy);
  row.step_seconds = median(seconds);
  row.cosine = mean(cosine);
  return row;
}

nlohmann::ordered_json run_json(const ComparedRun& run) {
  nlohmann::ordered_json j{{"policy", run.policy}, {"seed", run.recipe.seed}};
  if (run.lost) {
    j.update({{"lr", *run.recipe.lr}, {"counts", false}, {"lost", true}});
    return j;
  }
  for (const auto& [key, value] : run.summary.items())
    if (key != "policy") j[key] = value;
  j["gradient_cosine"] = run.cosine.overall;
  j["lr"] = *run.recipe.lr;
  j["counts"] = run.counts;
  j["begins_from"] = run.recipe.weights.empty() ? "scratch" : "weights";
  j["train"] = run.recipe.train;
  return j;
}

std::string cell(std::string value) {
  if (value.find_first_of(",\"\r\n") == std::string::npos) return value;
  for (size_t at = 0; (at = value.find('"', at)) != std::string::npos; at += 2) value.insert(at, "\"");
  return '"' + value + '"';
}

std::string cell(const nlohmann::ordered_json& value) {
  if (value.is_string()) return cell(value.get<std::string>());
  return value.is_null() ? "" : value.dump();
}

}  // namespace

std::vector<PolicyRow> by_policy(const std::vector<ComparedRun>& runs) {
  std::vector<PolicyRow> rows;
  for (const ComparedRun& run : runs) {
    if (!run.counts ||
        std::any_of(rows.begin(), rows.end(), [&](const PolicyRow& r) { return r.policy == run.policy; }))
      continue;
    rows.push_back(row_of(run.policy, runs));
    rows.back().time_ratio = rows.back().step_seconds / rows[0].step_seconds;
    rows.back().memory_ratio = rows.back().metered / rows[0].metered;
  }
  return rows;
}

Table comparison_table(const std::vector<PolicyRow>& rows, bool rates) {
  std::vector<std::string> header{"policy",  "accuracy",   "planned MiB",  "metered MiB",    "RSS MiB",
                                  "step ms", "time ratio", "memory ratio", "gradient cosine"};
  if (rates) header.insert(header.begin() + 1, "best lr");
  Table table(header);
  const auto mebibytes = [](double bytes) { return fixed(bytes / 0x1p20, 1); };
  for (const PolicyRow& r : rows) {
    std::vector<std::string> cells{r.policy,
                                   fixed(r.accuracy, 4) + (r.runs > 1 ? " ± " + fixed(r.spread, 4) : ""),
                                   mebibytes(r.planned),
                                   mebibytes(r.metered),
                                   mebibytes(r.rss),
                                   fixed(1e3 * r.step_seconds, 2),
                                   fixed(r.time_ratio, 2),
                                   fixed(r.memory_ratio, 3),
                                   fixed(r.cosine, 4)};
    if (rates) cells.insert(cells.begin() + 1, text(r.rate));
    table.add(cells);
  }
  return table;
}

nlohmann::ordered_json comparison_json(const std::vector<ComparedRun>& runs, const std::vector<PolicyRow>& rows) {
  nlohmann::ordered_json j;
  for (const ComparedRun& run : runs) j["runs"].push_back(run_json(run));
  for (const PolicyRow& r : rows)
    j["policies"].push_back({{"policy", r.policy},
                             {"runs", r.runs},
                             {"lr", r.rate},
                             {"accuracy_mean", r.accuracy},
                             {"accuracy_deviation", r.spread},
                             {"step_seconds_median", r.step_seconds},
                             {"time_ratio", r.time_ratio},
                             {"memory_ratio", r.memory_ratio},
                             {"gradient_cosine", r.cosine}});
  return j;
}

std::string comparison_csv(const std::vector<ComparedRun>& runs) {
  std::string out;
  const auto whole = std::find_if(runs.begin(), runs.end(), [](const ComparedRun& run) { return !run.lost; });
  const nlohmann::ordered_json first = run_json(*whole);
  for (const auto& [key, value] : first.items()) out += (out.empty() ? "" : ",") + key;
  for (const ComparedRun& run : runs) {
    const nlohmann::ordered_json j = run_json(run);
    std::string line;
    for (const auto& [key, unused] : first.items())
      line += (&unused == &first.front() ? "" : ",") + cell(j.value(key, nlohmann::ordered_json()));
    out += '\n' + line;
  }
  return out + '\n';
}

std::string layers_csv(const std::vector<ComparedRun>& runs) {
  std::string out = "policy,seed,parameter,cosine\n";
  for (const ComparedRun& run : runs)
    for (const auto& [name, cosine] : run.cosine.parameters)
      out += text(cell(run.policy), ',', run.recipe.seed, ',', cell(name), ',', fixed(cosine, 8), '\n');
  return out;
}

// From zero where that does not waste the drawing: lengths then tell ratios.
static std::pair<double, double> range_of(const std::vector<double>& values) {
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  const double low = *least < 0.6 * *most ? 0 : *least - 0.25 * std::max(*most - *least, 0.1 * *most);
  const std::vector<double> ticks = round_ticks(low, *most * 1.001, 6);
  const double step = ticks.size() > 1 ? ticks[1] - ticks[0] : std::max(1., *most);
  return {std::floor(low / step) * step, (std::floor(*most / step) + 1) * step};
}

std::string scatter_svg(const Scatter& scatter) {
  const auto color_of = [](size_t i) {
    static constexpr const char* colors[] = {"#1f5fa8", "#c2410c", "#15803d", "#7e22ce", "#a16207",
                                             "#0e7490", "#be123c", "#4d5562", "#4338ca", "#65720c"};
    return colors[i % std::size(colors)];
  };
  std::vector<double> xs, ys;
  const auto reach = [&](Point p) { xs.push_back(p.x), ys.push_back(p.y); };
  for (const Labelled& dot : scatter.dots) reach(dot.at);
  for (const std::vector<Point>& trail : scatter.trails) std::for_each(trail.begin(), trail.end(), reach);
  auto [x_low, x_high] = range_of(xs);
  x_high = std::min(x_high, scatter.x_most);
  const auto [y_low, y_high] = range_of(ys);
  const Axes axes{{84, 60}, 760, 440, x_low, x_high, y_low, y_high};
  Svg svg(880, 570, scatter.title);
  const auto fitting = [](const std::string& text, double size) {
    return std::min(size, size * 760 / text_width(text, size));
  };
  svg.write({84, 26}, scatter.heading, {.size = fitting(scatter.heading, 16), .bold = true});
  svg.write({84, 47}, scatter.title, {.size = fitting(scatter.title, 13), .color = "#555555"});
  axes.draw(svg, {.x = round_ticks(x_low, x_high, 8), .y = round_ticks(y_low, y_high, 6), .size = 13});
  svg.write({84 + 380, 552}, scatter.x_axis, {.size = 14, .anchor = Anchor::middle});
  svg.write({24, 60 + 220}, scatter.y_axis, {.size = 14, .anchor = Anchor::middle, .upright = true});
  for (size_t i = 0; i < scatter.trails.size(); ++i) {
    std::vector<Point> trail;
    for (const Point p : scatter.trails[i]) trail.push_back(axes.at(p.x, p.y));
    svg.lines(trail, color_of(i), 1);
    for (const Point p : trail) svg.circle(p, 2.5, color_of(i));
  }
  std::vector<Labelled> labels;
  for (const Labelled& dot : scatter.dots) labels.push_back({axes.at(dot.at.x, dot.at.y), dot.text});
  constexpr double size = 14;
  const std::vector<Point> places = place_labels(labels, axes, size);
  for (size_t i = 0; i < labels.size(); ++i) {
    const Point p = labels[i].at, at = places[i];
    const Point near{std::clamp(p.x, at.x, at.x + text_width(labels[i].text, size)),
                     std::clamp(p.y, at.y - 0.9 * size, at.y + 0.3 * size)};
    if (std::hypot(near.x - p.x, near.y - p.y) > 16) svg.line(p, near, "#9a9a9a");
  }
  for (size_t i = 0; i < labels.size(); ++i) {
    svg.circle(labels[i].at, 5, color_of(i));
    svg.write(places[i], labels[i].text, {.size = size, .color = color_of(i), .bold = true});
  }
  return svg.done();
}

std::string comparison_svg(const std::vector<PolicyRow>& rows, const std::string& title) {
  Scatter scatter{"Memory and time of a training step, with the accuracy reached",
                  title,
                  "memory of a training step at its peak, MiB",
                  "time of a step, ms (median)",
                  {},
                  {}};
  for (const PolicyRow& r : rows)
    scatter.dots.push_back(
        {{r.metered / 0x1p20, 1e3 * r.step_seconds}, r.policy + "  " + fixed(100 * r.accuracy, 1) + "%"});
  return scatter_svg(scatter);
}

std::string rates_svg(const std::vector<ComparedRun>& runs, const std::string& title) {
  Scatter scatter{"Accuracy reached and the gradient's cosine, at each learning rate and on average at the best",
                  title,
                  "cosine of the gradient with the exact one, at the end",
                  "accuracy, %",
                  {},
                  {}};
  const auto drawn = [](double cosine, double accuracy) {  // what is not a number lies on the ground
    return Point{cosine, std::isfinite(accuracy) ? 100 * accuracy : 0};
  };
  for (const PolicyRow& r : by_policy(runs)) {
    scatter.dots.push_back({drawn(r.cosine, r.accuracy), text(r.policy, "  ", r.rate)});
    std::vector<Point>& trail = scatter.trails.emplace_back();
    for (const ComparedRun& run : runs)  // by the first seed, in the order of the rates
      if (run.policy == r.policy && run.recipe.seed == runs.front().recipe.seed && !run.lost)
        trail.push_back(drawn(run.cosine.overall, number(run.summary["accuracy"])));
  }
  scatter.x_most = 1;
  return scatter_svg(scatter);
}

Table gradients_table(const GradientFidelities& found) {
  Table table({"policy", "error", "cosine", "of block weights", "cosine", "by channel", "peak MiB", "of full",
               "saved MiB", "step ms", "of full"});
  const GradientFidelity& full = found.policies.front();
  for (const GradientFidelity& f : found.policies)
    table.add({f.policy, fixed(f.error, 3), fixed(f.cosine, 4), fixed(f.block_error, 3), fixed(f.block_cosine, 4),
               fixed(f.channel_error, 3), mib(f.planned.peak),
               fixed(static_cast<double>(f.planned.peak) / static_cast<double>(full.planned.peak), 3),
               mib(f.planned.saved), fixed(1e3 * f.step_seconds, 1), fixed(f.step_seconds / full.step_seconds, 2)});
  return table;
}

Table blocks_table(const MeasuredBlocks& found) {
  Table table({"block", "linears", "attention", "slopes", "all"});
  const auto add = [&](const std::string& name, const BlockErrors& e) {
    table.add({name, fixed(std::sqrt(e.linears), 4), fixed(std::sqrt(e.attention), 4), fixed(std::sqrt(e.slopes), 4),
               fixed(std::sqrt(e.linears + e.attention + e.slopes), 4)});
  };
  BlockErrors sum;  // errors of values that are rounded each by itself add up as squares
  for (size_t b = 0; b < found.blocks.size(); ++b) {
    const BlockErrors& e = found.blocks[b];
    add(std::to_string(b), e);
    sum.linears += e.linears, sum.attention += e.attention, sum.slopes += e.slopes;
  }
  add("all", sum);
  return table;
}

nlohmann::ordered_json gradients_json(const GradientFidelities& found, int64_t batches) {
  nlohmann::ordered_json j{{"model", found.model}, {"batch", found.batch}, {"batches", batches}};
  for (const GradientFidelity& f : found.policies)
    j["policies"].push_back({{"policy", f.policy},
                             {"gradient_error", f.error},
                             {"gradient_cosine", f.cosine},
                             {"block_error", f.block_error},
                             {"block_cosine", f.block_cosine},
                             {"channel_error", f.channel_error},
                             {"peak_bytes", f.planned.peak},
                             {"saved_bytes", f.planned.saved},
                             {"workspace_bytes", f.planned.workspace},
                             {"step_seconds_median", f.step_seconds}});
  return j;
}

std::string gradients_svg(const GradientFidelities& found) {
  Scatter scatter{"What a step remembers, and how far its gradient is from the exact one",
                  text(found.model, ", batch ", found.batch),
                  "memory of a training step at its peak, MiB",
                  "relative error of the gradients of block weights",
                  {},
                  {}};
  for (const GradientFidelity& f : found.policies)
    scatter.dots.push_back({{static_cast<double>(f.planned.peak) / 0x1p20, f.block_error}, f.policy});
  return scatter_svg(scatter);
}

}  // namespace shear::tool

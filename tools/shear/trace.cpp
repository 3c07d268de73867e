// shear trace: how the bandit's probabilities moved over a run
#include <algorithm>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "command.h"
#include "options.h"
#include "output.h"
#include "shear/error.h"
#include "shear/io.h"
#include "shear/utf8.h"
#include "svg.h"

namespace shear::tool {

namespace fs = std::filesystem;

namespace {

struct TraceFlags {
  std::string run, out = "trace.svg";
  bool json = false;
};

struct Moment {
  double step;
  std::array<double, 5> p;  // least, quartiles, largest
};

// A panel per site: rows are blocks, columns what stands in each.
struct Trace {
  std::vector<std::string> rows, columns;
  std::map<std::pair<size_t, size_t>, std::vector<Moment>> panels;
  double first = 1e300, last = -1e300, least = 1;
};

size_t index_in(std::vector<std::string>& names, const std::string& name) {
  const auto found = std::find(names.begin(), names.end(), name);
  if (found != names.end()) return static_cast<size_t>(found - names.begin());
  names.push_back(name);
  return names.size() - 1;
}

// "blocks.0.mlp.fc1" -> "blocks.0" and "mlp.fc1"; what stands in no block has a row to itself.
std::pair<std::string, std::string> split_site(const std::string& site) {
  if (!site.starts_with("blocks.")) return {"", site};
  const size_t dot = site.find('.', 7);
  if (dot == std::string::npos) return {"", site};
  return {site.substr(0, dot), site.substr(dot + 1)};
}

// False: a number that cannot be.
bool add_line(Trace& trace, const nlohmann::json& line) {
  const double step = line.at("step");
  if (!(step >= 0 && step < 1e15)) return false;
  for (const nlohmann::json& layer : line.at("layers")) {
    const auto [row, column] = split_site(layer.at("site"));
    Moment m{step, {layer.at("p_min"), layer.at("p_25"), layer.at("p_50"), layer.at("p_75"), layer.at("p_max")}};
    for (const double p : m.p)
      if (!(p >= 0 && p <= 1)) return false;
    trace.panels[{index_in(trace.rows, row), index_in(trace.columns, column)}].push_back(m);
    trace.first = std::min(trace.first, step);
    trace.last = std::max(trace.last, step);
    if (m.p[0] > 0) trace.least = std::min(trace.least, m.p[0]);
  }
  return true;
}

Trace read_trace(const fs::path& path) {
  std::ifstream in(path);
  if (!in) fail(Fault::input, path.string(), ": cannot be read, expected the metrics of a run");
  Trace trace;
  int64_t number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    const nlohmann::json j = nlohmann::json::parse(line, nullptr, false);
    if (!j.is_object() || j.value("kind", nlohmann::json()) != "policy") continue;
    bool understood = false;
    try {
      understood = add_line(trace, j);
    } catch (const nlohmann::json::exception&) {
    }
    if (!understood)
      fail(Fault::input, path.string(), ", line ", number,
           ": expected \"step\" and \"layers\" with site, p_min, p_25, p_50, p_75 and p_max");
  }
  if (trace.panels.empty())
    fail(Fault::input, path.string(),
         ": has no lines of kind \"policy\", expected a run under a policy that samples, such as prebr");
  return trace;
}

std::vector<Point> along(const Axes& axes, const std::vector<Moment>& moments, size_t which) {
  std::vector<Point> points;
  for (const Moment& m : moments) points.push_back(axes.at(m.step, m.p[which]));
  return points;
}

void draw_band(Svg& svg, const Axes& axes, const std::vector<Moment>& moments, size_t low, size_t high,
               double opacity) {
  std::vector<Point> outline = along(axes, moments, low);
  const std::vector<Point> back = along(axes, moments, high);
  outline.insert(outline.end(), back.rbegin(), back.rend());
  svg.area(outline, "#1f5fa8", opacity);
}

constexpr const char *band_of[] = {"least to largest", "quartiles", "median"}, *dark = "#0b3d78";

void draw_legend(Svg& svg, Point at) {
  const double opacities[] = {0.18, 0.4};
  for (size_t i = 0; i < 3; ++i) {
    if (i < 2)
      svg.area({{at.x, at.y - 9}, {at.x + 22, at.y - 9}, {at.x + 22, at.y + 1}, {at.x, at.y + 1}}, "#1f5fa8",
               opacities[i]);
    else
      svg.line({at.x, at.y - 4}, {at.x + 22, at.y - 4}, dark, 1.8);
    svg.write({at.x + 28, at.y}, band_of[i], {.size = 12});
    at.x += 50 + text_width(band_of[i], 12);
  }
}

// Probabilities stand on a logarithmic axis: most columns lie near the least one, and what matters is 1/p.
std::string draw(const Trace& trace, const std::string& run) {
  constexpr double width = 190, height = 96, gap = 12, left = 112, top = 92, right = 24, bottom = 52;
  const double columns = static_cast<double>(trace.columns.size()), rows = static_cast<double>(trace.rows.size());
  const double whole = std::max(560., left + columns * (width + gap) - gap + right);
  const double high = top + rows * (height + gap) - gap + bottom;
  Svg svg(whole, high, "Sampling probabilities of " + run);
  svg.write({20, 26}, "Sampling probabilities over the steps of " + run, {.size = 15, .bold = true});
  draw_legend(svg, {20, 50});
  const double first = trace.first, last = trace.last > first ? trace.last : first + 1;
  const double low = std::max(1e-6, trace.least * 0.9);
  for (size_t c = 0; c < trace.columns.size(); ++c)
    svg.write({left + static_cast<double>(c) * (width + gap) + width / 2, top - 10}, trace.columns[c],
              {.size = 13, .anchor = Anchor::middle, .bold = true});
  for (size_t r = 0; r < trace.rows.size(); ++r) {
    const double y = top + static_cast<double>(r) * (height + gap);
    svg.write({12, y + height / 2 + 4}, trace.rows[r], {.size = 13, .bold = true});
    for (size_t c = 0; c < trace.columns.size(); ++c) {
      const auto panel = trace.panels.find({r, c});
      if (panel == trace.panels.end()) continue;
      const Axes axes{{left + static_cast<double>(c) * (width + gap), y}, width, height, first, last, low, 1.05, true};
      std::vector<double> ticks = log_ticks(low, 1.05);
      if (ticks.size() > 8) std::erase_if(ticks, [](double t) { return tick_label(t).find('1') == std::string::npos; });
      axes.draw(svg, {.x = round_ticks(first, last, 4),
                      .y = ticks,
                      .label_x = r + 1 == trace.rows.size(),
                      .label_y = c == 0 || !trace.panels.contains({r, c - 1}),
                      .size = 11});
      draw_band(svg, axes, panel->second, 0, 4, 0.18);
      draw_band(svg, axes, panel->second, 1, 3, 0.4);
      svg.lines(along(axes, panel->second, 2), dark, 1.8);
    }
  }
  svg.write({left + (columns * (width + gap) - gap) / 2, high - 12}, "step", {.size = 13, .anchor = Anchor::middle});
  return svg.done();
}

int run_trace(const TraceFlags& flags) {
  const Trace trace = read_trace(fs::path(flags.run) / "metrics.jsonl");
  write_text_atomically(flags.out, draw(trace, printable(fs::path(flags.run).lexically_normal().string())));
  if (flags.json) {
    const nlohmann::ordered_json j{{"sites", trace.panels.size()},
                                   {"first_step", static_cast<int64_t>(trace.first)},
                                   {"last_step", static_cast<int64_t>(trace.last)},
                                   {"out", flags.out}};
    print_json(j);
  } else {
    print(text(flags.out, ": ", trace.panels.size(), " sites, steps ", trace.first, " to ", trace.last));
  }
  return 0;
}

}  // namespace

void add_trace(CLI::App& app, Run& chosen) {
  auto flags = std::make_shared<TraceFlags>();
  CLI::App* cmd = app.add_subcommand("trace", "draws how the sampling probabilities of a run moved");
  cmd->add_option("run", flags->run, "directory of a run under a policy that samples")->required()->type_name("RUN");
  cmd->add_option("--out", flags->out, "the drawing, SVG")->capture_default_str()->type_name("FILE");
  cmd->add_flag("--json", flags->json, "prints one JSON object");
  cmd->footer(example("shear trace run/ --out trace.svg"));
  cmd->callback([&chosen, flags] { chosen = [flags] { return run_trace(*flags); }; });
}

}  // namespace shear::tool

// shear check
#include <iostream>
#include <nlohmann/json.hpp>

#include "command.h"
#include "options.h"
#include "output.h"
#include "shear/utf8.h"
#include "table.h"

namespace shear::tool {

namespace {

struct CheckFlags {
  DataFlags data;
  bool json = false;
};

std::string range(int low, int high) { return low == high ? std::to_string(low) : text(low, " to ", high); }

void print_report(const CheckReport& report) {
  nlohmann::ordered_json j{{"kind", report.kind}, {"parts", nlohmann::ordered_json::array()}};
  for (const CheckReport::Part& p : report.parts) {
    nlohmann::ordered_json part{{"part", p.name},
                                {"samples", p.samples},
                                {"min_width", p.min_width},
                                {"max_width", p.max_width},
                                {"min_height", p.min_height},
                                {"max_height", p.max_height},
                                {"classes", nlohmann::ordered_json::array()}};
    for (const auto& [name, count] : p.per_class) part["classes"].push_back({{"class", name}, {"samples", count}});
    j["parts"].push_back(std::move(part));
  }
  j["broken"] = report.broken;
  print_json(j);
}

void print_tables(const CheckReport& report, const std::string& path) {
  print(path + ": " + report.kind);
  Table parts({"part", "samples", "classes", "width", "height"});
  for (const CheckReport::Part& p : report.parts)
    parts.add({p.name, std::to_string(p.samples), std::to_string(p.per_class.size()), range(p.min_width, p.max_width),
               range(p.min_height, p.max_height)});
  std::cout << parts << '\n';
  std::vector<std::string> header{"class"};
  for (const CheckReport::Part& p : report.parts) header.push_back(p.name);
  Table classes(header);
  for (size_t c = 0; !report.parts.empty() && c < report.parts.front().per_class.size(); ++c) {
    std::vector<std::string> row{printable(report.parts.front().per_class[c].first)};
    for (const CheckReport::Part& p : report.parts)
      row.push_back(std::to_string(c < p.per_class.size() ? p.per_class[c].second : 0));
    classes.add(std::move(row));
  }
  std::cout << classes;
  if (!report.broken.empty()) std::cout << "\nBroken:\n";
  for (const std::string& sentence : report.broken) print("  " + sentence);
}

int run_check(const CheckFlags& flags) {
  const CheckReport report = check_data(flags.data.open());
  if (flags.json)
    print_report(report);
  else
    print_tables(report, flags.data.data);
  if (report.broken.empty()) return 0;
  int64_t samples = 0;
  for (const CheckReport::Part& p : report.parts) samples += p.samples;
  fail(Fault::input, printable(flags.data.data), ": ", report.broken.size(), " of ", samples,
       " samples cannot be read, the first is ", report.broken.front());
}

}  // namespace

void add_check(CLI::App& app, Run& chosen) {
  auto flags = std::make_shared<CheckFlags>();
  CLI::App* cmd = app.add_subcommand("check", "reads every sample of a data set and lists what is broken");
  flags->data.options.allow_absent = true;
  flags->data.add_data(*cmd, "as for train")->required();
  flags->data.add_val(*cmd);
  cmd->add_flag("--json", flags->json, "prints one JSON object");
  cmd->footer(example("shear check --data photos/"));
  cmd->callback([&chosen, flags] { chosen = [flags] { return run_check(*flags); }; });
}

}  // namespace shear::tool

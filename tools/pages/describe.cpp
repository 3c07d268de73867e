// The command line as its parser has it.
#include "pages.h"
#include "tools/shear/command_line.h"
#include "tools/shear/options.h"

namespace shear::pages {

namespace {

// What CLI11 gives a flag whose values it was not told a name for, and what the help pages append to one.
std::string takes(const CLI::Option& option, bool& required) {
  if (option.get_type_size() == 0) return "";
  std::string name = option.get_type_name();
  name = name.substr(0, name.find(':'));  // without CLI11's checks
  constexpr std::string_view mark = " REQUIRED";
  if (name.ends_with(mark)) {
    required = true;
    name.resize(name.size() - mark.size());
  }
  return name == "TEXT" ? "WORD" : name;
}

std::string upper(std::string word) {
  for (char& c : word)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  return word;
}

Flag flag_of(CLI::Option& option) {
  Flag flag;
  for (const std::string& name : option.get_snames()) flag.names.push_back('-' + name);
  for (const std::string& name : option.get_lnames()) flag.names.push_back("--" + name);
  flag.required = option.get_required();
  flag.takes = takes(option, flag.required);
  if (flag.names.empty()) flag.takes = upper(option.get_name(true));
  flag.what = option.get_description();
  flag.otherwise = option.get_default_str();
  if (option.get_group() != "Options") flag.group = option.get_group();
  const tool::Offered offered = tool::offered(option);
  flag.words = offered.words;
  flag.go_on = !offered.whole;
  flag.repeated = option.get_expected_max() == CLI::detail::expected_max_vector_size;
  for (const char* name : {"FILE", "PATH", "DIR", "RUN", "IMAGE"}) flag.files |= flag.takes == name;
  return flag;
}

std::vector<Flag> flags_of(CLI::App& app) {
  std::vector<Flag> flags;
  for (CLI::Option* option : app.get_options([](const CLI::Option*) { return true; }))
    flags.push_back(flag_of(*option));
  return flags;
}

// Takes the example from the end of a page.
std::string take_example(std::string& footer) {
  constexpr std::string_view head = "Example:\n  ";
  const size_t at = footer.find(head);
  if (at == std::string::npos) return "";
  const std::string example = footer.substr(at + head.size());
  footer.resize(at);
  return example;
}

}  // namespace

CommandPages describe() {
  const tool::CommandLine line = tool::all_commands();
  CLI::App& app = *line.app;
  CommandPages pages{.version = SHEAR_VERSION,
                     .what = app.get_description(),
                     .example = {},
                     .flags = flags_of(app),
                     .commands = {},
                     .policies = tool::policy_help(),
                     .remarks = {}};
  std::string footer = app.get_footer();
  pages.example = take_example(footer);
  for (size_t at = 0, end; at < footer.size(); at = end + 2) {
    end = std::min(footer.find("\n\n", at), footer.size());
    if (end > at) pages.remarks.push_back(footer.substr(at, end - at));
  }
  for (CLI::App* sub : app.get_subcommands([](const CLI::App*) { return true; })) {
    Command command{sub->get_name(), sub->get_description(), flags_of(*sub), {}, false};
    footer = sub->get_footer();
    command.example = take_example(footer);
    command.policies = footer.starts_with(pages.policies);
    if (footer != (command.policies ? pages.policies : ""))
      fail(Fault::internal, "the page of ", command.name, " ends with what no page here has a place for: ", footer);
    pages.commands.push_back(std::move(command));
  }
  return pages;
}

}  // namespace shear::pages

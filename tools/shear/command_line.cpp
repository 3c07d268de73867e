// The words after `shear`: the commands, their help pages, and what is wrong with words that are not understood.
#include "command_line.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "options.h"
#include "screen.h"
#include "shear/error.h"
#include "shear/suggest.h"

namespace shear::tool {

namespace {

// As wide as the terminal; where there is none, as the shell says, or 80.
size_t page_columns() {
  if (isatty(STDOUT_FILENO) == 1) return columns_of(STDOUT_FILENO);
  const std::string_view told = std::getenv("COLUMNS") ? std::getenv("COLUMNS") : "";
  size_t columns = 0;
  std::from_chars(told.data(), told.data() + told.size(), columns);
  return columns >= 20 && columns <= 1000 ? columns : 80;
}

// Help pages: a flag with what it takes, beside it what it does and its default.
class Pages final : public CLI::Formatter {
 public:
  std::string make_option(const CLI::Option* option, bool positional) const override {
    return row("  " + make_option_name(option, positional) + make_option_opts(option), make_option_desc(option));
  }
  std::string make_option_opts(const CLI::Option* option) const override {
    std::string takes;
    if (option->get_type_size() != 0 && !option->get_type_name().empty()) takes += ' ' + option->get_type_name();
    if (option->get_expected_max() == CLI::detail::expected_max_vector_size) takes += " ...";
    if (option->get_required()) takes += " REQUIRED";
    return takes;
  }
  std::string make_option_desc(const CLI::Option* option) const override {
    const std::string otherwise = option->get_default_str();
    return option->get_description() + (otherwise.empty() ? "" : " [" + otherwise + ']');
  }
  std::string make_subcommand(const CLI::App* command) const override {
    return row("  " + command->get_name(), command->get_description());
  }
  std::string make_footer(const CLI::App* app) const override { return wrapped(app->get_footer(), page_columns(), 12); }

 private:
  std::string row(const std::string& left, const std::string& right) const {
    return beside(left, right, column_width_, page_columns());
  }
};

struct Command {
  std::string_view name;
  void (*add)(CLI::App&, Run& chosen);
};
constexpr Command commands[] = {{"train", add_train},     {"eval", add_eval},           {"predict", add_predict},
                                {"plan", add_plan},       {"compare", add_compare},     {"trace", add_trace},
                                {"prepare", add_prepare}, {"gradients", add_gradients}, {"check", add_check},
                                {"inspect", add_inspect}, {"models", add_models},       {"export", add_export}};

std::vector<std::string> command_names() {
  std::vector<std::string> names;
  for (const Command& command : commands) names.emplace_back(command.name);
  return names;
}

// With the flags of one command; empty: of all, for the page that lists them.
std::unique_ptr<CLI::App> make_app(std::string_view only, Run& chosen) {
  auto app =
      std::make_unique<CLI::App>("Fine-tunes Vision Transformers with a tape that prunes what it remembers.", "shear");
  app->formatter(std::make_shared<Pages>());
  app->get_formatter()->column_width(26);
  app->get_formatter()->label("SUBCOMMAND", "COMMAND");
  app->set_help_flag("-h,--help", "prints this page");
  app->set_version_flag("--version", SHEAR_VERSION, "prints the version");
  app->require_subcommand(0, 1);
  app->footer(
      "shear help COMMAND tells of a command's flags.\n\n"
      "Exit status: 0 done; 1 a fault of ours; 2 a wrong flag; 3 bad input; 4 does not fit in memory; 5 the device is "
      "not there; 130 interrupted, after a checkpoint was written.\n\n" +
      example(
          "shear train --data photos/ --model vit_small_patch16_224 --weights vit_small.safetensors --policy prebr++ "
          "--out run/"));
  for (const Command& command : commands)
    if (only.empty() || only == command.name) command.add(*app, chosen);
  for (CLI::App* command : app->get_subcommands([](const CLI::App*) { return true; })) command->group("Commands");
  return app;
}

// Where a sentence points to for more.
std::string page_of(const CLI::App& app) {
  return app.get_parent() ? "shear " + app.get_name() + " --help" : "shear --help";
}

void refuse_extra(const CLI::App& app, const std::vector<std::string>& extra) {
  if (extra.empty()) return;
  const std::string& word = extra.front();
  const std::string where = app.get_parent() ? app.get_name() + ": " : "";
  if (!word.starts_with('-') || word == "-")
    fail(Fault::usage, where, "unexpected argument ", word.empty() ? "\"\"" : word, ", expected what ", page_of(app),
         " lists");
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options())
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  const std::string flag = word.substr(0, word.find('='));
  const size_t letters = std::min(flag.find_first_not_of('-'), flag.size());
  const std::string meant = did_you_mean("--" + flag.substr(letters), names);
  fail(Fault::usage, where, "unknown flag ", flag, meant, ", expected those that ", page_of(app), " lists");
}

[[noreturn]] void refuse_missing(const CLI::App& app) {
  for (const CLI::Option* option : app.get_options())
    if (option->get_required() && option->count() == 0)
      fail(Fault::usage, app.get_name(), ": ", option->get_name(), " is missing, expected ",
           option->get_type_name().empty() ? "it" : option->get_type_name(), ": ", option->get_description(), " (see ",
           page_of(app), ")");
  fail(Fault::usage, app.get_name(), ": a flag is missing, expected what ", page_of(app), " marks as REQUIRED");
}

// A value that is not there, or one too many.
[[noreturn]] void refuse_count(const CLI::App& app, const std::string& sentence) {
  const CLI::Option* found = nullptr;
  for (const CLI::Option* option : app.get_options())
    if (sentence.find(option->get_name()) != std::string::npos &&
        (!found || option->get_name().size() > found->get_name().size()))
      found = option;
  if (!found) fail(Fault::usage, sentence);
  if (found->results().size() > 1)
    fail(Fault::usage, found->get_name(), " is given ", found->results().size(), " times, expected once");
  fail(Fault::usage, found->get_name(), ": its value is missing, expected ", found->get_type_name(), " (see ",
       page_of(app), ")");
}

}  // namespace

CommandLine all_commands() {
  CommandLine line;
  line.app = make_app("", line.run);
  return line;
}

CommandLine parse_command_line(std::vector<std::string> words) {
  if (!words.empty() && words[0] == "help") {
    words.erase(words.begin());
    words.resize(std::min<size_t>(words.size(), 1));
    words.emplace_back("--help");
  }
  if (words.empty()) words.emplace_back("--help");
  const std::vector<std::string> names = command_names();
  const bool command = !words[0].starts_with('-');
  if (command && std::find(names.begin(), names.end(), words[0]) == names.end())
    fail(Fault::usage, "unknown command ", words[0], did_you_mean(words[0], names), ", expected one of ",
         listed(names));
  CommandLine line;
  line.app = make_app(command ? words[0] : "", line.run);
  CLI::App& app = *line.app;
  const auto asked = [&]() -> const CLI::App& {
    const auto parsed = app.get_subcommands();
    return parsed.empty() ? app : *parsed.front();
  };
  std::reverse(words.begin(), words.end());  // as CLI11 takes them
  try {
    app.parse(words);
  } catch (const CLI::Success& e) {  // --help, --version
    line.run = {};
    line.text = e.get_name() == "CallForVersion" ? text(SHEAR_VERSION, '\n') : app.help();
    return line;
  } catch (const CLI::ExtrasError& e) {
    refuse_extra(asked(), app.remaining(true));
    fail(Fault::usage, e.what());
  } catch (const CLI::RequiredError&) {  // which may be there, but mistyped
    refuse_extra(asked(), app.remaining(true));
    refuse_missing(asked());
  } catch (const CLI::ArgumentMismatch& e) {
    refuse_count(asked(), e.what());
  } catch (const CLI::ParseError& e) {
    fail(Fault::usage, e.what());
  }
  if (!line.run) fail(Fault::usage, "a command is missing, expected one of ", listed(names));
  return line;
}

}  // namespace shear::tool

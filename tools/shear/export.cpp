// shear export
#include <filesystem>
#include <nlohmann/json.hpp>

#include "command.h"
#include "options.h"
#include "output.h"
#include "table.h"

namespace shear::tool {

namespace {

struct ExportFlags {
  std::string weights, model, out, naming, dtype = "f32";
  bool overwrite = false, strict = false, allow_mismatch = false, json = false;
};

int run_export(const ExportFlags& flags) {
  const Weights weights(flags.weights);
  ExportOptions options{
      .naming = {}, .model = flags.model, .overwrite = flags.overwrite, .allow_mismatch = flags.allow_mismatch};
  if (!flags.naming.empty())
    options.naming = flags.naming == "hf"     ? ExportNaming::hugging_face
                     : flags.naming == "timm" ? ExportNaming::timm
                                              : ExportNaming::torchvision;
  if (flags.dtype != "f32") options.dtype = flags.dtype == "f16" ? DType::f16 : DType::bf16;
  const ExportReport report = export_weights(weights, flags.out, options);
  for (const std::string& note : report.notes) say(note);
  for (const std::string& warning : report.warnings) say("warning: " + warning);
  const std::filesystem::path& file = report.written.front();
  const auto bytes = std::filesystem::file_size(file);
  if (flags.json) {
    nlohmann::ordered_json j{{"out", file.string()}, {"tensors", report.tensors}, {"bytes", bytes}};
    for (const auto& path : report.written) j["written"].push_back(path.string());
    print_json(j);
  } else {
    print(text(file.string(), ": ", report.tensors, " tensors, ", human_bytes(bytes)));
    for (size_t i = 1; i < report.written.size(); ++i) print(report.written[i].string());
  }
  return 0;
}

}  // namespace

void add_export(CLI::App& app, Run& chosen) {
  auto flags = std::make_shared<ExportFlags>();
  CLI::App* cmd =
      app.add_subcommand("export", "the parameters alone, for timm, Hugging Face or torchvision, in f32, f16 or bf16");
  cmd->add_option("--weights", flags->weights, "a run's checkpoint, or whatever --weights of train takes")
      ->required()
      ->type_name("FILE");
  const std::vector<std::string> namings{"timm", "hf", "torchvision"}, types{"f32", "f16", "bf16"};
  offer(cmd->add_option("--naming", flags->naming,
                        "timm or hf, with the config.json that makes them load it; or torchvision")
            ->default_str("timm's names, without")
            ->check(CLI::IsMember(namings))
            ->type_name("NAME"),
        namings);
  offer(
      cmd->add_option("--dtype", flags->dtype, "f32, f16 or bf16")->capture_default_str()->check(CLI::IsMember(types)),
      types);
  offer_models(cmd->add_option("--model", flags->model, "where the weights do not say")
                   ->default_str("the weights' own")
                   ->type_name("NAME"));
  cmd->add_option("--out", flags->out, "a .safetensors file, or with --naming a directory for it and its configs")
      ->required()
      ->type_name("PATH");
  cmd->add_flag("--overwrite", flags->overwrite, "of config.json and preprocessor_config.json that are there");
  add_strictness(*cmd, flags->strict, flags->allow_mismatch);
  cmd->add_flag("--json", flags->json, "prints one JSON object");
  cmd->footer(example("shear export --weights run/last.safetensors --dtype f16 --out small.safetensors"));
  cmd->callback([&chosen, flags] { chosen = [flags] { return run_export(*flags); }; });
}

}  // namespace shear::tool

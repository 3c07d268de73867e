// shear inspect
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "command.h"
#include "options.h"
#include "output.h"
#include "shear/io.h"
#include "shear/weights.h"
#include "table.h"

namespace shear::tool {

namespace {

struct InspectFlags {
  std::string file;
  bool json = false;
};

// Which model the file is for, and what says so; or why that cannot be told.
struct Found {
  std::string model, name;
  std::vector<std::string> why;
};

Found find_model(const std::string& file) {
  Found found;
  try {
    const Weights weights(file);
    const ModelSpecPtr spec = weights.model();
    found.model = spec->str();
    found.name = spec->known_as();
    found.why = weights.describe(*spec, weights.preprocess(*spec));
    if (const std::string guess = weights.heads_guess(*spec, {}); !guess.empty())
      found.why.push_back("guess: " + guess);
  } catch (const Error& e) {
    if (e.fault() != Fault::input && e.fault() != Fault::usage) throw;
    found.why = {e.what()};
  }
  return found;
}

int run_inspect(const InspectFlags& flags) {
  const std::unique_ptr<const TensorFile> opened = open_tensors(flags.file);
  const TensorFile& file = *opened;
  int64_t elements = 0;
  size_t bytes = 0;
  for (const TensorView& t : file.tensors()) elements += t.shape.elements(), bytes += t.bytes.size();
  const Found found = find_model(flags.file);
  if (flags.json) {
    nlohmann::ordered_json j{
        {"file", flags.file}, {"elements", elements}, {"bytes", bytes}, {"tensors", nlohmann::ordered_json::array()}};
    for (const TensorView& t : file.tensors())
      j["tensors"].push_back({{"name", t.name},
                              {"dtype", name(t.dtype)},
                              {"shape", std::vector<int64_t>(t.shape.begin(), t.shape.end())},
                              {"bytes", t.bytes.size()}});
    j["metadata"] = file.metadata();
    j["model"] = found.model.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(found.model);
    j["model_name"] = found.name.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(found.name);
    j["model_told_by"] = found.why;
    print_json(j);
    return 0;
  }
  Table tensors({"tensor", "type", "shape", "elements"});
  for (const TensorView& t : file.tensors())
    tensors.add({t.name, std::string(name(t.dtype)), t.shape.str(), grouped(t.shape.elements())});
  std::cout << tensors << '\n'
            << file.tensors().size() << " tensors, " << grouped(elements) << " elements, " << human_bytes(bytes)
            << '\n';
  if (!file.metadata().empty()) std::cout << "\nMetadata:\n";
  for (const auto& [key, value] : file.metadata()) print("  " + key + ": " + value);
  std::cout << "\nModel:\n";
  if (!found.model.empty()) print("  " + found.model + (found.name.empty() ? "" : ", which is " + found.name));
  for (const std::string& line : found.why) print("  " + line);
  return 0;
}

}  // namespace

void add_inspect(CLI::App& app, Run& chosen) {
  auto flags = std::make_shared<InspectFlags>();
  CLI::App* cmd = app.add_subcommand("inspect", "what a weight file or checkpoint holds");
  cmd->add_option("FILE", flags->file, "safetensors, PyTorch's file or .npz")->required();
  cmd->add_flag("--json", flags->json, "prints one JSON object");
  cmd->footer(example("shear inspect run/last.safetensors"));
  cmd->callback([&chosen, flags] { chosen = [flags] { return run_inspect(*flags); }; });
}

}  // namespace shear::tool

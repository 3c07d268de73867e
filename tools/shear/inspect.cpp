// shear inspect
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "command.h"
#include "options.h"
#include "output.h"
#include "shear/io.h"
#include "table.h"

namespace shear::tool {

namespace {

struct InspectFlags {
  std::string file;
  bool json = false;
};

int run_inspect(const InspectFlags& flags) {
  const std::unique_ptr<const TensorFile> opened = open_tensors(flags.file);
  const TensorFile& file = *opened;
  int64_t elements = 0;
  size_t bytes = 0;
  for (const TensorView& t : file.tensors()) elements += t.shape.elements(), bytes += t.bytes.size();
  if (flags.json) {
    nlohmann::ordered_json j{
        {"file", flags.file}, {"elements", elements}, {"bytes", bytes}, {"tensors", nlohmann::ordered_json::array()}};
    for (const TensorView& t : file.tensors())
      j["tensors"].push_back({{"name", t.name},
                              {"dtype", name(t.dtype)},
                              {"shape", std::vector<int64_t>(t.shape.begin(), t.shape.end())},
                              {"bytes", t.bytes.size()}});
    j["metadata"] = file.metadata();
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

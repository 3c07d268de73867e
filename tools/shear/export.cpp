// shear export
#include <cmath>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "command.h"
#include "shear/train.h"
#include "table.h"

namespace shear::tool {

namespace {

struct Flags {
  std::string weights, out, dtype = "f32";
  bool json = false;
};

// What a checkpoint holds beside the parameters.
bool is_parameter(const std::string& name) { return !name.starts_with("optimizer.") && !name.starts_with("policy."); }

int run(const Flags& flags) {
  const SafeTensors file(flags.weights);
  const DType dtype = flags.dtype == "f16" ? DType::f16 : DType::f32;
  std::vector<std::vector<float>> values;
  std::vector<std::vector<uint16_t>> halves;
  std::vector<TensorToWrite> tensors;
  for (const TensorView& t : file.tensors()) {
    if (!is_parameter(t.name)) continue;
    std::vector<float>& floats = values.emplace_back(read_floats(file, t));
    const void* data = floats.data();
    if (dtype == DType::f16) {
      std::vector<uint16_t>& shorts = halves.emplace_back(floats.size());
      for (size_t i = 0; i < floats.size(); ++i) {
        if (std::fabs(floats[i]) > 65504.f)
          fail(Fault::input, flags.weights, ": ", t.name, " holds ", floats[i],
               ", which f16 cannot, expected --dtype f32");
        shorts[i] = f32_to_f16(floats[i]);
      }
      data = shorts.data();
    }
    tensors.push_back({t.name, dtype, t.shape, data});
  }
  std::map<std::string, std::string> metadata{{"format", "pt"}};
  if (const auto card = read_card(file)) metadata = to_metadata(*card);
  write_safetensors(flags.out, tensors, metadata);
  const auto bytes = std::filesystem::file_size(flags.out);
  if (flags.json)
    std::cout << nlohmann::ordered_json{{"out", flags.out}, {"tensors", tensors.size()}, {"bytes", bytes}}.dump(2)
              << '\n';
  else
    std::cout << flags.out << ": " << tensors.size() << " tensors, " << human_bytes(bytes) << '\n';
  return 0;
}

}  // namespace

void add_export(CLI::App& app, Run& chosen) {
  auto flags = std::make_shared<Flags>();
  CLI::App* cmd = app.add_subcommand("export", "the parameters alone, under timm's names, in f32 or f16");
  cmd->add_option("--weights", flags->weights, "safetensors, or a run's checkpoint")->required()->type_name("FILE");
  cmd->add_option("--dtype", flags->dtype, "f32 or f16")->capture_default_str()->check(CLI::IsMember({"f32", "f16"}));
  cmd->add_option("--out", flags->out, "the file to write")->required()->type_name("FILE");
  cmd->add_flag("--json", flags->json, "prints one JSON object");
  cmd->callback([&chosen, flags] { chosen = [flags] { return run(*flags); }; });
}

}  // namespace shear::tool

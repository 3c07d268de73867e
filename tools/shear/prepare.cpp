// shear prepare: images as a model sees them
#include <nlohmann/json.hpp>

#include "command.h"
#include "model.h"
#include "numbers.h"
#include "options.h"
#include "output.h"
#include "table.h"

namespace shear::tool {

namespace {

struct PrepareFlags {
  std::vector<std::string> images;
  DataFlags data;
  std::string weights, model, part, out;
  std::vector<int64_t> indices;
  ImageFlags image;
  bool json = false;
};

Preprocess choose_preprocess(const PrepareFlags& flags) {
  if (flags.weights.empty() == flags.model.empty())
    fail(Fault::usage, "--weights and --model say how images are prepared, expected one of them");
  const ImageOptions options = flags.image.read();
  const int64_t size = options.size.value_or(0);
  Preprocess p;
  if (!flags.model.empty()) {
    const ModelSpecPtr model = parse_model(flags.model)->with_image(size);
    expect_square(*model);
    p = default_preprocess(*model);
  } else {
    const Weights weights(flags.weights);
    const ModelSpecPtr model = weights.model({}, size);
    expect_square(*model);
    p = weights.preprocess(*model);
  }
  apply(options, p);
  return p;
}

int run_prepare(const PrepareFlags& flags) {
  if (flags.data.data.empty() != flags.indices.empty())
    fail(Fault::usage, "--data and --index name images together, expected both or none");
  if (flags.images.empty() == flags.indices.empty())
    fail(Fault::usage, "expected the files of images, or --data PATH --index I,J,..., one of them");
  const Preprocess p = choose_preprocess(flags);
  const size_t each = static_cast<size_t>(p.channels) * static_cast<size_t>(p.image) * static_cast<size_t>(p.image);
  std::vector<float> images;
  std::vector<int64_t> labels;
  const auto add = [&](const std::string& name, const Image& image) {
    images.resize(images.size() + each);
    prepare_named(name, image, p, images.data() + images.size() - each);
  };
  for (const std::string& path : flags.images) add(path, decode_image(path));
  if (!flags.data.data.empty()) {
    const DataSplits data = flags.data.open(flags.weights);
    const Dataset& part = choose_part(data, flags.part, flags.data.data);
    for (int64_t i : flags.indices) {
      require_index(part, i, flags.data.data);
      add(part.describe(i), part.read(i));
      labels.push_back(part.label(i));
    }
  }
  const int64_t count = static_cast<int64_t>(images.size() / each);
  std::vector<TensorToWrite> tensors{{"images", DType::f32, {count, p.channels, p.image, p.image}, images.data()}};
  if (!labels.empty()) tensors.push_back({"labels", DType::i64, {count}, labels.data()});
  write_safetensors(flags.out, tensors);
  if (flags.json)
    print_json({{"images", count}, {"channels", p.channels}, {"side", p.image}});
  else
    print(text(flags.out, ": ", count, " images of ", p.channels, " x ", p.image, " x ", p.image));
  return 0;
}

}  // namespace

void add_prepare(CLI::App& app, Run& chosen) {
  auto flags = std::make_shared<PrepareFlags>();
  CLI::App* cmd = app.add_subcommand("prepare", "images as a model sees them in evaluation: a batch for gradients");
  cmd->add_option("IMAGE", flags->images, "JPEG, PNG, WebP, GIF, BMP or TIFF files");
  cmd->add_option("--weights", flags->weights, "as for eval: how their images are prepared")->type_name("FILE");
  offer_models(cmd->add_option("--model", flags->model, "or a model, whose images are prepared as timm does")
                   ->type_name("NAME"));
  flags->data.add_data(*cmd, "takes images, and their labels, from a data set instead");
  offer_parts(cmd->add_option("--part", flags->part, "train, val or test")->default_str("val where there is one"));
  add_indices(*cmd, "--index", flags->indices, "which of its images, counted from 0");
  cmd->add_option("--out", flags->out, "safetensors: images F32 (B, C, H, W), normalised, and labels I64 (B)")
      ->required()
      ->type_name("FILE");
  flags->image.add(*cmd, "the weights' own, else as timm");
  cmd->add_flag("--json", flags->json, "prints one JSON object");
  cmd->footer(
      example("shear prepare --weights run/model.safetensors --data photos/ --index 0,1 --out batch.safetensors"));
  cmd->callback([&chosen, flags] { chosen = [flags] { return run_prepare(*flags); }; });
}

}  // namespace shear::tool

// Flags that several commands share.
#include "options.h"

#include <charconv>

#include "numbers.h"
#include "output.h"

namespace shear::tool {

size_t parse_bytes(const std::string& flag, const std::string& value) {
  static constexpr std::pair<std::string_view, double> units[] = {
      {"", 1},         {"B", 1},        {"K", 0x1p10},   {"M", 0x1p20}, {"G", 0x1p30}, {"T", 0x1p40}, {"KiB", 0x1p10},
      {"MiB", 0x1p20}, {"GiB", 0x1p30}, {"TiB", 0x1p40}, {"KB", 1e3},   {"MB", 1e6},   {"GB", 1e9},   {"TB", 1e12}};
  double number = 0;
  const char* end = value.data() + value.size();
  const auto read = std::from_chars(value.data(), end, number);
  if (read.ec == std::errc())
    for (const auto& [unit, factor] : units)
      if (std::string_view(read.ptr, static_cast<size_t>(end - read.ptr)) == unit && number * factor >= 1 &&
          number * factor < 0x1p62)
        return static_cast<size_t>(number * factor);
  fail(Fault::usage, flag, " ", value, ": expected a size such as 4GiB or 800MB, from one byte to 2^62");
}

DeviceKind parse_device(const std::string& value) {
  if (value == "cpu") return DeviceKind::cpu;
  if (value == "cuda") return DeviceKind::cuda;
  fail(Fault::usage, "--device ", value, ": expected cpu or cuda");
}

std::vector<std::string> split_policies(const std::string& value) {
  std::vector<std::string> policies;
  std::istringstream in(value);
  for (std::string part; std::getline(in, part, ';');)
    if (!part.empty()) policies.push_back(part);
  if (policies.empty()) fail(Fault::usage, "--policy is empty: expected names separated by ';'");
  return policies;
}

void ImageFlags::add(CLI::App& app, const std::string& otherwise) {
  const auto group = "Preprocessing";
  const auto range = [](const char* flag) { return text(" (", recipe_range(flag).str(), ")"); };
  app.add_option("--image-mean", mean,
                 "subtracted from pixels in [0, 1]: one number, or one per channel" + range("image-mean"))
      ->default_str(otherwise)
      ->type_name("V[,V,V]")
      ->group(group);
  app.add_option("--image-std", std, "pixels are divided by it then" + range("image-std"))
      ->default_str(otherwise)
      ->type_name("V[,V,V]")
      ->group(group);
  add_recipe_number(app, "--image-crop", crop, "evaluation: the share of the shorter side that the centre cut keeps")
      ->default_str(otherwise)
      ->group(group);
  offer(app.add_option("--interpolation", interpolation, "bilinear, bicubic, lanczos, box or hamming")
            ->default_str(otherwise)
            ->group(group),
        interpolations());
  app.add_flag("--squash", squash, "evaluation: resize both sides whatever the ratio, cut nothing")->group(group);
  add_recipe_number(app, "--image-size", size, "the side that the model sees; position embeddings are resized to it")
      ->default_str("the model's own")
      ->group(group);
}

void add_strictness(CLI::App& app, bool& strict, bool& allow_mismatch) {
  CLI::Option* given =
      app.add_flag("--strict", strict, "weights that lack a parameter, or have more, are an error: so they are anyway");
  app.add_flag("--allow-mismatch", allow_mismatch,
               "a warning instead: what the weights have more is left out, what they lack is drawn")
      ->excludes(given);
}

void add_loading(CLI::App& app, std::string& positions, bool& strict, bool& allow_mismatch) {
  CLI::Option* method = app.add_option("--positions", positions,
                                       "how position embeddings are resized: zoom (Google), bilinear, bicubic (Hugging "
                                       "Face) or bicubic-antialias (timm)");
  method->default_str("as the weights' library")->type_name("METHOD");
  offer(method, {"zoom", "bilinear", "bicubic", "bicubic-antialias"});
  add_strictness(app, strict, allow_mismatch);
}

static std::optional<std::array<double, 3>> read_channels(const std::string& flag, const std::string& value) {
  if (value.empty()) return std::nullopt;
  const std::vector<double> numbers = read_numbers(flag, value, recipe_range(flag.substr(2)));
  if (numbers.size() == 1) return std::array{numbers[0], numbers[0], numbers[0]};
  if (numbers.size() == 3) return std::array{numbers[0], numbers[1], numbers[2]};
  fail(Fault::usage, flag, " ", value, ": expected one number or three, separated by commas");
}

ImageOptions ImageFlags::read() const {
  ImageOptions options;
  options.mean = read_channels("--image-mean", mean);
  options.std = read_channels("--image-std", std);
  options.crop = crop;
  if (!interpolation.empty()) options.interpolation = interpolation;
  options.squash = squash;
  options.size = size;
  return options;
}

void DeviceFlags::add(CLI::App& app) {
  add_number(app, "--threads", threads, thread_counts,
             "for the computation; 0: OMP_NUM_THREADS, else the CPUs that the process may use");
  offer(app.add_option("--device", device, "cpu or cuda")->capture_default_str(), {"cpu", "cuda"});
  offer(app.add_option("--precision", precision, "of products and of kept activations: f32 or bf16")
            ->capture_default_str(),
        {"f32", "bf16"});
}

// Kept with the flag as a check that is never made: help pages do not show one.
CLI::Option* offer(CLI::Option* option, const std::vector<std::string>& words, bool whole) {
  std::string all = whole ? "" : " ";
  for (const std::string& word : words) all += word + '\n';
  return option->check(CLI::Validator(all).active(false), "offer");
}

Offered offered(CLI::Option& option) {
  Offered offered;
  try {
    std::string all = CLI::Validator(*option.get_validator("offer")).active().get_description();
    offered.whole = !all.starts_with(' ');
    std::istringstream in(all.substr(offered.whole ? 0 : 1));
    for (std::string word; std::getline(in, word);) offered.words.push_back(word);
  } catch (const CLI::OptionNotFound&) {
  }
  return offered;
}

CLI::Option* offer_models(CLI::Option* option) { return offer(option, known_models(), false); }

CLI::Option* offer_policies(CLI::Option* option) {
  std::vector<std::string> names;
  for (const PolicyDoc& doc : policy_docs()) names.emplace_back(doc.name);
  return offer(option, names, false);
}

CLI::Option* add_trainable(CLI::App& app, std::string& train) {
  return offer(
      app.add_option("--train", train,
                     "all, head, or names of parameters with commas between them, as in 'blocks.{8..11}.*,head': "
                     "the rest is frozen")
          ->capture_default_str(),
      {"all", "head"}, false);
}

CLI::Option* add_weights_as(CLI::App& app, std::string& weights) {
  return offer(app.add_option("--weights-as", weights,
                              "how weights sleep between uses: f32, or in half (bf16) or three quarters (bf16+8) of "
                              "its memory, rounded at random in updates")
                   ->capture_default_str(),
               {"f32", "bf16", "bf16+8"});
}

CLI::Option* add_lora(CLI::App& app, std::string& lora) {
  return app
      .add_option("--lora", lora,
                  "freezes the linears that PATTERN names (all in blocks) and trains two matrices of this rank beside "
                  "each, scaled by alpha / rank (alpha: as rank), and what --train names (the head); what is saved has "
                  "them added up")
      ->type_name("RANK[:alpha=A,on=PATTERN]");
}

CLI::Option* add_state(CLI::App& app, std::string& state) {
  return offer(app.add_option("--state", state, "of the optimizer: f32, or 8bit for a quarter of its memory")
                   ->capture_default_str(),
               {"f32", "8bit"});
}

CLI::Option* add_update(CLI::App& app, std::string& update) {
  return offer(app.add_option("--update", update,
                              "after, or in-backward: each parameter as soon as its gradient is complete, which "
                              "then needs no memory of its own")
                   ->capture_default_str(),
               {"after", "in-backward"});
}

CLI::Option* add_block_errors(CLI::App& app, std::string& path) {
  return app
      .add_option(
          "--block-errors", path,
          "for policy auto: blocks.json of compare --gradients-only --by-block, what codes do to this model, in "
          "place of what they did to a DINOv2")
      ->type_name("FILE");
}

std::optional<MeasuredBlocks> read_block_errors(const std::string& path, bool chosen_by) {
  if (path.empty()) return {};
  if (!chosen_by)
    fail(Fault::usage, "--block-errors ", path, ": nothing is chosen by it, expected --policy auto and --budget");
  try {
    return measured_blocks_from_json(read_text(path));
  } catch (const Error& error) {
    fail(Fault::input, "--block-errors ", path, ": ", error.what());
  }
}

CLI::Option* offer_parts(CLI::Option* option) { return offer(option, {"train", "val", "test"}); }

std::string policy_help() {
  std::string help = "Policies (NAME[:key=value,...]):\n";
  for (const PolicyDoc& doc : policy_docs()) {
    help += text("  ", doc.name, std::string(doc.name.size() < 12 ? 12 - doc.name.size() : 1, ' '), doc.what);
    std::string keys(doc.keys);
    for (size_t at = 0; (at = keys.find(',', at)) != std::string::npos; at += 2) keys.replace(at, 1, ", ");
    if (!keys.empty()) help += "  [" + keys + ']';
    help += '\n';
  }
  help +=
      "All but backrazor, codes and the exact ones also take the bits of LayerNorm's inputs (norm=8) and GELU's slopes "
      "(gelu=4), and of queries, keys and values kept whole (qkv=4; without it, but in tokens, they are pruned).\n"
      "auto, with a --budget of train or plan: full, lean or codes, of what fits the one of least gradient error.\n"
      "By site, the first that fits: \"tokens@blocks.*.mlp.*|prebr++@blocks.*|full\"\n\n";
  return help;
}

std::string example(const std::string& command) { return "Example:\n  " + command; }

void add_data_options(CLI::App& app, DataOptions& options) {
  const auto group = "Data";
  std::string kinds;
  for (const std::string& kind : data_kinds()) kinds += (kinds.empty() ? "" : ", ") + kind;
  offer(app.add_option("--kind", options.kind, "what the data set is: " + kinds)
            ->default_str("recognised, and printed")
            ->group(group),
        data_kinds());
  offer(app.add_option("--class-order", options.class_order,
                       "of folders and CSV: plain (as torchvision: 10 before 2) or natural (as timm: 2 before 10)")
            ->capture_default_str()
            ->group(group),
        {"plain", "natural"});
  add_recipe_number(app, "--val-share", options.val_share,
                    "share of each class's training images to hold out, where there is no validation part")
      ->group(group);
  add_recipe_number(app, "--split-seed", options.split_seed, "which images are held out")->group(group);
  app.add_flag("--official-split", options.official_split,
               "Flowers-102: train on trnid alone and validate on valid (else: train on both, validate on tstid)")
      ->group(group);
}

CLI::Option* DataFlags::add_data(CLI::App& app, const std::string& help) {
  app_ = &app;
  CLI::Option* added = app.add_option("--data", data, help)->type_name("PATH");
  add_data_options(app, options);
  return added;
}

void DataFlags::add_val(CLI::App& app) {
  app.add_option("--val", val, "another data set of the same kind for validation")->type_name("PATH");
}

// The recipe of the run that a weight file comes from.
static std::optional<Recipe> recipe_of(const std::string& weights) {
  const std::unique_ptr<const TensorFile> file = open_tensors(weights);
  const auto found = file->metadata().find("shear.recipe");
  if (found == file->metadata().end()) return std::nullopt;
  return recipe_from_json(found->second);
}

DataSplits DataFlags::open(const std::string& weights) const {
  DataOptions now = options;
  now.any_classes = true;  // the commands that open a data set here train on none
  if (const auto recipe = weights.empty() ? std::nullopt : recipe_of(weights)) {
    const DataOptions& then = recipe->read;
    const auto given = [&](const char* flag) { return app_->get_option(flag)->count() > 0; };
    if (recipe->data == absolute_path(data)) {
      if (!given("--kind")) now.kind = then.kind;
      if (!given("--class-order")) now.class_order = then.class_order;
      if (!given("--val-share")) now.val_share = then.val_share;
      if (!given("--split-seed")) now.split_seed = then.split_seed;
      if (!given("--official-split")) now.official_split = then.official_split;
    } else if (then.val_share > 0 && !given("--val-share")) {
      say(text("warning: the run of ", weights, " held a part of ", recipe->data,
               " out; the same images elsewhere take --val-share ", then.val_share, " --split-seed ", then.split_seed));
    }
  }
  DataSplits splits = open_data(data, val, now);
  for (const std::string& note : splits.notes) say("warning: " + note);
  return splits;
}

std::string absolute_path(const std::string& path) {
  return path.empty() ? path : std::filesystem::absolute(path).lexically_normal().string();
}

const Dataset& choose_part(const DataSplits& data, const std::string& part, const std::string& path) {
  if (part.empty()) return data.val ? *data.val : *data.train;
  if (part == "train") return *data.train;
  if (part == "test") {
    // A test part that serves for validation is that.
    if (!data.test)
      fail(Fault::input, path, ": has no test part beside a validation part, expected --part val or train");
    return *data.test;
  }
  if (part != "val") fail(Fault::usage, "--part ", part, ": expected train, val or test");
  if (!data.val) fail(Fault::input, path, ": has no validation part, expected --part train or another data set");
  return *data.val;
}

void require_index(const Dataset& part, int64_t index, const std::string& path) {
  if (index < 0 || index >= part.size())
    fail(Fault::input, "--index ", index, ": ", path, " has ", part.size(), " images, expected 0 to ", part.size() - 1);
}

}  // namespace shear::tool

// shear export: the parameters alone, in f16, and under the names of other libraries.
#include <cmath>

#include "shear/error.h"
#include "shear/weights.h"
#include "shell.h"
#include "tests_dir.h"
#include "weights/source_config.h"

using namespace shear;
using namespace shear::test;

TEST_CASE("export leaves the parameters of a checkpoint in f16, which evaluate as the weights do") {
  Shell shear;
  write_idx(shear.dir / "data");
  REQUIRE(shear({"train", "--data", shear.path("data"), "--model", tiny_model, "--out", shear.path("run"), "--epochs",
                 "2", "--batch", "16", "--lr", "3e-3"})
              .status == 0);
  const std::string out = shear.path("short.safetensors"), last = shear.path("run/last.safetensors");
  REQUIRE(shear({"export", "--weights", last, "--dtype", "f16", "--out", out}).status == 0);
  const auto held = shear({"inspect", out, "--json"}).json(),
             all = shear({"inspect", shear.path("run/model.safetensors"), "--json"}).json();
  CHECK(held["elements"] == all["elements"]);
  CHECK(held["bytes"] == 2 * held["elements"].get<int64_t>());
  for (const auto& t : held["tensors"]) CHECK(t["dtype"] == "F16");
  const auto accuracy = [&](const std::string& weights) {
    return shear({"eval", "--data", shear.path("data"), "--weights", weights, "--json"}).json();
  };
  const double loss = accuracy(out)["loss"], exact = accuracy(shear.path("run/model.safetensors"))["loss"];
  CHECK(std::fabs(loss - exact) < 1e-3 * exact);
  shear.refuses(2, {"export", "--weights", last, "--dtype", "f8", "--out", out}, {"--dtype"});
}

namespace {

const std::filesystem::path golden = tests_dir() / "golden" / "weights";

std::map<std::string, std::string> bytes_by_name(const std::filesystem::path& path) {
  const std::unique_ptr<TensorFile> file = open_tensors(path);
  std::map<std::string, std::string> tensors;
  for (const TensorView& t : file->tensors())
    tensors[t.name] = text(t.shape) + std::string(reinterpret_cast<const char*>(t.bytes.data()), t.bytes.size());
  return tensors;
}

// Hugging Face's golden model of version 5 with an epsilon that timm has too.
std::string hf5(const std::filesystem::path& dir) {
  std::filesystem::copy(golden / "hf5", dir / "hf5");
  nlohmann::json config = nlohmann::json::parse(contents(dir / "hf5/config.json"));
  config["layer_norm_eps"] = 1e-12;
  put(dir / "hf5/config.json", config.dump());
  return (dir / "hf5").string();
}

}  // namespace

TEST_CASE("from timm through Hugging Face's names and back every bit is the same") {
  Shell shear;
  const auto convert = [&](const std::string& from, const std::string& naming, const std::string& to) {
    const Result r = shear({"export", "--weights", from, "--naming", naming, "--out", shear.path(to), "--json"});
    CAPTURE(r.err);
    REQUIRE(r.status == 0);
    CHECK(r.json()["out"] == shear.path(to) + "/model.safetensors");
  };
  convert((golden / "timm").string(), "hf", "hf");
  convert(shear.path("hf"), "timm", "timm");
  CHECK(bytes_by_name(shear.dir / "timm") == bytes_by_name(golden / "timm"));
  const auto hf = bytes_by_name(shear.dir / "hf");
  CHECK(hf.size() == 40);
  for (const auto& [name, bytes] : bytes_by_name(golden / "hf")) CHECK_MESSAGE(hf.contains(name), name);

  convert(hf5(shear.dir.path()), "hf", "old");  // the spelling that every version of transformers reads
  convert(shear.path("old"), "timm", "through");
  convert(shear.path("through"), "hf", "again");
  CHECK(bytes_by_name(shear.dir / "again") == bytes_by_name(shear.dir / "old"));
}

TEST_CASE("an export stands beside the configs that its library reads") {
  Shell shear;
  REQUIRE(
      shear({"export", "--weights", (golden / "timm").string(), "--naming", "hf", "--out", shear.path("hf")}).status ==
      0);
  const auto read = [&](const std::string& file) { return nlohmann::json::parse(contents(shear.dir / file)); };
  const auto config = read("hf/config.json"), theirs = nlohmann::json::parse(contents(golden / "hf/config.json"));
  for (const auto& [key, value] : theirs.items()) {
    if (key == "transformers_version" || key.starts_with("pooler_") || key == "encoder_stride") continue;
    CAPTURE(key);
    if (key == "layer_norm_eps")
      CHECK(config[key] == 1e-6);
    else
      CHECK(config[key] == value);
  }
  const auto images = read("hf/preprocessor_config.json");
  CHECK(images["size"] == nlohmann::json{{"shortest_edge", 13}});  // floor(12 / 0.9)
  CHECK(images["crop_size"] == nlohmann::json{{"height", 12}, {"width", 12}});
  CHECK(images["do_center_crop"] == true);
  CHECK(images["resample"] == 3);

  // Without the card in the file's metadata the configs say the same.
  const SafeTensors file(shear.dir / "hf/model.safetensors");
  std::vector<TensorToWrite> tensors;
  for (const TensorView& t : file.tensors()) tensors.push_back({t.name, t.dtype, t.shape, t.bytes.data()});
  std::filesystem::create_directory(shear.dir / "bare");
  for (const char* name : {"config.json", "preprocessor_config.json"})
    std::filesystem::copy(shear.dir / "hf" / name, shear.dir / "bare" / name);
  write_safetensors(shear.dir / "bare/model.safetensors", tensors);
  const Weights bare(shear.dir / "bare"), carded(shear.dir / "hf");
  CHECK(bare.model()->str() == carded.model()->str());
  CHECK(bare.class_names() == carded.class_names());
  // Whole pixels stand in the config, a share in the card: 12 of 13 there, 0.9 here, and the same resized side.
  Preprocess from_config = bare.preprocess(*bare.model());
  const Preprocess from_card = carded.preprocess(*carded.model());
  CHECK(resized_side(from_config) == resized_side(from_card));
  CHECK(from_config.halves == Halves::down);  // which transformers does, and timm does not
  from_config.crop = from_card.crop;
  from_config.halves = from_card.halves;
  CHECK(to_metadata({"", {}, from_config}) == to_metadata({"", {}, from_card}));

  const std::string with_tanh = hf5(shear.dir.path());
  REQUIRE(shear({"export", "--weights", with_tanh, "--naming", "timm", "--out", shear.path("timm")}).status == 0);
  const auto timm = read("timm/config.json");
  CHECK(timm["architecture"] == "vit_base_patch16_224");
  CHECK(timm["model_args"] == nlohmann::json{{"patch_size", 4},
                                             {"embed_dim", 12},
                                             {"depth", 2},
                                             {"num_heads", 3},
                                             {"mlp_ratio", 2},
                                             {"img_size", 12},
                                             {"act_layer", "gelu_tanh"}});
  CHECK(timm["label_names"].size() == 5);
  CHECK(timm["pretrained_cfg"]["crop_mode"] == "squash");
}

TEST_CASE("the configs of an export resize and cut as those that were read") {
  Shell shear;
  struct Case {
    const char* preprocessor;
    Fit fit;
    int64_t resized;
  };
  for (const auto& [preprocessor, fit, resized] :
       {Case{R"({"size": 16, "do_center_crop": true, "crop_size": 12})", Fit::both, 16},
        {R"({"size": {"shortest_edge": 19}, "do_center_crop": true, "crop_size": 12})", Fit::shorter, 19},
        {R"({"image_processor_type": "ConvNextImageProcessor", "size": 12, "crop_pct": 0.7})", Fit::shorter, 17},
        {R"({"size": 9, "do_center_crop": true, "crop_size": 12, "resample": 1})", Fit::both, 9},
        {R"({"size": {"shortest_edge": 7}, "do_center_crop": true, "crop_size": 12, "resample": 5})", Fit::shorter, 7},
        {R"({"size": 12, "resample": 4})", Fit::both, 12}}) {
    CAPTURE(preprocessor);
    const Interpolation filter = parse_preprocessor(preprocessor, "p", {}, "vit").interpolation;
    std::filesystem::remove_all(shear.dir / "from");
    std::filesystem::copy(golden / "hf", shear.dir / "from");
    put(shear.dir / "from/preprocessor_config.json", preprocessor);
    for (const std::string naming : {"hf", "timm"}) {
      const Result r = shear(
          {"export", "--weights", shear.path("from"), "--naming", naming, "--out", shear.path(naming), "--overwrite"});
      CAPTURE(r.err);
      REQUIRE(r.status == 0);
      // The configs alone: the card in the file's metadata is left out.
      const SafeTensors file(shear.dir / naming / "model.safetensors");
      std::vector<TensorToWrite> tensors;
      for (const TensorView& t : file.tensors()) tensors.push_back({t.name, t.dtype, t.shape, t.bytes.data()});
      write_safetensors(shear.dir / naming / "model.safetensors", tensors);
      const Weights read(shear.dir / naming);
      const Preprocess p = read.preprocess(*read.model());
      CHECK(p.image == 12);
      CHECK(p.fit == fit);
      CHECK(resized_side(p) == resized);
      CHECK(p.interpolation == filter);
      CHECK((p.halves == Halves::down) == (naming == "hf"));
      const bool differs = naming == "timm" && (fit == Fit::shorter || (resized - 12) % 4 == 3);
      CHECK((r.err.find("timm cuts a centre that leaves an odd number of pixels") != std::string::npos) == differs);
    }
  }
}

TEST_CASE("images that are not resized, or not cut, are exported to who can say so") {
  Shell shear;
  std::filesystem::copy(golden / "hf", shear.dir / "from");
  for (const auto& [preprocessor, fit, how] :
       {std::tuple{R"({"do_resize": false})", Fit::none, "not resized"},
        {R"({"size": {"shortest_edge": 12}, "do_center_crop": false})", Fit::shorter, "not cut"}}) {
    put(shear.dir / "from/preprocessor_config.json", preprocessor);
    const Args args{"export", "--weights", shear.path("from"), "--overwrite", "--out", shear.path("out"), "--naming"};
    Args timm = args, hf = args;
    timm.push_back("timm");
    hf.push_back("hf");
    shear.refuses(3, timm,
                  {text("from/model.safetensors: its images are ", how,
                        ", which timm's configs cannot say, expected --naming hf")});
    REQUIRE(shear(hf).status == 0);
    const Preprocess again = parse_preprocessor(contents(shear.dir / "out/preprocessor_config.json"), "p", {});
    CHECK(again.fit == fit);
    CHECK_FALSE(again.cut);
  }
}

TEST_CASE("a model that its library shows images of another size is exported for the size of its positions") {
  Shell shear;
  std::filesystem::copy(tests_dir() / "golden/families/hf_dinov2", shear.dir / "from");
  put(shear.dir / "from/preprocessor_config.json",
      R"({"image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 10}, "crop_size": 8})");
  const Result r = shear({"export", "--weights", shear.path("from"), "--out", shear.path("out.safetensors")});
  CAPTURE(r.err);
  REQUIRE(r.status == 0);
  CHECK(r.err.find("written for images of 12 pixels, as the positions are stored; the library of these weights shows "
                   "them 8") != std::string::npos);
  const Weights out(shear.dir / "out.safetensors");
  CHECK(out.model()->input() == Shape({3, 12, 12}));
  CHECK(resized_side(out.preprocess(*out.model())) == 15);  // the share of the centre stays
}

TEST_CASE("a config that is there with another content is not written over unasked") {
  Shell shear;
  std::filesystem::create_directory(shear.dir / "out");
  put(shear.dir / "out/config.json", "{}");
  const Args args{"export", "--weights", (golden / "timm").string(), "--naming", "hf", "--out", shear.path("out")};
  shear.refuses(3, args, {"out/config.json: it is there with another content, expected --overwrite"});
  CHECK_FALSE(std::filesystem::exists(shear.dir / "out/model.safetensors"));
  Args overwriting = args;
  overwriting.push_back("--overwrite");
  CHECK(shear(overwriting).status == 0);
  CHECK(shear(args).status == 0);  // the same content
}

TEST_CASE("export names what it cannot write") {
  Shell shear;
  const auto args = [&](const std::string& weights) {
    return Args{"export", "--weights", (golden / weights).string(), "--naming", "timm", "--out", shear.path("x")};
  };
  shear.refuses(2, args("hf5"), {"--naming: timm has no norm of such an epsilon in such a model"});
  shear.refuses(3, args("hf_base"), {"hf_base/model.safetensors: head.weight, head.bias are not there, expected all"});
  Args npz = args("stored.npz");
  shear.refuses(3, npz,
                {"stored.npz: 2 tensors have no place in this model", "pre_logits/", "(a layer before the head)"});
  npz.push_back("--allow-mismatch");
  const Result allowed = shear(npz);
  CHECK(allowed.status == 0);
  CHECK(allowed.sentence().starts_with("warning: " + (golden / "stored.npz").string() + ": not used: pre_logits/"));
  Args larger = args("timm");
  larger.insert(larger.end(), {"--model", "vit:image=20,patch=4,dim=12,depth=2,mlp=2,heads=3"});
  shear.refuses(3, larger, {"has positions for images of 12 pixels, not of the 20 of --model"});
  shear.refuses(3, args("expected.safetensors"), {"none of its", "is called as in a ViT of timm"});
  shear.refuses(2, {"export", "--weights", (golden / "timm").string(), "--naming", "jax", "--out", shear.path("x")},
                {"--naming"});
  shear.refuses(2,
                {"gradients", "--weights", (golden / "timm").string(), "--positions", "linear", "--batch",
                 (golden / "expected.safetensors").string(), "--out", shear.path("g")},
                {"--positions linear: expected zoom, bilinear, bicubic or bicubic-antialias"});
}

// Weights from files: names must match, and what does not is told of.
#include <doctest/doctest.h>

#include <algorithm>

#include "backend.h"
#include "shear/models/vit.h"
#include "shear/train.h"
#include "train_fixture.h"

using namespace shear;
using namespace shear::test;
namespace fs = std::filesystem;

namespace {

VitConfig config_of(int64_t classes) {
  return {.image = 8, .patch = 4, .dim = 16, .depth = 1, .heads = 2, .classes = classes, .channels = 1};
}

struct Fixture {
  explicit Fixture(const VitConfig& config, uint64_t seed = 1) : device(test_backend(1)), model(device, config, seed) {}
  std::vector<float> values(std::string_view name) { return device.download(model.parameters().find(name)->value); }
  Device device;
  Vit model;
};

std::string message_of(const fs::path& file, Fixture& into, Matching matching) {
  try {
    load_weights(Weights(file), into.model.parameters(), {.matching = matching});
  } catch (const Error& e) {
    CHECK(e.fault() == Fault::input);
    return e.what();
  }
  return "nothing was thrown";
}

// The file's tensors with some of them changed, as F32.
void rewrite(const fs::path& from, const fs::path& to, const std::function<bool(TensorToWrite&)>& keep) {
  const SafeTensors file(from);
  std::vector<TensorToWrite> out;
  for (const TensorView& t : file.tensors()) {
    TensorToWrite w{t.name, t.dtype, t.shape, t.bytes.data()};
    if (keep(w)) out.push_back(w);
  }
  write_safetensors(to, out, file.metadata());
}

}  // namespace

TEST_CASE("weights come back from their file bit for bit") {
  const TempDir dir;
  Fixture a(config_of(4), 1), b(config_of(4), 2);
  save_weights(dir / "w.safetensors", a.model.parameters(), {});
  CHECK(a.values("blocks.0.mlp.fc1.weight") != b.values("blocks.0.mlp.fc1.weight"));
  const WeightsReport report = load_weights(Weights(dir / "w.safetensors"), b.model.parameters(), {});
  CHECK(report.missing.empty());
  CHECK(report.unused.empty());
  CHECK(report.head == HeadFrom::file);
  for (const Param& p : a.model.parameters()) {
    CAPTURE(p.name);
    CHECK(a.values(p.name) == b.values(p.name));
  }
}

TEST_CASE("a head for other classes is replaced by zeros when fine-tuning, and is an error otherwise") {
  const TempDir dir;
  Fixture a(config_of(4), 1), b(config_of(7), 2);
  save_weights(dir / "w.safetensors", a.model.parameters(), {});
  const std::string sentence = message_of(dir / "w.safetensors", b, Matching::exact);
  CHECK(sentence.find("head.weight has the shape (4, 16), the model expects (7, 16)") != std::string::npos);
  const WeightsReport report =
      load_weights(Weights(dir / "w.safetensors"), b.model.parameters(), {.matching = Matching::fine_tuning});
  CHECK(report.head == HeadFrom::zero);
  CHECK(report.notes == std::vector<std::string>{text((dir / "w.safetensors").string(),
                                                      ": its head has 4 classes, not the 7 of the data; the new one "
                                                      "begins at zero")});
  CHECK(report.missing.empty());
  for (const char* name : {"head.weight", "head.bias"})
    CHECK(std::ranges::all_of(b.values(name), [](float v) { return v == 0; }));
  CHECK(b.values("norm.weight") == a.values("norm.weight"));
  CHECK(b.values("blocks.0.attn.qkv.weight") == a.values("blocks.0.attn.qkv.weight"));
}

TEST_CASE("names that are missing or left over are refused, or listed when fine-tuning with --allow-mismatch") {
  const TempDir dir;
  Fixture a(config_of(4), 1), b(config_of(4), 2);
  save_weights(dir / "w.safetensors", a.model.parameters(), {});
  rewrite(dir / "w.safetensors", dir / "cut.safetensors", [](TensorToWrite& t) {
    if (t.name == "norm.bias") t.name = "fc_norm.bias";
    if (t.name == "pos_embed") t.name = "optimizer.m.pos_embed";  // state of a checkpoint is nobody's business
    return t.name != "cls_token";
  });
  const std::vector<float> own = b.values("pos_embed");
  const std::string missing = text((dir / "cut.safetensors").string(),
                                   ": cls_token, pos_embed, norm.bias are not there, expected all 20 parameters of the "
                                   "model (what it has instead: fc_norm.bias (beyond the model))");
  CHECK(message_of(dir / "cut.safetensors", b, Matching::exact) == missing);
  CHECK(message_of(dir / "cut.safetensors", b, Matching::fine_tuning) == missing + "; --allow-mismatch draws them");
  const WeightsReport report = load_weights(Weights(dir / "cut.safetensors"), b.model.parameters(),
                                            {.matching = Matching::fine_tuning, .allow_mismatch = true});
  CHECK(report.missing == std::vector<std::string>{"cls_token", "pos_embed", "norm.bias"});
  CHECK(report.unused == std::vector<std::string>{"fc_norm.bias"});
  CHECK(report.warnings.size() == 2);
  CHECK(b.values("pos_embed") == own);
  // To evaluate, all of it must be there whatever is allowed.
  CHECK_THROWS_WITH_AS(load_weights(Weights(dir / "cut.safetensors"), b.model.parameters(), {.allow_mismatch = true}),
                       doctest::Contains("cls_token, pos_embed, norm.bias are not there"), Error);
}

TEST_CASE("a wrong shape is refused with both shapes, before anything is changed") {
  const TempDir dir;
  Fixture a(config_of(4), 1), b(config_of(4), 2);
  save_weights(dir / "w.safetensors", a.model.parameters(), {});
  rewrite(dir / "w.safetensors", dir / "turned.safetensors", [](TensorToWrite& t) {
    if (t.name == "blocks.0.mlp.fc2.weight") t.shape = {64, 16};
    return true;
  });
  const std::vector<float> before = b.values("patch_embed.proj.weight");
  for (Matching m : {Matching::exact, Matching::fine_tuning}) {
    const std::string sentence = message_of(dir / "turned.safetensors", b, m);
    CHECK(sentence.find("blocks.0.mlp.fc2.weight has the shape (64, 16), the model expects (16, 64)") !=
          std::string::npos);
  }
  CHECK(b.values("patch_embed.proj.weight") == before);
}

TEST_CASE("parameters that a file gives need not be drawn, and those that it lacks are drawn as ever") {
  const TempDir dir;
  Fixture a(config_of(4), 1), drawn(config_of(4), 2);
  save_weights(dir / "w.safetensors", a.model.parameters(), {});
  rewrite(dir / "w.safetensors", dir / "cut.safetensors",
          [](TensorToWrite& t) { return t.name != "blocks.0.attn.qkv.weight"; });
  Device device(make_cpu_backend(1));
  Vit model(device, config_of(4), 2, Values::undefined);
  const WeightsReport report = load_weights(Weights(dir / "cut.safetensors"), model.parameters(),
                                            {.matching = Matching::fine_tuning, .allow_mismatch = true});
  CHECK(report.missing == std::vector<std::string>{"blocks.0.attn.qkv.weight"});
  for (const Param& p : model.parameters()) {
    CAPTURE(p.name);
    CHECK(device.download(p.value) == (p.name == "blocks.0.attn.qkv.weight" ? drawn.values(p.name) : a.values(p.name)));
  }
}

TEST_CASE("weights in half precision are read as floats") {
  const TempDir dir;
  Fixture a(config_of(4), 1), b(config_of(4), 2);
  save_weights(dir / "w.safetensors", a.model.parameters(), {});
  std::vector<std::vector<uint16_t>> halves;
  halves.reserve(a.model.parameters().size());
  rewrite(dir / "w.safetensors", dir / "half.safetensors", [&](TensorToWrite& t) {
    const float* values = static_cast<const float*>(t.data);
    auto& half = halves.emplace_back();
    for (int64_t i = 0; i < t.shape.elements(); ++i) half.push_back(f32_to_bf16(values[i]));
    t.dtype = DType::bf16;
    t.data = half.data();
    return true;
  });
  load_weights(Weights(dir / "half.safetensors"), b.model.parameters(), {});
  const std::vector<float> x = a.values("patch_embed.proj.weight"), y = b.values("patch_embed.proj.weight");
  for (size_t i = 0; i < x.size(); ++i) CHECK(y[i] == bf16_to_f32(f32_to_bf16(x[i])));
}

TEST_CASE("a card survives the metadata of a file") {
  const TempDir dir;
  Fixture a(config_of(2));
  ModelCard card{spec(a.model.config()), {"ankle \"boot\"", "été"}, default_preprocess(*model_spec(a.model.config()))};
  card.preprocess.mean = {0.485f, 0.456f, 0.406f};
  card.preprocess.interpolation = Interpolation::bilinear;
  save_weights(dir / "w.safetensors", a.model.parameters(), to_metadata(card));
  const SafeTensors file(dir / "w.safetensors");
  const std::optional<ModelCard> again = read_card(file);
  REQUIRE(again);
  CHECK(again->model == card.model);
  CHECK(again->classes == card.classes);
  CHECK(again->preprocess.mean == card.preprocess.mean);
  CHECK(again->preprocess.image == 8);
  CHECK(again->preprocess.crop == 1);
  CHECK(again->preprocess.interpolation == Interpolation::bilinear);
  CHECK(file.metadata().at("format") == "pt");

  card.classes[1] = "cr\350me";
  CHECK_THROWS_WITH_AS(to_metadata(card),
                       "a class is called \"cr\\xe8me\", which is not UTF-8, as a weight file must be", Error);
  card.classes[1] = "a";
  auto broken = to_metadata(card);
  broken["shear.classes"] = "[\"one\", ";
  save_weights(dir / "broken.safetensors", a.model.parameters(), broken);
  const SafeTensors bad(dir / "broken.safetensors");
  CHECK_THROWS_WITH_AS(read_card(bad), doctest::Contains("shear.classes is not what Shear writes there"), Error);
  save_weights(dir / "none.safetensors", a.model.parameters(), {});
  CHECK_FALSE(read_card(SafeTensors(dir / "none.safetensors")));
}

TEST_CASE("classes are matched by name, and one that the model does not know is refused") {
  CHECK(match_classes({"b", "a"}, {"a", "b", "c"}) == std::vector<int>{1, 0});
  CHECK(match_classes({"b"}, {"a", "b", "a"}) == std::vector<int>{1});
  CHECK_THROWS_WITH_AS(match_classes({"b", "a"}, {"a", "b", "a"}), doctest::Contains("\"a\", as which the model knows"),
                       Error);
  CHECK_THROWS_WITH_AS(match_classes({"b", "d"}, {"a", "b", "c"}), doctest::Contains("a class \"d\""), Error);
}

TEST_CASE("an evaluation counts what the model says") {
  const TempDir dir;
  write_idx_part(dir / "data", "train", 4, 8, 4, 1);
  write_idx_part(dir / "data", "t10k", 10, 8, 4, 2);
  const DataSplits data = open_data(dir / "data");
  Device device(test_backend(1));
  // Says class 2 for every image, with a certainty that is easy to compute.
  const Forward two = [](Tape& tape, const Tensor& images, const ForwardContext&) {
    Tensor logits = tape.empty({images.shape()[0], 4});
    tape.run().fill(logits, 0);
    tape.run().fill(View(logits.data() + 2, logits.rows(), 1, logits.cols()), 1);
    return logits;
  };
  Loader::Options options;
  options.batch = 4;
  options.preprocess = default_preprocess(*model_spec(config_of(4)));
  const auto e = evaluate(device, two, *data.val, options, 4);
  REQUIRE(e);
  CHECK(e->samples == 10);  // labels 0 1 2 3 0 1 2 3 0 1
  CHECK(e->accuracy == 0.2);
  CHECK(e->top5 == 1);
  const double z = std::log(3 + std::exp(1.));
  CHECK(e->loss == doctest::Approx((8 * z + 2 * (z - 1)) / 10));
  CHECK(e->confusion.at({0, 2}) == 3);
  CHECK(e->confusion.at({2, 2}) == 2);
  CHECK_FALSE(e->confusion.contains({3, 3}));

  const std::vector<int> swapped{2, 1, 0, 3};  // the data's class 0 is the model's class 2
  CHECK(evaluate(device, two, *data.val, options, 4, swapped)->accuracy == 0.3);
  int asked = 0;
  CHECK_FALSE(evaluate(device, two, *data.val, options, 4, {}, [&](int64_t, int64_t) { return ++asked < 2; }));
  CHECK(asked == 2);
}

// Families of models: their spellings, and one from outside that is planned and trained like those that Shear has.
#include <doctest/doctest.h>

#include "errors.h"
#include "run_fixture.h"
#include "shear/model.h"
#include "shear/models/mlp.h"
#include "shear/models/vit.h"
#include "temp_dir.h"

using namespace shear;
using namespace shear::test;

namespace {

std::string refused(const std::string& spec) {
  return sentence(Fault::usage, [&] { parse_model(spec); });
}

// One linear layer.  Its spelling is "flat:SIDE[,classes=N]".
class Flat final : public Model {
 public:
  Flat(Device& device, int64_t in, int64_t classes, uint64_t seed, const ParameterOptions& options)
      : parameters_(device, seed, options), fc_(parameters_.head(), "fc", in, classes) {}
  Tensor operator()(Tape& tape, const Tensor& images, const ForwardContext&) override {
    return fc_(tape, images.reshaped({images.shape()[0], images.elements() / images.shape()[0]}));
  }
  Parameters& parameters() override { return parameters_; }

 private:
  Parameters parameters_;
  Linear fc_;
};

class FlatSpec final : public ModelSpec {
 public:
  FlatSpec(int64_t side, int64_t classes) : side_(side), classes_(classes) {}
  std::string_view family() const override { return "flat"; }
  std::string str() const override { return text("flat:", side_, ",classes=", classes_); }
  Shape input() const override { return {1, side_, side_}; }
  int64_t classes() const override { return classes_; }
  int64_t rows() const override { return 1; }
  ModelSpecPtr with_image(int64_t side) const override {
    return std::make_shared<FlatSpec>(side > 0 ? side : side_, classes_);
  }
  ModelSpecPtr with_classes(int64_t count) const override { return std::make_shared<FlatSpec>(side_, count); }
  ModelSpecPtr with_dropout(float) const override { return with_image(0); }
  std::unique_ptr<Model> make(Device& device, uint64_t seed, const ParameterOptions& options) const override {
    return std::make_unique<Flat>(device, side_ * side_, classes_, seed, options);
  }

 private:
  int64_t side_, classes_;
};

ModelSpecPtr parse_flat(std::string_view spec) {
  const std::string rest(spec.substr(5));
  const size_t classes = rest.find("classes=");
  return std::make_shared<FlatSpec>(std::stoll(rest), classes == rest.npos ? 10 : std::stoll(rest.substr(classes + 8)));
}

}  // namespace

TEST_CASE("what a family spells it reads again as the same model, with other classes and another image too") {
  for (const char* spec : {"vit:image=28,patch=4,dim=24,depth=2,heads=3,classes=7", "vit_tiny_patch16_224",
                           "vit_base_patch32_224:classes=3,eps=1e-5,gelu=tanh", "mlp:image=28,hidden=300x100",
                           "mlp:hidden=1,image=5,classes=3,channels=1"}) {
    CAPTURE(spec);
    const ModelSpecPtr model = parse_model(spec);
    CHECK(parse_model(model->str())->str() == model->str());
    CHECK(family_of(spec) == model->family());
    CHECK(model->with_classes(5)->classes() == 5);
    const int64_t side = model->input()[1];
    CHECK(model->with_image(0)->str() == model->str());
    CHECK(model->with_image(2 * side)->input() == Shape({model->input()[0], 2 * side, 2 * side}));
    CHECK(parse_model(with_classes(spec, 9))->classes() ==
          (std::string(spec).find("classes=") == std::string::npos ? 9 : model->classes()));
  }
  CHECK(parse_model("mlp:image=28,hidden=300x100,channels=1")->str() ==
        "mlp:image=28,hidden=300x100,channels=1,classes=10");
  CHECK(parse_mlp("mlp:image=4,hidden=3x2,channels=1").widths() == std::vector<int64_t>{16, 3, 2, 10});
}

TEST_CASE("a spelling of no family, or with a key that its family lacks, is refused with what was expected") {
  CHECK(refused("resnet50")
            .ends_with(" names, such as vit_tiny_patch16_224, or "
                       "vit:image=...,patch=...,dim=...,depth=...,heads=...,classes=..., "
                       "mlp:image=...,hidden=...x..."));
  CHECK(refused("mlp:image=28,hiden=3").find("unknown key hiden (did you mean hidden?)") != std::string::npos);
  CHECK(refused("mlp:image=28") == "model mlp:image=28: hidden is missing");
  CHECK(refused("mlp:hidden=3") == "model mlp:hidden=3: image is missing");
  CHECK(refused("mlp:image=28,hidden=3x") ==
        "model mlp:image=28,hidden=3x: hidden=, expected a whole number from 1 to 1048576");
  CHECK(refused("mlp:image=28,hidden=3,hidden=4").find("key hidden is given twice") != std::string::npos);
  CHECK(refused("mlp").find("expected key=value") != std::string::npos);
  CHECK(sentence(Fault::usage, [] { parse_vit("mlp:image=28,hidden=3"); }).find("is no ViT") != std::string::npos);
  CHECK(sentence(Fault::usage, [] { parse_model("mlp:image=8,hidden=3")->with_dropout(0.5f); }) ==
        "--dropout 0.5: an MLP has no dropout, expected 0");
}

TEST_CASE("a family from outside is planned, trained, read back and resumed as Shear's own are") {
  add_model_family({.name = "flat", .form = "flat:SIDE", .known = {}, .parse = parse_flat});
  CHECK(sentence(Fault::internal, [] { add_model_family({.name = "flat", .form = {}, .known = {}, .parse = {}}); }) ==
        "model family flat: is there already");
  const TempDir dir;
  write_idx(dir / "data");
  Recipe recipe = small_recipe(dir / "data");
  recipe.model = "flat:8";
  recipe.lr = 0.05;
  Listener listener;
  const TrainOutcome whole = train(recipe, in(dir / "whole"), listener);
  CHECK(whole.end == TrainEnd::finished);
  const auto summary = nlohmann::json::parse(whole.summary);
  CHECK(summary["model"] == "flat:8,classes=10");
  CHECK(summary["accuracy"].get<double>() > 0.5);
  CHECK(summary["planned_peak_bytes"] == summary["peak_bytes"]);

  RunOptions run = in(dir / "halves");
  run.stop_after = 11;
  CHECK(train(recipe, run, listener).end == TrainEnd::interrupted);
  run.stop_after = 0;
  run.resume = true;
  CHECK(train(recipe, run, listener).end == TrainEnd::finished);
  CHECK(contents(dir / "whole/model.safetensors") == contents(dir / "halves/model.safetensors"));

  // Another fine-tune begins with what it learnt: rows of its head go by the names of the classes.
  recipe.weights = (dir / "whole/model.safetensors").string();
  recipe.model = {};
  recipe.steps = 1;
  CHECK(train(recipe, in(dir / "more"), listener).end == TrainEnd::finished);
  CHECK(listener.steps.back().loss < 1.5);
  const Weights weights(recipe.weights);
  CHECK(weights.source() == "Shear");
  CHECK(sentence(Fault::input, [&] { weights.model("vit_tiny_patch16_224"); })
            .ends_with("holds the weights of a model of the family flat, but --model vit_tiny_patch16_224 is of vit, "
                       "expected the same"));
}

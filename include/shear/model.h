// What training, planning and whoever reads weight files know of a model, whatever its kind.
//
// A family of models is added by three things: a class that is a Model, a description that is a ModelSpec, and a
// ModelFamily that reads one from its spelling; see include/shear/models/mlp.h for the smallest, models/families.cpp
// for the list of those that Shear has, and add_model_family for one from outside.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "shear/api.h"
#include "shear/nn.h"

namespace SHEAR_API shear {

// For one thread at a time, as its device is.
class Model {
 public:
  virtual ~Model() = default;

  // images (B, C, H, W) -> logits (B, classes).  Throws Fault::internal for images of another shape.
  virtual Tensor operator()(Tape&, const Tensor& images, const ForwardContext& = {}) = 0;

  // Those of the head have Param::head: they go by the classes, and are all that `--train head` trains.
  virtual Parameters& parameters() = 0;
};

class ModelSpec;
using ModelSpecPtr = std::shared_ptr<const ModelSpec>;

// The description of a model: what it is made from, and made again from.  It never changes; safe from any thread.
class ModelSpec {
 public:
  virtual ~ModelSpec() = default;

  virtual std::string_view family() const = 0;              // "vit"
  virtual std::string_view known_as() const { return {}; }  // a name that its family has for it; empty: none
  // Its spelling: parse_model(str()) is the same model, but for dropout, which is of a training and not of its model.
  virtual std::string str() const = 0;
  virtual Shape input() const = 0;  // of one image: (C, side, side)
  virtual int64_t classes() const = 0;
  // How many rows of activations one image has in all layers together: what the time of planning grows with.
  virtual int64_t rows() const = 0;

  // The same model but for one thing.  Throw Fault::usage where there is no such model.
  virtual ModelSpecPtr with_image(int64_t side) const = 0;  // 0: as it is
  virtual ModelSpecPtr with_classes(int64_t) const = 0;
  virtual ModelSpecPtr with_dropout(float probability) const = 0;

  // One with fewer blocks that has every kind of block that this one has, each of the same size: what a training step's
  // kernels can be timed on.  Null: there is none.
  virtual ModelSpecPtr shallow() const { return {}; }

  // Parameters come from `seed` and their names.  The device must outlive the model.
  virtual std::unique_ptr<Model> make(Device&, uint64_t seed, const ParameterOptions& = {}) const = 0;
};

struct ModelFamily {
  std::string name;                // what its spellings begin with, before a colon: "vit"
  std::string form;                // for people: "vit:image=...,patch=..."
  std::vector<std::string> known;  // names that mean a model of the family without more: "vit_tiny_patch16_224"
  // The model of a spelling that begins with `name` or a known name.  Throws Fault::usage naming the key, what was
  // found and expected.
  std::function<ModelSpecPtr(std::string_view spec)> parse;
};

const std::vector<ModelFamily>& model_families();
// Not beside other threads that read or name models.  Throws Fault::internal for a name that another family has.
void add_model_family(ModelFamily);

// "NAME", "NAME:key=value,..." of any family.  Throws Fault::usage where it is none, and as its family does.
ModelSpecPtr parse_model(std::string_view spec);
std::string_view family_of(std::string_view spec);  // its name; throws Fault::usage where it is none's
std::vector<std::string> known_models();            // of all families
// `spec` for `count` classes, unless it names a number itself.
std::string with_classes(std::string_view spec, int64_t count);

}  // namespace shear

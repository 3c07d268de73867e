// What the outcome of a training depends on: its defaults, what makes sense, and its JSON.
#include <cmath>

#include "train/json.h"

namespace shear {

namespace {

// Every field with its flag's name; the one list that reading and writing share.
template <class R, class F>
void each_field(R& r, F field) {
  field("data", r.data);
  field("val", r.val);
  field("kind", r.read.kind);
  field("class-order", r.read.class_order);
  field("val-share", r.read.val_share);
  field("split-seed", r.read.split_seed);
  field("official-split", r.read.official_split);
  field("model", r.model);
  field("weights", r.weights);
  field("policy", r.policy);
  field("epochs", r.epochs);
  field("steps", r.steps);
  field("batch", r.batch);
  field("accumulate", r.accumulate);
  field("optimizer", r.optimizer);
  field("lr", r.lr);
  field("momentum", r.momentum);
  field("weight-decay", r.weight_decay);
  field("warmup", r.warmup);
  field("clip", r.clip);
  field("smoothing", r.smoothing);
  field("dropout", r.dropout);
  field("seed", r.seed);
  field("eval-every", r.eval_every);
  field("checkpoint-every", r.checkpoint_every);
  field("augment", r.augment);
  field("image-mean", r.image.mean);
  field("image-std", r.image.std);
  field("image-crop", r.image.crop);
  field("interpolation", r.image.interpolation);
  field("squash", r.image.squash);
  field("image-size", r.image.size);
  field("positions", r.positions);
  field("strict", r.strict);
  field("allow-mismatch", r.allow_mismatch);
  field("train", r.train);
  field("precision", r.precision);
}

template <class T>
constexpr bool is_optional = false;
template <class T>
constexpr bool is_optional<std::optional<T>> = true;

}  // namespace

std::string to_json(const Recipe& recipe) {
  nlohmann::ordered_json j;
  each_field(recipe, [&]<class T>(const char* key, const T& value) {
    if constexpr (is_optional<T>)
      j[key] = value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json();
    else
      j[key] = value;
  });
  return j.dump();
}

Recipe recipe_from_json(std::string_view text) {
  Recipe recipe;
  parse_json("the recipe of a checkpoint", text, [&](const nlohmann::json& j) {
    each_field(recipe, [&]<class T>(const char* key, T& value) {
      if (!j.contains(key)) return;  // a checkpoint from before there was this field
      const nlohmann::json& found = j.at(key);
      if constexpr (is_optional<T>) {
        value.reset();
        if (!found.is_null()) value = found.get<typename T::value_type>();
      } else {
        value = found.get<T>();
      }
    });
  });
  return recipe;
}

void resolve_defaults(Recipe& r) {
  const auto check = [](bool ok, const auto& value, const char* flag, const char* expected) {
    if (!ok) fail(Fault::usage, flag, " ", value, ": expected ", expected);
  };
  const auto share = [&](double v, const char* flag) { check(v >= 0 && v < 1, v, flag, "at least 0 and less than 1"); };
  const auto not_negative = [&](double v, const char* flag) {
    check(v >= 0 && std::isfinite(v), v, flag, "0 or more");
  };
  if (r.data.empty()) fail(Fault::usage, "--data is missing: expected the path of a data set");
  if (r.epochs && r.steps) fail(Fault::usage, "--epochs and --steps are both given: expected one of them");
  if (!r.epochs && !r.steps) r.epochs = 10;
  if (r.epochs) check(*r.epochs > 0, *r.epochs, "--epochs", "1 or more");
  if (r.steps) check(*r.steps > 0, *r.steps, "--steps", "1 or more");
  check(r.batch > 0, r.batch, "--batch", "1 or more");
  check(r.accumulate > 0 && r.batch % r.accumulate == 0, r.accumulate, "--accumulate",
        text("a divisor of --batch ", r.batch).c_str());
  check(r.optimizer == "adamw" || r.optimizer == "sgd", r.optimizer, "--optimizer", "adamw or sgd");
  const bool sgd = r.optimizer == "sgd";
  if (!r.lr) r.lr = sgd ? 0.01 : 1e-3;
  if (!r.weight_decay) r.weight_decay = sgd ? 0 : 0.05;
  check(*r.lr > 0 && std::isfinite(*r.lr), *r.lr, "--lr", "more than 0");
  not_negative(*r.weight_decay, "--weight-decay");
  share(r.momentum, "--momentum");
  if (r.warmup) not_negative(static_cast<double>(*r.warmup), "--warmup");
  not_negative(r.clip, "--clip");
  share(r.smoothing, "--smoothing");
  share(r.dropout, "--dropout");
  not_negative(static_cast<double>(r.eval_every), "--eval-every");
  not_negative(static_cast<double>(r.checkpoint_every), "--checkpoint-every");
  check(r.augment == "none" || r.augment == "flip" || r.augment == "pad" || r.augment == "crop", r.augment, "--augment",
        "none, flip, pad or crop");
  if (!r.positions.empty()) parse_position_resize(r.positions);
  if (r.strict && r.allow_mismatch)
    fail(Fault::usage, "--strict and --allow-mismatch are both given: expected one of them");
  if (r.image.size) check(*r.image.size > 0 && *r.image.size <= 4096, *r.image.size, "--image-size", "1 to 4096");
  Preprocess scratch;
  apply(r.image, scratch);
  check(r.train == "all" || r.train == "head", r.train, "--train", "all or head");
  parse_precision(r.precision);
}

}  // namespace shear

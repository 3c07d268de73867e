// What the outcome of a training depends on: its defaults, what makes sense, and its JSON.
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "shear/train.h"
#include "shear/utf8.h"
#include "weights/json.h"

namespace shear {

namespace {

// Every field with its flag's name, and what it may be where it is a number: the one list that reading, writing,
// checking and the executable's flags share.
template <class R, class F>
void each_field(R& r, F field) {
  field("data", r.data);
  field("val", r.val);
  field("kind", r.read.kind);
  field("class-order", r.read.class_order);
  field("val-share", r.read.val_share, NumberRange{0, 0.999999});
  field("split-seed", r.read.split_seed, any_seed);
  field("official-split", r.read.official_split);
  field("model", r.model);
  field("weights", r.weights);
  field("policy", r.policy);
  field("epochs", r.epochs, NumberRange{1, 1e6});
  field("steps", r.steps, NumberRange{1, 1e9});
  field("batch", r.batch, NumberRange{1, 65536});
  field("accumulate", r.accumulate, NumberRange{1, 65536});
  field("optimizer", r.optimizer);
  field("state", r.state);
  field("weights-as", r.weights_as);
  field("lora", r.lora);
  field("lr", r.lr, NumberRange{1e-20, 1000});
  field("momentum", r.momentum, NumberRange{0, 0.999999});
  field("weight-decay", r.weight_decay, NumberRange{0, 1000});
  field("warmup", r.warmup, NumberRange{0, 1e9});
  field("clip", r.clip, NumberRange{0, 1e30});
  field("clip-by", r.clip_by);
  field("update", r.update);
  field("smoothing", r.smoothing, NumberRange{0, 0.999999});
  field("dropout", r.dropout, NumberRange{0, 0.999999});
  field("seed", r.seed, any_seed);
  field("eval-every", r.eval_every, NumberRange{0, 1e9});
  field("checkpoint-every", r.checkpoint_every, NumberRange{0, 1e9});
  field("augment", r.augment);
  field("image-mean", r.image.mean, NumberRange{-1e6, 1e6});
  field("image-std", r.image.std, NumberRange{1e-6, 1e6});
  field("image-crop", r.image.crop, NumberRange{0.1, 1});
  field("interpolation", r.image.interpolation);
  field("squash", r.image.squash);
  field("image-size", r.image.size, NumberRange{1, 4096});
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

std::string shortest(double v) {
  char digits[32];
  if (v == std::floor(v) && std::abs(v) < 0x1p53) return std::to_string(static_cast<int64_t>(v));
  return {digits, std::to_chars(digits, digits + sizeof digits, v).ptr};
}

template <class T>
void check_whole(const NumberRange& range, const std::string& flag, T value) {
  if (const auto v = static_cast<double>(value); !(v >= range.low && v <= range.high))
    fail(Fault::usage, flag, " ", value, ": expected a whole number from ", range.str());
}

// A field of a recipe, whatever holds its numbers.
template <class T>
void check_field(const std::string& flag, const T& value, const NumberRange& range) {
  if constexpr (is_optional<T>) {
    if (value) check_field(flag, *value, range);
  } else if constexpr (requires { value.size(); }) {
    for (const double v : value) range.check(flag, v);
  } else {
    range.check(flag, value);
  }
}

}  // namespace

std::string NumberRange::str() const {
  return high < 0x1p63 ? text(shortest(low), " to ", shortest(high)) : text(shortest(low), " to 2^64 - 1");
}

void NumberRange::check(const std::string& flag, int64_t value) const { check_whole(*this, flag, value); }
void NumberRange::check(const std::string& flag, uint64_t value) const { check_whole(*this, flag, value); }
void NumberRange::check(const std::string& flag, double value) const {
  if (!(value >= low && value <= high)) fail(Fault::usage, flag, " ", value, ": expected a number from ", str());
  if (value != 0 && std::abs(value) < 1e-30)
    fail(Fault::usage, flag, " ", value, ": is lost in 32 bits, expected 0 or at least 1e-30");
}

NumberRange recipe_range(std::string_view flag) {
  const Recipe any;
  NumberRange found;
  each_field(any, [&](std::string_view key, const auto&, const NumberRange& range = {}) {
    if (key == flag) found = range;
  });
  require(found.high > 0, "recipe: ", flag, " is no number of it");
  return found;
}

std::string to_json(const Recipe& recipe) {
  nlohmann::ordered_json j;
  each_field(recipe, [&]<class T>(const char* key, const T& value, const NumberRange& = {}) {
    if constexpr (is_optional<T>)
      j[key] = value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json();
    else if constexpr (std::is_same_v<T, std::string>)
      j[key] = text_to_json(value);
    else
      j[key] = value;
  });
  return j.dump();
}

Recipe recipe_from_json(std::string_view text) {
  Recipe recipe;
  parse_json("the recipe of a checkpoint", text, [&](const nlohmann::json& j) {
    each_field(recipe, [&]<class T>(const char* key, T& value, const NumberRange& = {}) {
      if (!j.contains(key)) return;  // a checkpoint from before there was this field
      const nlohmann::json& found = j.at(key);
      if constexpr (is_optional<T>) {
        value.reset();
        if (!found.is_null()) value = found.get<typename T::value_type>();
      } else {
        value = found.get<T>();
        if constexpr (std::is_same_v<T, std::string>) value = text_from_json(value);
      }
    });
  });
  return recipe;
}

static constexpr std::string_view as_bytes = "bytes:";

std::string text_to_json(const std::string& text) {
  if (is_utf8(text) && !text.starts_with(as_bytes)) return text;
  static constexpr char digits[] = "0123456789abcdef";
  std::string out(as_bytes);
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    out += digits[byte / 16];
    out += digits[byte % 16];
  }
  return out;
}

std::string text_from_json(const std::string& text) {
  if (!text.starts_with(as_bytes)) return text;
  std::string out;
  for (size_t at = as_bytes.size(); at < text.size(); at += 2) {
    unsigned byte = 0;
    const char* end = text.data() + std::min(at + 2, text.size());
    if (const auto read = std::from_chars(text.data() + at, end, byte, 16);
        read.ptr != end || end - text.data() != static_cast<std::ptrdiff_t>(at + 2))
      return text;
    out += static_cast<char>(byte);
  }
  return out;
}

bool parse_update(std::string_view word) {
  if (word == "in-backward") return true;
  if (word == "after") return false;
  fail(Fault::usage, setting("update"), " ", word, ": expected after or in-backward");
}

void resolve_defaults(Recipe& r) {
  const auto check = [](bool ok, const auto& value, const char* name, const auto& expected) {
    if (!ok) fail(Fault::usage, setting(name), " ", value, ": expected ", expected);
  };
  if (r.data.empty()) fail(Fault::usage, setting("data"), " is missing: expected the path of a data set");
  if (r.epochs && r.steps)
    fail(Fault::usage, setting("epochs"), " and ", setting("steps"), " are both given: expected one of them");
  if (!r.epochs && !r.steps) r.epochs = 10;
  check(r.optimizer == "adamw" || r.optimizer == "sgd", r.optimizer, "optimizer", "adamw or sgd");
  const bool sgd = r.optimizer == "sgd";
  if (!r.lr) r.lr = sgd ? 0.01 : 1e-3;
  if (!r.weight_decay) r.weight_decay = sgd ? 0 : 0.05;
  each_field(r, [](const char* key, const auto& value, const auto&... range) {
    if constexpr (sizeof...(range) > 0) check_field(setting(key), value, range...);
  });
  check(r.batch % r.accumulate == 0, r.accumulate, "accumulate", text("a divisor of ", setting("batch"), " ", r.batch));
  check(r.augment == "none" || r.augment == "flip" || r.augment == "pad" || r.augment == "crop", r.augment, "augment",
        "none, flip, pad or crop");
  if (!r.positions.empty()) parse_position_resize(r.positions);
  if (r.strict && r.allow_mismatch)
    fail(Fault::usage, setting("strict"), " and ", setting("allow-mismatch"), " are both given: expected one of them");
  Preprocess scratch;
  apply(r.image, scratch);
  check(!r.train.empty(), r.train, "train", "all, head, or names of parameters");
  parse_update(r.update);
  parse_state(r.state);
  parse_weights_as(r.weights_as);
  parse_lora(r.lora);
  if (!r.clip_by.empty()) parse_clip_by(r.clip_by);
  parse_precision(r.precision);
}

}  // namespace shear

// A weight file of any source: whose names it has, the model that it is for, and what is said of it beside it.
#include <algorithm>
#include <cmath>
#include <set>

#include "io/safetensors_header.h"
#include "weights/leftovers.h"
#include "weights/names/names.h"
#include "weights/schema.h"
#include "weights/source_config.h"

namespace shear {

namespace fs = std::filesystem;

// One tensor of the file, or its slice for one block, that is a parameter or a third of one.
struct Piece {
  const TensorView* whole;  // null: a part that is not there, and is zero
  TensorView from;          // the slice, or all of it
  int64_t slice;            // -1: all of it
  Layout layout;
  int part;  // of `parts`; -1: all of the parameter
  int parts;
  int64_t first_row;  // of the tensor, where the piece is a share of its rows
};

namespace {

constexpr int64_t most_blocks = 256;

// Slice `i` along the first axis.
TensorView slice_of(const TensorView& t, int64_t i) {
  const size_t bytes = t.bytes.size() / static_cast<size_t>(t.shape[0]);
  return {t.name, t.dtype, Shape(std::span(t.shape.begin() + 1, t.shape.end())),
          t.bytes.subspan(static_cast<size_t>(i) * bytes, bytes)};
}

// A share of the tensor's rows.
TensorView share_of(const TensorView& t, Share share, const std::string& path) {
  if (t.shape.rank() < 1 || t.shape[0] % 3 != 0 || t.shape[0] == 0)
    fail(Fault::input, path, ": ", in_quotes(t.name), " has the shape ", t.shape,
         ", expected rows for query, key and value");
  std::vector<int64_t> dims(t.shape.begin(), t.shape.end());
  const size_t third = t.bytes.size() / 3;
  dims[0] = dims[0] / 3 * (share == Share::first_third ? 1 : 2);
  return {t.name, t.dtype, Shape(dims),
          share == Share::first_third ? t.bytes.first(third) : t.bytes.subspan(third, 2 * third)};
}

// Of queries, keys and values, which may come in three tensors.
bool name_of_qkv(const std::string& parameter) { return parameter.find(".attn.qkv.") != std::string::npos; }

// The rule that a tensor falls under; null: none.
const Rule* rule_for(const Naming& naming, std::string_view prefix, std::string_view name, NamePlace& place) {
  for (const Rule& rule : naming.rules)
    if (matches(rule.source, prefix, name, place)) return &rule;
  return nullptr;
}

}  // namespace

Weights::Weights(const fs::path& path) : file_(open_tensors(path)) {
  card_ = read_card(*file_);
  if (card_ && family_of(card_->model) != "vit")
    take_names();
  else
    name_tensors();
  choose_schema();
  read_beside();
  schema_->expect_whole();
}

Weights::~Weights() = default;

std::string_view Weights::source() const { return naming_->name; }

// Shear's own file of a model that no other library has: parameters under their names.
void Weights::take_names() {
  naming_ = &own_naming;
  for (const TensorView& t : file_->tensors())
    if (!is_state(t.name)) pieces_[t.name].push_back({&t, t, -1, Layout::as_is, -1, 1, 0});
}

// What may stand in front of all of a model's names, such as "module." or "state_dict.": what does in front of the one
// that every file of the naming has.
static std::set<std::string> wrappers_in(const TensorFile& file, const Naming& naming) {
  std::set<std::string> found{""};
  for (const TensorView& t : file.tensors()) {
    std::string_view before = t.name;
    if (!before.ends_with(naming.anchor) || is_state(before)) continue;
    before.remove_suffix(naming.anchor.size());
    const auto prefix = std::find_if(naming.prefixes.begin(), naming.prefixes.end(),
                                     [&](std::string_view p) { return !p.empty() && before.ends_with(p); });
    if (prefix != naming.prefixes.end()) before.remove_suffix(prefix->size());
    if (before.empty() || before.ends_with('.') || before.ends_with('/')) found.emplace(before);
    constexpr size_t most = 16;  // every tensor is looked at behind each of them
    if (found.size() > most)
      fail(Fault::input, file.path().string(), ": holds more than ", most - 1, " models, behind ",
           in_quotes(*found.rbegin()), " and others, expected one");
  }
  return found;
}

// The rest of a name behind `wrapper`; nothing where it stands elsewhere.
static std::string_view behind(std::string_view name, std::string_view wrapper) {
  return name.starts_with(wrapper) ? name.substr(wrapper.size()) : std::string_view();
}

// The naming and what stands in front of it that most tensors fall under.
void Weights::name_tensors() {
  size_t most = 0;
  std::string also;  // as many tensors have names of a model behind this
  for (const Naming* naming : known_namings())
    for (const std::string& wrapper : wrappers_in(*file_, *naming))
      for (const std::string_view prefix : naming->prefixes) {
        NamePlace place;
        const auto fits = [&](const TensorView& t) {
          return rule_for(*naming, prefix, behind(t.name, wrapper), place) != nullptr;
        };
        const auto known = static_cast<size_t>(std::count_if(file_->tensors().begin(), file_->tensors().end(), fits));
        if (known == most && naming == naming_ && wrapper != wrapper_) also = wrapper;
        if (known <= most || known < naming->least) continue;
        most = known;
        naming_ = naming;
        prefix_ = prefix;
        wrapper_ = wrapper;
        also.clear();
      }
  const size_t count = file_->tensors().size();
  if (!naming_)
    fail(Fault::input, path().string(), ": none of its ", count, " tensors",
         count > 0 ? text(", such as ", in_quotes(file_->tensors().front().name), ",") : std::string(),
         " is called as in a ViT of timm (cls_token), Hugging Face (vit.embeddings.cls_token), OpenCLIP "
         "(visual.class_embedding), torchvision (class_token) or Google (cls)");
  if (!also.empty())
    fail(Fault::input, path().string(), ": holds two models, behind ", in_quotes(wrapper_), " and behind ",
         in_quotes(also), ", expected one");
  for (const TensorView& t : file_->tensors()) {
    NamePlace place;
    const std::string_view inner = behind(t.name, wrapper_);
    const Rule* rule = rule_for(*naming_, prefix_, inner, place);
    if (!rule) {
      // Behind this model's prefix, or beside it: of a whole that the model is a part of.
      const bool within = t.name.starts_with(wrapper_ + prefix_);
      Unused u = within ? leftover(naming_->name, std::string(inner.substr(prefix_.size())))
                        : leftover_beside(naming_->name, t.name);
      u.name = t.name;
      if (!is_state(t.name)) unused_.push_back(std::move(u));
      continue;
    }
    if (rule->ours.empty()) {
      unused_.push_back({t.name, "no part of the classifier", Unused::Loss::none});
      continue;
    }
    if (rule->share != Share::whole) {
      for (const Rule& r : naming_->rules)
        if (r.share != Share::whole && matches(r.source, prefix_, inner, place)) {
          TensorView some = share_of(t, r.share, path().string());
          const int64_t first = r.share == Share::first_third ? 0 : t.shape[0] / 3;
          pieces_[spell(r.ours, {}, place.block, place.star)].push_back(
              {&t, std::move(some), -1, r.layout, -1, 1, first});
        }
      continue;
    }
    const auto add = [&](int64_t block, TensorView from, int64_t slice) {
      if (block >= most_blocks)
        fail(Fault::input, path().string(), ": ", in_quotes(t.name), " is of block ", block, ", expected at most ",
             most_blocks - 1);
      pieces_[spell(rule->ours, {}, block, place.star)].push_back(
          {&t, std::move(from), slice, rule->layout, rule->part, rule->part < 0 ? 1 : rule->parts, 0});
    };
    if (!place.stacked) {
      add(place.block, t, -1);
      continue;
    }
    if (t.shape.rank() < 1 || t.shape[0] < 1 || t.shape[0] > most_blocks)
      fail(Fault::input, path().string(), ": ", in_quotes(t.name), " has the shape ", t.shape,
           ", expected a first axis of 1 to ", most_blocks, " blocks");
    for (int64_t i = 0; i < t.shape[0]; ++i) add(i, slice_of(t, i), i);
  }
  for (auto& [name, pieces] : pieces_) {
    std::sort(pieces.begin(), pieces.end(), [](const Piece& a, const Piece& b) { return a.part < b.part; });
    const auto parts = static_cast<size_t>(pieces.front().parts);
    if (pieces.size() > parts)
      fail(Fault::input, path().string(), ": ", in_quotes(pieces[0].whole->name), " and ",
           in_quotes(pieces[1].whole->name), " are both ", name, ", expected one of them");
    // Keys need no bias, and some have none.
    if (parts == 3 && pieces.size() == 2 && pieces[0].part == 0 && pieces[1].part == 2 &&
        name.ends_with(".attn.qkv.bias")) {
      Piece none = pieces[0];
      none.whole = nullptr;
      pieces.insert(pieces.begin() + 1, std::move(none));
      key_bias_ = false;
    }
    if (pieces.size() < parts)
      fail(Fault::input, path().string(), ": ", name, " has no more than ", in_quotes(pieces.front().whole->name),
           pieces.size() == 2 ? text(" and ", in_quotes(pieces.back().whole->name)) : "",
           parts == 3 ? ", expected query, key and value" : ", expected both of its parts");
  }
}

// One below the other: keys and values may have fewer rows than queries.
static bool stack(const Shape& a, const Shape& b) {
  return a.rank() == b.rank() && a.rank() > 0 && std::equal(a.begin() + 1, a.end(), b.begin() + 1);
}

Shape Weights::shape(const std::string& parameter) const {
  const std::vector<Piece>& pieces = pieces_.at(parameter);
  Shape first;
  int64_t rows = 0;
  for (const Piece& p : pieces) {
    const Shape here = p.whole ? shape_here(p.layout, p.from.shape) : first;
    if (here.rank() == 0 && p.from.shape.rank() != 0)
      fail(Fault::input, path().string(), ": ", in_quotes(p.whole->name), " has the shape ", p.from.shape,
           ", which is not that of such a tensor in ", naming_->name, "'s files");
    if (&p == &pieces.front()) first = here;
    const bool fits = here == first || (name_of_qkv(parameter) && stack(here, first));
    if (!fits)
      fail(Fault::input, path().string(), ": ", in_quotes(p.whole->name), " has the shape ", p.from.shape, ", but ",
           in_quotes(pieces.front().whole->name), " has ", pieces.front().from.shape, ", expected the same");
    if (pieces.size() > 1 && __builtin_add_overflow(rows, here.rank() > 0 ? here[0] : 0, &rows))
      fail(Fault::input, path().string(), ": ", in_quotes(pieces.front().whole->name), " has the shape ", first);
  }
  if (pieces.size() == 1) return first;
  if (first.rank() == 0)
    fail(Fault::input, path().string(), ": ", in_quotes(pieces.front().whole->name), " is a single number");
  std::vector<int64_t> dims(first.begin(), first.end());
  dims[0] = rows;
  return Shape(dims);
}

// How many values of a parameter of `size` a piece of it is.
static size_t share_of(const std::vector<Piece>& pieces, const Piece& p, size_t size) {
  return pieces.size() == 1 ? size : static_cast<size_t>((p.whole ? p : pieces.front()).from.shape.elements());
}

std::vector<float> Weights::read(const std::string& parameter) const {
  std::vector<float> values(static_cast<size_t>(shape(parameter).elements()));
  const std::vector<Piece>& pieces = pieces_.at(parameter);
  std::span<float> left(values);
  for (const Piece& p : pieces) {
    const std::span<float> to = left.first(share_of(pieces, p, values.size()));
    left = left.subspan(to.size());
    if (!p.whole) continue;
    if (p.layout == Layout::as_is)
      read_floats(*file_, p.from, to);
    else
      lay_out(p.layout, p.from.shape, read_floats(*file_, p.from), to);
  }
  return values;
}

const TensorView* Weights::same(const std::string& parameter) const {
  const std::vector<Piece>& pieces = pieces_.at(parameter);
  const Piece& p = pieces.front();
  return pieces.size() == 1 && p.layout == Layout::as_is && p.from.dtype == DType::f32 ? &p.from : nullptr;
}

std::vector<std::string> Weights::parameters() const {
  std::vector<std::string> names;
  for (const auto& [name, pieces] : pieces_) names.push_back(name);
  return names;
}

std::string Weights::names_of(const std::string& parameter) const {
  const std::vector<Piece>& pieces = pieces_.at(parameter);
  return pieces.size() == 1 ? pieces.front().whole->name
                            : text(pieces.front().whole->name, " and its ", pieces.size() - 1, " like");
}

void Weights::give_back(const std::string& parameter, const Shape& shape, std::span<const float> values,
                        std::map<std::string, Named>& tensors) const {
  const std::vector<Piece>& pieces = pieces_.at(parameter);
  const size_t all = values.size();
  for (const Piece& p : pieces) {
    const size_t size = share_of(pieces, p, all);
    if (!p.whole) {
      values = values.subspan(size);
      continue;
    }
    Named& named = tensors[p.whole->name];
    const bool fits = p.from.shape.elements() == static_cast<int64_t>(size);
    require(fits || p.layout == Layout::as_is, "give_back: ", parameter, " has another size than in ", path().string());
    if (named.values.empty()) {
      named.shape = fits ? p.whole->shape : shape;  // positions of another grid
      named.values.resize(fits ? static_cast<size_t>(p.whole->shape.elements()) : size);
    }
    const size_t row = size / std::max<size_t>(static_cast<size_t>(p.from.shape.rank() > 0 ? p.from.shape[0] : 1), 1);
    const size_t at = p.slice < 0 ? static_cast<size_t>(p.first_row) * row : static_cast<size_t>(p.slice) * size;
    lay_back(p.layout, p.from.shape, values.first(size), std::span(named.values).subspan(at, size));
    values = values.subspan(size);
  }
}

void Weights::choose_schema() {
  model_from_ = images_from_ = text("by ", naming_->name, "'s convention");
  int64_t heads = 0;
  for (const auto& [name, pieces] : pieces_)
    for (const Piece& p : pieces)
      if (p.layout == Layout::heads_out && p.from.shape.rank() == 3) heads = p.from.shape[1];
  schema_ = naming_ == &own_naming ? card_schema(*card_) : vit_schema(*this, *naming_, heads, card_);
  if (card_) {
    class_names_ = card_->classes;
    kind_ = card_->kind;
    preprocess_ = card_->preprocess;
    model_from_ = images_from_ = "from its own metadata";
  }
  if (static_cast<int64_t>(class_names_.size()) != classes()) class_names_.clear();
}

int64_t Weights::classes() const { return schema_->classes(); }

void Weights::take(const SourceConfig& c, const std::string& where) {
  schema_->take(c, where);
  if (static_cast<int64_t>(c.class_names.size()) == classes()) class_names_ = c.class_names;
  kind_ = c.kind;
  model_from_ = text("by ", c.library, "'s convention");
  if (c.epsilon || c.gelu) model_from_ = "from " + where;
  if (c.preprocess) {
    preprocess_ = c.preprocess;
    images_from_ = "from " + where;
  }
}

void Weights::read_beside() {
  if (card_) return;
  const fs::path folder = path().parent_path(), config = folder / "config.json",
                 open_clip = folder / "open_clip_config.json", preprocessor = folder / "preprocessor_config.json",
                 processor = folder / "processor_config.json";
  // Whatever has this name is read: a pipe, or a link to nothing, is refused there.
  const auto is_there = [](const fs::path& p) {
    std::error_code ignored;
    return fs::exists(fs::symlink_status(p, ignored));
  };
  // Folders on the hub have both, with the weights of both libraries.
  const bool of_open_clip = naming_ == &open_clip_naming || wrapper_.ends_with("visual.trunk.");
  if (of_open_clip && is_there(open_clip)) {
    take(parse_open_clip_config(read_text(open_clip), open_clip.string()), open_clip.string());
    return;
  }
  SourceConfig c;
  if (is_there(config)) {
    c = parse_config(read_text(config), config.string());
    if (!c.library.empty()) take(c, config.string());
  }
  const Preprocess otherwise = preprocess_.value_or(Preprocess{.image = 0, .interpolation = naming_->interpolation});
  // As transformers: what the former says of images goes before the latter.
  std::optional<Preprocess> said;
  if (is_there(processor)) {
    said = parse_processor(read_text(processor), processor.string(), otherwise, c.kind);
    if (said) shown_by_ = processor.string();
  }
  if (!said && is_there(preprocessor)) {
    said = parse_preprocessor(read_text(preprocessor), preprocessor.string(), otherwise, c.kind);
    shown_by_ = preprocessor.string();
  }
  if (!said) return;
  preprocess_ = said;
  images_from_ = "from " + shown_by_;
  any_size_ = c.any_size;
}

ModelSpecPtr Weights::model(std::string_view asked, int64_t image) const {
  if (!asked.empty() && family_of(asked) != schema_->family())
    fail(Fault::input, path().string(), ": holds the weights of a model of the family ", schema_->family(), ", but ",
         setting("model"), " ", asked, " is of ", family_of(asked), ", expected the same");
  ModelSpecPtr model = schema_->model(asked, image);
  if (shown_by_.empty() || !asked.empty() || image != 0) return model;
  // What the library shows the model, where nobody asks for another size.
  const int64_t shown = preprocess_->image, side = model->input()[1];
  if (shown == 0 || shown == side) return model;
  if (any_size_) return schema_->model(asked, shown);
  fail(Fault::input, shown_by_, ": makes images of ", shown, " pixels, but the model in ", path().string(), " is for ",
       side, ", expected the same, or ", setting("image-size"), ' ', shown, " or ", side);
}

Preprocess Weights::preprocess(const ModelSpec& model) const {
  const Preprocess usual = default_preprocess(model);
  Preprocess p = usual;
  if (preprocess_) {
    p = *preprocess_;
    if (p.image != usual.image) p.resize = 0;  // at another size the centre's share is what stays
  } else {
    p.interpolation = naming_->interpolation;
    p.fit = naming_->fit;
    p.halves = naming_->halves;
    p.mean = naming_->mean;
    p.std = naming_->std;
    if (p.fit == Fit::both) p.crop = 1;
  }
  p.image = usual.image;
  p.channels = usual.channels;
  return p;
}

PositionResize Weights::positions() const { return naming_->positions; }

std::string Weights::heads_guess(const ModelSpec& model, std::string_view asked) const {
  return schema_->guess(model, asked);
}

// What evaluation does before it turns pixels into floats.
static std::string geometry(const Preprocess& p) {
  const int64_t side = resized_side(p);
  if (p.fit == Fit::none) return p.cut ? "not resized, the centre" : "not resized";
  if (!p.cut) return text("the shorter side to ", side, ", not cut");
  const std::string share = side == p.image ? "the centre of the " : text("the centre ", p.crop, " of the ");
  const std::string black = side < p.image ? text(" to ", side, " pixels on black") : "";
  switch (p.fit) {
    case Fit::shorter:
      return black.empty() ? share + "shorter side" : "the shorter side" + black;
    case Fit::both:
      if (!black.empty()) return "squashed" + black;
      return side > p.image ? text("squashed to ", side, " x ", side, ", the centre of that") : std::string("squashed");
    case Fit::longer:
      return share + "longer side on the mean colour";
    case Fit::none:
      break;
  }
  return {};
}

std::vector<std::string> Weights::describe(const ModelSpec& model, const Preprocess& p) const {
  std::vector<std::string> lines;
  lines.push_back(text(path().string(), ": ", naming_->name, "'s names",
                       wrapper_.empty() && prefix_.empty() ? "" : text(" behind ", in_quotes(wrapper_ + prefix_)), ", ",
                       file_->tensors().size(), " tensors; ", schema_->told(model), ", ", model_from_));
  const auto three = [](const std::array<float, 3>& v) {
    return v[0] == v[1] && v[1] == v[2] ? text(v[0]) : text(v[0], ", ", v[1], ", ", v[2]);
  };
  if (const Shape input = model.input(); input[1] != input[2]) {
    lines.push_back(text("images: ", input[1], " x ", input[2], ", as tensors: photos are brought to squares alone"));
    return lines;
  }
  lines.push_back(text("images: ", p.image, " x ", p.image, ", ", name(p.interpolation), ", ", geometry(p), ", mean ",
                       three(p.mean), ", std ", three(p.std), ", ", images_from_));
  return lines;
}

}  // namespace shear

// A weight file of any source: whose names it has, the model that it is for, and what is said of it beside it.
#include <algorithm>
#include <cmath>

#include "io/safetensors_header.h"
#include "weights/leftovers.h"
#include "weights/naming.h"
#include "weights/source_config.h"

namespace shear {

namespace fs = std::filesystem;

// One tensor of the file, or its slice for one block, that is a parameter or a third of one.
struct Piece {
  const TensorView* whole;
  TensorView from;  // the slice, or all of it
  int64_t slice;    // -1: all of it
  Layout layout;
  int part;  // of 3; -1: all of the parameter
};

namespace {

constexpr int64_t most_blocks = 256;

// Slice `i` along the first axis.
TensorView slice_of(const TensorView& t, int64_t i) {
  const size_t bytes = t.bytes.size() / static_cast<size_t>(t.shape[0]);
  return {t.name, t.dtype, Shape(std::span(t.shape.begin() + 1, t.shape.end())),
          t.bytes.subspan(static_cast<size_t>(i) * bytes, bytes)};
}

// The rule that a tensor falls under; null: none.
const Rule* rule_for(const Naming& naming, std::string_view prefix, std::string_view name, NamePlace& place) {
  for (const Rule& rule : naming.rules)
    if (matches(rule.source, prefix, name, place)) return &rule;
  return nullptr;
}

// What may be the reason for a number of positions that is no square's.
std::string with_known(const std::vector<Unused>& unused) {
  for (const Unused& u : unused)
    if (u.loss == Unused::Loss::some && !u.what.empty())
      return text(" (", in_quotes(u.name), " is ", u.what, ", which Shear's ViT does not have)");
  return {};
}

std::string yes(bool exact) { return exact ? "exact GELU" : "GELU by tanh"; }

}  // namespace

Weights::Weights(const fs::path& path) : file_(open_tensors(path)) {
  name_tensors();
  card_ = read_card(*file_);
  find_geometry();
  read_beside();
}

Weights::~Weights() = default;

std::string_view Weights::source() const { return naming_->name; }

// The naming and prefix that most tensors fall under.
void Weights::name_tensors() {
  size_t most = 0;
  for (const Naming* naming : known_namings())
    for (const std::string_view prefix : naming->prefixes) {
      NamePlace place;
      const auto known =
          static_cast<size_t>(std::count_if(file_->tensors().begin(), file_->tensors().end(), [&](const TensorView& t) {
            return rule_for(*naming, prefix, t.name, place) != nullptr;
          }));
      if (known <= most) continue;
      most = known;
      naming_ = naming;
      prefix_ = prefix;
    }
  const size_t count = file_->tensors().size();
  if (!naming_)
    fail(Fault::input, path().string(), ": none of its ", count, " tensors",
         count > 0 ? text(", such as ", in_quotes(file_->tensors().front().name), ",") : std::string(),
         " is called as in a ViT of timm (cls_token), Hugging Face (vit.embeddings.cls_token) or Google (cls)");
  for (const TensorView& t : file_->tensors()) {
    NamePlace place;
    const Rule* rule = rule_for(*naming_, prefix_, t.name, place);
    if (!rule) {
      const bool prefixed = std::string_view(t.name).starts_with(prefix_);
      Unused u = leftover(naming_->name, prefixed ? t.name.substr(prefix_.size()) : t.name);
      u.name = t.name;
      if (!is_state(t.name)) unused_.push_back(std::move(u));
      continue;
    }
    const auto add = [&](int64_t block, TensorView from, int64_t slice) {
      if (block >= most_blocks)
        fail(Fault::input, path().string(), ": ", in_quotes(t.name), " is of block ", block, ", expected at most ",
             most_blocks - 1);
      pieces_[spell(rule->ours, {}, block, place.star)].push_back(
          {&t, std::move(from), slice, rule->layout, rule->part});
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
    const bool parts = pieces.front().part >= 0;
    if (pieces.size() > (parts ? 3 : 1))
      fail(Fault::input, path().string(), ": ", in_quotes(pieces[0].whole->name), " and ",
           in_quotes(pieces[1].whole->name), " are both ", name, ", expected one of them");
    if (parts && pieces.size() < 3)
      fail(Fault::input, path().string(), ": ", name, " has no more than ", in_quotes(pieces.front().whole->name),
           pieces.size() == 2 ? text(" and ", in_quotes(pieces.back().whole->name)) : "",
           ", expected query, key and value");
  }
}

Shape Weights::shape(const std::string& parameter) const {
  const std::vector<Piece>& pieces = pieces_.at(parameter);
  Shape first;
  for (const Piece& p : pieces) {
    const Shape here = shape_here(p.layout, p.from.shape);
    if (here.rank() == 0 && p.from.shape.rank() != 0)
      fail(Fault::input, path().string(), ": ", in_quotes(p.whole->name), " has the shape ", p.from.shape,
           ", which is not that of such a tensor in ", naming_->name, "'s files");
    if (&p == &pieces.front()) first = here;
    if (here != first)
      fail(Fault::input, path().string(), ": ", in_quotes(p.whole->name), " has the shape ", p.from.shape, ", but ",
           in_quotes(pieces.front().whole->name), " has ", pieces.front().from.shape, ", expected the same");
  }
  if (pieces.size() == 1) return first;
  if (first.rank() == 0)
    fail(Fault::input, path().string(), ": ", in_quotes(pieces.front().whole->name), " is a single number");
  std::vector<int64_t> dims(first.begin(), first.end());
  if (__builtin_mul_overflow(dims[0], static_cast<int64_t>(pieces.size()), &dims[0]))
    fail(Fault::input, path().string(), ": ", in_quotes(pieces.front().whole->name), " has the shape ", first);
  return Shape(dims);
}

std::vector<float> Weights::read(const std::string& parameter) const {
  std::vector<float> values(static_cast<size_t>(shape(parameter).elements()));
  const std::vector<Piece>& pieces = pieces_.at(parameter);
  std::span<float> left(values);
  for (const Piece& p : pieces) {
    const std::span<float> to = left.first(values.size() / pieces.size());
    left = left.subspan(to.size());
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
  const size_t size = values.size() / pieces.size();
  for (const Piece& p : pieces) {
    Named& named = tensors[p.whole->name];
    const bool fits = p.from.shape.elements() == static_cast<int64_t>(size);
    require(fits || p.layout == Layout::as_is, "give_back: ", parameter, " has another size than in ", path().string());
    if (named.values.empty()) {
      named.shape = fits ? p.whole->shape : shape;  // positions of another grid
      named.values.resize(fits ? static_cast<size_t>(p.whole->shape.elements()) : size);
    }
    const size_t at = p.slice < 0 ? 0 : static_cast<size_t>(p.slice) * size;
    lay_back(p.layout, p.from.shape, values.first(size), std::span(named.values).subspan(at, size));
    values = values.subspan(size);
  }
}

// The model by the shapes of its parameters.
void Weights::find_geometry() {
  found_ = {.image = 0, .patch = 0, .dim = 0, .depth = 0, .heads = 0, .classes = 0, .channels = 0, .mlp = 0};
  found_.epsilon = naming_->epsilon;
  found_.gelu = naming_->gelu;
  model_from_ = images_from_ = text("by ", naming_->name, "'s convention");
  const auto shape_of = [&](const char* name, int rank) -> std::optional<Shape> {
    if (!has(name)) return std::nullopt;
    const Shape s = shape(name);
    if (s.rank() != rank || s.elements() == 0)
      fail(Fault::input, path().string(), ": ", names_of(name), " has the shape ", s, ", expected ", rank,
           " dimensions");
    return s;
  };
  if (const auto s = shape_of("patch_embed.proj.weight", 4)) {
    if ((*s)[2] != (*s)[3])
      fail(Fault::input, path().string(), ": ", names_of("patch_embed.proj.weight"), " has patches of ", (*s)[2], " x ",
           (*s)[3], ", expected square ones");
    found_.dim = (*s)[0], found_.channels = (*s)[1], found_.patch = (*s)[2];
  }
  for (const auto& [name, pieces] : pieces_) {
    NamePlace place;
    for (const Rule& rule : timm_naming.rules)
      if (matches(rule.ours, {}, name, place)) found_.depth = std::max(found_.depth, place.block + 1);
    for (const Piece& p : pieces)
      if (p.layout == Layout::heads_out && p.from.shape.rank() == 3) found_.heads = p.from.shape[1], heads_told_ = true;
  }
  if (const auto s = shape_of("blocks.0.mlp.fc1.weight", 2); s && found_.dim > 0) {
    if ((*s)[0] % found_.dim != 0)
      fail(Fault::input, path().string(), ": ", names_of("blocks.0.mlp.fc1.weight"), " makes ", (*s)[0], " values of ",
           found_.dim, ", expected a multiple");
    found_.mlp = (*s)[0] / found_.dim;
  }
  if (const auto s = shape_of("pos_embed", 3)) {
    const int64_t side = grid_side((*s)[1]);
    if (side == 0)
      fail(Fault::input, path().string(), ": ", names_of("pos_embed"), " has ", (*s)[1],
           " positions, expected a square grid, and one for the class token", with_known(unused_));
    found_.image = side * found_.patch;
  }
  if (const auto s = shape_of("head.weight", 2)) found_.classes = (*s)[0];
  if (card_) {
    const VitConfig card = parse_vit(card_->model);
    found_.epsilon = card.epsilon;
    found_.gelu = card.gelu;
    found_.heads = card.heads;
    heads_told_ = true;
    class_names_ = card_->classes;
    preprocess_ = card_->preprocess;
    model_from_ = images_from_ = "from its own metadata";
  }
  if (static_cast<int64_t>(class_names_.size()) != found_.classes) class_names_.clear();
}

void Weights::take(const SourceConfig& c, const std::string& where) {
  const auto agree = [&](const std::optional<int64_t>& said, int64_t found, const char* what) {
    if (said && found > 0 && *said != found)
      fail(Fault::input, where, ": says ", *said, ' ', what, ", but the weights in ", path().string(), " have ", found,
           ", expected the config of these weights");
  };
  agree(c.patch, found_.patch, "pixels to a patch's side");
  agree(c.dim, found_.dim, "values to a token");
  agree(c.depth, found_.depth, "blocks");
  agree(c.channels, found_.channels, "channels");
  agree(c.hidden, found_.mlp * found_.dim, "hidden values in the MLP");
  agree(c.image, found_.image, "pixels to an image's side");
  if (has("head.weight") && (c.library == "timm" || !c.class_names.empty()))
    agree(c.classes, found_.classes, "classes");
  if (heads_told_) agree(c.heads, found_.heads, "heads");
  if (c.heads) found_.heads = *c.heads, heads_told_ = true;
  if (c.epsilon) found_.epsilon = *c.epsilon;
  if (c.gelu) found_.gelu = *c.gelu;
  if (static_cast<int64_t>(c.class_names.size()) == found_.classes) class_names_ = c.class_names;
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
                 preprocessor = folder / "preprocessor_config.json";
  // Whatever has this name is read: a pipe, or a link to nothing, is refused there.
  const auto is_there = [](const fs::path& p) {
    std::error_code ignored;
    return fs::exists(fs::symlink_status(p, ignored));
  };
  if (is_there(config)) {
    const SourceConfig c = parse_config(read_text(config), config.string());
    if (!c.library.empty()) take(c, config.string());
  }
  if (is_there(preprocessor)) {
    const Preprocess p = preprocess_.value_or(Preprocess{.image = 0, .interpolation = naming_->interpolation});
    preprocess_ = parse_preprocessor(read_text(preprocessor), preprocessor.string(), p);
    images_from_ = "from " + preprocessor.string();
  }
}

// Where nothing tells: a head is 64 wide, but ViT-H's is 80.
static int64_t usual_heads(int64_t dim) { return dim == 1280 ? 16 : dim % 64 == 0 ? dim / 64 : 0; }

VitConfig Weights::model(std::string_view asked, int64_t image) const {
  VitConfig c;
  if (!asked.empty()) {
    c = parse_vit(found_.classes > 0 ? with_classes(asked, found_.classes) : std::string(asked), found_);
    if (heads_told_ && c.heads != found_.heads)
      fail(Fault::input, path().string(), ": is for ", found_.heads, " heads, but --model ", asked, " has ", c.heads,
           ", expected the same");
  } else if (card_) {
    c = parse_vit(card_->model);
    if (found_.classes > 0) c.classes = found_.classes;
  } else {
    c = found_;
    if (c.heads == 0) c.heads = usual_heads(c.dim);
    if (c.classes == 0) c.classes = 1;  // a headless file: whoever needs classes says how many
    if (c.image == 0 || c.patch == 0 || c.dim == 0 || c.depth == 0 || c.heads == 0 || c.mlp == 0)
      fail(Fault::usage, "--model is missing: ", path().string(),
           " does not say what it is for, expected a name such as vit_tiny_patch16_224");
    try {
      const VitConfig again = parse_vit(spec(c));
      require(again == c, "weights: ", spec(c), " is not read as it is written");
    } catch (const Error& e) {
      if (e.fault() != Fault::usage) throw;
      fail(Fault::input, path().string(), ": its shapes make no model that Shear has: ", e.what());
    }
  }
  return with_image(c, image);
}

Preprocess Weights::preprocess(const VitConfig& model) const {
  Preprocess p = default_preprocess(model);
  if (preprocess_) {
    p = *preprocess_;
    if (p.image != model.image) p.resize = 0;  // at another size the centre's share is what stays
  } else {
    p.interpolation = naming_->interpolation;
    p.fit = naming_->fit;
    p.halves = naming_->halves;
    if (p.fit == Fit::both) p.crop = 1;
  }
  p.image = static_cast<int>(model.image);
  p.channels = static_cast<int>(model.channels);
  return p;
}

PositionResize Weights::positions() const { return naming_->positions; }

std::string Weights::heads_guess(const VitConfig& model, std::string_view asked) const {
  if (heads_told_ || !asked.empty()) return {};
  return text(path().string(), ": heads: ", model.heads, ", guessed from the width ", model.dim, " (",
              model.dim / model.heads, " a head), not said by the file; --model says otherwise");
}

// What evaluation does before it turns pixels into floats.
static std::string geometry(const Preprocess& p) {
  const bool cut = resized_side(p) > p.image;
  const std::string share = p.crop == 1 ? "the centre of the " : text("the centre ", p.crop, " of the ");
  switch (p.fit) {
    case Fit::shorter:
      return share + "shorter side";
    case Fit::both:
      return cut ? text("squashed to ", resized_side(p), " x ", resized_side(p), ", the centre of that")
                 : std::string("squashed");
    case Fit::longer:
      return share + "longer side on the mean colour";
  }
  return {};
}

std::vector<std::string> Weights::describe(const VitConfig& model, const Preprocess& p) const {
  std::vector<std::string> lines;
  lines.push_back(text(path().string(), ": ", naming_->name, "'s names",
                       prefix_.empty() ? "" : text(" behind ", in_quotes(prefix_)), ", ", file_->tensors().size(),
                       " tensors; ", model.heads, " heads", "; LayerNorm epsilon ", model.epsilon, " and ",
                       yes(model.gelu == GeluForm::exact), ", ", model_from_));
  const auto three = [](const std::array<float, 3>& v) {
    return v[0] == v[1] && v[1] == v[2] ? text(v[0]) : text(v[0], ", ", v[1], ", ", v[2]);
  };
  lines.push_back(text("images: ", p.image, " x ", p.image, ", ",
                       p.interpolation == Interpolation::bilinear ? "bilinear" : "bicubic", ", ", geometry(p),
                       ", mean ", three(p.mean), ", std ", three(p.std), ", ", images_from_));
  return lines;
}

}  // namespace shear

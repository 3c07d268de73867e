// Weights: from the files of timm, Hugging Face, OpenCLIP, torchvision and Google, and to those of some of them.
#pragma once
#include <optional>

#include "shear/api.h"
#include "shear/data.h"
#include "shear/io.h"
#include "shear/model.h"

namespace SHEAR_API shear {

// -- What a weight file says about itself ---------------------------------------------------------------------------

// Kept in the metadata of every file that Shear writes, so that a file is enough to evaluate it.
struct ModelCard {
  std::string model;                 // as parse_model reads it
  std::vector<std::string> classes;  // by index; empty: not known
  Preprocess preprocess;
  std::string
      kind{};  // as the weights' library calls it: timm's architecture, Hugging Face's model_type; empty: not known
};
// Throws Fault::input for a class name that is not UTF-8.
std::map<std::string, std::string> to_metadata(const ModelCard&);
// Nothing where the file has none; throws Fault::input where it has one that cannot be read.
std::optional<ModelCard> read_card(const TensorFile&);

// What timm does with images for a model of this size: the centre of a slightly larger one at 224 pixels, else all.
Preprocess default_preprocess(const ModelSpec&);
void expect_square(const ModelSpec&);  // throws Fault::usage for a model of other images, to which no photo is brought

// What a user may say about preprocessing; what is empty stays as it is.
struct ImageOptions {
  std::optional<std::array<double, 3>> mean, std;
  std::optional<double> crop;
  std::optional<std::string> interpolation;  // a name of interpolations()
  bool squash = false;
  std::optional<int64_t> size;  // of the side, in pixels: taken into account when the model is chosen
};
void apply(const ImageOptions&, Preprocess&);  // throws Fault::usage for values that make no sense

// -- Position embeddings for another image size ---------------------------------------------------------------------

// As each library resizes them; see src/weights/positions.cpp.
enum class PositionResize : uint8_t { zoom, bilinear, bicubic, bicubic_antialias };
std::string_view name(PositionResize);                   // "zoom", "bilinear", "bicubic", "bicubic-antialias"
PositionResize parse_position_resize(std::string_view);  // throws Fault::usage

// (from, from, dim) -> (to, to, dim)
std::vector<float> resize_positions(std::span<const float> grid, int64_t from, int64_t to, int64_t dim, PositionResize);

// -- A weight file of any source ------------------------------------------------------------------------------------

struct Naming;
struct Piece;
class Schema;

// A tensor of a file that is no parameter of the model.
struct Unused {
  enum class Loss : uint8_t {
    some,                // the library of the weights computes with it
    none_with_new_head,  // only to reach the head that came with it
    none,                // the class token's logits do not depend on it
  };
  std::string name;
  std::string_view what;  // "LayerScale"; empty: not known
  Loss loss = Loss::some;
};

class Weights {
 public:
  // Recognises the format and the names.  Reads config.json, processor_config.json and preprocessor_config.json beside
  // the file, unless the file carries Shear's own card.  Throws Fault::input for a file that is broken, whose names are
  // of no known source, or that contradicts what stands beside it.
  explicit Weights(const std::filesystem::path&);
  ~Weights();
  Weights(const Weights&) = delete;
  Weights& operator=(const Weights&) = delete;

  const TensorFile& file() const { return *file_; }
  const std::filesystem::path& path() const { return file_->path(); }
  std::string_view source() const;  // "timm", "Hugging Face", "Google"

  // The model that the weights are for; where `model` (as for parse_model) is given, that one, with the LayerNorm
  // epsilon, GELU and number of classes of the weights unless it names them.  `image`: another size; 0: none.
  // Throws Fault::usage where the weights do not tell something that `model` does not say either, Fault::input where
  // they are of another family.  Without `image` and `model` the size is that which the library shows the model, where
  // it takes any (DINOv2 of Hugging Face); Fault::input where it takes one and a file beside the weights makes another.
  ModelSpecPtr model(std::string_view model = {}, int64_t image = 0) const;
  int64_t classes() const;  // of the head; 0: there is none

  const std::vector<std::string>& class_names() const { return class_names_; }  // empty: not known
  const std::string& kind() const { return kind_; }                             // as in ModelCard
  // As the weights want images, for the size and channels of `model`.
  Preprocess preprocess(const ModelSpec& model) const;
  PositionResize positions() const;

  // Where the names, the model's numbers and the preprocessing come from: one line each.
  std::vector<std::string> describe(const ModelSpec& model, const Preprocess&) const;
  // A warning where nothing but the width tells how many heads `model` has, as model(asked) gave it; else empty.
  std::string heads_guess(const ModelSpec& model, std::string_view asked) const;

  // Parameters by our names.  `read` and `shape` are for those that the file has: laid out as ours.
  bool has(const std::string& parameter) const { return pieces_.contains(parameter); }
  Shape shape(const std::string& parameter) const;
  std::vector<float> read(const std::string& parameter) const;
  // The tensor itself, where it is the parameter's f32 values as they are; else null.
  const TensorView* same(const std::string& parameter) const;
  bool key_bias() const { return key_bias_; }                // false: biases of queries and values, and none of keys
  std::string names_of(const std::string& parameter) const;  // of its tensors, for people
  std::vector<std::string> parameters() const;
  // Tensors that are no parameter; the state of a training is left out.
  const std::vector<Unused>& unused() const { return unused_; }

  // Adds a parameter's values to `tensors`, as the file calls them and lays them out.
  struct Named {
    Shape shape;
    std::vector<float> values;
  };
  void give_back(const std::string& parameter, const Shape&, std::span<const float> values,
                 std::map<std::string, Named>& tensors) const;

 private:
  void name_tensors();
  void take_names();
  void choose_schema();
  void read_beside();
  void take(const struct SourceConfig&, const std::string& where);

  std::unique_ptr<const TensorFile> file_;
  const Naming* naming_ = nullptr;
  std::string wrapper_, prefix_;                      // in front of all names
  std::map<std::string, std::vector<Piece>> pieces_;  // by our names
  bool key_bias_ = true;
  std::vector<Unused> unused_;
  std::optional<ModelCard> card_;
  std::unique_ptr<Schema> schema_;
  std::vector<std::string> class_names_;
  std::string kind_;
  std::optional<Preprocess> preprocess_;
  std::string model_from_, images_from_;  // for people
  std::string shown_by_;                  // the file that says what the library shows the model; empty: none
  bool any_size_ = false;
};

enum class Matching : bool { exact, fine_tuning };
struct LoadOptions {
  Matching matching = Matching::exact;
  std::optional<PositionResize> positions{};  // none: as the source's library
  bool allow_mismatch = false;                // what does not fit is told of, and no error
  std::vector<std::string> classes{};         // the data's, by index; empty: not known
};
enum class HeadFrom : uint8_t { file, rows, zero };  // as it is there; some of its rows, or in another order; new
struct WeightsReport {
  std::vector<std::string> missing;  // parameters that the file does not have: they are drawn
  std::vector<std::string> unused;   // tensors of the file that change what its library computes
  HeadFrom head = HeadFrom::file;
  std::vector<std::string> notes, warnings;  // for people: sentences on the head, on positions and on what is unused
};

// Whether the file fits the model, and how.  `exact`: every parameter must be there.  `fine_tuning`: the head's rows go
// to the data's classes by name; where not all of them are known to it the new head is zero.  Position embeddings of
// another grid are resized.  Throws Fault::input for a wrong shape, for a parameter that is missing and for a tensor
// that is unused, unless `allow_mismatch`: parameters that are missing when fine-tuning are then drawn.
WeightsReport match_weights(const Weights&, Parameters&, const LoadOptions&);
// And takes the values.  Where it throws, parameters are as before.
WeightsReport load_weights(const Weights&, Parameters&, const LoadOptions&);

// Parameters only, under their own names: what timm reads.  What LoRA added to a weight is added up in it.
void save_weights(const std::filesystem::path&, const Parameters&, const std::map<std::string, std::string>& metadata);

// -- Export ---------------------------------------------------------------------------------------------------------

enum class ExportNaming : uint8_t { timm, hugging_face, torchvision };
struct ExportOptions {
  std::optional<ExportNaming> naming;  // none: timm's names, and no files beside
  DType dtype = DType::f32;            // F32, F16 or BF16
  std::string model;                   // where the weights do not say
  bool overwrite = false;              // of config.json and preprocessor_config.json
  bool allow_mismatch = false;         // as in LoadOptions
};
struct ExportReport {
  std::vector<std::filesystem::path> written;  // the weights first
  size_t tensors = 0;
  std::vector<std::string> notes, warnings;
};
// Writes the parameters to `out`, or to out/model.safetensors where `out` does not end in ".safetensors", and with the
// naming of timm or Hugging Face config.json and preprocessor_config.json beside, so that
// timm.create_model("local-dir:...") or transformers' from_pretrained load them.  Biases and positions that the library
// has and the weights do not are written as zeros.  Throws Fault::usage where the library has no model that computes
// the same, Fault::input where the weights do not fit the model, as load_weights, and where a parameter does not fit
// the type.
ExportReport export_weights(const Weights&, const std::filesystem::path& out, const ExportOptions&);

}  // namespace shear

// What is known of the files of one family of models: how a file's shapes, and what stands beside them, make a model.
#pragma once
#include <memory>

#include "shear/weights.h"

namespace shear {

struct SourceConfig;

class Schema {
 public:
  virtual ~Schema() = default;

  virtual std::string_view family() const = 0;
  virtual int64_t classes() const = 0;  // of the head; 0: there is none
  // Takes what a library's config.json says, where it does not contradict the file.  Throws Fault::input where it does;
  // `where` opens the sentence.
  virtual void take(const SourceConfig&, const std::string& where) = 0;
  // Throws Fault::input where what the file has makes no model, whatever stood beside it.
  virtual void expect_whole() const {}
  // As Weights::model, for a spelling of this family or none.
  virtual ModelSpecPtr model(std::string_view asked, int64_t image) const = 0;
  // What of the model the file does not show by its shapes: "12 heads; LayerNorm epsilon 1e-06 and exact GELU".
  virtual std::string told(const ModelSpec&) const = 0;
  virtual std::string guess(const ModelSpec&, std::string_view asked) const = 0;  // as Weights::heads_guess
};

// Of a ViT, by the shapes of `weights`, whose tensors are named.  `heads`: what a layout of the file says; 0: nothing.
// Throws Fault::input for shapes that no ViT has.
std::unique_ptr<Schema> vit_schema(const Weights& weights, const struct Naming&, int64_t heads,
                                   const std::optional<ModelCard>&);
// Of a model of any family whose file carries Shear's own card.
std::unique_ptr<Schema> card_schema(const ModelCard&);

}  // namespace shear

// A file that Shear wrote itself, of a family that no other library has: its card says what it is.
#include "weights/schema.h"

namespace shear {

namespace {

class CardSchema final : public Schema {
 public:
  explicit CardSchema(const ModelCard& card) : model_(parse_model(card.model)) {}

  std::string_view family() const override { return model_->family(); }
  int64_t classes() const override { return model_->classes(); }
  void take(const SourceConfig&, const std::string&) override {}
  ModelSpecPtr model(std::string_view asked, int64_t image) const override {
    const ModelSpecPtr found = asked.empty() ? model_ : parse_model(shear::with_classes(asked, classes()));
    return found->with_image(image);
  }
  std::string told(const ModelSpec& model) const override { return model.str(); }
  std::string guess(const ModelSpec&, std::string_view) const override { return {}; }

 private:
  ModelSpecPtr model_;
};

}  // namespace

std::unique_ptr<Schema> card_schema(const ModelCard& card) { return std::make_unique<CardSchema>(card); }

}  // namespace shear

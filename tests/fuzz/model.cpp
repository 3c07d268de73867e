// A model's spelling: what is understood has a spelling that means the same, with other classes and another image too.
#include "shear/model.h"

#include <cstdint>
#include <cstdlib>

#include "shear/error.h"
#include "shear/models/vit.h"

using namespace shear;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const ModelSpecPtr model = parse_model(text);
    const Shape input = model->input();
    if (input.elements() < 1 || input[1] != input[2] || model->rows() < 1 || model->classes() < 1) std::abort();
    if (parse_model(model->str())->str() != model->str() || family_of(text) != model->family()) std::abort();
    if (model->with_classes(7)->classes() != 7 || parse_model(with_classes(text, 7))->classes() < 1) std::abort();
    if (model->with_image(2 * input[1])->input()[1] != 2 * input[1]) std::abort();
    const VitConfig* vit = vit_config(*model);
    if (!vit) return 0;
    if (vit->image % vit->patch != 0 || vit->dim % vit->heads != 0 || !(vit->epsilon > 0)) std::abort();
    if (!known_name(*vit).empty() && parse_vit(known_name(*vit)).dim != vit->dim) std::abort();
  } catch (const Error& e) {
    if (e.fault() != Fault::usage) std::abort();
  }
  return 0;
}

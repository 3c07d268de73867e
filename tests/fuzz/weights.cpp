// A weight file of any source: names, layouts and the model that they make.  What opens can be read whole.
#include "shear/weights.h"

#include <algorithm>

#include "input.h"
#include "weights/head_rows.h"

using namespace shear;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const Weights weights(fuzz::as_file(data, size));
    for (const std::string& name : weights.parameters()) {
      const Shape shape = weights.shape(name);
      const std::vector<float> values = weights.read(name);
      if (static_cast<int64_t>(values.size()) != shape.elements()) std::abort();
      std::map<std::string, Weights::Named> back;
      weights.give_back(name, shape, values, back);
    }
    const ModelSpecPtr model = weights.model();
    if (parse_model(model->str())->str() != model->str()) std::abort();
    weights.describe(*model, weights.preprocess(*model));
    weights.heads_guess(*model, {});
    std::vector<std::string> classes = weights.class_names();
    std::reverse(classes.begin(), classes.end());
    for (const int64_t row : plan_head(weights, static_cast<int64_t>(classes.size()), classes).rows)
      if (row < 0 || row >= weights.classes()) std::abort();
  } catch (const Error& e) {
    if (e.fault() != Fault::input && e.fault() != Fault::usage) std::abort();  // usage: --model is needed
  }
  return 0;
}

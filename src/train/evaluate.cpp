// Accuracy and loss over a data set.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "shear/backend.h"
#include "shear/train.h"
#include "shear/utf8.h"
#include "weights/head_rows.h"

namespace shear {

static double cross_entropy_of(std::span<const float> logits, int64_t label) {
  const double top = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (float v : logits) sum += std::exp(v - top);
  return std::log(sum) + top - logits[static_cast<size_t>(label)];
}

std::optional<Evaluation> evaluate(Device& device, const Forward& forward, const Dataset& data,
                                   const Loader::Options& options, int64_t classes, std::span<const int> labels,
                                   const std::function<bool(int64_t, int64_t)>& go_on) {
  require(!options.training, "evaluate: the loader is for training");
  Backend& run = device.run();
  Tape tape(device);
  Loader loader(data, options);
  loader.start(0);
  const int64_t side = options.preprocess.image, channels = options.preprocess.channels;
  Evaluation result;
  result.classes = classes;
  int64_t right = 0, among_five = 0;
  double loss = 0;
  std::vector<float> host;
  while (const Batch* batch = loader.next()) {
    const Tensor images = tape.empty({batch->count, channels, side, side});
    run.upload(images.data<void>(), batch->images.data(), images.bytes());
    const Tensor logits = forward(tape, images, {});
    require(logits.shape() == Shape({batch->count, classes}), "evaluate: logits ", logits.shape(), ", expected ",
            Shape({batch->count, classes}));
    check_labels("evaluate", "", batch->labels, labels.empty() ? classes : static_cast<int64_t>(labels.size()));
    host.resize(static_cast<size_t>(logits.elements()));
    run.download(host.data(), logits.data<void>(), logits.bytes());
    for (int64_t i = 0; i < batch->count; ++i) {
      const int own = batch->labels[static_cast<size_t>(i)];
      const int64_t label = labels.empty() ? own : labels[static_cast<size_t>(own)];
      const std::span<const float> row(host.data() + i * classes, static_cast<size_t>(classes));
      const int64_t rank = rank_of(row, label);
      right += rank == 0;
      among_five += rank < 5;
      loss += cross_entropy_of(row, label);
      const int64_t chosen = std::max_element(row.begin(), row.end()) - row.begin();
      ++result.confusion[{label, chosen}];
    }
    result.samples += batch->count;
    if (go_on && !go_on(result.samples, data.size())) return std::nullopt;
  }
  if (result.samples > 0) {
    const double n = static_cast<double>(result.samples);
    result.accuracy = static_cast<double>(right) / n;
    result.top5 = static_cast<double>(among_five) / n;
    result.loss = loss / n;
  }
  return result;
}

std::vector<int> match_classes(const std::vector<std::string>& data, const std::vector<std::string>& model) {
  const std::vector<int64_t> found = indices_of(data, model);
  const auto wrong = std::find(found.begin(), found.end(), -1);
  if (wrong == found.end()) return {found.begin(), found.end()};
  const std::string& name = data[static_cast<size_t>(wrong - found.begin())];
  if (std::find(model.begin(), model.end(), name) != model.end())
    fail(Fault::input, "the data has a class \"", printable(name),
         "\", as which the model knows more than one of its classes, expected names that differ");
  fail(Fault::input, "the data has a class \"", printable(name),
       "\" that the model does not know, expected one of its ", model.size(), " classes");
}

ClassMatch match_unnamed_classes(const std::vector<std::string>& data, int64_t classes) {
  if (const std::vector<int64_t> numbers = numbers_of(data, classes); !numbers.empty())
    return {{numbers.begin(), numbers.end()}, ClassMatch::by_number};
  if (static_cast<int64_t>(data.size()) != classes)
    fail(Fault::input, "the weights have ", classes,
         " classes and do not name them, so that none of them is known to be ", some_of(data),
         data.size() > 1 ? ", the classes" : ", the class",
         " of the data; expected names in them, such as id2label in a config.json beside them");
  std::vector<int> same(data.size());
  std::iota(same.begin(), same.end(), 0);
  return {std::move(same), ClassMatch::by_position};
}

}  // namespace shear

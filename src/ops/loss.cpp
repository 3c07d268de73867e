// loss = mean over the batch of -sum target log softmax(logits)
#include "shear/op.h"
#include "shear/ops.h"

namespace shear {

namespace {

struct CrossEntropyGrad {
  Slot x, y;
  float smoothing;
  Saved logits, labels;

  void operator()(Backward& bw) const {
    const Tensor& in = bw.dense(logits);
    auto [dx, beta] = bw.sink(x, in.shape());
    bw.run().cross_entropy_grad(in, bw.dense(labels), smoothing, 1.f / static_cast<float>(in.rows()), bw.grad(y), beta,
                                dx);
    bw.close(labels);
    bw.close(logits);
  }
};

}  // namespace

void check_labels(std::string_view op, Site site, std::span<const int32_t> labels, int64_t classes) {
  for (size_t i = 0; i < labels.size(); ++i)
    if (labels[i] < 0 || labels[i] >= classes)
      fail(Fault::input, op, site.empty() ? "" : " ", site, ": label ", i, " is ", labels[i], ", expected 0 to ",
           classes - 1);
}

Tensor cross_entropy(Tape& tape, Site site, const Tensor& logits, const Tensor& labels, float smoothing) {
  const OpScope op(tape, "cross_entropy", site, {logits, {labels, DType::i32}});
  op.expect(labels.elements() == logits.rows(), "logits ", logits.shape(), " do not fit labels ", name(labels.dtype()),
            " ", labels.shape());
  if (tape.run().computes() && tape.run().on_host())  // on a device they were checked before they went there
    check_labels("cross_entropy", site, {labels.data<int32_t>(), static_cast<size_t>(labels.elements())},
                 logits.cols());
  Tensor losses = tape.empty({logits.rows()});
  Tensor loss = tape.empty({1});
  tape.run().cross_entropy(logits, labels, smoothing, losses);
  tape.run().mean(losses, loss);
  if (op.wanted()) {
    const Saved in = op.hold(logits), classes = op.hold(labels);
    op.record(loss, CrossEntropyGrad{logits.slot, {}, smoothing, in, classes});
  }
  return loss;
}

}  // namespace shear

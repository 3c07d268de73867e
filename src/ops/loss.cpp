// loss = mean over the batch of -sum target log softmax(logits)
#include "shear/ops.h"

namespace shear {

namespace {

struct CrossEntropyGrad {
  Slot x, y;
  float smoothing;
  Saved logits, labels;

  void operator()(Backward& bw) const {
    const Tensor& in = bw.dense(logits);
    const auto [dx, beta] = bw.sink(x, in.shape());
    bw.run().cross_entropy_grad(in, bw.dense(labels), smoothing, 1.f / static_cast<float>(in.rows()), bw.grad(y), beta,
                                dx);
    bw.close(labels);
    bw.close(logits);
  }
};

}  // namespace

Tensor cross_entropy(Tape& tape, Site site, const Tensor& logits, const Tensor& labels, float smoothing) {
  const At here(site);
  require(labels.dtype() == DType::i32 && labels.elements() == logits.rows(), "cross_entropy ", site, ": logits ",
          logits.shape(), " do not fit labels ", name(labels.dtype()), " ", labels.shape());
  const Tensor losses = tape.empty({logits.rows()});
  Tensor loss = tape.empty({1});
  tape.run().cross_entropy(logits, labels, smoothing, losses);
  tape.run().mean(losses, loss);
  if (tape.wants_grad(logits, {})) {
    const Saved in = tape.hold(site, "cross_entropy", logits), classes = tape.hold(site, "cross_entropy", labels);
    tape.record(loss, CrossEntropyGrad{logits.slot, {}, smoothing, in, classes});
  }
  return loss;
}

}  // namespace shear

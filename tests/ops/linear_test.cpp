// y = x w^T + b: values, gradients, what is saved, and what is refused.
#include "shear/ops.h"

#include <doctest/doctest.h>

#include "backend.h"
#include "errors.h"
#include "gradcheck.h"
#include "shear/policies.h"

using namespace shear;
using namespace shear::test;

namespace {

Values reference_linear(const Values& x, const Values& w, const Values* b, int64_t in, int64_t out) {
  const size_t n_in = static_cast<size_t>(in), n_out = static_cast<size_t>(out), rows = x.size() / n_in;
  Values y(rows * n_out);
  for (size_t r = 0; r < rows; ++r)
    for (size_t o = 0; o < n_out; ++o) {
      double sum = b ? (*b)[o] : 0;
      for (size_t i = 0; i < n_in; ++i) sum += x[r * n_in + i] * w[o * n_in + i];
      y[r * n_out + o] = sum;
    }
  return y;
}

struct Frozen {
  bool w = false, b = false;
};

// Each output times a number of its own: LayerScale.  `trained`: the bits of weight, bias and scale.
Problem scaled(const Shape& x, int64_t out, bool biased, unsigned trained, bool onto = false) {
  const int64_t in = x.cols();
  Problem p;
  p.inputs = {normal(x, 1)};
  if (onto) p.inputs.push_back(normal(x.with_cols(out), 5));
  p.params = {normal({out, in}, 2), normal({out}, 4, 0.3, 0.5)};
  if (biased) p.params.push_back(normal({out}, 3));
  const unsigned bits[] = {1, 4, 2};
  for (size_t i = 0; i < p.params.size(); ++i)
    if ((trained & bits[i]) == 0) p.params[i] = frozen(p.params[i]);
  p.op = [=](Tape& tape, std::span<const Tensor> inputs, std::span<Param*> params) {
    return linear(tape, "fc", inputs[0], *params[0], biased ? params[2] : nullptr, onto ? inputs[1] : Tensor{},
                  params[1]);
  };
  p.reference = [=](std::span<const Values> inputs, std::span<const Values> params) {
    Values y = reference_linear(inputs[0], params[0], biased ? &params[2] : nullptr, in, out);
    for (size_t i = 0; i < y.size(); ++i)
      y[i] = y[i] * params[1][i % static_cast<size_t>(out)] + (onto ? inputs[1][i] : 0);
    return y;
  };
  return p;
}

Problem problem(const Shape& x, int64_t out, bool biased, Frozen is_frozen = {}) {
  const int64_t in = x.cols();
  Problem p;
  p.inputs = {normal(x, 1)};
  p.params = {normal({out, in}, 2)};
  if (is_frozen.w) p.params[0] = frozen(p.params[0]);
  if (biased) p.params.push_back(is_frozen.b ? frozen(normal({out}, 3)) : normal({out}, 3));
  p.op = [biased](Tape& tape, std::span<const Tensor> inputs, std::span<Param*> params) {
    return linear(tape, "fc", inputs[0], *params[0], biased ? params[1] : nullptr);
  };
  p.reference = [=](std::span<const Values> inputs, std::span<const Values> params) {
    return reference_linear(inputs[0], params[0], biased ? &params[1] : nullptr, in, out);
  };
  return p;
}

}  // namespace

TEST_CASE("a linear layer's values and gradients agree with the reference for sizes with tails") {
  for (const Shape& x : {Shape{1, 1}, Shape{3, 31}, Shape{33, 3}, Shape{197, 33}, Shape{2, 5, 7}})
    for (const int64_t out : {1, 5, 33})
      for (const bool biased : {false, true}) {
        CAPTURE(x.str());
        CAPTURE(out);
        CAPTURE(biased);
        check_gradients(problem(x, out, biased));
      }
}

TEST_CASE("a linear layer whose outputs are scaled agrees with the reference, whatever of it is trained") {
  for (const Shape& x : {Shape{1, 1}, Shape{3, 31}, Shape{2, 5, 7}, Shape{197, 33}})
    for (const bool biased : {false, true})
      for (unsigned trained = 0; trained < 8; ++trained) {
        if (x != Shape{3, 31} && trained != 7) continue;  // what is trained does not depend on the size
        CAPTURE(x.str());
        CAPTURE(biased);
        CAPTURE(trained);
        check_gradients(scaled(x, 5, biased, trained));
        check_gradients(scaled(x, 5, biased, trained, true));
      }
}

TEST_CASE("a linear layer over more rows than one band of recomputation agrees with the reference") {
  check_gradients(problem({2311, 3}, 2, true));
}

TEST_CASE("a linear layer onto a stream adds to it, and passes its gradient on, whatever else is frozen") {
  for (const bool own : {false, true})  // the stream is what the layer reads
    for (const bool frozen_params : {false, true})
      for (const bool stream_is_frozen : {false, true}) {
        if (own && stream_is_frozen) continue;
        CAPTURE(own);
        CAPTURE(frozen_params);
        CAPTURE(stream_is_frozen);
        Problem p = problem({2, 17, 33}, 33, true, {.w = frozen_params, .b = frozen_params});
        const Operand stream = normal({2, 17, 33}, 4);
        if (!own) p.inputs.push_back(stream_is_frozen ? frozen(stream) : stream);
        const size_t onto = own ? 0 : 1;
        p.op = [onto](Tape& tape, std::span<const Tensor> x, std::span<Param*> w) {
          return linear(tape, "fc", x[0], *w[0], w[1], x[onto]);
        };
        p.reference = [onto](std::span<const Values> x, std::span<const Values> w) {
          Values y = reference_linear(x[0], w[0], &w[1], 33, 33);
          for (size_t i = 0; i < y.size(); ++i) y[i] += x[onto][i];
          return y;
        };
        check_gradients(p);
      }
}

TEST_CASE("a linear layer writes over a stream that is given away, and not over one that somebody holds") {
  Device device(test_backend(1));
  Tape tape(device);
  Param w = make_param(device, "w", normal({31, 7}, 1)), b = make_param(device, "b", normal({31}, 2));
  const Tensor x = upload(device, normal({5, 7}, 3)), held = upload(device, normal({5, 31}, 4));
  const std::vector<float> before = device.download(held);
  const Tensor apart = linear(tape, "fc", x, w, &b, held);
  CHECK(apart.data() != held.data());
  CHECK(device.download(held) == before);
  Tensor given = tape.empty(held.shape());
  device.run().copy(held, 0, given);
  const float* place = given.data();
  const Tensor over = linear(tape, "fc", x, w, &b, std::move(given));
  CHECK(over.data() == place);
  CHECK(device.download(over) == device.download(apart));
  CHECK(sentence(Fault::internal, [&] { linear(tape, "fc", x, w, &b, x); }) ==
        "linear fc: onto (5, 7), expected (5, 31)");
}

TEST_CASE("a frozen weight or bias of a linear layer gets no gradient, and the others keep theirs") {
  check_gradients(problem({3, 31}, 5, true, {.w = true}));
  check_gradients(problem({3, 31}, 5, true, {.b = true}));
  check_gradients(problem({3, 31}, 5, true, {.w = true, .b = true}));
}

TEST_CASE("a linear layer saves its input once where the weight is trainable, and nothing where it is frozen") {
  Device device(test_backend(1));
  const auto policy = make_policy("full");
  Tape tape(device, *policy);
  Tensor x = upload(device, normal({3, 31}, 1));
  tape.watch(x);
  Param w = make_param(device, "w", normal({5, 31}, 2)), b = make_param(device, "b", normal({5}, 3));

  Tensor y = linear(tape, "fc", x, w, &b);
  REQUIRE(tape.report().size() == 1);
  const SaveRow row = tape.report()[0];
  CHECK(row.site == "fc");
  CHECK(row.op == "linear");
  CHECK(row.asked == "keep");
  CHECK(row.got == "dense");
  CHECK(row.why == "");
  CHECK(row.dense_bytes == 3 * 31 * 4);
  CHECK(row.saved_bytes == aligned(3 * 31 * 4));
  CHECK(device.meter().live(Category::saved) == row.saved_bytes);
  tape.reset();

  w.trainable = false;
  x.slot = {};
  tape.watch(x);
  y = linear(tape, "fc", x, w, &b);
  CHECK(tape.report().empty());
  CHECK(device.meter().live(Category::saved) == 0);
  tape.reset();

  b.trainable = false;
  x.slot = {};
  y = linear(tape, "fc", x, w, &b);
  CHECK_FALSE(y.slot.wanted());  // nothing asks for a gradient, so nothing is recorded
}

TEST_CASE("a linear layer refuses an input or a bias that does not fit, with its site and both shapes") {
  Device device(test_backend(1));
  Tape tape(device);
  const Tensor x = upload(device, normal({2, 3, 31}, 1));
  Param narrow = make_param(device, "w", normal({5, 30}, 2)), w = make_param(device, "w", normal({5, 31}, 2));
  Param cube = make_param(device, "w", normal({5, 31, 1}, 2)), b = make_param(device, "b", normal({4}, 3));
  CHECK(sentence(Fault::internal, [&] { linear(tape, "blocks.3.mlp.fc1", x, narrow, nullptr); }) ==
        "linear blocks.3.mlp.fc1: input (2, 3, 31) does not fit weight (5, 30)");
  CHECK(sentence(Fault::internal, [&] { linear(tape, "fc", x, cube, nullptr); }) ==
        "linear fc: input (2, 3, 31) does not fit weight (5, 31, 1)");
  CHECK(sentence(Fault::internal, [&] { linear(tape, "fc", x, w, &b); }) ==
        "linear fc: bias (4) does not fit weight (5, 31)");
}

// The patch embedding against a plain convolution whose stride is its kernel's size.
#include "shear/ops.h"

#include <doctest/doctest.h>

#include "backend.h"
#include "errors.h"
#include "gradcheck.h"
#include "shear/policies.h"

using namespace shear;
using namespace shear::test;

namespace {

struct Images {
  int64_t batch, channels, height, width, patch;
};

// images (B, C, H, W), w (D, C, p, p), b (D) -> (B, P, D)
Values convolution(const Images& s, const Values& images, const Values& w, const Values& b) {
  const int64_t p = s.patch, down = s.height / p, across = s.width / p, dim = static_cast<int64_t>(b.size());
  Values y(static_cast<size_t>(s.batch * down * across * dim));
  for (int64_t n = 0; n < s.batch; ++n)
    for (int64_t top = 0; top < down; ++top)
      for (int64_t left = 0; left < across; ++left)
        for (int64_t d = 0; d < dim; ++d) {
          double sum = b[static_cast<size_t>(d)];
          for (int64_t c = 0; c < s.channels; ++c)
            for (int64_t i = 0; i < p; ++i)
              for (int64_t j = 0; j < p; ++j)
                sum += images[static_cast<size_t>(((n * s.channels + c) * s.height + top * p + i) * s.width + left * p +
                                                  j)] *
                       w[static_cast<size_t>(((d * s.channels + c) * p + i) * p + j)];
          y[static_cast<size_t>(((n * down + top) * across + left) * dim + d)] = sum;
        }
  return y;
}

Problem problem(const Images& s, int64_t dim, bool flat_weight) {
  Problem p;
  p.inputs = {frozen(normal({s.batch, s.channels, s.height, s.width}, 1))};
  const Shape w = flat_weight ? Shape{dim, s.channels * s.patch * s.patch} : Shape{dim, s.channels, s.patch, s.patch};
  p.params = {normal(w, 2), normal({dim}, 3)};
  p.op = [s](Tape& tape, std::span<const Tensor> x, std::span<Param*> params) {
    return patch_embed(tape, "patch_embed.proj", x[0], s.patch, *params[0], params[1]);
  };
  p.reference = [s](std::span<const Values> x, std::span<const Values> params) {
    return convolution(s, x[0], params[0], params[1]);
  };
  return p;
}

}  // namespace

TEST_CASE("the patch embedding is a convolution, in values and gradients") {
  for (const Images& s : {Images{1, 1, 1, 1, 1}, Images{2, 3, 4, 4, 2}, Images{1, 1, 28, 28, 4},
                          Images{3, 3, 30, 30, 5}, Images{2, 2, 6, 9, 3}, Images{1, 3, 31, 31, 31},
                          Images{2, 3, 9, 11, 4}})  // the last leaves out three columns and a row
    for (const bool flat_weight : {false, true}) {
      CAPTURE(s.height);
      CAPTURE(s.patch);
      CAPTURE(flat_weight);
      check_gradients(problem(s, 5, flat_weight));
    }
}

TEST_CASE("the patch embedding agrees with a convolution where its patches make more than one band") {
  check_gradients(problem({5, 1, 64, 64, 4}, 3, false));  // 1280 patches
}

TEST_CASE("the patch embedding does without a bias") {
  Problem p = problem({2, 3, 4, 4, 2}, 5, false);
  p.params.pop_back();
  p.op = [](Tape& tape, std::span<const Tensor> x, std::span<Param*> params) {
    return patch_embed(tape, "patch_embed.proj", x[0], 2, *params[0], nullptr);
  };
  p.reference = [](std::span<const Values> x, std::span<const Values> params) {
    return convolution({2, 3, 4, 4, 2}, x[0], params[0], Values(5, 0.));
  };
  check_gradients(p);
}

TEST_CASE("frozen parameters of the patch embedding get no gradient, and a frozen weight saves no images") {
  Problem p = problem({2, 3, 4, 4, 2}, 5, false);
  p.params[0] = frozen(p.params[0]);
  check_gradients(p);
  p = problem({2, 3, 4, 4, 2}, 5, false);
  p.params[1] = frozen(p.params[1]);
  check_gradients(p);

  Device device(test_backend(1));
  const auto policy = make_policy("full");
  Tape tape(device, *policy);
  const Tensor images = upload(device, normal({2, 3, 4, 4}, 1));
  Param w = make_param(device, "w", normal({5, 3, 2, 2}, 2)), b = make_param(device, "b", normal({5}, 3));
  patch_embed(tape, "proj", images, 2, w, &b);
  REQUIRE(tape.report().size() == 1);
  CHECK(tape.report()[0].saved_bytes == aligned(2 * 3 * 4 * 4 * 4));
  tape.reset();
  w.trainable = false;
  patch_embed(tape, "proj", images, 2, w, &b);
  CHECK(tape.report().empty());
}

TEST_CASE("the patch embedding refuses images and parameters that do not fit, with its site and the shapes") {
  Device device(test_backend(1));
  const auto policy = make_policy("full");
  Tape tape(device, *policy);
  Tensor images = upload(device, normal({2, 3, 4, 6}, 1));
  Param w = make_param(device, "w", normal({5, 3, 2, 2}, 2)), b = make_param(device, "b", normal({5}, 3));
  Param wrong_w = make_param(device, "w", normal({5, 3, 2, 3}, 2)), wrong_b = make_param(device, "b", normal({4}, 3));
  CHECK(sentence(Fault::internal, [&] { patch_embed(tape, "proj", images, 5, w, &b); }) ==
        "patch_embed proj: images (2, 3, 4, 6) have no patch of 5");
  CHECK(sentence(Fault::internal, [&] { patch_embed(tape, "proj", images, 2, wrong_w, &b); }) ==
        "patch_embed proj: weight (5, 3, 2, 3) and bias (5) do not fit patches of 12 values");
  CHECK(sentence(Fault::internal, [&] { patch_embed(tape, "proj", images, 2, w, &wrong_b); }) ==
        "patch_embed proj: weight (5, 3, 2, 2) and bias (4) do not fit patches of 12 values");
  tape.watch(images);
  CHECK(sentence(Fault::internal, [&] { patch_embed(tape, "proj", images, 2, w, &b); }) ==
        "patch_embed proj: has no gradient for images");
}

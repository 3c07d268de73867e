// The class token and the position embedding, and taking one token out again.
#include "shear/ops.h"

#include <doctest/doctest.h>

#include "backend.h"
#include "errors.h"
#include "gradcheck.h"

using namespace shear;
using namespace shear::test;

namespace {

Problem adding(int64_t batch, int64_t patches, int64_t dim) {
  Problem p;
  p.inputs = {normal({batch, patches, dim}, 1)};
  p.params = {normal({1, 1, dim}, 2), normal({1, patches + 1, dim}, 3)};
  p.op = [](Tape& tape, std::span<const Tensor> x, std::span<Param*> params) {
    return add_tokens(tape, "embed", x[0], *params[0], *params[1]);
  };
  p.reference = [=](std::span<const Values> x, std::span<const Values> params) {
    const size_t image = static_cast<size_t>(patches * dim), width = static_cast<size_t>(dim);
    Values y;
    for (int64_t b = 0; b < batch; ++b)
      for (size_t i = 0; i < image + width; ++i)
        y.push_back(params[1][i] + (i < width ? params[0][i] : x[0][static_cast<size_t>(b) * image + i - width]));
    return y;
  };
  return p;
}

Problem taking(int64_t batch, int64_t tokens, int64_t dim, int64_t index) {
  Problem p;
  p.inputs = {normal({batch, tokens, dim}, 1)};
  p.op = [=](Tape& tape, std::span<const Tensor> x, std::span<Param*>) {
    return take_token(tape, "pool", x[0], index);
  };
  p.reference = [=](std::span<const Values> x, std::span<const Values>) {
    Values y;
    for (int64_t b = 0; b < batch; ++b)
      for (int64_t i = 0; i < dim; ++i) y.push_back(x[0][static_cast<size_t>((b * tokens + index) * dim + i)]);
    return y;
  };
  return p;
}

}  // namespace

TEST_CASE("the class token and the positions are added as the reference adds them, with its gradients") {
  check_gradients(adding(1, 1, 1));
  check_gradients(adding(3, 4, 31));
  check_gradients(adding(2, 196, 33));
}

TEST_CASE("a frozen class token or position embedding gets no gradient, and the others keep theirs") {
  for (const size_t which : {0u, 1u}) {
    Problem p = adding(3, 4, 31);
    p.params[which] = frozen(p.params[which]);
    check_gradients(p);
  }
  Problem p = adding(3, 4, 31);
  p.inputs[0] = frozen(p.inputs[0]);
  check_gradients(p);
}

TEST_CASE("a token is taken from each sequence, and only it gets the gradient") {
  check_gradients(taking(1, 1, 1, 0));
  check_gradients(taking(3, 5, 31, 0));
  check_gradients(taking(3, 5, 31, 4));
  check_gradients(taking(2, 197, 33, 1));
}

TEST_CASE("two tokens of one value each add their gradient to it") {
  Problem p;
  p.inputs = {normal({3, 5, 7}, 1)};
  p.op = [](Tape& tape, std::span<const Tensor> x, std::span<Param*>) {
    return add(tape, "sum", take_token(tape, "a", x[0], 0), take_token(tape, "b", x[0], 3));
  };
  p.reference = [](std::span<const Values> x, std::span<const Values>) {
    Values y;
    for (size_t b = 0; b < 3; ++b)
      for (size_t i = 0; i < 7; ++i) y.push_back(x[0][b * 35 + i] + x[0][b * 35 + 21 + i]);
    return y;
  };
  check_gradients(p);
}

TEST_CASE("tokens that do not fit are refused with their site and the shapes") {
  Device device(test_backend(1));
  Tape tape(device);
  const Tensor x = upload(device, normal({2, 4, 31}, 1));
  Param cls = make_param(device, "cls", normal({1, 1, 31}, 2)),
        short_cls = make_param(device, "cls", normal({1, 1, 30}, 2));
  Param pos = make_param(device, "pos", normal({1, 5, 31}, 3)),
        short_pos = make_param(device, "pos", normal({1, 4, 31}, 3));
  CHECK(sentence(Fault::internal, [&] { add_tokens(tape, "embed", x, short_cls, pos); }) ==
        "add_tokens embed: patches (2, 4, 31) do not fit class token (1, 1, 30) and positions (1, 5, 31)");
  CHECK(sentence(Fault::internal, [&] { add_tokens(tape, "embed", x, cls, short_pos); }) ==
        "add_tokens embed: patches (2, 4, 31) do not fit class token (1, 1, 31) and positions (1, 4, 31)");
  CHECK(sentence(Fault::internal, [&] { take_token(tape, "pool", x, 4); }) ==
        "take_token pool: no token 4 in (2, 4, 31)");
  CHECK(sentence(Fault::internal, [&] { take_token(tape, "pool", x, -1); }) ==
        "take_token pool: no token -1 in (2, 4, 31)");
}

// Class token, registers and positions; taking one token out again, and the mean of them.
#include "shear/ops.h"

#include <doctest/doctest.h>

#include "backend.h"
#include "errors.h"
#include "gradcheck.h"

using namespace shear;
using namespace shear::test;

namespace {

// Which tokens stand before the patches, and how many have a position.
struct Layout {
  int64_t classes, registers, positions;
};

Problem adding(int64_t batch, int64_t patches, int64_t dim, const Layout& at) {
  Problem p;
  p.inputs = {normal({batch, patches, dim}, 1)};
  if (at.classes > 0) p.params.push_back(normal({1, 1, dim}, 2));
  if (at.registers > 0) p.params.push_back(normal({1, at.registers, dim}, 4));
  if (at.positions > 0) p.params.push_back(normal({1, at.positions, dim}, 3));
  p.op = [at](Tape& tape, std::span<const Tensor> x, std::span<Param*> params) {
    auto next = params.begin();
    Param* const cls = at.classes > 0 ? *next++ : nullptr;
    Param* const registers = at.registers > 0 ? *next++ : nullptr;
    return add_tokens(tape, "embed", x[0], cls, registers, at.positions > 0 ? *next : nullptr);
  };
  p.reference = [=](std::span<const Values> x, std::span<const Values> params) {
    const int64_t before = at.classes + at.registers;
    Values y;
    for (int64_t b = 0; b < batch; ++b)
      for (int64_t n = 0; n < before + patches; ++n)
        for (int64_t d = 0; d < dim; ++d) {
          const auto value = [&](const Values& v, int64_t row) { return v[static_cast<size_t>(row * dim + d)]; };
          double sum = n < at.classes ? value(params[0], n)
                       : n < before   ? value(params[static_cast<size_t>(at.classes)], n - at.classes)
                                      : value(x[0], b * patches + n - before);
          // The row of the positions that belongs to it: the patches' are the last ones.
          int64_t row = n >= before ? at.positions - patches + n - before : n;
          if (n < before && at.positions == patches) row = -1;
          if (n >= at.classes && n < before && at.positions < before + patches) row = -1;
          if (at.positions > 0 && row >= 0) sum += value(params.back(), row);
          y.push_back(sum);
        }
    return y;
  };
  return p;
}
Problem adding(int64_t batch, int64_t patches, int64_t dim) { return adding(batch, patches, dim, {1, 0, patches + 1}); }

Problem averaging(int64_t batch, int64_t tokens, int64_t dim, int64_t first) {
  Problem p;
  p.inputs = {normal({batch, tokens, dim}, 1)};
  p.op = [=](Tape& tape, std::span<const Tensor> x, std::span<Param*>) {
    return mean_tokens(tape, "mean", x[0], first);
  };
  p.reference = [=](std::span<const Values> x, std::span<const Values>) {
    Values y(static_cast<size_t>(batch * dim));
    for (int64_t b = 0; b < batch; ++b)
      for (int64_t n = first; n < tokens; ++n)
        for (int64_t d = 0; d < dim; ++d)
          y[static_cast<size_t>(b * dim + d)] +=
              x[0][static_cast<size_t>((b * tokens + n) * dim + d)] / static_cast<double>(tokens - first);
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

TEST_CASE(
    "registers stand between the class token and the patches, and all, some or none of the tokens have positions") {
  for (const int64_t patches : {1, 4})
    for (const Layout& at : {Layout{1, 4, patches + 5}, Layout{1, 4, patches + 1}, Layout{1, 4, patches},
                             Layout{1, 4, 0}, Layout{0, 2, patches + 2}, Layout{0, 2, patches}, Layout{0, 2, 0},
                             Layout{0, 0, patches}, Layout{1, 0, patches}, Layout{1, 0, 0}}) {
      CAPTURE(patches);
      CAPTURE(at.classes);
      CAPTURE(at.registers);
      CAPTURE(at.positions);
      check_gradients(adding(3, patches, 7, at));
      Problem p = adding(2, patches, 7, at);
      for (Operand& param : p.params) {
        const Operand before = std::exchange(param, frozen(param));
        check_gradients(p);
        param = before;
      }
    }
}

TEST_CASE("the mean of the tokens from any of them on has the reference's value and gradient") {
  check_gradients(averaging(1, 1, 1, 0));
  check_gradients(averaging(3, 5, 31, 0));
  check_gradients(averaging(3, 5, 31, 4));
  check_gradients(averaging(2, 201, 65, 5));
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

TEST_CASE("matrices stand side by side, and each gets its part of the gradient") {
  for (const bool frozen_a : {false, true}) {
    Problem p;
    p.inputs = {normal({3, 5}, 1), normal({3, 7}, 2)};
    if (frozen_a) p.inputs[0] = frozen(p.inputs[0]);
    p.op = [](Tape& tape, std::span<const Tensor> x, std::span<Param*>) { return join(tape, "both", x[0], x[1]); };
    p.reference = [](std::span<const Values> x, std::span<const Values>) {
      Values y;
      for (size_t r = 0; r < 3; ++r) {
        for (size_t c = 0; c < 5; ++c) y.push_back(x[0][r * 5 + c]);
        for (size_t c = 0; c < 7; ++c) y.push_back(x[1][r * 7 + c]);
      }
      return y;
    };
    check_gradients(p);
  }
}

TEST_CASE("heads stand several times in a row, and get the sum of what arrives at each time") {
  for (const auto& [shape, heads, times] : {std::tuple{Shape{3, 8}, int64_t{4}, int64_t{1}},
                                            {Shape{2, 5, 6}, int64_t{2}, int64_t{3}},
                                            {Shape{4, 2, 7}, int64_t{1}, int64_t{2}}}) {
    Problem p;
    p.inputs = {normal(shape, 1)};
    p.op = [h = heads, t = times](Tape& tape, std::span<const Tensor> x, std::span<Param*>) {
      return repeat_heads(tape, "repeat", x[0], h, t);
    };
    p.reference = [width = static_cast<size_t>(shape.cols() / heads), t = times](std::span<const Values> x,
                                                                                 std::span<const Values>) {
      Values y;
      for (size_t head = 0; head < x[0].size(); head += width)
        for (int64_t i = 0; i < t; ++i)
          for (size_t c = 0; c < width; ++c) y.push_back(x[0][head + c]);
      return y;
    };
    check_gradients(p);
  }
  Device device(test_backend(1));
  Tape tape(device);
  const Tensor x = upload(device, normal({2, 4}, 1));
  CHECK(sentence(Fault::internal, [&] { repeat_heads(tape, "repeat", x, 3, 2); }) ==
        "repeat_heads repeat: no 3 heads in (2, 4)");
}

TEST_CASE("columns of each row are taken, and their gradient put back among zeros") {
  for (const auto& [shape, first, count] : {std::tuple{Shape{3, 31}, int64_t{4}, int64_t{9}},
                                            {Shape{2, 5, 8}, int64_t{0}, int64_t{8}},
                                            {Shape{4, 2, 6}, int64_t{5}, int64_t{1}}}) {
    Problem p;
    p.inputs = {normal(shape, 1)};
    p.op = [f = first, n = count](Tape& tape, std::span<const Tensor> x, std::span<Param*>) {
      return take_columns(tape, "part", x[0], f, n);
    };
    p.reference = [cols = shape.cols(), f = first, n = count](std::span<const Values> x, std::span<const Values>) {
      Values y;
      for (size_t i = 0; i < x[0].size(); ++i) {
        const int64_t c = static_cast<int64_t>(i) % cols;
        if (c >= f && c < f + n) y.push_back(x[0][i]);
      }
      return y;
    };
    check_gradients(p);
  }
  Device device(test_backend(1));
  Tape tape(device);
  const Tensor x = upload(device, normal({2, 4}, 1));
  CHECK(sentence(Fault::internal, [&] { take_columns(tape, "part", x, 2, 3); }) ==
        "take_columns part: no 3 columns from 2 on in (2, 4)");
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
        short_pos = make_param(device, "pos", normal({1, 3, 31}, 3));
  CHECK(
      sentence(Fault::internal, [&] { add_tokens(tape, "embed", x, &short_cls, nullptr, &pos); }) ==
      "add_tokens embed: patches (2, 4, 31) do not fit class token (1, 1, 30), registers () and positions (1, 5, 31)");
  CHECK(
      sentence(Fault::internal, [&] { add_tokens(tape, "embed", x, &cls, nullptr, &short_pos); }) ==
      "add_tokens embed: patches (2, 4, 31) do not fit class token (1, 1, 31), registers () and positions (1, 3, 31)");
  CHECK(sentence(Fault::internal, [&] { mean_tokens(tape, "mean", x, 4); }) ==
        "mean_tokens mean: no tokens from 4 on in (2, 4, 31)");
  CHECK(sentence(Fault::internal, [&] { take_token(tape, "pool", x, 4); }) ==
        "take_token pool: no token 4 in (2, 4, 31)");
  CHECK(sentence(Fault::internal, [&] { take_token(tape, "pool", x, -1); }) ==
        "take_token pool: no token -1 in (2, 4, 31)");
}

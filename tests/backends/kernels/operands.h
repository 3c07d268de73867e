// Operands of a backend's kernels, and a kernel run on the backend under test and on another one, to be compared with
// each other and with a reference in f64.
//
// Under test is CUDA where a test is built for it (SHEAR_TEST_CUDA, see tests/emulator), and the CPU on two threads
// else. The other one is the CPU, then on one thread.
#pragma once
#include <doctest/doctest.h>

#include <array>
#include <map>

#include "matrix.h"
#include "shear/io.h"
#include "shear/make_backend.h"

namespace shear::test {

// A backend, and copies of operands in its memory.  Each has an allocation of its own, whose edges are watched.
class Side {
 public:
  explicit Side(Backend& backend) : backend_(backend) {}

  Backend& run() { return backend_; }

  // The operand where the backend sees it; the same copy for the same operand.
  View operator()(const Matrix& m) { return {copy(&m, m.data()), m.rows(), m.cols(), m.stride()}; }
  ConstView operator()(const std::vector<int32_t>& v) {
    const auto n = static_cast<int64_t>(v.size());
    return {copy(&v, v), 1, n, n, DType::i32};
  }
  View operator()(const std::vector<uint8_t>& v) {
    const auto n = static_cast<int64_t>(v.size());
    return {copy(&v, v), 1, n, n, DType::u8};
  }
  View scratch(int64_t floats) {
    const std::vector<float> nothing(static_cast<size_t>(floats), unset);
    return {copy(nullptr, nothing), 1, floats, floats};
  }
  // What the backend made of it.
  Matrix result(const Matrix& m) {
    Matrix out = m;
    if (!out.data().empty())
      backend_.download(out.data().data(), copies_.at(&m).data(), out.data().size() * sizeof(float));
    return out;
  }
  std::vector<uint8_t> result(const std::vector<uint8_t>& v) {
    std::vector<uint8_t> out = v;
    backend_.download(out.data(), copies_.at(&v).data(), out.size());
    return out;
  }

 private:
  template <class T>
  void* copy(const void* key, const std::vector<T>& values) {
    Storage& storage = copies_[key];
    if (!storage) {
      storage = Storage(backend_.memory(), values.size() * sizeof(T), Category::parameters);
      backend_.upload(storage.data(), values.data(), values.size() * sizeof(T));
    }
    return storage.data();
  }

  Backend& backend_;
  std::map<const void*, Storage> copies_;
};

#ifdef SHEAR_TEST_CUDA
inline constexpr DeviceKind tested_device = DeviceKind::cuda;
#else
inline constexpr DeviceKind tested_device = DeviceKind::cpu;
#endif

// Made once: a device's first call may take a second.
inline Backend& tested_backend() {
  static const std::unique_ptr<Backend> backend = make_backend(tested_device, 2);
  return *backend;
}
inline Backend& tested_backend_of_bf16() {
  static const std::unique_ptr<Backend> backend = make_backend(tested_device, 2, Precision::bf16);
  return *backend;
}
inline Backend& other_backend() {
  static const std::unique_ptr<Backend> backend =
      make_backend(DeviceKind::cpu, tested_device == DeviceKind::cpu ? 1 : 2);
  return *backend;
}

// One kernel on both, from the same operands.
class Both {
 public:
  // f(Side&) twice
  template <class F>
  explicit Both(F f) {
    f(other_);
    f(tested_);
  }
  Matrix tested(const Matrix& m) { return tested_.result(m); }
  Matrix other(const Matrix& m) { return other_.result(m); }
  std::array<Side*, 2> sides() { return {&other_, &tested_}; }

  // The result against the reference, and against the other backend's.
  template <class F>
  void check(const Matrix& out, F reference, double tolerance = 2e-6) {
    const Matrix got = tested(out), same = other(out);
    CHECK(error_of(got, reference) <= tolerance);
    CHECK(error_of(got, [&](int64_t r, int64_t c) { return same.at(r, c); }) <= tolerance);
  }

 private:
  Side other_{other_backend()}, tested_{tested_backend()};
};

// f(Side&, x) under bf16 writes the bits to `out` that it writes under f32 where x is rounded first, and no others.
template <class F>
void check_takes_rounded(const Matrix& x, const Matrix& out, F f) {
  Matrix rounded = x;
  for (float& v : rounded.data()) v = bf16_to_f32(f32_to_bf16(v));
  const auto result = [&](Backend& backend, const Matrix& in) {
    Side at(backend);
    f(at, in);
    return at.result(out);
  };
  const Matrix found = result(tested_backend_of_bf16(), x);
  CHECK(found.same_bits(result(tested_backend(), rounded)));
  CHECK((x.data().size() < 100 || !found.same_bits(result(tested_backend(), x))));
}

// f(Side&, out, beta) for several beta, compared with reference + beta * what was there.  At beta 0 there is nan.
template <class F, class Reference>
void check_with_beta(int64_t rows, int64_t cols, int64_t gap, F f, Reference reference, double tolerance = 2e-6) {
  for (const float beta : {0.f, 1.f, 0.5f}) {
    CAPTURE(beta);
    Matrix out(rows, cols, gap, 99);
    const Matrix before = out;
    if (beta == 0) out.fill(unset);
    Both both([&](Side& side) { f(side, side(out), beta); });
    both.check(
        out,
        [&](int64_t r, int64_t c) {
          return reference(r, c) + (beta == 0 ? 0 : static_cast<double>(beta) * before.at(r, c));
        },
        tolerance);
  }
}

struct Size {
  int64_t rows, cols, gap;
};
inline constexpr Size sizes[] = {{0, 33, 0},  {3, 0, 0},     {1, 1, 0},     {1, 31, 7},   {3, 33, 0},
                                 {31, 33, 5}, {33, 64, 4},   {64, 32, 0},   {197, 31, 0}, {33, 197, 3},
                                 {7, 768, 0}, {197, 768, 1}, {1, 20001, 0}, {41, 1001, 7}};

template <class F>
void for_sizes(F f) {
  for (const Size& s : sizes) {
    CAPTURE(s.rows);
    CAPTURE(s.cols);
    CAPTURE(s.gap);
    f(s);
  }
}

}  // namespace shear::test

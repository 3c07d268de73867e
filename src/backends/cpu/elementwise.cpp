// Kernels in which every element minds its own business.
#include <algorithm>
#include <cstring>

#include "backends/cpu/cpu_backend.h"
#include "backends/cpu/gelu_slope.h"
#include "backends/cpu/pieces.h"
#include "backends/cpu/short_types.h"
#include "backends/cpu/vector_math.h"
#include "shear/error.h"

namespace shear::cpu {

namespace {

template <class View>
View flat(View v) {
  if (v.stride != v.cols && v.rows > 1) return v;
  v.cols = v.elements();
  v.rows = 1;
  v.stride = v.cols;
  return v;
}

// y[i] = f(x[i])
template <class F>
void map(int threads, ConstView x, View y, F f) {
  if (x.contiguous() && ConstView(y).contiguous()) x = flat(x), y = flat(y);
  pieces(threads, y.rows, y.cols, [=](int64_t r, int64_t first, int64_t n) {
    const float* from = x.row(r) + first;
    float* to = y.row(r) + first;
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) to[i] = f(from[i]);
  });
}

// y[i] = f(a[i], b[i]) + beta * y[i]; y may be a or b
template <class F>
void map2(int threads, ConstView a, ConstView b, float beta, View y, F f) {
  if (a.contiguous() && b.contiguous() && ConstView(y).contiguous()) a = flat(a), b = flat(b), y = flat(y);
  pieces(threads, y.rows, y.cols, [=](int64_t r, int64_t first, int64_t n) {
    const float *p = a.row(r) + first, *q = b.row(r) + first;
    float* to = y.row(r) + first;
    if (beta == 0) {
#pragma omp simd
      for (int64_t i = 0; i < n; ++i) to[i] = f(p[i], q[i]);
    } else {
#pragma omp simd
      for (int64_t i = 0; i < n; ++i) to[i] = f(p[i], q[i]) + beta * to[i];
    }
  });
}

// To a short type, or from one, with f32 on the other side.
void convert(ConstView x, View out) {
  for (int64_t r = 0; r < out.rows; ++r) {
    const void* from = x.band(r, 1).data;
    void* to = out.band(r, 1).data;
    if (x.dtype == DType::f32 && out.dtype == DType::f16)
      to_f16(static_cast<const float*>(from), out.cols, static_cast<uint16_t*>(to));
    else if (x.dtype == DType::f32 && out.dtype == DType::bf16)
      to_bf16(static_cast<const float*>(from), out.cols, static_cast<uint16_t*>(to));
    else if (x.dtype == DType::f16 && out.dtype == DType::f32)
      from_f16(static_cast<const uint16_t*>(from), out.cols, static_cast<float*>(to));
    else if (x.dtype == DType::bf16 && out.dtype == DType::f32)
      from_bf16(static_cast<const uint16_t*>(from), out.cols, static_cast<float*>(to));
    else
      fail(Fault::internal, "copy: ", name(x.dtype), " to ", name(out.dtype), ", expected F32 and F16 or BF16");
  }
}

}  // namespace

void CpuBackend::fill(View out, float value) {
#pragma omp parallel for num_threads(threads_) schedule(static) if (out.elements() > 65536)
  for (int64_t r = 0; r < out.rows; ++r) std::fill_n(out.row(r), out.cols, value);
}

void CpuBackend::copy(ConstView x, float beta, View out) {
  if (x.dtype != DType::f32 || out.dtype != DType::f32) {
    require(beta == 0, "copy: ", shear::name(x.dtype), " to ", shear::name(out.dtype), " with beta ", beta,
            ", expected 0");
    return convert(x, out);
  }
#pragma omp parallel for num_threads(threads_) schedule(static) if (out.elements() > 65536)
  for (int64_t r = 0; r < out.rows; ++r) {
    const float* from = x.row(r);
    float* to = out.row(r);
    if (beta == 0) {
      std::memcpy(to, from, static_cast<size_t>(out.cols) * sizeof(float));
    } else {
#pragma omp simd
      for (int64_t c = 0; c < out.cols; ++c) to[c] = from[c] + beta * to[c];
    }
  }
}

void CpuBackend::add(ConstView a, ConstView b, View out) {
  map2(threads_, a, b, 0, out, [](float x, float y) { return x + y; });
}

void CpuBackend::add_row(ConstView x, ConstView row, View out) {
  pieces(threads_, out.rows, out.cols, [=](int64_t r, int64_t first, int64_t n) {
    const float *p = x.row(r) + first, *q = row.row(0) + first;
    float* to = out.row(r) + first;
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) to[i] = p[i] + q[i];
  });
}

void CpuBackend::multiply(ConstView a, ConstView b, float beta, View out) {
  map2(threads_, a, b, beta, out, [](float x, float y) { return x * y; });
}

void CpuBackend::scale_rows(ConstView x, ConstView scale, float beta, View out) {
  pieces(threads_, out.rows, out.cols, [=](int64_t r, int64_t first, int64_t n) {
    const float* from = x.row(r) + first;
    const float s = scale.row(0)[r];
    float* to = out.row(r) + first;
    if (beta == 0) {
#pragma omp simd
      for (int64_t i = 0; i < n; ++i) to[i] = s * from[i];
    } else {
#pragma omp simd
      for (int64_t i = 0; i < n; ++i) to[i] = s * from[i] + beta * to[i];
    }
  });
}

void CpuBackend::exponential(ConstView x, View y) {
  map(threads_, x, y, [](float v) { return exp(v); });
}

void CpuBackend::relu(ConstView x, View y) {
  map(threads_, x, y, [](float v) { return v < 0 ? 0.f : v; });  // nan stays nan
}

void CpuBackend::relu_grad(ConstView y, ConstView dy, float beta, View dx) {
  map2(threads_, y, dy, beta, dx, [](float v, float g) { return v > 0 ? g : 0.f; });
}

void CpuBackend::gelu(GeluForm form, ConstView x, View y) {
  const auto exact = [](float v) { return v * normal_cdf(v, normal(v)); };
  const auto by_tanh = [](float v) { return 0.5f * v * (1.f + tanh(tanh_inner * (v + tanh_cubic * v * v * v))); };
  const auto quick = [](float v) { return v * sigmoid(quick_factor * v); };
  const auto run = [&](auto f) {
    const auto of_rounded = [f](float v) { return f(rounded_to_bf16(v)); };
    precision_ == Precision::bf16 ? map(threads_, x, y, of_rounded) : map(threads_, x, y, f);
  };
  switch (form) {
    case GeluForm::exact:
      return run(exact);
    case GeluForm::tanh:
      return run(by_tanh);
    case GeluForm::quick:
      return run(quick);
  }
}

void CpuBackend::gelu_grad(GeluForm form, ConstView x, ConstView dy, float beta, View dx) {
  switch (form) {
    case GeluForm::exact:
      return map2(threads_, x, dy, beta, dx, [](float v, float g) { return g * gelu_slope(v); });
    case GeluForm::tanh:
      return map2(threads_, x, dy, beta, dx, [](float v, float g) { return g * gelu_tanh_slope(v); });
    case GeluForm::quick:
      return map2(threads_, x, dy, beta, dx, [](float v, float g) { return g * sigmoid_gate_slope(v, quick_factor); });
  }
}

void CpuBackend::swiglu(ConstView x, View y) {
  const auto f = [](float a, float b) { return a * sigmoid(a) * b; };
  const auto of_rounded = [f](float a, float b) { return f(rounded_to_bf16(a), rounded_to_bf16(b)); };
  const ConstView a = x.columns(0, y.cols), b = x.columns(y.cols, y.cols);
  precision_ == Precision::bf16 ? map2(threads_, a, b, 0, y, of_rounded) : map2(threads_, a, b, 0, y, f);
}

void CpuBackend::swiglu_grad(ConstView x, ConstView dy, float beta, View dx) {
  const int64_t width = dy.cols;
  pieces(threads_, dy.rows, width, [=](int64_t r, int64_t first, int64_t n) {
    const float *a = x.row(r) + first, *b = a + width, *up = dy.row(r) + first;
    float *da = dx.row(r) + first, *db = da + width;
    if (beta == 0) {
#pragma omp simd
      for (int64_t i = 0; i < n; ++i) {
        da[i] = up[i] * b[i] * sigmoid_gate_slope(a[i], 1);
        db[i] = up[i] * a[i] * sigmoid(a[i]);
      }
    } else {
#pragma omp simd
      for (int64_t i = 0; i < n; ++i) {
        da[i] = up[i] * b[i] * sigmoid_gate_slope(a[i], 1) + beta * da[i];
        db[i] = up[i] * a[i] * sigmoid(a[i]) + beta * db[i];
      }
    }
  });
}

void CpuBackend::dropout(ConstView x, float p, StreamKey key, float beta, View y) {
  require(x.contiguous() && ConstView(y).contiguous(), "dropout: contiguous views expected");
  x = flat(x), y = flat(y);
  const float scale = 1.f / (1.f - p);
  const uint32_t dropped_below = static_cast<uint32_t>(static_cast<double>(p) * 4294967296.0);
  pieces(threads_, 1, y.cols, [=](int64_t, int64_t first, int64_t n) {  // first is a multiple of 4: `piece` is
    for (int64_t i = 0; i < n; i += 4) {
      const auto words = key.four(static_cast<uint32_t>((first + i) / 4));
      for (int64_t j = i; j < std::min(i + 4, n); ++j) {
        const float kept = words[static_cast<size_t>(j - i)] >= dropped_below ? x.row(0)[first + j] * scale : 0.f;
        float& to = y.row(0)[first + j];
        to = beta == 0 ? kept : kept + beta * to;
      }
    }
  });
}

}  // namespace shear::cpu

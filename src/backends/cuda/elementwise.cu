// Elementwise kernels, launched: columns along x, four at a time where addresses allow it, rows along y.
#include <algorithm>

#include "backends/cuda/cuda_backend.h"
#include "kernels/elementwise.cuh"
#include "shear/error.h"

namespace shear::cuda {

namespace {

// Contiguous matrices are one long row.
template <class... Views>
void flatten(Views&... views) {
  if (!(ConstView(views).contiguous() && ...)) return;
  ((views.cols = views.elements(), views.rows = 1, views.stride = views.cols), ...);
}

dim3 grid_of(int64_t rows, int64_t cols, int64_t lanes) {
  constexpr int64_t most_rows = 65535;  // along y, as the hardware has it
  dim3 grid = blocks_for((cols + lanes - 1) / lanes, threads);
  grid.y = static_cast<unsigned>(std::min(rows, most_rows));
  return grid;
}

bool fours(ConstView v) { return in_fours(v.data, v.cols, v.stride); }

template <class F>
void map(On on, ConstView x, float beta, View y, F f) {
  flatten(x, y);
  const auto run = [&](auto kernel, int64_t lanes) {
    launch(kernel, grid_of(y.rows, y.cols, lanes), threads, 0, on, f, y.rows, y.cols, x.row(0), x.stride, beta,
           y.row(0), y.stride);
  };
  fours(x) && fours(y) ? run(map_kernel<4, F>, 4) : run(map_kernel<1, F>, 1);
}

template <class F>
void map2(On on, ConstView a, ConstView b, float beta, View y, F f) {
  flatten(a, b, y);
  const auto run = [&](auto kernel, int64_t lanes) {
    launch(kernel, grid_of(y.rows, y.cols, lanes), threads, 0, on, f, y.rows, y.cols, a.row(0), a.stride, b.row(0),
           b.stride, beta, y.row(0), y.stride);
  };
  fours(a) && fours(b) && fours(y) ? run(map2_kernel<4, F>, 4) : run(map2_kernel<1, F>, 1);
}

template <class From>
void convert(On on, ConstView x, View out) {
  const auto run = [&]<class To>(To* to) {
    launch(convert_kernel<To, From>, grid_of(out.rows, out.cols, 1), threads, 0, on, out.rows, out.cols,
           static_cast<const From*>(x.data), x.stride, to, out.stride);
  };
  if (out.dtype == DType::f32)
    run(static_cast<float*>(out.data));
  else if (out.dtype == DType::f16)
    run(static_cast<__half*>(out.data));
  else if (out.dtype == DType::bf16)
    run(static_cast<__nv_bfloat16*>(out.data));
  else
    fail(Fault::internal, "copy: ", name(x.dtype), " to ", name(out.dtype), ", expected F32, F16 or BF16");
}

}  // namespace

void CudaBackend::fill(View out, float value) {
  flatten(out);
  launch(fill_kernel<float>, grid_of(out.rows, out.cols, 1), threads, 0, on("fill"), out.rows, out.cols, value,
         out.row(0), out.stride);
}

void CudaBackend::copy(ConstView x, float beta, View out) {
  if (x.dtype == DType::f32 && out.dtype == DType::f32) return map(on("copy"), x, beta, out, Same{});
  require(beta == 0, "copy: ", shear::name(x.dtype), " to ", shear::name(out.dtype), " with beta ", beta,
          ", expected 0");
  flatten(x, out);
  if (x.dtype == DType::f32)
    convert<float>(on("copy"), x, out);
  else if (x.dtype == DType::f16)
    convert<__half>(on("copy"), x, out);
  else if (x.dtype == DType::bf16)
    convert<__nv_bfloat16>(on("copy"), x, out);
  else
    fail(Fault::internal, "copy: from ", shear::name(x.dtype), ", expected F32, F16 or BF16");
}

void CudaBackend::add(ConstView a, ConstView b, View out) { map2(on("add"), a, b, 0, out, Sum{}); }

void CudaBackend::add_row(ConstView x, ConstView row, View out) {
  row.rows = out.rows, row.stride = 0;
  map2(on("add_row"), x, row, 0, out, Sum{});
}

void CudaBackend::multiply(ConstView a, ConstView b, float beta, View out) {
  map2(on("multiply"), a, b, beta, out, Product{});
}

void CudaBackend::scale_rows(ConstView x, ConstView scale, float beta, View out) {
  const auto run = [&](auto kernel, int64_t lanes) {
    launch(kernel, grid_of(out.rows, out.cols, lanes), threads, 0, on("scale_rows"), out.rows, out.cols, x.row(0),
           x.stride, scale.row(0), beta, out.row(0), out.stride);
  };
  fours(x) && fours(out) ? run(scale_rows_kernel<4>, 4) : run(scale_rows_kernel<1>, 1);
}

void CudaBackend::exponential(ConstView x, View y) { map(on("exponential"), x, 0, y, Exponential{}); }

void CudaBackend::relu(ConstView x, View y) { map(on("relu"), x, 0, y, Relu{}); }

void CudaBackend::relu_grad(ConstView y, ConstView dy, float beta, View dx) {
  map2(on("relu_grad"), y, dy, beta, dx, ReluGrad{});
}

void CudaBackend::gelu(GeluForm form, ConstView x, View y) {
  const auto run = [&](auto f) {
    precision_ == Precision::bf16 ? map(on("gelu"), x, 0, y, OfRounded<decltype(f)>{}) : map(on("gelu"), x, 0, y, f);
  };
  switch (form) {
    case GeluForm::exact:
      return run(Gelu{});
    case GeluForm::tanh:
      return run(GeluTanh{});
    case GeluForm::quick:
      return run(GeluQuick{});
  }
}

void CudaBackend::gelu_grad(GeluForm form, ConstView x, ConstView dy, float beta, View dx) {
  switch (form) {
    case GeluForm::exact:
      return map2(on("gelu_grad"), x, dy, beta, dx, GeluGrad{});
    case GeluForm::tanh:
      return map2(on("gelu_grad"), x, dy, beta, dx, GeluTanhGrad{});
    case GeluForm::quick:
      return map2(on("gelu_grad"), x, dy, beta, dx, GeluQuickGrad{});
  }
}

void CudaBackend::swiglu(ConstView x, View y) {
  const ConstView a = x.columns(0, y.cols), b = x.columns(y.cols, y.cols);
  precision_ == Precision::bf16 ? map2(on("swiglu"), a, b, 0, y, OfRoundedBoth<Swiglu>{})
                                : map2(on("swiglu"), a, b, 0, y, Swiglu{});
}

void CudaBackend::swiglu_grad(ConstView x, ConstView dy, float beta, View dx) {
  const auto run = [&](auto kernel, int64_t lanes) {
    launch(kernel, grid_of(dy.rows, dy.cols, lanes), threads, 0, on("swiglu_grad"), dy.rows, dy.cols, x.row(0),
           x.stride, dy.row(0), dy.stride, beta, dx.row(0), dx.stride);
  };
  const bool whole = fours(x.columns(0, dy.cols)) && fours(x.columns(dy.cols, dy.cols)) && fours(dy) &&
                     fours(ConstView(dx).columns(0, dy.cols)) && fours(ConstView(dx).columns(dy.cols, dy.cols));
  whole ? run(swiglu_grad_kernel<4>, 4) : run(swiglu_grad_kernel<1>, 1);
}

void CudaBackend::dropout(ConstView x, float p, StreamKey key, float beta, View y) {
  require(x.contiguous() && ConstView(y).contiguous(), "dropout: contiguous views expected");
  const int64_t n = y.elements();
  const auto dropped_below = static_cast<uint32_t>(static_cast<double>(p) * 4294967296.0);
  const bool whole_blocks = in_fours(x.data, n, n) && in_fours(y.data, n, n);
  launch(whole_blocks ? dropout_kernel<4> : dropout_kernel<1>, blocks_for((n + 3) / 4, threads), threads, 0,
         on("dropout"), n, x.row(0), dropped_below, 1.f / (1.f - p), key, beta, y.row(0));
}

}  // namespace shear::cuda

// Products of matrices: by the emulation's cuBLAS in every layout, and by a kernel on its tensor cores.
#include <cublas_v2.h>
#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "cuda_host.h"
#include "device_vector.h"
#include "sample_kernels.h"
#include "shear/random.h"

using namespace shear;
using namespace shear::test;

namespace {

std::vector<float> normals(int n, uint32_t index) {
  Stream stream(12, Purpose::test, index);
  std::vector<float> values(static_cast<size_t>(n));
  for (float& v : values) v = stream.normal();
  return values;
}

struct Cublas {
  cublasHandle_t handle = nullptr;
  Cublas() { REQUIRE(cublasCreate(&handle) == CUBLAS_STATUS_SUCCESS); }
  ~Cublas() { (void)cublasDestroy(handle); }
  Cublas(const Cublas&) = delete;
  Cublas& operator=(const Cublas&) = delete;
};

template <class T>
T narrowed(float v);
template <>
__half narrowed(float v) {
  return __float2half(v);
}
template <>
__nv_bfloat16 narrowed(float v) {
  return __float2bfloat16(v);
}
double widened(__half v) { return static_cast<double>(__half2float(v)); }
double widened(__nv_bfloat16 v) { return static_cast<double>(__bfloat162float(v)); }

}  // namespace

TEST_CASE("gemm in all four layouts, batched, with leading dimensions and beta") {
  const Cublas cublas;
  const int m = 5, n = 7, k = 3, batch = 2, lda = 9, ldb = 8, ldc = 6;
  const long long stride_a = lda * 9, stride_b = ldb * 8, stride_c = ldc * n + 1;
  const float alpha = 0.5f, beta = 2.0f;
  const std::vector<float> a = normals(static_cast<int>(batch * stride_a), 1),
                           b = normals(static_cast<int>(batch * stride_b), 2),
                           c = normals(static_cast<int>(batch * stride_c), 3);
  for (const bool ta : {false, true})
    for (const bool tb : {false, true}) {
      const DeviceVector<float> da(a), db(b), dc(c);
      CHECK(cublasSgemmStridedBatched(cublas.handle, ta ? CUBLAS_OP_T : CUBLAS_OP_N, tb ? CUBLAS_OP_T : CUBLAS_OP_N, m,
                                      n, k, &alpha, da.data(), lda, stride_a, db.data(), ldb, stride_b, &beta,
                                      dc.data(), ldc, stride_c, batch) == CUBLAS_STATUS_SUCCESS);
      const std::vector<float> got = dc.get();
      std::vector<float> expected = c;  // what lies between the columns stays
      for (int q = 0; q < batch; ++q)
        for (int j = 0; j < n; ++j)
          for (int i = 0; i < m; ++i) {
            double sum = 0;
            for (int p = 0; p < k; ++p)
              sum += static_cast<double>(a[static_cast<size_t>(q * stride_a + (ta ? i * lda + p : p * lda + i))]) *
                     static_cast<double>(b[static_cast<size_t>(q * stride_b + (tb ? p * ldb + j : j * ldb + p))]);
            float& e = expected[static_cast<size_t>(q * stride_c + j * ldc + i)];
            e = static_cast<float>(0.5 * sum + 2.0 * static_cast<double>(e));
          }
      double error = 0;
      for (size_t i = 0; i < got.size(); ++i)
        error = std::max(error, std::fabs(static_cast<double>(got[i]) - static_cast<double>(expected[i])));
      CHECK(error < 1e-5);
    }
}

TEST_CASE("gemm refuses what cuBLAS refuses, and reports an operand that reaches out of its memory") {
  const Cublas cublas;
  const DeviceVector<float> a(std::vector<float>(12, 1.0f)), c(std::vector<float>(9, 1.0f));
  const float one = 1, zero = 0;
  const auto gemm = [&](int m, int n, int k, int lda) {
    return cublasSgemm(cublas.handle, CUBLAS_OP_N, CUBLAS_OP_N, m, n, k, &one, a.data(), lda, a.data(), 4, &zero,
                       c.data(), 3);
  };
  CHECK(gemm(3, 3, 4, 2) == CUBLAS_STATUS_INVALID_VALUE);  // a leading dimension below the rows
  CHECK(gemm(-1, 3, 4, 3) == CUBLAS_STATUS_INVALID_VALUE);
  CHECK(gemm(3, 3, 4, 3) == CUBLAS_STATUS_SUCCESS);
  cuemu::print_reports(false);
  CHECK(gemm(3, 3, 4, 4) == CUBLAS_STATUS_EXECUTION_FAILED);  // 4 columns, 4 apart, of 3: 15 of the 12 elements
  cuemu::print_reports(true);
  const std::vector<std::string> reports = cuemu::take_reports();
  REQUIRE(reports.size() == 1);
  CHECK(reports[0].find("reaches out of its device allocation") != std::string::npos);
}

TEST_CASE_TEMPLATE("a product on tensor cores, and cuBLAS's of the same operands", T, __half, __nv_bfloat16) {
  const int m = 64, n = 96, k = 48;
  std::vector<T> a, b;
  for (const float v : normals(m * k, 4)) a.push_back(narrowed<T>(v));
  for (const float v : normals(k * n, 5)) b.push_back(narrowed<T>(v));
  const DeviceVector<T> da(a), db(b);
  const DeviceVector<float> by_kernel(static_cast<size_t>(m * n)), by_cublas(static_cast<size_t>(m * n));
  cuda::sample::wmma_product(da.data(), db.data(), by_kernel.data(), m, n, k, nullptr);
  const Cublas cublas;
  const cudaDataType type = std::is_same_v<T, __half> ? CUDA_R_16F : CUDA_R_16BF;
  const float factor = 0.5f, zero = 0;
  CHECK(cublasGemmEx(cublas.handle, CUBLAS_OP_N, CUBLAS_OP_N, n, m, k, &factor, db.data(), type, n, da.data(), type, k,
                     &zero, by_cublas.data(), CUDA_R_32F, n, CUBLAS_COMPUTE_32F,
                     CUBLAS_GEMM_DEFAULT) == CUBLAS_STATUS_SUCCESS);
  double kernel_error = 0, cublas_error = 0;
  const std::vector<float> x = by_kernel.get(), y = by_cublas.get();
  for (int i = 0; i < m; ++i)
    for (int j = 0; j < n; ++j) {
      double sum = 0;
      for (int p = 0; p < k; ++p)
        sum += widened(a[static_cast<size_t>(i * k + p)]) * widened(b[static_cast<size_t>(p * n + j)]);
      const auto at = static_cast<size_t>(i * n + j);
      const double kernel_off = std::fabs(static_cast<double>(x[at]) - 0.5 * sum),
                   cublas_off = std::fabs(static_cast<double>(y[at]) - 0.5 * sum);
      kernel_error = kernel_off <= kernel_error ? kernel_error : kernel_off;  // nan stays
      cublas_error = cublas_off <= cublas_error ? cublas_error : cublas_off;
    }
  CHECK(kernel_error < 1e-4);
  CHECK(cublas_error < 1e-4);
}

// The sample kernels compute what they should, in every order of threads and blocks.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "device_vector.h"
#include "sample_kernels.h"
#include "shear/random.h"

using namespace shear;
using namespace shear::test;
namespace sample = shear::cuda::sample;

namespace {

std::vector<float> normals(int n, uint32_t index) {
  Stream stream(11, Purpose::test, index);
  std::vector<float> values(static_cast<size_t>(n));
  for (float& v : values) v = stream.normal();
  return values;
}
float& at(std::vector<float>& m, int cols, int row, int col) { return m[static_cast<size_t>(row * cols + col)]; }

double largest_error(const std::vector<float>& got, const std::vector<double>& expected) {
  REQUIRE(got.size() == expected.size());
  double error = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    const double e = std::fabs(static_cast<double>(got[i]) - expected[i]) / (1 + std::fabs(expected[i]));
    error = e <= error ? error : e;  // nan stays
  }
  return error;
}

}  // namespace

TEST_CASE("a product in tiles of shared memory, with ragged edges") {
  for (const auto& [m, n, k] : {std::tuple{33, 17, 50}, {64, 64, 64}, {1, 1, 1}, {5, 100, 3}}) {
    CAPTURE(m);
    std::vector<float> a = normals(m * k, 1), b = normals(k * n, 2);
    std::vector<double> expected;
    for (int i = 0; i < m; ++i)
      for (int j = 0; j < n; ++j) {
        double sum = 0;
        for (int p = 0; p < k; ++p) sum += static_cast<double>(at(a, k, i, p)) * static_cast<double>(at(b, n, p, j));
        expected.push_back(sum);
      }
    const DeviceVector<float> da(a), db(b), dc(expected.size());
    sample::tiled_product(da.data(), db.data(), dc.data(), m, n, k, nullptr);
    CHECK(largest_error(dc.get(), expected) < 1e-5);
  }
}

TEST_CASE("a sum by shuffles and shared memory") {
  for (const int n : {1, 31, 33, 10007}) {
    const std::vector<float> x = normals(n, 3);
    const DeviceVector<float> dx(x), partial(64), out(1);
    sample::sum(dx.data(), partial.data(), out.data(), n, nullptr);
    CHECK(largest_error(out.get(), {std::accumulate(x.begin(), x.end(), 0.0)}) < 1e-5);
  }
}

TEST_CASE("a histogram by atomics on dynamic shared memory") {
  const int n = 5000, bins = 100;
  std::vector<int> x(n);
  std::vector<unsigned> expected(bins, 0);
  for (int i = 0; i < n; ++i) ++expected[static_cast<size_t>(x[static_cast<size_t>(i)] = i * i % bins)];
  const DeviceVector<int> dx(x);
  const DeviceVector<unsigned> counts(bins);
  sample::histogram(dx.data(), counts.data(), n, bins, nullptr);
  CHECK(counts.get() == expected);
}

TEST_CASE("a copy four at a time, with a tail") {
  for (const int n : {1, 3, 4, 1027}) {
    const std::vector<float> x = normals(n, 4);
    const DeviceVector<float> dx(x), dy(x.size());
    sample::copy_in_fours(dx.data(), dy.data(), n, nullptr);
    CHECK(dy.get() == x);
  }
}

TEST_CASE("a running sum over warps of a block") {
  for (const int n : {1, 32, 1000}) {
    const std::vector<float> x = normals(n, 5);
    std::vector<double> expected(x.begin(), x.end());
    std::partial_sum(expected.begin(), expected.end(), expected.begin());
    const DeviceVector<float> dx(x), dy(x.size());
    sample::running_sum(dx.data(), dy.data(), n, nullptr);
    CHECK(largest_error(dy.get(), expected) < 1e-5);
  }
}

TEST_CASE("a transpose through shared memory") {
  const int rows = 45, cols = 70;
  std::vector<float> x = normals(rows * cols, 6), expected(x.size());
  for (int i = 0; i < rows; ++i)
    for (int j = 0; j < cols; ++j) at(expected, rows, j, i) = at(x, cols, i, j);
  const DeviceVector<float> dx(x), dy(x.size());
  sample::transpose(dx.data(), dy.data(), rows, cols, nullptr);
  CHECK(dy.get() == expected);
}

TEST_CASE("votes and shuffles see the lanes that CUDA says they see") {
  const int n = 64;
  const std::vector<float> x = normals(n, 7);
  const DeviceVector<float> dx(x);
  const DeviceVector<sample::Votes> out(n);
  sample::votes(dx.data(), out.data(), n, nullptr);
  const auto above_one = static_cast<int>(std::count_if(x.begin(), x.end(), [](float v) { return v > 1; }));
  const std::vector<sample::Votes> seen = out.get();
  for (size_t i = 0; i < n; ++i) {
    const size_t first = i / 32 * 32, lane = i % 32;
    unsigned ballot = 0;
    for (size_t l = 0; l < 32; ++l) ballot |= (x[first + l] > 0 ? 1u : 0u) << l;
    CHECK(seen[i].ballot == ballot);
    CHECK(seen[i].any == 1);
    CHECK(seen[i].all == 0);
    CHECK(seen[i].block_count == above_one);
    CHECK(seen[i].block_any == 1);
    CHECK(seen[i].block_all == 0);
    CHECK(seen[i].from_lane_3 == x[first + 3]);
    CHECK(seen[i].from_above == x[lane == 31 ? i : i + 1]);  // outside of the warp: its own
    CHECK(seen[i].from_below == x[lane == 0 ? i : i - 1]);
    CHECK(seen[i].from_partner == x[i ^ 1]);
  }
}

TEST_CASE("atomics of every thread count") {
  const int n = 1000;
  std::vector<int> x(n);
  for (int i = 0; i < n; ++i) x[static_cast<size_t>(i)] = (i * 37) % 1001 - 300;
  int bits = 0;
  for (const int v : x) bits |= v;
  const DeviceVector<int> dx(x), out({-10000, 10000, 0, 0});
  sample::extremes(dx.data(), out.data(), n, nullptr);
  CHECK(out.get() ==
        std::vector<int>{*std::max_element(x.begin(), x.end()), *std::min_element(x.begin(), x.end()),
                         static_cast<int>(std::count_if(x.begin(), x.end(), [](int v) { return v % 2 == 0; })), bits});
}

TEST_CASE("a struct is an argument like another") {
  const std::vector<float> x = normals(300, 8);
  const DeviceVector<float> dx(x), dy(x.size());
  sample::scale({dx.data(), 3.0f, -2}, dy.data(), 300, nullptr);
  std::vector<double> expected;
  for (const float v : x) expected.push_back(3 * static_cast<double>(v) - 2);
  CHECK(largest_error(dy.get(), expected) < 1e-6);
}

// The lossy forms: which values are kept, in how many bytes, and how near they come back.
#include "tape/pack.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>

#include "backend.h"
#include "errors.h"
#include "gradcheck.h"
#include "scripted_policy.h"

using namespace shear;
using namespace shear::test;

namespace {

struct Bench {
  Device device{test_backend(2)};
  Scripted policy{Keep{}};
  Tape tape{device, policy};

  Tensor tensor(const Shape& shape, const std::vector<float>& values) {
    return device.upload(shape, Category::workspace, values);
  }
  std::vector<float> unpacked(const Packed& p) {
    Tensor out = tape.empty({p.rows, p.cols});
    device.run().unpack(p.view(), 0, out);
    return device.download(out);
  }
};

std::vector<float> normal_values(int64_t n, uint32_t stream) {
  std::vector<float> values(static_cast<size_t>(n));
  Stream draw(stream, Purpose::test);
  for (float& v : values) v = draw.normal();
  return values;
}

// Few distinct magnitudes, many zeros: ties everywhere.
std::vector<float> tied_values(int64_t n, uint32_t stream) {
  std::vector<float> values(static_cast<size_t>(n));
  Stream draw(stream, Purpose::test);
  for (float& v : values) v = (static_cast<float>(draw.below(4)) - 1) * 0.5f;
  return values;
}

// By sorting, one sample after the other: the k largest magnitudes, ties to the lowest index.
std::vector<float> pruned_by_hand(std::vector<float> values, int64_t sample, double share) {
  const int64_t kept = share_of(share, sample);
  std::vector<int64_t> order(static_cast<size_t>(sample));
  for (size_t first = 0; first < values.size(); first += static_cast<size_t>(sample)) {
    float* v = values.data() + first;
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [v](int64_t a, int64_t b) { return std::abs(v[a]) > std::abs(v[b]); });
    for (int64_t i = kept; i < sample; ++i) v[order[static_cast<size_t>(i)]] = 0;
  }
  return values;
}

}  // namespace

TEST_CASE("of each sample exactly the largest share is kept, and ties go to the lowest index") {
  Bench bench;
  for (const Shape& shape : {Shape{3, 5, 7}, Shape{2, 17, 33}, Shape{2, 1, 1}, Shape{4, 50, 64}, Shape{1, 3, 96}})
    for (const double keep : {0.001, 0.1, 0.2, 0.5, 0.97})
      for (const bool tied : {false, true}) {
        CAPTURE(shape.str());
        CAPTURE(keep);
        CAPTURE(tied);
        const auto values = tied ? tied_values(shape.elements(), 1) : normal_values(shape.elements(), 2);
        const Packed p = pack_all(bench.tape, bench.tensor(shape, values), {keep, Code::f32, false}, {});
        const int64_t sample = shape[1] * shape[2];
        CHECK(bench.unpacked(p) == pruned_by_hand(values, sample, keep));
        int64_t set = 0;
        for (const uint32_t word : downloaded<uint32_t>(bench.device, p.bits)) set += std::popcount(word);
        CHECK(set == shape[0] * share_of(keep, sample));  // zeros that are kept have their bit too
        CHECK(p.values.elements() == shape[0] * share_of(keep, sample));
      }
}

TEST_CASE("a sample's choice does not depend on its neighbours or on the threads") {
  const auto values = normal_values(6 * 40 * 24, 3);
  std::vector<std::vector<float>> results;
  for (const int threads : {1, 2, 3}) {
    Device device(test_backend(threads));
    Scripted policy{Keep{}};
    Tape tape(device, policy);
    const Tensor x = device.upload({6, 40, 24}, Category::workspace, values);
    Tensor out = tape.empty({240, 24});
    device.run().unpack(pack_all(tape, x, {0.3, Code::f16, false}, {}).view(), 0, out);
    results.push_back(device.download(out));
  }
  CHECK(results[0] == results[1]);
  CHECK(results[0] == results[2]);
}

TEST_CASE("a band unpacked from the middle is that band of the whole") {
  Bench bench;
  const Tensor x = bench.tensor({3, 20, 37}, normal_values(3 * 20 * 37, 4));
  for (const Pack& how : {Pack{0.2, Code::f16, false}, Pack{1, Code::u8, false}, Pack{1, Code::u4, false}}) {
    const Packed p = pack_all(bench.tape, x, how, {});
    const auto whole = bench.unpacked(p);
    Tensor band = bench.tape.empty({23, 37});
    bench.device.run().unpack(p.view(), 31, band);
    CHECK(bench.device.download(band) == std::vector<float>(whole.begin() + 31 * 37, whole.begin() + 54 * 37));
  }
}

TEST_CASE("a part that may lose its mean over a sample's rows does so in codes, which then span less") {
  Bench bench;
  const int64_t samples = 3, each = 20, part = 40, cols = 3 * part;
  auto values = normal_values(samples * each * cols, 6);
  for (size_t i = 0; i < values.size(); ++i)
    if (static_cast<int64_t>(i) / part % 3 == 1) values[i] += 100.f * static_cast<float>(i % static_cast<size_t>(part));
  const Tensor x = bench.tensor({samples, each, cols}, values);
  auto less = values;
  for (int64_t s = 0; s < samples; ++s)
    for (int64_t c = part; c < 2 * part; ++c) {
      double sum = 0;
      const auto value = [&](int64_t r) -> float& { return less[static_cast<size_t>((s * each + r) * cols + c)]; };
      for (int64_t r = 0; r < each; ++r) sum += value(r);
      for (int64_t r = 0; r < each; ++r) value(r) -= static_cast<float>(sum / each);
    }
  for (const int group : {0, 32}) {
    const Pack how{1, Code::u4, false, group};
    const Packed p = pack_all(bench.tape, x, how, {}, 3, 1), whole = pack_all(bench.tape, x, how, {}, 3);
    CHECK(p.centred == 1);
    CHECK(whole.centred == -1);
    CHECK(bytes_of(p) == bytes_of(whole));
    const auto back = bench.unpacked(p);
    // A range of about 6 in 15 steps.
    for (size_t i = 0; i < back.size(); ++i) CHECK(std::abs(back[i] - less[i]) < 0.35f);
  }
  for (const Pack& how : {Pack{1, Code::bf16, false}, Pack{0.3, Code::f16, false}})  // no code, no range
    CHECK(pack_all(bench.tape, x, how, {}, 3, 1).centred == -1);
}

TEST_CASE("a value in a short code comes back within half a step of its row") {
  Bench bench;
  const int64_t rows = 30, cols = 41;
  auto values = normal_values(rows * cols, 5);
  std::fill_n(values.begin(), cols, 3.25f);  // a row without a range
  const Tensor x = bench.tensor({rows, cols}, values);
  for (const Code code : {Code::u8, Code::u4, Code::u3, Code::u2}) {
    const auto back = bench.unpacked(pack_all(bench.tape, x, {1, code, false}, {}));
    for (int64_t r = 0; r < rows; ++r) {
      const auto first = values.begin() + r * cols;
      const auto [low, high] = std::minmax_element(first, first + cols);
      const float step = (*high - *low) / static_cast<float>((1 << bits_of(code)) - 1);
      for (int64_t c = 0; c < cols; ++c) {
        const auto i = static_cast<size_t>(r * cols + c);
        CHECK(std::abs(back[i] - values[i]) <= 0.5001f * step + 1e-6f);
      }
    }
  }
  const auto f16 = bench.unpacked(pack_all(bench.tape, x, {1, Code::f16, false}, {}));
  for (size_t i = 0; i < values.size(); ++i) CHECK(std::abs(f16[i] - values[i]) <= 0x1p-11f * std::abs(values[i]));
  CHECK(bench.unpacked(pack_all(bench.tape, x, {1, Code::f32, false}, {})) == values);
}

TEST_CASE("random rounding is right on average, and nearest rounding is not") {
  Bench bench;
  const auto values = normal_values(64, 6);
  const Tensor x = bench.tensor({1, 64}, values);
  const int draws = 600;
  std::vector<double> mean(64);
  for (int d = 0; d < draws; ++d) {
    const StreamKey key{1, static_cast<uint32_t>(Purpose::policy), static_cast<uint32_t>(d), 0};
    const auto back = bench.unpacked(pack_all(bench.tape, x, {1, Code::u2, true}, key));
    for (size_t i = 0; i < 64; ++i) mean[i] += static_cast<double>(back[i]) / draws;
  }
  const auto nearest = bench.unpacked(pack_all(bench.tape, x, {1, Code::u2, false}, {}));
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  const double step = static_cast<double>(*high - *low) / 3, five_sigma = 5 * 0.5 * step / std::sqrt(draws);
  double error = 0, biased = 0;
  for (size_t i = 0; i < 64; ++i) {
    error = std::max(error, std::abs(mean[i] - static_cast<double>(values[i])));
    biased = std::max(biased, std::abs(static_cast<double>(nearest[i] - values[i])));
  }
  CHECK(error < five_sigma);
  CHECK(biased > 2 * five_sigma);
}

TEST_CASE("chosen columns and rows are packed as if they had been cut out first") {
  Bench bench;
  const int64_t rows = 24, cols = 19;
  const auto values = normal_values(rows * cols, 7);
  const Tensor x = bench.tensor({4, 6, cols}, values);
  const std::vector<int32_t> columns{0, 3, 4, 11, 18}, tokens{0, 2, 9, 23};
  const std::vector<float> scales(5, 1.f);
  const Columns c = pack_columns(bench.tape, x, {columns, scales, {0.4, Code::f32, false}}, {});
  std::vector<float> cut;
  for (int64_t r = 0; r < rows; ++r)
    for (const int32_t i : columns) cut.push_back(values[static_cast<size_t>(r * cols + i)]);
  CHECK(bench.unpacked(c.chosen) == pruned_by_hand(cut, 6 * 5, 0.4));
  const Rows r = pack_rows(bench.tape, x, {tokens, std::span(scales).first(4), {1, Code::f32, false}}, {});
  cut.clear();
  for (const int32_t i : tokens) cut.insert(cut.end(), values.begin() + i * cols, values.begin() + (i + 1) * cols);
  CHECK(bench.unpacked(r.chosen) == cut);
}

TEST_CASE("the columns of largest norm are the ones that stay") {
  Bench bench;
  std::vector<float> values(6 * 4);
  for (size_t i = 0; i < values.size(); ++i) values[i] = std::array{1.f, -3.f, 0.5f, 3.f}[i % 4];
  const Columns c = pack_top_columns(bench.tape, bench.tensor({2, 3, 4}, values), {0.5, Code::f32});
  CHECK(downloaded<int32_t>(bench.device, c.index) == std::vector<int32_t>{1, 3});
  const Columns one = pack_top_columns(bench.tape, bench.tensor({2, 3, 4}, values), {0.25, Code::f32});
  CHECK(downloaded<int32_t>(bench.device, one.index)[0] == 1);  // of two equal ones the first
}

TEST_CASE("bytes asleep follow from shapes alone") {
  Bench bench;
  const Tensor x = bench.tensor({4, 50, 96}, normal_values(4 * 50 * 96, 8));
  const auto bytes = [&](const Pack& how) { return bytes_of(Kept{pack_all(bench.tape, x, how, {})}); };
  const int64_t rows = 200, sample = 50 * 96, kept = sample / 5;
  CHECK(bytes({0.2, Code::f16, false}) == aligned(4 * kept * 2) + aligned(rows * 3 * 4));
  CHECK(bytes({0.2, Code::f32, false}) == aligned(4 * kept * 4) + aligned(rows * 3 * 4));
  CHECK(bytes({1, Code::f16, false}) == aligned(rows * 96 * 2));
  CHECK(bytes({1, Code::u8, false}) == aligned(rows * 96) + aligned(rows * 8));
  CHECK(bytes({1, Code::u4, false}) == aligned(rows * 48) + aligned(rows * 8));
  CHECK(bytes({1, Code::u2, false}) == aligned(rows * 24) + aligned(rows * 8));
}

TEST_CASE("a mask in front of affine codes is refused") {
  Bench bench;
  const Tensor x = bench.tensor({1, 2, 4}, std::vector<float>(8, 1.f));
  CHECK(sentence(Fault::internal, [&] {
          pack_all(bench.tape, x, {0.5, Code::u8, false}, {});
        }) == "pack: a mask goes with f32 or f16, not with 8-bit codes");
}

TEST_CASE("in f16 a value beyond its range becomes the largest, and nan stays nan") {
  Bench bench;
  const float inf = std::numeric_limits<float>::infinity();
  std::vector<float> values(33, 1.f), expected = values;
  for (const size_t i : {0u, 3u, 17u, 28u, 32u}) {
    values[i] = i % 2 == 0 ? 1e5f : -inf;
    expected[i] = i % 2 == 0 ? 65504.f : -65504.f;
  }
  const auto packed = [&](double keep) {
    return bench.unpacked(pack_all(bench.tape, bench.tensor({1, 1, 33}, values), {keep, Code::f16, false}, {}));
  };
  CHECK(packed(1) == expected);
  for (float& v : expected) v = std::abs(v) > 1 ? v : 0;
  CHECK(packed(0.15) == expected);
  for (const size_t i : {5u, 32u}) {
    values[i] = std::numeric_limits<float>::quiet_NaN();
    CHECK(std::isnan(packed(1)[i]));
  }
  // Where many are kept, eight at a time.
  const std::vector<float> large(320, -1e5f);
  const Packed half = pack_all(bench.tape, bench.tensor({1, 1, 320}, large), {0.5, Code::f16, false}, {});
  CHECK(bench.unpacked(half) == pruned_by_hand(std::vector<float>(320, -65504.f), 320, 0.5));
}

// A choice of rows and columns: gathered, and put back where they came from; and how much is in each column.
#include "operands.h"

using namespace shear;
using namespace shear::test;

TEST_CASE("rows are gathered by their index, in any order and as often as it says, and scaled") {
  for_sizes([](const Size& s) {
    const Matrix x(s.rows, s.cols, s.gap, 1);
    if (s.rows == 0) return;
    const int64_t n = 2 * s.rows / 3 + 2;
    Stream draw(4, Purpose::test);
    std::vector<int32_t> index;
    for (int64_t r = 0; r < n; ++r) index.push_back(static_cast<int32_t>(draw.below(static_cast<uint32_t>(s.rows))));
    const Matrix scale(1, n, 0, 2), out(n, s.cols, s.gap, 3);
    Both both([&](Side& at) { at.run().gather_rows(at(x), at(index), at(scale), at(out)); });
    const Matrix got = both.tested(out);
    CHECK(got.same_bits(both.other(out)));
    CHECK(error_of(got, [&](int64_t r, int64_t c) {
            return static_cast<double>(static_cast<float>(scale.at(0, r)) *
                                       static_cast<float>(x.at(index[static_cast<size_t>(r)], c)));
          }) == 0);
  });
  const Matrix x(3, 4, 0, 1), scale(1, 0, 0, 2), out(0, 4, 0, 3);
  const std::vector<int32_t> none;
  Both both([&](Side& at) { at.run().gather_rows(at(x), at(none), at(scale), at(out)); });
  CHECK(both.tested(out).rows() == 0);
}

TEST_CASE("columns are scattered to where they came from, over what is there or over zeros") {
  for_sizes([](const Size& s) {
    // Every second column, from the last to the first.
    std::vector<int32_t> index;
    for (int64_t c = s.cols - 1; c >= 0; c -= 2) index.push_back(static_cast<int32_t>(c));
    const auto n = static_cast<int64_t>(index.size());
    const Matrix x(s.rows, n, s.gap, 1), scale(1, n, 0, 2);
    const auto put = [&](int64_t r, int64_t c) {
      const int64_t from_end = s.cols - 1 - c;
      return from_end % 2 == 0 ? scale.at(0, from_end / 2) * x.at(r, from_end / 2) : 0;
    };
    for (const float beta : {0.f, 1.f, 0.5f}) {
      CAPTURE(beta);
      Matrix out(s.rows, s.cols, s.gap, 3);
      const Matrix before = out;
      if (beta == 0) out.fill(unset);
      Both both([&](Side& at) { at.run().scatter_columns(at(x), at(index), at(scale), beta, at(out)); });
      both.check(out, [&](int64_t r, int64_t c) {
        if ((s.cols - 1 - c) % 2 != 0) return beta == 0 ? 0 : before.at(r, c);  // not chosen: left as it is
        return put(r, c) + (beta == 0 ? 0 : static_cast<double>(beta) * before.at(r, c));
      });
    }
  });
}

TEST_CASE("a scattered column of scale zero is left out, even where its index comes twice") {
  Matrix x(3, 3, 0, 1), scale(1, 3, 0, 2), out(3, 5, 0, 3);
  const float values[] = {2, 0.5f, 0};
  for (int64_t i = 0; i < 9; ++i) x(i / 3, i % 3) = static_cast<float>(i + 1);
  for (int64_t c = 0; c < 3; ++c) scale(0, c) = values[c];
  out.fill(10);
  const std::vector<int32_t> index{4, 1, 1};
  const auto scattered = [&](float beta) {
    Both both([&](Side& at) { at.run().scatter_columns(at(x), at(index), at(scale), beta, at(out)); });
    return both.tested(out).data();
  };
  CHECK(scattered(0) == std::vector<float>{0, 1, 0, 0, 2, 0, 2.5f, 0, 0, 8, 0, 4, 0, 0, 14});
  CHECK(scattered(0.5f) == std::vector<float>{10, 6, 10, 10, 7, 10, 7.5f, 10, 10, 13, 10, 9, 10, 10, 19});
}

TEST_CASE("where no column is scattered, beta 0 leaves zeros and any other leaves what is there") {
  const Matrix x(3, 0, 0, 1), scale(1, 0, 0, 2), out(3, 33, 2, 3);
  const std::vector<int32_t> none;
  for (const float beta : {0.f, 1.f}) {
    Both both([&](Side& at) { at.run().scatter_columns(at(x), at(none), at(scale), beta, at(out)); });
    CHECK(error_of(both.tested(out), [&](int64_t r, int64_t c) { return beta == 0 ? 0. : out.at(r, c); }) == 0);
  }
}

TEST_CASE("the squares of each column are summed up") {
  for_sizes([](const Size& s) {
    const Matrix x(s.rows, s.cols, s.gap, 1), out(1, s.cols, 0, 2);
    Both both([&](Side& at) { at.run().column_square_sums(at(x), at(out)); });
    both.check(out, [&](int64_t, int64_t c) {
      double sum = 0;
      for (int64_t r = 0; r < s.rows; ++r) sum += x.at(r, c) * x.at(r, c);
      return sum;
    });
  });
}

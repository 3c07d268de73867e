// A matrix put to sleep by a backend, in allocations of its own whose edges are watched, and woken.
#pragma once
#include <numeric>

#include "operands.h"

namespace shear::test {

inline size_t at(int64_t i) { return static_cast<size_t>(i); }

// What is packed, and how: all of x, or what the indices choose of it.
struct Nap {
  const Matrix& x;
  PackedView shape;  // without addresses; kept 0: no mask
  std::vector<int32_t> rows = {}, columns = {};
  int64_t rows_per_group = 0;
  const StreamKey* rounding = nullptr;
  Slope slope = Slope::none;
  const Matrix* shift = nullptr;  // a row for each sample

  bool masked() const { return shape.kept > 0; }
  // What stands at row r and column c of the choice.
  float value(int64_t r, int64_t c) const {
    const int64_t group = rows_per_group > 0 ? r / rows_per_group : 0;
    const auto v = static_cast<float>(
        x.at(rows.empty() ? r : rows[at(r)], columns.empty() ? c : columns[at(group * shape.cols + c)]));
    return shift ? v - static_cast<float>(shift->at(r / shape.sample_rows, c)) : v;
  }
};

// A choice of `n` among `of`, as often as it falls on each.
inline std::vector<int32_t> drawn(int64_t n, uint32_t of) {
  std::vector<int32_t> index;
  Stream draw(8, Purpose::test);
  for (int64_t i = 0; i < n; ++i) index.push_back(static_cast<int32_t>(draw.below(of)));
  return index;
}

inline PackedView shape_of(Code code, int64_t rows, int64_t cols, int64_t sample_rows, int64_t kept,
                           int64_t parts = 1) {
  PackedView v;
  v.code = code, v.rows = rows, v.cols = cols, v.sample_rows = sample_rows, v.kept = kept, v.parts = parts;
  return v;
}

inline PackedView grouped(PackedView shape, int64_t group) {
  shape.group = group;
  return shape;
}

class Asleep {
 public:
  Asleep(Backend& backend, const Nap& nap) : side_(backend), view_(nap.shape) {
    const int64_t samples = view_.sample_rows > 0 ? view_.rows / view_.sample_rows : 0;
    const int64_t kept_bytes = samples * view_.parts * view_.kept * bits_of(view_.code) / 8;
    view_.values = values_.make(backend, nap.masked() ? kept_bytes : view_.rows * view_.row_bytes());
    if (nap.masked())
      view_.bits = static_cast<uint32_t*>(bits_.make(backend, 4 * view_.rows * view_.parts * view_.mask_words()));
    if (view_.group > 0)
      view_.of_group = static_cast<CodeRange*>(affine_.make(backend, 4 * view_.groups() * view_.cols));
    else if (bits_of(view_.code) <= 8)
      view_.affine = static_cast<float*>(affine_.make(backend, 8 * view_.rows));
    PackSource source;
    source.x = side_(nap.x);
    if (!nap.rows.empty()) source.row_index = static_cast<const int32_t*>(side_(nap.rows).data);
    if (!nap.columns.empty()) source.column_index = static_cast<const int32_t*>(side_(nap.columns).data);
    source.rows_per_group = nap.rows_per_group;
    source.rounding = nap.rounding;
    source.slope = nap.slope;
    if (nap.shift) source.shift = side_(*nap.shift), source.sample_rows = view_.sample_rows;
    backend.pack(source, view_, side_.scratch(backend.pack_scratch(view_.cols)));
  }

  std::vector<uint8_t> values() { return values_.read<uint8_t>(side_.run()); }
  std::vector<uint32_t> bits() { return bits_.read<uint32_t>(side_.run()); }
  // Offset and scale, row by row, or group by group and column by column.
  std::vector<float> affine() {
    if (view_.group == 0) return affine_.read<float>(side_.run());
    std::vector<float> pairs;
    for (const CodeRange& r : affine_.read<CodeRange>(side_.run())) pairs.insert(pairs.end(), {r.offset(), r.scale()});
    return pairs;
  }
  Matrix woken(int64_t first, int64_t rows, int64_t gap = 0) {
    const Matrix out(rows, view_.cols, gap, 0);
    Side side(side_.run());
    side_.run().unpack(view_, first, side(out));
    return side.result(out);
  }
  Matrix woken() { return woken(0, view_.rows); }

 private:
  struct Room {
    Storage storage;
    size_t bytes = 0;

    // At first every byte is 0xa5: what is not written is seen.
    void* make(Backend& backend, int64_t size) {
      bytes = at(size);
      const std::vector<uint8_t> untouched(bytes, 0xa5);
      storage = Storage(backend.memory(), bytes, Category::parameters);
      backend.upload(storage.data(), untouched.data(), bytes);
      return storage.data();
    }
    template <class T>
    std::vector<T> read(Backend& backend) const {
      std::vector<T> out(bytes / sizeof(T));
      if (bytes > 0) backend.download(out.data(), storage.data(), bytes);
      return out;
    }
  };

  Side side_;
  PackedView view_;
  Room values_, bits_, affine_;
};

// Any band that is woken equals those rows of the whole.
inline void check_bands(const Nap& nap) {
  Asleep asleep(tested_backend(), nap);
  const Matrix whole = asleep.woken();
  const int64_t rows = nap.shape.rows;
  for (int64_t first = 0; first < rows; first += std::max<int64_t>(1, rows / 5))
    for (const int64_t n : {int64_t{1}, rows / 2, rows - first}) {
      if (n == 0 || first + n > rows) continue;
      CAPTURE(first);
      CAPTURE(n);
      const Matrix band = asleep.woken(first, n, 3);
      CHECK(error_of(band, [&](int64_t r, int64_t c) { return whole.at(first + r, c); }) == 0);
    }
}

}  // namespace shear::test

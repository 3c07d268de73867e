// Packing: allocate by shape, fill by the backend.
#include "tape/pack.h"

#include "shear/backend.h"

#include <algorithm>
#include <numeric>

namespace shear {

int64_t sample_rows(const Tensor& value) {
  const int64_t samples = value.shape().rank() > 0 ? value.shape()[0] : 1;
  return samples > 0 ? value.rows() / samples : 0;
}

size_t bytes_of(const Kept& kept) {
  const auto packed = [](const Packed& p) {
    return p.values.storage().bytes() + p.bits.storage().bytes() + p.affine.storage().bytes();
  };
  const auto chosen = [&](const auto& c) {
    return packed(c.chosen) + c.index.storage().bytes() + c.scale.storage().bytes();
  };
  return std::visit(
      match{[](const Dense& d) { return d.values.storage().bytes(); }, [](const Recomputed&) { return size_t{0}; },
            [&](const Packed& p) { return packed(p); }, [&](const Columns& c) { return chosen(c); },
            [&](const Rows& r) { return chosen(r); }, [&](const Slopes& s) { return packed(s.codes); }},
      kept);
}

namespace {

Tensor saved(Tape& tape, const Shape& shape, DType type) { return tape.device().empty(shape, Category::saved, type); }

Packed pack_as(Tape& tape, const PackSource& source, int64_t rows, int64_t cols, int64_t rows_per_sample,
               const Pack& how, int64_t parts = 1) {
  Packed p;
  p.code = how.code;
  p.rows = rows;
  p.cols = cols;
  p.sample_rows = rows_per_sample;
  p.parts = parts;
  p.kept = share_of(how.keep, rows_per_sample * (cols / parts));
  require(how.group == 0 || std::find(code_groups.begin(), code_groups.end(), how.group) != code_groups.end(),
          "pack: a group of ", how.group, " rows, expected 32, 64, 128 or 256");
  const bool masked = how.keep < 1;
  require(!masked || format_of(how.code).masks, "pack: a mask goes with f32 or f16, not with ", bits_of(how.code),
          "-bit codes");
  if (masked) {
    const int64_t samples = rows / rows_per_sample;
    p.values =
        saved(tape, {samples, parts, p.kept}, format_of(how.code).scheme == Scheme::floats ? DType::f32 : DType::f16);
    p.bits = saved(tape, {rows, parts, (cols / parts + 31) / 32}, DType::u32);
  } else {
    p.values = saved(tape, {rows, (cols * bits_of(how.code) + 7) / 8}, DType::u8);
    if (format_of(how.code).scheme == Scheme::affine) {
      p.group = how.group;
      p.affine =
          p.group > 0 ? saved(tape, {p.view().groups(), cols, 2}, DType::bf16) : saved(tape, {rows, 2}, DType::f32);
    }
  }
  Tensor scratch = tape.empty({tape.run().pack_scratch(cols)});
  tape.run().pack(source, p.view(), scratch);
  return p;
}

template <class T>
Tensor upload(Tape& tape, std::span<const T> values, DType type) {
  Tensor t = saved(tape, {static_cast<int64_t>(values.size())}, type);
  tape.run().upload(t.data<void>(), values.data(), values.size_bytes());
  return t;
}

}  // namespace

Packed pack_all(Tape& tape, const Tensor& value, const Pack& how, const StreamKey& rounding, int64_t parts,
                int free_part) {
  PackSource source{.x = value, .rounding = how.stochastic ? &rounding : nullptr};
  const int64_t rows = sample_rows(value);
  Tensor means;
  const bool centred = free_part >= 0 && format_of(how.code).scheme == Scheme::affine;
  if (centred) {
    const int64_t cols = value.cols() / parts, first = free_part * cols;
    means = tape.empty({value.rows() / rows, value.cols()});
    tape.run().fill(means, 0);
    tape.run().mean_tokens(ConstView(value).columns(first, cols), rows, 0, View(means).columns(first, cols));
    source.shift = means;
    source.sample_rows = rows;
  }
  Packed packed = pack_as(tape, source, value.rows(), value.cols(), rows, how, parts);
  if (centred) packed.centred = free_part;
  return packed;
}

Slopes pack_slopes(Tape& tape, const Tensor& value, Slope slope, Code code) {
  return {pack_as(tape, {.x = value, .slope = slope}, value.rows(), value.cols(), sample_rows(value), {.code = code})};
}

Columns pack_columns(Tape& tape, const Tensor& value, const SampleColumns& sample, const StreamKey& rounding) {
  require(sample.groups > 0 && sample.index.size() == sample.scale.size() &&
              sample.index.size() % static_cast<size_t>(sample.groups) == 0,
          "pack: ", sample.index.size(), " columns and ", sample.scale.size(), " scales for ", sample.groups,
          " groups");
  const int64_t per_sample = sample_rows(value), samples = value.rows() / per_sample;
  Columns c;
  c.cols = value.cols();
  c.rows_per_group = (samples + sample.groups - 1) / sample.groups * per_sample;
  c.chosen.rows = value.rows();
  if (sample.index.empty()) return c;
  c.index = upload(tape, sample.index, DType::i32);
  c.scale = upload(tape, sample.scale, DType::f32);
  c.chosen = pack_as(tape,
                     {.x = value,
                      .column_index = c.index.data<int32_t>(),
                      .rows_per_group = sample.groups > 1 ? c.rows_per_group : 0,
                      .rounding = sample.inside.stochastic ? &rounding : nullptr},
                     value.rows(), c.index.elements() / sample.groups, per_sample, sample.inside);
  return c;
}

Rows pack_rows(Tape& tape, const Tensor& value, const SampleRows& sample, const StreamKey& rounding) {
  Rows r;
  r.rows = value.rows();
  r.index = upload(tape, sample.index, DType::i32);
  r.scale = upload(tape, sample.scale, DType::f32);
  const int64_t chosen = r.index.elements();
  r.chosen = pack_as(
      tape,
      {.x = value, .row_index = r.index.data<int32_t>(), .rounding = sample.inside.stochastic ? &rounding : nullptr},
      chosen, value.cols(), chosen, sample.inside);
  return r;
}

Columns pack_top_columns(Tape& tape, const Tensor& value, const TopColumns& top) {
  const int64_t cols = value.cols(), kept = share_of(top.keep, cols);
  std::vector<float>& norms = tape.host_floats(cols);
  {
    Tensor sums = tape.empty({cols});
    tape.run().column_square_sums(value, sums);
    tape.run().download(norms.data(), sums.data<void>(), sums.bytes());
  }
  std::vector<int32_t>& order = tape.host_indices(cols);
  std::iota(order.begin(), order.end(), 0);
  const auto larger = [&](int32_t a, int32_t b) {
    const float x = norms[static_cast<size_t>(a)], y = norms[static_cast<size_t>(b)];
    return x != y ? x > y : a < b;
  };
  std::nth_element(order.begin(), order.begin() + (kept - 1), order.end(), larger);
  std::sort(order.begin(), order.begin() + kept);
  std::fill(norms.begin(), norms.end(), 1.f);  // now the scales: the choice is not random, nothing is made up for
  const auto n = static_cast<size_t>(kept);
  return pack_columns(tape, value, {std::span(order).first(n), std::span(norms).first(n), {1, top.code, false}}, {});
}

}  // namespace shear

// Forms x consumers: one overload per form, and the compiler lists what is missing.
#include "tape/contract.h"

namespace shear {

namespace {

// Full width, whatever it sleeps in: bands, added up.
void add_bands(Backward& bw, const Kept& x, int64_t rows, int64_t cols, ConstView dy, View dw, float beta) {
  each_band(bw, x, rows, cols, band_rows, [&](int64_t first, int64_t n, ConstView part) {
    bw.run().gemm(Transposed::yes, dy.band(first, n), Transposed::no, part, first == 0 ? beta : 1.f, dw);
  });
}

// dw[:, index] = scale * dy^T x[:, index]: a GEMM over the columns that are there, group by group.
void add_columns(Backward& bw, const Columns& x, ConstView dy, View dw, float beta) {
  const Packed& chosen = x.chosen;
  if (chosen.cols == 0) {
    if (beta == 0) bw.run().fill(dw, 0);
    return;
  }
  Tensor part = bw.scratch({dw.rows, chosen.cols});
  Tensor room = bw.scratch({std::min(band_rows, x.rows_per_group), chosen.cols});
  const int64_t n = chosen.cols;
  for (int64_t group = 0; group * x.rows_per_group < chosen.rows; ++group) {
    const int64_t begin = group * x.rows_per_group, end = std::min(begin + x.rows_per_group, chosen.rows);
    for (int64_t first = begin; first < end; first += band_rows) {
      const View xs = View(room).band(0, std::min(band_rows, end - first));
      bw.run().unpack(chosen.view(), first, xs);
      bw.run().gemm(Transposed::yes, dy.band(first, xs.rows), Transposed::no, xs, first == begin ? 0.f : 1.f, part);
    }
    bw.run().scatter_columns(part, ConstView(x.index.data<int32_t>() + group * n, 1, n, n, DType::i32),
                             ConstView(x.scale.data() + group * n, 1, n, n), group == 0 ? beta : 1.f, dw);
  }
}

// dw = (scale * dy[index])^T x[index]: the rows of dy are gathered and scaled, those of x unpacked, a band at a time.
void add_rows(Backward& bw, const Rows& x, ConstView dy, View dw, float beta) {
  const Packed& chosen = x.chosen;
  const int64_t band = std::min(band_rows, chosen.rows);
  Tensor room = bw.scratch({band, chosen.cols}), up = bw.scratch({band, dy.cols});
  for (int64_t first = 0; first < chosen.rows; first += band) {
    const int64_t n = std::min(band, chosen.rows - first);
    const View xs = View(room).band(0, n), ys = View(up).band(0, n);
    bw.run().unpack(chosen.view(), first, xs);
    bw.run().gather_rows(dy, ConstView(x.index.data<int32_t>() + first, 1, n, n, DType::i32),
                         ConstView(x.scale.data() + first, 1, n, n), ys);
    bw.run().gemm(Transposed::yes, ys, Transposed::no, xs, first == 0 ? beta : 1.f, dw);
  }
}

}  // namespace

ConstView rows_as_taken(Backward& bw, const Kept& kept, int64_t first, View room) {
  const ConstView rows = bw.rows(kept, first, room);
  if (form_of(kept) != Form::dense || bw.run().precision() == Precision::f32) return rows;
  Tensor halves = bw.scratch({rows.rows, (rows.cols + 1) / 2}),
         scratch = bw.scratch({bw.run().pack_scratch(rows.cols)});
  PackedView packed;
  packed.code = Code::bf16, packed.rows = rows.rows, packed.cols = rows.cols, packed.sample_rows = rows.rows;
  packed.values = halves.data<void>();
  bw.run().pack({.x = rows}, packed, scratch);
  bw.run().unpack(packed, 0, room);
  return room;
}

void weight_grad(Backward& bw, const Kept& x, const Tensor& dy, View dw, float beta) {
  std::visit(match{
                 [&](const Dense& d) { bw.run().gemm(Transposed::yes, dy, Transposed::no, d.values, beta, dw); },
                 [&](const Recomputed& r) { add_bands(bw, x, r.rows, r.cols, dy, dw, beta); },
                 [&](const Packed& p) {
                   if (p.code == Code::bf16)  // what the product would round it to
                     bw.run().gemm(Transposed::yes, dy, Transposed::no,
                                   ConstView(p.values.data<void>(), p.rows, p.cols, p.cols, DType::bf16), beta, dw);
                   else
                     add_bands(bw, x, p.rows, p.cols, dy, dw, beta);
                 },
                 [&](const Columns& c) { add_columns(bw, c, dy, dw, beta); },
                 [&](const Rows& r) { add_rows(bw, r, dy, dw, beta); },
                 [](const Slopes&) { fail(Fault::internal, "weight_grad: slopes stand for no value"); },
             },
             x);
}

}  // namespace shear

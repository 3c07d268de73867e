// Affine codes, launched: a warp to a row, or a block to a tile of rows that share their ranges.
#include "backends/cuda/launch.h"
#include "backends/cuda/pack.h"
#include "kernels/codes.cuh"

namespace shear::cuda {

namespace {

// f.template operator()<bits>() for the code's bits.
template <class F>
void with_bits(Code code, F f) {
  switch (code) {
    case Code::u8:
      return f.template operator()<8>();
    case Code::u4:
      return f.template operator()<4>();
    case Code::u3:
      return f.template operator()<3>();
    case Code::u2:
      return f.template operator()<2>();
    case Code::f32:
    case Code::f16:
    case Code::bf16:
      return;  // no affine codes
  }
}

int64_t tiles_of(int64_t cols) { return (cols + tile - 1) / tile; }

}  // namespace

void encode(On on, const Source& source, const PackedView& out, const StreamKey* rounding) {
  const bool on_grid = source.slope != Slope::none, at_random = rounding != nullptr && !on_grid;
  const StreamKey stream = at_random ? *rounding : StreamKey{};
  const auto codes = static_cast<uint8_t*>(out.values);
  with_bits(out.code, [&]<int Bits>() {
    if (out.group > 0)
      return launch(encode_groups_kernel<Bits>, dim3(static_cast<unsigned>(out.groups() * tiles_of(out.cols))),
                    pack_threads, 0, on, source, out.rows, out.cols, static_cast<int>(out.group), at_random, stream,
                    out.row_bytes(), codes, out.of_group);
    launch(encode_kernel<Bits>, a_warp_a_row(out.rows), pack_threads, 0, on, source, out.rows, out.cols, on_grid,
           slope_grid(out.code), at_random, stream, out.row_bytes(), codes, out.affine);
  });
}

void decode(On on, const PackedView& in, int64_t first_row, View out) {
  const auto codes = static_cast<const uint8_t*>(in.values);
  with_bits(in.code, [&]<int Bits>() {
    if (in.group > 0)
      return launch(decode_groups_kernel<Bits>, a_warp_a_row(out.rows), pack_threads, 0, on, codes, in.of_group,
                    static_cast<int>(in.group), first_row, out.rows, in.cols, in.row_bytes(), out.row(0), out.stride);
    launch(decode_kernel<Bits>, a_warp_a_row(out.rows), pack_threads, 0, on, codes, in.affine, first_row, out.rows,
           in.cols, in.row_bytes(), out.row(0), out.stride);
  });
}

}  // namespace shear::cuda

// Affine codes, launched: a warp to a row.
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
    case Code::u2:
      return f.template operator()<2>();
    case Code::f32:
    case Code::f16:
    case Code::bf16:
      return;  // no affine codes
  }
}

}  // namespace

void encode(On on, const Source& source, const PackedView& out, const StreamKey* rounding) {
  const bool on_grid = source.slope != Slope::none, at_random = rounding != nullptr && !on_grid;
  with_bits(out.code, [&]<int Bits>() {
    launch(encode_kernel<Bits>, a_warp_a_row(out.rows), pack_threads, 0, on, source, out.rows, out.cols, on_grid,
           slope_grid(out.code), at_random, at_random ? *rounding : StreamKey{}, out.row_bytes(),
           static_cast<uint8_t*>(out.values), out.affine);
  });
}

void decode(On on, const PackedView& in, int64_t first_row, View out) {
  with_bits(in.code, [&]<int Bits>() {
    launch(decode_kernel<Bits>, a_warp_a_row(out.rows), pack_threads, 0, on, static_cast<const uint8_t*>(in.values),
           in.affine, first_row, out.rows, in.cols, in.row_bytes(), out.row(0), out.stride);
  });
}

}  // namespace shear::cuda

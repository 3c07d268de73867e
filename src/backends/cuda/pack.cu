// Putting matrices to sleep, and waking them a band at a time: which kernels do it.
#include <algorithm>

#include "backends/cuda/cuda_backend.h"
#include "backends/cuda/pack.h"
#include "kernels/pack.cuh"

namespace shear::cuda {

namespace {

template <class T>
void pack_rows(On on, const Source& source, const PackedView& out) {
  launch(pack_rows_kernel<T>, a_warp_a_row(out.rows), pack_threads, 0, on, source, out.rows, out.cols,
         static_cast<T*>(out.values));
}

template <class T>
void unpack_rows(On on, const PackedView& in, int64_t first_row, View out) {
  launch(unpack_rows_kernel<T>, a_warp_a_row(out.rows), pack_threads, 0, on,
         static_cast<const T*>(in.values) + first_row * in.cols, out.rows, in.cols, out.row(0), out.stride);
}

// Of each set the largest, as many sets at once as there is room for.
void pack_largest(On on, const Source& source, const PackedView& out, uint32_t* room, int64_t room_words) {
  if (out.kept == 0) {
    const int64_t words = out.rows * out.parts * out.mask_words();
    check(cudaMemsetAsync(out.bits, 0, static_cast<size_t>(words) * sizeof(uint32_t), on.stream), "cudaMemsetAsync",
          on.op);
    return;
  }
  const int64_t pieces = room_words / Selection::words_per_piece;
  const Sets sets(out, pieces);
  const Selection selection(room, pieces);
  for (uint32_t first = 0; first < sets.count; first += sets.at_once) {
    const uint32_t count = std::min(sets.at_once, sets.count - first);
    select(on, source, sets, first, count, selection);
    keep(on, source, sets, first, count, selection, out);
  }
}

}  // namespace

// Selecting works in the backend's own room.
int64_t CudaBackend::pack_scratch(int64_t) const { return 0; }

void CudaBackend::pack(const PackSource& what, const PackedView& out, View) {
  if (out.rows == 0 || out.cols == 0) return;
  const Source source(what, out.cols);
  if (out.masked()) return pack_largest(on("pack"), source, out, partial<uint32_t>(), partial_room<uint32_t>());
  switch (format_of(out.code).scheme) {
    case Scheme::floats:
      return pack_rows<float>(on("pack"), source, out);
    case Scheme::halves:
      return pack_rows<__half>(on("pack"), source, out);
    case Scheme::brains:
      return pack_rows<__nv_bfloat16>(on("pack"), source, out);
    case Scheme::affine:
      return encode(on("pack"), source, out, what.rounding);
  }
}

void CudaBackend::unpack(const PackedView& in, int64_t first_row, View out) {
  if (out.rows == 0 || in.cols == 0) return;
  if (in.masked()) return unmask(on("unpack"), in, first_row, out);
  switch (format_of(in.code).scheme) {
    case Scheme::floats:
      return unpack_rows<float>(on("unpack"), in, first_row, out);
    case Scheme::halves:
      return unpack_rows<__half>(on("unpack"), in, first_row, out);
    case Scheme::brains:
      return unpack_rows<__nv_bfloat16>(on("unpack"), in, first_row, out);
    case Scheme::affine:
      return decode(on("unpack"), in, first_row, out);
  }
}

}  // namespace shear::cuda

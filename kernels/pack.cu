// Putting matrices to sleep, and waking them a band at a time: which kernels do it, and those for whole rows.
//
// Bytes moved by `pack_rows_kernel` and `unpack_rows_kernel`: 4 an element and its 4 or 2 asleep, which is the least
// and counted: 6 in f16.  With every other column chosen at least 8.01, counted 16: the row that they are gathered from
// is read by sectors, and its index from the cache.
#include "kernels/pack.cuh"

#include "backends/cuda/cuda_backend.h"
#include "shear/error.h"

namespace shear::cuda {

namespace {

// to[r, c] = the source there; a warp takes a row.
template <class T>
__global__ void __launch_bounds__(pack_threads) pack_rows_kernel(Source source, int64_t rows, int64_t cols, T* to) {
  const int64_t r = row_of_warp();
  if (r >= rows) return;
  const SourceRow row = source.row(r);
  for (int64_t c = threadIdx.x % 32; c < cols; c += 32) to[r * cols + c] = asleep<T>(row.at(c));
}

template <class T>
__global__ void __launch_bounds__(pack_threads)
    unpack_rows_kernel(const T* from, int64_t rows, int64_t cols, float* out, int64_t stride) {
  const int64_t r = row_of_warp();
  if (r >= rows) return;
  for (int64_t c = threadIdx.x % 32; c < cols; c += 32) out[r * stride + c] = widened(from[r * cols + c]);
}

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

// Masks, launched: a block to a piece of a set, or to a run of its rows.
#include <algorithm>

#include "backends/cuda/launch.h"
#include "backends/cuda/pack.h"
#include "kernels/masks.cuh"

namespace shear::cuda {

namespace {

template <class T>
void unmask_as(On on, const PackedView& in, int64_t first_row, View out) {
  const int64_t run_rows = std::max<int64_t>(pack_warps, (in.sample_rows + 15) / 16);
  const auto runs = static_cast<uint32_t>((in.sample_rows + run_rows - 1) / run_rows);
  const int64_t first_sample = first_row / in.sample_rows;
  const int64_t samples = (first_row + out.rows - 1) / in.sample_rows - first_sample + 1;
  const dim3 grid(static_cast<unsigned>(samples * runs), static_cast<unsigned>(in.parts));
  launch(unmask_kernel<T>, grid, pack_threads, 0, on, static_cast<const T*>(in.values), in.bits, in.sample_rows,
         in.parts, in.part_cols(), in.mask_words(), in.kept, run_rows, runs, first_sample, first_row, out.rows,
         out.row(0), out.stride);
}

}  // namespace

void keep(On on, const Source& source, const Sets& sets, uint32_t first, uint32_t count, const Selection& selection,
          const PackedView& out) {
  const auto run = [&]<class T>(T* values) {
    launch(keep_kernel<T>, dim3(count * sets.pieces), sets.threads(), 0, on, source, sets, first, selection, out.bits,
           values);
  };
  out.code == Code::f32 ? run(static_cast<float*>(out.values)) : run(static_cast<__half*>(out.values));
}

void unmask(On on, const PackedView& in, int64_t first_row, View out) {
  in.code == Code::f32 ? unmask_as<float>(on, in, first_row, out) : unmask_as<__half>(on, in, first_row, out);
}

}  // namespace shear::cuda

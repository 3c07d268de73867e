// The k-th largest magnitude of each set: three passes, two launches to each.
#include <algorithm>

#include "backends/cuda/launch.h"
#include "backends/cuda/pack.h"
#include "kernels/select.cuh"
#include "shear/error.h"

namespace shear::cuda {

Sets::Sets(const PackedView& out, int64_t room) {
  const auto small = [](int64_t n) { return static_cast<uint32_t>(n); };
  require(out.rows < int64_t{1} << 32 && out.sample_rows * out.part_cols() < int64_t{1} << 32, "pack: ", out.rows,
          " rows of ", out.cols, " values in samples of ", out.sample_rows,
          ", expected fewer than 2^32 rows and values of a sample");
  count = small(out.rows / out.sample_rows * out.parts);
  sample_rows = small(out.sample_rows), parts = small(out.parts), part_cols = small(out.part_cols());
  kept = small(out.kept);
  row_words = small(out.mask_words());
  words = row_words * sample_rows;
  at_once = std::min(count, small(room));
  const uint32_t wanted = std::clamp(words / least_words, 1u, std::max(1u, small(room) / at_once));
  words_per_piece = (words + wanted - 1) / wanted;
  pieces = (words + words_per_piece - 1) / words_per_piece;
}

// No more warps than there are words for.
unsigned Sets::threads() const {
  return std::min<uint32_t>(most_threads, 32 * ((words_per_piece + words_of_warp - 1) / words_of_warp));
}

void select(On on, const Source& source, const Sets& sets, uint32_t first, uint32_t count, const Selection& selection) {
  for (int pass = 0; pass < passes; ++pass) {
    launch(count_kernel, dim3(count * sets.pieces), sets.threads(), 0, on, source, sets, first, pass, selection.cuts,
           selection.counts);
    launch(pass == 0 ? pick_kernel<Selection::buckets / pack_threads> : pick_kernel<1024 / pack_threads>, dim3(count),
           pack_threads, 0, on, sets, pass, selection);
  }
}

}  // namespace shear::cuda

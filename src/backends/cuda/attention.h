// What the launches of attention and of its gradient share.
#pragma once
#include "kernels/attention_tiles.cuh"
#include "shear/error.h"
#include "shear/kernels/arguments.h"
#include "shear/view.h"

namespace shear::cuda {

// run.template operator()<D, R>() with the width rounded up, and with relative positions or without: what has none is
// compiled without them.
template <class F>
void for_kind(const HeadGrid& g, ConstView relative, F run) {
  if (g.width > 128) fail(Fault::usage, "attention: heads of width ", g.width, ", expected at most 128 on cuda");
  const auto of_width = [&]<int D>() {
    if (relative.data)
      run.template operator()<D, true>();
    else
      run.template operator()<D, false>();
  };
  if (g.width <= 32)
    of_width.template operator()<32>();
  else if (g.width <= 64)
    of_width.template operator()<64>();
  else
    of_width.template operator()<128>();
}

inline Relative relative_of(const HeadGrid& g, ConstView table) {
  if (!table.data) return {};
  return {table.row(0), static_cast<int>(table.stride), static_cast<int>(g.down()), static_cast<int>(g.across),
          1.f / static_cast<float>(g.across)};
}

inline int64_t tiles_of(int64_t tokens) { return (tokens + tile - 1) / tile; }

}  // namespace shear::cuda

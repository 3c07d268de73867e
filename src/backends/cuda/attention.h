// What the launches of attention and of its gradient share.
#pragma once
#include "kernels/attention_tiles.cuh"
#include "shear/error.h"
#include "shear/kernels/arguments.h"

namespace shear::cuda {

// run.template operator()<D>() with the width rounded up.
template <class F>
void for_width(const HeadGrid& g, F run) {
  if (g.width > 128) fail(Fault::usage, "attention: heads of width ", g.width, ", expected at most 128 on cuda");
  if (g.width <= 32)
    run.template operator()<32>();
  else if (g.width <= 64)
    run.template operator()<64>();
  else
    run.template operator()<128>();
}

inline int64_t tiles_of(int64_t tokens) { return (tokens + tile - 1) / tile; }

}  // namespace shear::cuda

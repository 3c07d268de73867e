// The shared memory whose size a launch says.  One declaration at global scope: to the emulated device it is an object.
#pragma once
#include <cuda_runtime.h>

extern __shared__ unsigned char dyn_smem[];

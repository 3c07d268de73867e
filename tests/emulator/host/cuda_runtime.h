// Stands where NVIDIA's cuda_runtime.h does, so that g++ compiles the kernels as they are and the host runs them.
// What a test may ask of the emulation beyond CUDA itself is in cuda_host.h.
#pragma once
#include "cuda_api.h"
#include "cuda_device.h"
#include "cuda_types.h"

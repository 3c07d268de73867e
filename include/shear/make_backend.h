// What makes a backend.
#pragma once
#include <memory>

#include "shear/api.h"
#include "shear/backend.h"
#include "shear/device.h"
#include "shear/precision.h"

namespace SHEAR_API shear {

// Throws Fault::device with a sentence where the device is not there.
std::unique_ptr<Backend> make_backend(DeviceKind, int threads, Precision = Precision::f32);
// Computes nothing, and asks for the same bytes as make_backend's.  The device need not be there, only in the build.
std::unique_ptr<Backend> make_planning_backend(DeviceKind, int threads, Precision = Precision::f32);

std::unique_ptr<Backend> make_cpu_backend(int threads, Precision = Precision::f32);  // 0: as many as the machine has
// Only in builds that have it: make_backend knows.  To plan with, it answers what it would ask for, and opens no
// device.
enum class CudaUse : bool { compute, plan };
std::unique_ptr<Backend> make_cuda_backend(Precision, CudaUse);
// Computes nothing, and asks for the same bytes as `like`: for planning.
std::unique_ptr<Backend> make_shape_backend(std::unique_ptr<Backend> like);

}  // namespace shear

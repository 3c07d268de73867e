// A backend: memory, and what is computed there, on plain views.  It owns no tensors: what it reads and writes is
// handed to it.  It takes one call at a time.
#pragma once
#include <cstddef>
#include <string_view>

#include "shear/allocator.h"
#include "shear/api.h"
#include "shear/kernels/arguments.h"
#include "shear/packed.h"
#include "shear/precision.h"
#include "shear/random.h"
#include "shear/view.h"

namespace SHEAR_API shear {

class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::string_view name() const = 0;  // "cpu", "cuda", "shape"
  virtual bool computes() const { return true; }
  virtual Precision precision() const { return Precision::f32; }  // of gemm

  virtual Allocator& memory() = 0;
  virtual bool on_host() const { return true; }        // whether the host may read its memory as it is
  virtual size_t slab_bytes() const = 0;               // what a step's slab may take where nobody planned the step
  virtual size_t resident_bytes() const { return 0; }  // that the backend holds for itself, whatever it is asked
  virtual void upload(void* device, const void* host, size_t bytes) = 0;
  virtual void download(void* host, const void* device, size_t bytes) = 0;  // returns when the bytes are there

#define SHEAR_KERNEL(result, name, parameters, names) virtual result name parameters = 0
#define SHEAR_SCRATCH(name, type, of) virtual int64_t name(type of) const = 0
#include "shear/kernels/list.inc"
};

// Throws Fault::internal where op(a) op(b) does not fit c, or where gemm does not take such values at this precision.
void check_product(Transposed ta, ConstView a, Transposed tb, ConstView b, ConstView c, Precision);

}  // namespace shear

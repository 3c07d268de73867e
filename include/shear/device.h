// A device: a backend, and the memory that a model and its training step live in, counted and limited.
//
// One thread at a time uses a device and all that lies on it: tensors, parameters, tapes, optimizers.  Another thread
// may go on with them where the first has come to an end.  Devices know nothing of each other: each may have a thread
// of its own, also where both are of one kind.  What a kernel spreads over threads is over when its call returns, on
// the CPU.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "shear/api.h"
#include "shear/arena.h"
#include "shear/tensor.h"

namespace SHEAR_API shear {

class Backend;

enum class DeviceKind : uint8_t { cpu, cuda };  // make_backend.h makes a backend for one

// Peak bytes by category.  They sum to `peak`.
struct MemoryUse {
  size_t parameters = 0, gradients = 0, optimizer = 0;
  size_t saved = 0;      // activations that the tape kept, at the moment of the peak
  size_t workspace = 0;  // everything else in the step's slab: values in flight, their gradients, scratch, holes
  size_t peak = 0;
  bool operator==(const MemoryUse&) const = default;
};

class Device {
 public:
  struct Options {
    size_t memory_limit = 0;  // live bytes, 0: none
    size_t step_bytes = 0;    // capacity of the step's slab, 0: what Backend::slab_bytes() says when it is first used
  };
  explicit Device(std::unique_ptr<Backend> backend);
  Device(std::unique_ptr<Backend>, const Options&);
  ~Device();

  Backend& run() { return *backend_; }
  const Backend& run() const { return *backend_; }
  const Meter& meter() const { return *meter_; }
  const Arena& arena() const { return *arena_; }

  bool owns(const Tensor& t) const { return t.storage().home() == meter_.get(); }

  // Contents undefined.
  Tensor empty(const Shape&, Category, DType = DType::f32);
  Tensor upload(const Shape&, Category, std::span<const float>);    // copies, to F32
  Tensor upload(const Shape&, Category, std::span<const int32_t>);  // copies, to I32
  std::vector<float> download(const Tensor&);                       // f32

  MemoryUse peak() const;
  void restart_peak();

 private:
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Arena> arena_;
  std::unique_ptr<Split> split_;
  std::unique_ptr<Limit> limit_;
  std::unique_ptr<Meter> meter_;
};

}  // namespace shear

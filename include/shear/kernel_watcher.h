// Who is told of every call of a kernel: to count calls, or to time them.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "shear/api.h"

namespace SHEAR_API shear {

class Backend;

// A call, as a clock sees it: what is of one kind takes time by its size.
struct KernelCall {
  // The kernel, and what else of its arguments decides how it is computed: types, codes, ...; '+' where it adds to what
  // is there, '=' where it does not.
  std::string kind;
  // Of a product (m, n, k); of attention, and of what has heads, (sequences * heads, tokens, width); of all else rows
  // and columns of the largest operand that is read or written as a whole, and 1.
  std::array<int64_t, 3> size{0, 0, 1};

  // What time grows with, among calls of a kind: multiplications, or elements.
  double work() const;
};

class KernelWatcher {
 public:
  virtual ~KernelWatcher() = default;
  virtual bool watches() const { return true; }  // false: it is told of nothing now
  virtual void begins(const KernelCall&) {}
  virtual void ended(const KernelCall&) {}
};

// Computes what `of` computes, or nothing where that does not, and tells the watcher, which must outlive it.
std::unique_ptr<Backend> make_watched_backend(std::unique_ptr<Backend> of, KernelWatcher&);

}  // namespace shear

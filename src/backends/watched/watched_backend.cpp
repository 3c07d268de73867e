// A backend that hands every call on to another, and tells a watcher before and after.
#include <algorithm>
#include <type_traits>
#include <utility>

#include "shear/backend.h"
#include "shear/error.h"
#include "shear/kernel_watcher.h"

namespace shear {

namespace {

// Puts a call together from its arguments, which are told one by one, in order.
class CallOf {
 public:
  // names: of the arguments, "(x, scale, out)"
  CallOf(std::string_view kernel, std::string_view names) : kernel_(kernel), names_(names.substr(1)) {
    call_.kind = kernel;
    call_.kind += ' ';
  }

  template <class... Args>
  KernelCall with(const Args&... args) {
    (tell(next_name(), args), ...);
    if (kernel_ == "gemm") call_.size = {of_c_.rows, of_c_.cols, of_c_.rows > 0 ? of_a_ / of_c_.rows : 0};
    if (grid_) call_.size = {grid_->batch * grid_->heads, grid_->tokens, grid_->width};
    return std::move(call_);
  }

 private:
  std::string_view next_name() {
    const std::string_view name = names_.substr(0, names_.find_first_of(",)"));
    names_.remove_prefix(std::min(name.size() + 2, names_.size()));
    return name;
  }
  void of(int64_t rows, int64_t cols) {
    if (rows * cols > call_.size[0] * call_.size[1]) call_.size = {rows, cols, 1};
  }
  void tell(std::string_view name, const ConstView& v) {
    if (name == "scratch") return;
    call_.kind += v.data ? shear::name(v.dtype) : "-";
    call_.kind += ' ';
    if (!v.data) return;
    const bool in_part = name == "images" || (kernel_ == "gather_rows" && name == "x");
    if (!in_part) of(v.rows, v.cols);
    if (name == "a") of_a_ = v.elements();
    if (name == "c") of_c_ = v;
  }
  void tell(std::string_view name, const View& v) { tell(name, ConstView(v)); }
  void tell(std::string_view name, float number) {
    if (name.starts_with("beta")) call_.kind += number == 0 ? '=' : '+';
  }
  template <class T>
  requires(std::is_enum_v<T> || std::is_same_v<T, bool>) void tell(std::string_view, T choice) {
    call_.kind += static_cast<char>('0' + static_cast<int>(choice));
  }
  void tell(std::string_view, int64_t) {}
  void tell(std::string_view, const StreamKey&) {}
  void tell(std::string_view, const PatchGrid&) {}
  void tell(std::string_view, const SgdStep&) {}
  void tell(std::string_view, const AdamWStep&) {}
  void tell(std::string_view, const HeadGrid& grid) { grid_ = &grid; }
  void tell(std::string_view, const WeightView& w) {
    tell("", w.value);
    tell("", w.fine);
  }
  void tell(std::string_view, const PackSource& s) {
    for (const bool there :
         {s.row_index != nullptr, s.column_index != nullptr, s.rounding != nullptr, s.shift.data != nullptr})
      call_.kind += there ? '1' : '0';
    tell("", s.slope);
  }
  void tell(std::string_view name, const PackedView& p) {
    call_.kind += text(' ', bits_of(p.code), p.code == Code::bf16 ? "b" : "");
    if (p.masked()) call_.kind += 'm';
    if (p.group > 0) call_.kind += 'g';
    if (name == "out") of(p.rows, p.cols);
  }

  std::string_view kernel_, names_;
  KernelCall call_;
  const HeadGrid* grid_ = nullptr;
  int64_t of_a_ = 0;
  ConstView of_c_;
};

class WatchedBackend final : public Backend {
 public:
  WatchedBackend(std::unique_ptr<Backend> of, KernelWatcher& watcher) : of_(std::move(of)), watcher_(watcher) {}

  std::string_view name() const override { return of_->name(); }
  bool computes() const override { return of_->computes(); }
  Precision precision() const override { return of_->precision(); }
  Allocator& memory() override { return of_->memory(); }
  bool on_host() const override { return of_->on_host(); }
  size_t slab_bytes() const override { return of_->slab_bytes(); }
  size_t resident_bytes() const override { return of_->resident_bytes(); }
  void upload(void* device, const void* host, size_t bytes) override { of_->upload(device, host, bytes); }
  void download(void* host, const void* device, size_t bytes) override { of_->download(host, device, bytes); }

#define SHEAR_KERNEL(result, name, parameters, names)         \
  result name parameters override {                           \
    static_assert(std::is_void_v<result>);                    \
    if (!watcher_.watches()) return of_->name names;          \
    const KernelCall call = CallOf(#name, #names).with names; \
    watcher_.begins(call);                                    \
    of_->name names;                                          \
    watcher_.ended(call);                                     \
  }
#define SHEAR_SCRATCH(name, type, of) \
  int64_t name(type of) const override { return of_->name(of); }
#include "shear/kernels/list.inc"

 private:
  std::unique_ptr<Backend> of_;
  KernelWatcher& watcher_;
};

}  // namespace

double KernelCall::work() const {
  const auto [a, b, c] = size;
  const double product = static_cast<double>(a) * static_cast<double>(b) * static_cast<double>(c);
  const bool pairs = kind.starts_with("attention ") || kind.starts_with("attention_grad ");
  return pairs ? product * static_cast<double>(b) : product;
}

std::unique_ptr<Backend> make_watched_backend(std::unique_ptr<Backend> of, KernelWatcher& watcher) {
  return std::make_unique<WatchedBackend>(std::move(of), watcher);
}

}  // namespace shear

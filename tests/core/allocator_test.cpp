// The allocators' wrappers: what the meter counts, what the limit refuses, and where the split sends bytes.
#include "shear/allocator.h"

#include <doctest/doctest.h>

#include <thread>
#include <vector>

#include "allocation_counter.h"
#include "errors.h"
#include "shear/tensor.h"

using namespace shear;
using namespace shear::test;

TEST_CASE("the meter counts live bytes by category, and remembers how they stood at the peak") {
  ShapeAllocator memory;
  Meter meter(memory);
  void* w = meter.allocate(100, Category::parameters);
  void* a = meter.allocate(300, Category::workspace);
  meter.relabel(200, Category::workspace, Category::saved);
  void* b = meter.allocate(500, Category::workspace);
  CHECK(meter.live() == 900);
  meter.deallocate(b, 500, Category::workspace);
  void* g = meter.allocate(50, Category::gradients);
  CHECK(meter.live() == 450);
  CHECK(meter.live(Category::saved) == 200);
  CHECK(meter.live(Category::workspace) == 100);
  CHECK(meter.live(Category::gradients) == 50);
  CHECK(meter.peak() == 900);
  CHECK(meter.at_peak(Category::workspace) == 600);
  CHECK(meter.at_peak(Category::saved) == 200);
  CHECK(meter.at_peak(Category::gradients) == 0);
  CHECK(meter.highest(Category::gradients) == 50);
  CHECK(meter.highest(Category::workspace) == 600);
  CHECK(meter.allocations() == 4);
  meter.restart_peak();
  CHECK(meter.peak() == 450);
  CHECK(meter.highest(Category::workspace) == 100);
  meter.deallocate(g, 50, Category::gradients);
  meter.relabel(200, Category::saved, Category::workspace);
  meter.deallocate(a, 300, Category::workspace);
  meter.deallocate(w, 100, Category::parameters);
  CHECK(meter.live() == 0);
}

TEST_CASE("the limit refuses what would pass it, with the numbers, and counts what comes back") {
  HostAllocator memory;
  Limit limit(memory, 1000);
  void* a = limit.allocate(600, Category::parameters);
  CHECK(sentence(Fault::memory, [&] { limit.allocate(401, Category::gradients); }) ==
        "out of memory: 401 bytes for gradients on top of 600 pass the limit of 1000 bytes");
  CHECK(sentence(Fault::memory, [&] { limit.allocate(SIZE_MAX, Category::gradients); }).find("pass the limit") !=
        std::string::npos);
  void* b = limit.allocate(400, Category::gradients);
  limit.deallocate(a, 600, Category::parameters);
  a = limit.allocate(600, Category::saved);
  limit.deallocate(b, 400, Category::gradients);
  limit.deallocate(a, 600, Category::saved);
}

TEST_CASE("a step's bytes go one way and the model's another") {
  ShapeAllocator memory;
  Meter model(memory), step(memory);
  Split split(model, step);
  for (const Category c :
       {Category::parameters, Category::gradients, Category::optimizer, Category::saved, Category::workspace})
    split.allocate(64, c);
  CHECK(model.live() == 3 * 64);
  CHECK(step.live() == 2 * 64);
  CHECK(step.live(Category::saved) == 64);
}

TEST_CASE("host memory is aligned and whole, small or large") {
  HostAllocator host;
  for (const size_t bytes : {size_t{1}, size_t{100}, size_t{1} << 20, (size_t{3} << 20) + 1}) {
    CAPTURE(bytes);
    auto* p = static_cast<unsigned char*>(host.allocate(bytes, Category::workspace));
    CHECK(reinterpret_cast<uintptr_t>(p) % alignment == 0);
    p[0] = 1;
    p[bytes - 1] = 2;
    CHECK(p[bytes - 1] == 2);
    host.deallocate(p, bytes, Category::workspace);
  }
}

TEST_CASE("copies of a storage share their bytes, and the last one gives them back") {
  ShapeAllocator memory;
  Meter meter(memory);
  {
    Storage a(meter, 100, Category::workspace);
    CHECK(a.bytes() == 128);
    CHECK(a.unique());
    Storage b = a;
    CHECK_FALSE(a.unique());
    CHECK(a == b);
    CHECK(meter.live() == 128);
    b.relabel(Category::saved);
    CHECK(a.category() == Category::saved);
    CHECK(meter.live(Category::saved) == 128);
    CHECK(sentence(Fault::internal, [&] { a.relabel(Category::parameters); }) == "storage: cannot become parameters");
    a = Storage();
    CHECK(meter.live() == 128);
    Storage c = std::move(b);
    CHECK_FALSE(b);
    CHECK(c.unique());
  }
  CHECK(meter.live() == 0);
}

TEST_CASE("a tensor under another shape is the same value, and a new tensor never is") {
  ShapeAllocator memory;
  const Tensor a(memory, {2, 3, 5}, DType::f32, Category::workspace);
  const Tensor b = a.reshaped({6, 5});
  CHECK(b.serial() == a.serial());
  CHECK(b.data() == a.data());
  CHECK(b.shape() == Shape{6, 5});
  CHECK(Tensor(memory, {2, 3, 5}, DType::f32, Category::workspace).serial() != a.serial());
  CHECK(sentence(Fault::internal, [&] {
          a.reshaped({6, 6});
        }) == "reshape: (2, 3, 5) does not have the elements of (6, 6)");
}

TEST_CASE("a thread takes over the nodes that one before it has left behind") {
  ShapeAllocator memory;
  const auto hold = [&](uint64_t& taken) {
    std::vector<Storage> held;
    held.reserve(1000);
    const AllocationCounter counter;
    for (int i = 0; i < 1000; ++i) held.emplace_back(memory, 64, Category::workspace);
    taken = counter.count();
  };
  uint64_t first = 0, second = 1;
  std::jthread([&] { hold(first); }).join();
  std::jthread([&] { hold(second); }).join();
  CHECK(second == 0);
}

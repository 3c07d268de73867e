// bench_ops: each operator of a ViT's training step beside what bounds it: the machine's best rate of products, or what
// it copies in a second.  Google Benchmark does the timing, and its flags are understood.
#include <benchmark/benchmark.h>

#include <omp.h>
#include <deque>
#include <iostream>
#include <optional>
#include <utility>

#include "bounds.h"
#include "operators.h"
#include "tools/shear/exit_code.h"
#include "tools/shear/options.h"

namespace shear::tool {

namespace {

struct Flags {
  DeviceFlags device;
  std::string models = "vit_tiny_patch16_224;vit_small_patch16_224;vit_base_patch16_224";
  int64_t batch = 8;
  bool quick = false;
};

// In a training step an operator finds most of what it reads in memory rather than in a cache.  So does it here: it
// goes through sets of operands that no cache holds together.
class Ring {
 public:
  Ring(Device& device, const Operator& op, bool quick) {
    const size_t before = device.meter().live();
    do {
      work_.push_back(op.prepare(operands_.emplace_back(device)));
      work_.back()();  // the system gives memory when it is first written to
    } while (!quick && work_.size() < sets && device.meter().live() - before < bytes);
  }
  void turn() {
    work_[at_]();
    operands_[at_].wait();
    at_ = (at_ + 1) % work_.size();
  }

 private:
  static constexpr size_t bytes = size_t{192} << 20, sets = 64;
  std::deque<Operands> operands_;
  std::vector<std::function<void()>> work_;
  size_t at_ = 0;
};

void measure(benchmark::State& state, Ring& ring, const Operator& op, const Bounds& bounds) {
  for ([[maybe_unused]] auto _ : state) ring.turn();
  const double products = op.flops / bounds.gemm_flops, memory = op.bytes / bounds.copied_bytes;
  const auto per_second = benchmark::Counter::kIsIterationInvariantRate;
  state.counters["share"] = benchmark::Counter(std::max(products, memory), per_second);
  state.counters["bound_us"] = 1e6 * std::max(products, memory);
  state.counters["bound_by_memory"] = memory > products;
  state.counters["flops"] = benchmark::Counter(op.flops, per_second);
  state.counters["bytes"] = benchmark::Counter(op.bytes, per_second);
}

int run(const Flags& flags, std::vector<std::string> google) {
  Device device(flags.device.make());
  const int threads = flags.device.threads > 0 ? flags.device.threads : omp_get_num_procs();
  const Bounds bounds = measure_bounds(device, threads, flags.quick);
  benchmark::AddCustomContext("backend", std::string(device.run().name()));
  benchmark::AddCustomContext("threads", std::to_string(threads));
  benchmark::AddCustomContext("batch", std::to_string(flags.batch));
  benchmark::AddCustomContext("fma_flops", text(bounds.fma_flops));
  benchmark::AddCustomContext("gemm_flops", text(bounds.gemm_flops));
  benchmark::AddCustomContext("gemm_size", text(bounds.gemm_size));
  benchmark::AddCustomContext("copied_bytes", text(bounds.copied_bytes));
  // One operator's operands at a time; Google Benchmark comes back to each until it has seen enough.
  std::optional<Ring> ring;
  std::string whose;
  for (const std::string& model : split_policies(flags.models))
    for (const Operator& op : operators_of(parse_vit(model), flags.batch)) {
      const std::string name = op.name + '/' + model;
      const auto timed = [&, op, name](benchmark::State& state) {
        if (std::exchange(whose, name) != name) {
          ring.reset();
          ring.emplace(device, op, flags.quick);
        }
        measure(state, *ring, op, bounds);
      };
      benchmark::RegisterBenchmark(name.c_str(), timed)->UseRealTime()->Unit(benchmark::kMicrosecond);
    }

  google.insert(google.begin(), "bench_ops");
  std::vector<char*> argv;
  for (std::string& word : google) argv.push_back(word.data());
  int argc = static_cast<int>(argv.size());
  benchmark::Initialize(&argc, argv.data());
  if (argc > 1) fail(Fault::usage, argv[1], ": not a flag, expected one of --help's or of Google Benchmark's");
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

}  // namespace

}  // namespace shear::tool

int main(int argc, char** argv) {
  shear::tool::Flags flags;
  CLI::App app("Times the operators of a ViT's training step, each beside its bound.", "bench_ops");
  app.allow_extras();
  app.footer("Google Benchmark's flags too: --benchmark_filter=REGEX, --benchmark_min_time=SECONDS, ...");
  app.add_option("--models", flags.models, "whose sizes, separated by ';'")->capture_default_str();
  app.add_option("--batch", flags.batch, "images")->capture_default_str()->check(CLI::PositiveNumber);
  app.add_flag("--quick", flags.quick, "measures bounds on small sizes, to see that all runs: shares mean nothing");
  flags.device.add(app);
  CLI11_PARSE(app, argc, argv);
  try {
    return shear::tool::run(flags, app.remaining());
  } catch (const shear::Error& e) {
    std::cerr << "bench_ops: " << e.what() << std::endl;
    return shear::tool::exit_code(e.fault());
  }
}

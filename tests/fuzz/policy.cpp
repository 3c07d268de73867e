// A policy's spelling: it is refused with Fault::usage, or makes a policy whose draws lie in what they are drawn from.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "shear/error.h"
#include "shear/policies.h"

using namespace shear;

namespace {

constexpr int64_t images = 3, tokens = 5, wide = 8;

template <class T>
void all_within(std::span<const int32_t> index, std::span<const float> scale, T end) {
  if (index.size() != scale.size()) std::abort();
  for (const int32_t i : index)
    if (i < 0 || i >= end) std::abort();
  for (const float s : scale)
    if (!(s >= 0)) std::abort();
}

void check(const Verdict& verdict, const SaveRequest& request) {
  const auto share = [](double keep) {
    if (!(keep > 0 && keep <= 1)) std::abort();
  };
  std::visit(match{[](const Keep&) {}, [](const Recompute&) {}, [](const PackSlope&) {},
                   [&](const Pack& p) { share(p.keep); }, [&](const TopColumns& c) { share(c.keep); },
                   [&](const SampleColumns& c) {
                     all_within(c.index, c.scale, request.value.cols());
                     share(c.inside.keep);
                     if (c.groups < 1) std::abort();
                   },
                   [&](const SampleRows& r) {
                     all_within(r.index, r.scale, request.value.rows());
                     share(r.inside.keep);
                   }},
             verdict);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  ShapeAllocator memory;
  try {
    const std::unique_ptr<MemoryPolicy> policy = make_policy(text, 1);
    if (policy->name() != text) std::abort();
    std::vector<Param> params;
    for (const char* site : {"blocks.0.attn.qkv", "blocks.0.mlp.fc1", "blocks.1.mlp.fc1", "head"})
      params.push_back({.name = std::string(site) + ".weight",
                        .value = Tensor(memory, {2 * wide, wide}, DType::f32, Category::parameters)});
    std::vector<const Param*> trained;
    for (const Param& p : params) trained.push_back(&p);
    policy->prepare(trained);
    for (const int64_t step : {0, 1, 1000003}) {
      policy->begin_step(step);
      for (const Param& p : params) {
        const std::string site = p.name.substr(0, p.name.rfind('.'));
        const Tensor value(memory, {images, tokens, wide}, DType::f32, Category::saved);
        for (const char* op : {"linear", "gelu", "layernorm", "attention"}) {
          policy->wants(Way::materialised_attention, site);
          const SaveRequest request{
              .site = site,
              .op = op,
              .value = value,
              .accepts = Form::dense | Form::recomputed | Form::packed | Form::columns | Form::rows | Form::slopes,
              .weight = op == std::string_view("linear") ? &p : nullptr};
          check(policy->decide(request), request);
        }
        policy->active_columns(p);
      }
      policy->state();
      policy->report();
    }
  } catch (const Error& e) {
    if (e.fault() != Fault::usage) std::abort();
  }
  return 0;
}

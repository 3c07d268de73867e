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
                     all_within(c.index, c.scale, request.shape.cols());
                     share(c.inside.keep);
                     if (c.groups < 1) std::abort();
                   },
                   [&](const SampleRows& r) {
                     all_within(r.index, r.scale, request.shape.rows());
                     share(r.inside.keep);
                   }},
             verdict);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  try {
    const std::unique_ptr<MemoryPolicy> policy = make_policy(text, 1);
    if (policy->name() != text) std::abort();
    const Shape weight{2 * wide, wide};
    const std::vector<ParamInfo> params{{"blocks.0.attn.qkv.weight", weight, 0},
                                        {"blocks.0.mlp.fc1.weight", weight, 0},
                                        {"blocks.1.mlp.fc1.weight", weight, 1},
                                        {"head.weight", weight, -1}};
    policy->prepare(params);
    for (const int64_t step : {0, 1, 1000003}) {
      policy->begin_step(step);
      for (const ParamInfo& p : params) {
        const Place place{p.site(), p.block};
        policy->wants(Way::materialised_attention, place);
        for (const Role role : {Role::linear_input, Role::norm_input, Role::activation_input, Role::qkv,
                                Role::probabilities, Role::other}) {
          constexpr Forms all =
              Form::dense | Form::recomputed | Form::packed | Form::columns | Form::rows | Form::slopes;
          const SaveRequest request{
              place, role, {images, tokens, wide}, all, role == Role::linear_input ? &p : nullptr};
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

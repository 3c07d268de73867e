// Policies by name.
#include <array>

#include "policies/policies_list.h"
#include "shear/error.h"
#include "shear/policies.h"
#include "shear/suggest.h"

namespace shear {

namespace {

struct Entry {
  PolicyDoc doc;
  std::unique_ptr<MemoryPolicy> (*make)(PolicyKeys&);
};

constexpr std::array entries{
    Entry{{"full", "exact: every value dense, as PyTorch eager keeps it", "attention=tiled|materialised"}, make_full},
    Entry{{"lean", "exact: LayerNorm and GELU outputs are made again in backward", ""}, make_lean},
    Entry{{"checkpoint", "exact: of each block the input alone, the block is made again", "band=0"}, make_checkpoint},
    Entry{{"backrazor", "the largest elements of each image, by a bitmask", "prune=0.8"}, make_backrazor},
    Entry{{"prebr-", "the input columns of largest norm", "prune=0.8"}, make_prebackrazor_minus},
    Entry{{"prebr", "input columns drawn by a bandit before they are pruned",
           "prune=0.8,sample=1-prune,granularity=column|tensor,period=20,pmin=0.05,groups=1,draw=fixed|bernoulli,"
           "learn=1,normalise=1,rate=0.2,scale=1,frozen=zero|skip"},
          make_prebackrazor},
    Entry{{"prebr++", "prebr, with attention recomputed from pruned queries, keys and values", "as prebr"},
          make_prebackrazor},
    Entry{{"tokens", "a stratified sample of each image's tokens, unbiased", "keep=0.5,bits=4,by=even"}, make_tokens},
    Entry{{"codes", "every value in few bits, rounded at random, unbiased", "bits=3,group=64,qkv=4,gelu=4,band=2048"},
          make_codes},
};

}  // namespace

std::unique_ptr<MemoryPolicy> make_policy(std::string_view spec, uint64_t seed) {
  if (spec.find_first_of("@|") != std::string_view::npos) return make_by_site(spec, seed);
  PolicyKeys keys(spec, seed);
  std::vector<std::string> names;
  for (const Entry& e : entries) {
    if (e.doc.name == keys.policy()) return e.make(keys);
    names.emplace_back(e.doc.name);
  }
  if (keys.policy() == "auto")
    fail(Fault::usage, "policy auto: is chosen for a budget, in train and plan, expected ", setting("budget"),
         " there");
  fail(Fault::usage, "policy ", keys.policy(), ": unknown", did_you_mean(keys.policy(), names), ", expected one of ",
       listed(names));
}

std::vector<PolicyDoc> policy_docs() {
  std::vector<PolicyDoc> docs;
  for (const Entry& e : entries) docs.push_back(e.doc);
  return docs;
}

}  // namespace shear

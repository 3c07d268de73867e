// The policies by name, and what each of them asks for.
#include <doctest/doctest.h>

#include "errors.h"
#include "shear/policies.h"

using namespace shear;
using shear::test::sentence;

namespace {

SaveRequest request(std::string_view site, int block, bool recomputable) {
  return {{site, block}, Role::linear_input,
          {2, 5, 8},     Form::recomputed | Form::packed,
          nullptr,       recomputable ? SaveRequest::Recipe::exact : SaveRequest::Recipe::none};
}
SaveRequest request(bool recomputable) { return request("blocks.0.mlp.fc2", 0, recomputable); }

}  // namespace

TEST_CASE("full keeps everything and lean makes again what has a recipe") {
  const auto full = make_policy("full"), lean = make_policy("lean");
  CHECK(std::holds_alternative<Keep>(full->decide(request(true))));
  CHECK(std::holds_alternative<Recompute>(lean->decide(request(true))));
  CHECK(std::holds_alternative<Keep>(lean->decide(request(false))));
}

TEST_CASE("every documented policy can be made by its name") {
  CHECK(policy_docs().size() >= 2);
  for (const PolicyDoc& doc : policy_docs()) {
    const auto policy = make_policy(doc.name);
    CHECK(policy->name() == doc.name);
    CHECK_FALSE(doc.what.empty());
  }
}

TEST_CASE("an unknown policy or key is refused with what is known") {
  CHECK(sentence(Fault::usage, [] { make_policy("ful"); }) ==
        "policy ful: unknown (did you mean full?), expected one of full, lean, checkpoint, backrazor, prebr-, prebr, "
        "prebr++, tokens, codes");
  CHECK(sentence(Fault::usage, [] { make_policy("auto"); }).find("is chosen for a budget") != std::string::npos);
  CHECK(sentence(Fault::usage, [] { make_policy("lean:prune=0.5"); }) == "policy lean: unknown key prune, it has none");
  CHECK(sentence(Fault::usage, [] { make_policy("full:"); }) ==
        "policy full:: expected key=value after the colon, found nothing");
  CHECK(sentence(Fault::usage, [] { make_policy("full:a"); }) == "policy full:a: expected key=value, found \"a\"");
  CHECK(sentence(Fault::usage, [] { make_policy("full:a=1,a=2"); }) == "policy full:a=1,a=2: key a is given twice");
}

TEST_CASE("a key's value that makes no sense is refused with what would") {
  const auto refused = [](const char* spec) { return sentence(Fault::usage, [&] { make_policy(spec); }); };
  CHECK(refused("backrazor:prune=1") == "policy backrazor: prune=1, expected a number from 0 to 0.999");
  CHECK(refused("prebr:draw=often") == "policy prebr: draw=often, expected fixed or bernoulli");
  CHECK(refused("prebr:sample=0.2,pmin=0.3") == "policy prebr: pmin=0.3, expected a number from 1e-06 to 0.2");
  CHECK(refused("prebr++:granularity=tensor,groups=2") == "policy prebr: groups goes with granularity=column");
  CHECK(refused("tokens:bits=7") == "policy tokens: bits=7, expected 2, 3, 4, 8, 16 or 32");
  CHECK(refused("codes:group=48") == "policy codes: group=48, expected 32, 64, 128, 256, or 0 for a row");
  CHECK(refused("backrazor:norm=4") == "policy backrazor: unknown key norm, expected one of prune");
  CHECK(refused("full:attention=flat") == "policy full: attention=flat, expected tiled or materialised");
}

TEST_CASE("policies by site: the first whose pattern fits decides, and the last is for all other sites") {
  const auto policy = make_policy("backrazor@blocks.1.*|checkpoint@*.mlp.*|full");
  CHECK(policy->name() == "backrazor@blocks.1.*|checkpoint@*.mlp.*|full");
  const auto decides = [&](std::string_view site, int block) {
    return name(policy->decide(request(site, block, true)));
  };
  CHECK(decides("blocks.1.mlp.fc1", 1) == "pack");
  CHECK(decides("blocks.11.mlp.fc1", 11) == "recompute");
  CHECK(decides("blocks.11.attn.qkv", 11) == "keep");
  CHECK(decides("head", -1) == "keep");
  CHECK(policy->wants(Way::materialised_attention, {"blocks.1.attn", 1}));
  CHECK_FALSE(policy->wants(Way::materialised_attention, {"blocks.2.attn", 2}));
  const auto refused = [](const char* spec) { return sentence(Fault::usage, [&] { make_policy(spec); }); };
  CHECK(refused("lean@blocks.*") ==
        "policy lean@blocks.*: expected a policy without a pattern at the end, for all other sites");
  CHECK(refused("@x|lean") == "policy @x|lean: expected POLICY@PATTERN|...|POLICY, found \"@x\"");
  CHECK(refused("lean@|lean") == "policy lean@|lean: expected POLICY@PATTERN|...|POLICY, found \"lean@\"");
  CHECK(refused("ful@x|lean").starts_with("policy ful: unknown"));
}

TEST_CASE("a pruning policy names what it has no rule for, and what lies in no block") {
  for (const char* spec : {"backrazor", "prebr-", "prebr", "prebr++", "tokens", "codes"}) {
    CAPTURE(spec);
    const auto policy = make_policy(spec);
    policy->prepare({});
    policy->begin_step(0);
    SaveRequest asked = request("blocks.0.own", 0, false);
    asked.role = Role::other;
    const Verdict unknown = policy->decide(asked), outside = policy->decide(request("head", -1, false));
    REQUIRE(std::holds_alternative<Keep>(unknown));
    REQUIRE(std::holds_alternative<Keep>(outside));
    CHECK(std::get<Keep>(unknown).why == "the policy has no rule for such a value");
    CHECK(std::get<Keep>(outside).why == "outside the blocks, which alone are pruned");
  }
}

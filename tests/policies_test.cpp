// The policies by name, and what each of them asks for.
#include <doctest/doctest.h>

#include "errors.h"
#include "shear/policies.h"

using namespace shear;
using shear::test::sentence;

namespace {

SaveRequest request(const Tensor& value, bool recomputable) {
  return {"blocks.0.mlp.fc2",
          "linear",
          value,
          Form::dense | Form::recomputed,
          nullptr,
          recomputable ? SaveRequest::Recipe::exact : SaveRequest::Recipe::none};
}

}  // namespace

TEST_CASE("full keeps everything and lean makes again what has a recipe") {
  Tensor value;
  const auto full = make_policy("full"), lean = make_policy("lean");
  CHECK(std::holds_alternative<Keep>(full->decide(request(value, true))));
  CHECK(std::holds_alternative<Recompute>(lean->decide(request(value, true))));
  CHECK(std::holds_alternative<Keep>(lean->decide(request(value, false))));
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
        "prebr++, tokens");
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
  CHECK(refused("tokens:bits=7") == "policy tokens: bits=7, expected 2, 4, 8, 16 or 32");
  CHECK(refused("backrazor:norm=4") == "policy backrazor: unknown key norm, expected one of prune");
  CHECK(refused("full:attention=flat") == "policy full: attention=flat, expected tiled or materialised");
}

TEST_CASE("policies by site: the first whose pattern fits decides, and the last is for all other sites") {
  const auto policy = make_policy("backrazor@blocks.1.*|checkpoint@*.mlp.*|full");
  CHECK(policy->name() == "backrazor@blocks.1.*|checkpoint@*.mlp.*|full");
  Tensor value;
  const auto decides = [&](std::string_view site) {
    return name(policy->decide(
        {site, "linear", value, Form::dense | Form::recomputed | Form::packed, nullptr, SaveRequest::Recipe::exact}));
  };
  CHECK(decides("blocks.1.mlp.fc1") == "pack");
  CHECK(decides("blocks.11.mlp.fc1") == "recompute");
  CHECK(decides("blocks.11.attn.qkv") == "keep");
  CHECK(decides("head") == "keep");
  CHECK(policy->wants(Way::materialised_attention, "blocks.1.attn"));
  CHECK_FALSE(policy->wants(Way::materialised_attention, "blocks.2.attn"));
  const auto refused = [](const char* spec) { return sentence(Fault::usage, [&] { make_policy(spec); }); };
  CHECK(refused("lean@blocks.*") ==
        "policy lean@blocks.*: expected a policy without a pattern at the end, for all other sites");
  CHECK(refused("@x|lean") == "policy @x|lean: expected POLICY@PATTERN|...|POLICY, found \"@x\"");
  CHECK(refused("lean@|lean") == "policy lean@|lean: expected POLICY@PATTERN|...|POLICY, found \"lean@\"");
  CHECK(refused("ful@x|lean").starts_with("policy ful: unknown"));
}

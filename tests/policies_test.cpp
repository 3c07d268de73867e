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
        "policy ful: unknown, expected one of full, lean, checkpoint, backrazor, prebr-, prebr, prebr++, tokens");
  CHECK(sentence(Fault::usage, [] { make_policy("lean:prune=0.5"); }) == "policy lean: unknown key prune");
  CHECK(sentence(Fault::usage, [] { make_policy("full:"); }) ==
        "policy full:: expected key=value after the colon, found nothing");
  CHECK(sentence(Fault::usage, [] { make_policy("full:a"); }) == "policy full:a: expected key=value, found \"a\"");
  CHECK(sentence(Fault::usage, [] { make_policy("full:a=1,a=2"); }) == "policy full:a=1,a=2: key a is given twice");
}

// The commands with a model that is no ViT.
#include "shell.h"

using namespace shear;
using namespace shear::test;

static constexpr const char* mlp = "mlp:image=8,hidden=32x16,channels=1";

TEST_CASE("an MLP is planned, trained, evaluated, compared and exported like a ViT") {
  Shell shear;
  write_idx(shear.dir / "data");
  const Result plan = shear({"plan", "--no-time", "--model", mlp, "--batch", "16", "--threads", "1", "--json"});
  REQUIRE_MESSAGE(plan.status == 0, plan.err);
  const auto planned = plan.json(), policies = planned["policies"];
  for (const auto& row : policies) CHECK(row["peak_bytes"].get<int64_t>() > 0);

  const Result run = shear(shear.train("run", {"--model", mlp, "--steps", "60", "--lr", "0.01", "--json"}));
  REQUIRE_MESSAGE(run.status == 0, run.err);
  const auto summary = run.json();
  CHECK(summary["model"] == "mlp:image=8,hidden=32x16,channels=1,classes=10");
  CHECK(summary["planned_peak_bytes"] == summary["peak_bytes"]);
  CHECK(summary["peak_bytes"] == policies[0]["peak_bytes"]);

  const std::string weights = shear.path("run/model.safetensors");
  const Result eval = shear({"eval", "--data", shear.path("data"), "--weights", weights, "--json"});
  REQUIRE_MESSAGE(eval.status == 0, eval.err);
  CHECK(eval.json()["accuracy"] == summary["accuracy"]);
  CHECK(eval.err.find(
            "Shear's names, 6 tensors; mlp:image=8,hidden=32x16,channels=1,classes=10, from its own metadata") !=
        std::string::npos);

  const Result out =
      shear({"export", "--weights", weights, "--dtype", "f16", "--out", shear.path("small.safetensors")});
  REQUIRE_MESSAGE(out.status == 0, out.err);
  CHECK(shear({"eval", "--data", shear.path("data"), "--weights", shear.path("small.safetensors")}).status == 0);
  shear.refuses(2, {"export", "--weights", weights, "--naming", "timm", "--out", shear.path("timm")},
                {"--naming", "mlp:image=8"});

  const Result compared = shear({"compare",
                                 "--data",
                                 shear.path("data"),
                                 "--model",
                                 mlp,
                                 "--batch",
                                 "16",
                                 "--steps",
                                 "6",
                                 "--policy",
                                 "full;lean;prebr++;tokens;backrazor",
                                 "--seeds",
                                 "1",
                                 "--threads",
                                 "1",
                                 "--out",
                                 shear.path("cmp"),
                                 "--cosine-batches",
                                 "1",
                                 "--json"});
  REQUIRE_MESSAGE(compared.status == 0, compared.err);
  const auto report = compared.json(), runs = report["runs"];
  for (const auto& one : runs) {
    CAPTURE(one["policy"]);
    CHECK(one["planned_peak_bytes"] == one["peak_bytes"]);
    CHECK(one["gradient_cosine"].get<double>() > 0.5);
  }
}

TEST_CASE("what an MLP cannot do is refused before anything is read") {
  Shell shear;
  write_idx(shear.dir / "data");
  shear.refuses(2, shear.train("run", {"--model", mlp, "--dropout", "0.1"}), {"--dropout 0.1", "no dropout"});
  shear.refuses(2, shear.train("run", {"--model", "mlp:image=8"}), {"hidden is missing"});
  REQUIRE(shear(shear.train("run", {"--model", mlp, "--steps", "2"})).status == 0);
  shear.refuses(3, shear.train("more", {"--weights", shear.path("run/model.safetensors"), "--model", tiny_model}),
                {"of the family mlp", "is of vit"});
  shear.refuses(3,
                shear.train("more", {"--weights", shear.path("run/model.safetensors"), "--model",
                                     "mlp:image=8,hidden=9,channels=1"}),
                {"fc0.weight", "has the shape (32, 64)", "expects (9, 64)"});
}

// A last block whose other rows nobody reads, against one in which they are all computed.
#include <doctest/doctest.h>

#include <algorithm>

#include "backend.h"
#include "vit_run.h"

using namespace shear;
using namespace shear::test;

namespace {

constexpr int64_t batch = 3;

// The same model and images, with a head that sees the mean of the tokens too, and gives it no weight.
void copy_with_blind_head(VitRun& from, VitRun& to) {
  const std::vector<float> pixels = from.device.download(from.images);
  to.device.run().upload(to.images.data<void>(), pixels.data(), to.images.bytes());
  const int64_t dim = from.model.config().dim;
  for (Param& p : to.model.parameters()) {
    const Param* same = nullptr;
    for (const Param& q : from.model.parameters())
      if (q.name == p.name) same = &q;
    REQUIRE(same);
    const std::vector<float> values = from.device.download(same->value);
    std::vector<float> wanted(static_cast<size_t>(p.value.elements()));
    const int64_t wide = p.name == "head.weight" ? p.value.cols() : 1, narrow = p.name == "head.weight" ? dim : 1;
    for (int64_t i = 0; i < same->value.elements(); ++i)
      wanted[static_cast<size_t>(i / narrow * wide + i % narrow)] = values[static_cast<size_t>(i)];
    to.device.run().upload(p.value.data<void>(), wanted.data(), p.value.bytes());
  }
}

struct Kind {
  const char* name;
  void (*change)(VitConfig&);
};
const Kind kinds[] = {
    {"ViT", [](VitConfig&) {}},
    {"DINOv2 with registers", [](VitConfig& c) { c.registers = 2, c.layer_scale = c.swiglu = true; }},
    {"EVA-02", [](VitConfig& c) { c.rope = Rope::index, c.attention_norm = c.mlp_norm = true; }},
    {"norms behind", [](VitConfig& c) { c.norm_after = true; }},
    {"side by side", [](VitConfig& c) { c.parallel = c.layer_scale = true; }},
    {"differential, side by side", [](VitConfig& c) { c.differential = c.parallel = true; }},
    {"one block", [](VitConfig& c) { c.depth = 1; }},
};

VitConfig small() { return {.image = 20, .patch = 5, .dim = 24, .depth = 2, .heads = 3, .classes = 7, .channels = 3}; }

}  // namespace

TEST_CASE("where the head reads the class token alone, logits have the bits and gradients the values of all rows") {
  for (const Kind& kind : kinds)
    for (const char* policy : {"full", "lean", "checkpoint"}) {
      if (test_device() != DeviceKind::cpu && std::string_view(policy) != "full") continue;
      CAPTURE(kind.name);
      CAPTURE(policy);
      VitConfig config = small(), all_rows = small();
      kind.change(config), kind.change(all_rows);
      all_rows.pool = Pool::token_and_mean;
      REQUIRE(config.ends_in_class_token(static_cast<int>(config.depth) - 1));
      REQUIRE_FALSE(all_rows.ends_in_class_token(static_cast<int>(config.depth) - 1));
      VitRun short_run(test_backend(2), config, batch, policy), long_run(test_backend(2), all_rows, batch, policy);
      copy_with_blind_head(short_run, long_run);
      Tape of_short(short_run.device), of_long(long_run.device);
      CHECK(short_run.device.download(short_run.model(of_short, short_run.images)) ==
            long_run.device.download(long_run.model(of_long, long_run.images)));
      const auto found = short_run.gradients_of(0), expected = long_run.gradients_of(0);
      for (size_t i = 0; const Param& p : short_run.model.parameters()) {
        CAPTURE(p.name);
        if (p.name != "head.weight" &&
            std::any_of(expected[i].begin(), expected[i].end(), [](float v) { return v != 0; }))
          CHECK(relative_error(found[i], expected[i]) < 2e-6);
        ++i;
      }
    }
}

TEST_CASE("behind the last attention a policy is asked for one row of an image, and a mean's for all") {
  const auto rows_of = [](const VitConfig& config, std::string_view site) {
    VitRun run(test_backend(1), config, batch, "full");
    run.step(0, 1, false);
    for (const SaveRow& row : run.tape.report())
      if (row.site == site) return static_cast<int64_t>(row.dense_bytes) / 4 / config.dim;
    return int64_t{0};
  };
  VitConfig config = small();
  CHECK(rows_of(config, "blocks.0.mlp.fc1") == batch * config.tokens());
  CHECK(rows_of(config, "blocks.1.attn.qkv") == batch * config.tokens());
  CHECK(rows_of(config, "blocks.1.attn.proj") == batch);
  CHECK(rows_of(config, "blocks.1.mlp.fc1") == batch);
  for (const Pool pool : {Pool::mean, Pool::token_and_mean, Pool::attention}) {
    config.pool = pool;
    CHECK(rows_of(config, "blocks.1.mlp.fc1") == batch * config.tokens());
  }
  config.pool = Pool::two_heads, config.registers = 1;
  CHECK(rows_of(config, "blocks.1.mlp.fc1") == batch * config.tokens());
  config = small();
  config.dropout = 0.1f;  // whose draws are those of all rows
  CHECK(rows_of(config, "blocks.1.mlp.fc1") == batch * config.tokens());
}

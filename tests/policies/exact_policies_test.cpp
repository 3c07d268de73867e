// Policies that promise the gradients of `full` keep to it in every bit: over models, batches, precisions and threads.
#include <doctest/doctest.h>

#include "shear/make_backend.h"
#include "vit_run.h"

using namespace shear;
using namespace shear::test;

namespace {

// What makes again in backward: everywhere, at some sites, in some blocks.
const std::vector<std::string> exact{
    "lean",
    "checkpoint",
    "lean@blocks.*.mlp.*|full",
    "full@blocks.0.*|lean",
    "checkpoint@blocks.0|full",
    "checkpoint@blocks.1|lean",
    "lean@blocks.0.*|checkpoint",
    "checkpoint@blocks.0*|lean@blocks.*.norm2|full",
};

// A model that no vector and no tile divides, and how it is trained.
struct Case {
  VitConfig model;
  int64_t batch;
  int passes;
};

std::string describe(const Case& c) {
  return spec(c.model) + " dropout " + std::to_string(c.model.dropout) + ", batch " + std::to_string(c.batch) + ", " +
         std::to_string(c.passes) + " passes";
}

Case drawn(uint64_t n) {
  Stream draw(17, Purpose::test, n);
  const auto from = [&](int64_t low, int64_t high) {
    return low + static_cast<int64_t>(draw.below(static_cast<uint32_t>(high - low + 1)));
  };
  Case c;
  VitConfig& m = c.model;
  m.patch = from(2, 5);
  m.image = m.patch * from(2, 5);
  m.heads = from(1, 3);
  m.dim = m.heads * from(3, 13);
  m.depth = from(1, 3);
  m.mlp = from(1, 4);
  m.classes = from(2, 11);
  m.channels = from(1, 3);
  m.dropout = from(0, 2) == 0 ? 0.3f : 0.f;
  m.gelu = from(0, 1) == 0 ? GeluForm::exact : GeluForm::tanh;
  // What plain ViTs differ in.
  const auto maybe = [&] { return from(0, 2) == 0; };
  m.qkv_bias = !maybe(), m.patch_bias = !maybe(), m.proj_bias = !maybe();
  m.norm_before = maybe(), m.layer_scale = maybe(), m.rms_norm = maybe();
  m.patch_norm = maybe(), m.attention_norm = maybe(), m.mlp_norm = maybe();
  m.swiglu = maybe();
  if (m.swiglu)
    m.gelu = GeluForm::exact;
  else if (maybe())
    m.gelu = GeluForm::quick;
  m.registers = maybe() ? from(1, 3) : 0;
  constexpr Pool pools[] = {Pool::token,          Pool::token,     Pool::mean,      Pool::mean_all,
                            Pool::token_and_mean, Pool::attention, Pool::two_heads, Pool::attention_all};
  m.pool = pools[from(0, 7)];
  if (m.pool == Pool::two_heads) m.registers = std::max<int64_t>(m.registers, 1);
  m.class_token = m.pools_class_token() || maybe();
  constexpr Positions places[] = {Positions::all, Positions::but_registers, Positions::patches, Positions::none};
  m.positions = places[from(0, 3)];
  constexpr LastNorm norms[] = {LastNorm::tokens, LastNorm::pooled, LastNorm::none};
  m.last_norm = norms[from(0, 2)];
  if (m.last_norm == LastNorm::pooled && (m.pool == Pool::two_heads || m.pool == Pool::token_and_mean))
    m.last_norm = LastNorm::tokens;
  m.norm_after = maybe();
  m.key_bias = !m.qkv_bias || !maybe();
  if (maybe()) {
    m.dim = m.heads * 4 * from(1, 3);
    m.rope = maybe() ? Rope::index : Rope::centred;
    m.rope_xy = maybe();
    if (m.rope == Rope::index && maybe()) m.rope_grid = 3, m.rope_offset = 1, m.rope_temperature = 50;
  }
  switch (from(0, 5)) {
    case 0:
      m.dim = m.heads * 4 * from(1, 3);
      m.rope = Rope::mixed;
      m.rope_xy = maybe();
      m.rope_grid = m.rope_offset = m.rope_temperature = 0;
      break;
    case 1:
    case 2:
      m.dim = m.heads * 2 * from(1, 5);
      m.rope = Rope::none, m.rope_xy = false;
      m.rope_grid = m.rope_offset = m.rope_temperature = 0;
      m.differential = true;
      break;
  }
  if (!m.differential && maybe()) {
    m.qk_norm = from(0, 1) == 0;
    m.key_bias = true;
    if (m.heads > 1) m.kv_heads = 1, m.kv_full = m.depth > 2 ? from(0, 1) : 0;
  } else {
    m.parallel = maybe();
  }
  if (maybe()) {
    m.width = m.patch * from(1, 4);
    if (m.width == m.image) m.width = 0;
  }
  m.mlp_scale = !m.layer_scale || !maybe();
  if (m.parallel) {
    m.mlp_scale = true;
    m.norm_after = m.attention_norm = m.mlp_norm = m.swiglu = false;
    m.qkv_bias = m.key_bias = true;
  }
  if ((m.pool == Pool::attention || m.pool == Pool::attention_all) && maybe()) m.pool_hidden = from(1, 20);
  c.batch = from(1, 9);
  c.passes = static_cast<int>(from(1, 2));
  if (m.class_token && m.registers == 0 && !m.differential && !m.parallel && maybe())
    m.relative = maybe() ? Relative::shared : Relative::blocks;
  return c;
}

// Of the last of a step's passes the logits and the loss, then every gradient.
std::vector<std::vector<float>> bits_of(const Case& c, const std::string& policy, int threads, Precision precision) {
  VitRun run(make_cpu_backend(threads, precision), c.model, c.batch, policy);
  std::vector<std::vector<float>> found(2);
  run.begin(3, c.passes);
  for (int i = 0; i < c.passes; ++i) {
    Tensor loss;
    {
      const Tensor logits = run.model(run.tape, run.images, {5, i});
      found[0] = run.device.download(logits);
      loss = cross_entropy(run.tape, "loss", logits, run.labels, 0.1f);
      found[1] = run.device.download(loss);
    }
    run.tape.backward(loss, 1.f / static_cast<float>(c.passes));
    loss = {};
    run.tape.reset();
  }
  for (auto& gradient : run.gradients()) found.push_back(std::move(gradient));
  return found;
}

void check(const Case& c, int threads) {
  CAPTURE(describe(c));
  for (const Precision precision : {Precision::f32, Precision::bf16}) {
    CAPTURE(static_cast<int>(precision));
    const auto full = bits_of(c, "full", threads, precision);
    CHECK(std::isfinite(full[1][0]));
    for (size_t i = 0; i < exact.size(); ++i) {
      CAPTURE(exact[i]);
      CHECK(bits_of(c, exact[i], 1 + (threads + static_cast<int>(i)) % 3, precision) == full);
    }
  }
}

}  // namespace

TEST_CASE("lean and checkpoint, whole and by site, give full's logits, loss and gradients to the bit") {
  for (uint64_t n = 0; n < 48; ++n) check(drawn(n), 1 + static_cast<int>(n % 3));
}

TEST_CASE("they do where a batch has more rows than are made again at a time") {
  Case c = drawn(100);
  c.model.image = 20, c.model.patch = 4;  // 26 tokens
  c.batch = 91;                           // 2,366 rows: two bands of 1,152, and some
  for (const float dropout : {0.f, 0.2f}) {
    c.model.dropout = dropout;
    check(c, 2);
  }
}

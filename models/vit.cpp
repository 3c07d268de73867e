// The Vision Transformer: what each part is called, and the order of its ops.
#include "shear/models/vit.h"

#include <cmath>
#include <numbers>
#include <utility>

namespace shear {

namespace {

// The stream of one dropout of one step: sites count upwards in forward order.
StreamKey dropout_stream(const ForwardContext& context, int site) {
  return {context.seed, static_cast<uint32_t>(Purpose::dropout), static_cast<uint32_t>(context.step),
          static_cast<uint32_t>(site)};
}

std::string block_name(int index) { return "blocks." + std::to_string(index); }

// Before anything is divided by it.
const VitConfig& checked(const VitConfig& c) {
  require(c.image > 0 && c.patch > 0 && c.image >= c.patch && c.image_width() >= c.patch, "vit: image ", c.image,
          " has no patch of ", c.patch);
  require(c.dim > 0 && c.heads > 0 && c.dim % c.heads == 0, "vit: dim ", c.dim, " does not divide into ", c.heads,
          " heads");
  require(c.depth > 0 && c.classes > 0 && c.channels > 0 && c.mlp_width() > 0, "vit: depth ", c.depth, ", classes ",
          c.classes, ", channels ", c.channels, ", mlp ", c.mlp, ", expected at least 1 each");
  require(c.class_token || !c.pools_class_token(), "vit: pools a class token that it does not have");
  require(c.last_norm != LastNorm::pooled || (c.pool != Pool::two_heads && c.pool != Pool::token_and_mean),
          "vit: a norm of one pooled token, where there are two");
  require(c.rope == Rope::none || c.dim / c.heads % 4 == 0, "vit: rotary positions, and heads of ", c.dim / c.heads,
          " values");
  require(c.relative == Relative::none || (c.class_token && c.registers == 0 && !c.differential && !c.parallel),
          "vit: relative positions, and tokens that are not a class token and patches, or another attention");
  require(!c.differential || (c.dim / c.heads % 2 == 0 && c.rope == Rope::none),
          "vit: differential attention, and heads that it does not halve");
  require(!c.parallel || (c.qkv_bias && c.key_bias && !c.norm_after && !c.attention_norm && !c.mlp_norm && !c.swiglu),
          "vit: parallel blocks, and what they do not have");
  require(c.kv_heads >= 0 && (c.kv_heads == 0 || c.heads % c.kv_heads == 0) && c.kv_full >= 0, "vit: ", c.heads,
          " heads, and keys of ", c.kv_heads);
  require(!(c.qk_norm || c.kv_heads > 0) || (!c.differential && !c.parallel && c.key_bias),
          "vit: norms of queries and keys, or keys that heads share, and another attention");
  require(c.registers >= (c.pool == Pool::two_heads ? 1 : 0), "vit: ", c.registers, " registers");
  return c;
}

Param* layer_scale(Parameters& p, const VitConfig& c, const std::string& name) {
  return c.layer_scale ? &p.add(name, {c.dim}, Init::layer_scale, false) : nullptr;
}

Param* relative_if(Relative there, Parameters& p, const VitConfig& c, const std::string& name) {
  if (c.relative != there) return nullptr;
  return &p.add(name + ".relative_position_bias_table", {c.distances(), c.heads}, Init::zeros, false);
}

Norm norm(Parameters& p, const VitConfig& c, const std::string& name, int64_t width) {
  return Norm(p, name, width, c.epsilon, Norm::Kind{c.rms_norm});
}
Norm norm(Parameters& p, const VitConfig& c, const std::string& name) { return norm(p, c, name, c.dim); }
std::optional<Norm> norm_if(bool there, Parameters& p, const VitConfig& c, const std::string& name, int64_t width) {
  return there ? std::optional<Norm>(norm(p, c, name, width)) : std::nullopt;
}

// In double precision, of the row and the column of each patch.
RotaryAngles rotary_angles(Device& device, const VitConfig& c) {
  const int64_t width = c.dim / c.heads, quarter = width / 4, across = c.across();
  const bool index = c.rope == Rope::index;
  const auto temperature = static_cast<double>(c.rope_temperature > 0 ? c.rope_temperature : index ? 10000 : 100);
  const auto place = [&](int64_t i, int64_t count) {
    const auto at = static_cast<double>(i), of = static_cast<double>(count);
    if (!index) return 2 * std::numbers::pi * (2 * (at + 0.5) / of - 1);
    const double moved = at + static_cast<double>(c.rope_offset);
    return c.rope_grid > 0 ? moved / of * static_cast<double>(c.rope_grid) : moved;
  };
  std::vector<float> sine(static_cast<size_t>(c.patches() * width)), cosine(sine.size());
  for (int64_t patch = 0; patch < c.patches(); ++patch)
    for (int64_t i = 0; i < 2 * quarter; ++i) {
      const bool of_column = (i < quarter) == c.rope_xy;
      const double angle = (of_column ? place(patch % across, across) : place(patch / across, c.down())) /
                           std::pow(temperature, static_cast<double>(i % quarter) / static_cast<double>(quarter));
      for (const int64_t at : {index ? 2 * i : i, index ? 2 * i + 1 : i + 2 * quarter}) {
        sine[static_cast<size_t>(patch * width + at)] = static_cast<float>(std::sin(angle));
        cosine[static_cast<size_t>(patch * width + at)] = static_cast<float>(std::cos(angle));
      }
    }
  const Shape shape{c.patches(), width};
  return {device.upload(shape, Category::parameters, sine), device.upload(shape, Category::parameters, cosine),
          index ? RotaryPairs::neighbours : RotaryPairs::halves};
}

// Row and column of each patch, the column first where the config has it so.
Tensor places_of_patches(Device& device, const VitConfig& c) {
  const int64_t across = c.across(), count = c.patches();
  std::vector<float> places(static_cast<size_t>(2 * count));
  for (int64_t i = 0; i < count; ++i) {
    places[static_cast<size_t>(i)] = static_cast<float>(c.rope_xy ? i % across : i / across);
    places[static_cast<size_t>(count + i)] = static_cast<float>(c.rope_xy ? i / across : i % across);
  }
  return device.upload({2, count}, Category::parameters, places);
}

Linear linear(Parameters& p, const std::string& name, int64_t in, int64_t out, bool bias) {
  return Linear(p, name, in, out, Init::trunc_normal, Linear::Bias{bias});
}

}  // namespace

int64_t VitConfig::positioned() const {
  switch (positions) {
    case Positions::all:
      return tokens();
    case Positions::but_registers:
      return tokens() - registers;
    case Positions::patches:
      return patches();
    case Positions::none:
      return 0;
  }
  return 0;
}

Vit::Difference::Difference(Parameters& p, const std::string& name, int64_t width, int index)
    : site(name + ".lambda"),
      scale_site(name + ".sub_norm.scale"),
      start(static_cast<float>(0.8 - 0.6 * std::exp(-0.3 * index))),
      q1(p.add(name + ".lambda_q1", {width / 2}, Init::normal, false)),
      k1(p.add(name + ".lambda_k1", {width / 2}, Init::normal, false)),
      q2(p.add(name + ".lambda_q2", {width / 2}, Init::normal, false)),
      k2(p.add(name + ".lambda_k2", {width / 2}, Init::normal, false)),
      norm(p, name + ".sub_norm", width, 1e-5f, Norm::Kind::rms) {}

Vit::Attention::Attention(Parameters& p, const VitConfig& c, const std::string& s, const std::string& parameters, int i)
    : site(s), rope_site(s + ".rope"), index(i), relative(relative_if(Relative::blocks, p, c, parameters)) {
  if (c.qk_norm || c.shares_keys(i)) {
    const int64_t width = c.dim / c.heads;
    packed = Heads{s + ".part",
                   s + ".repeat",
                   s + ".join",
                   c.shares_keys(i) ? c.kv_heads : c.heads,
                   norm_if(c.qk_norm, p, c, s + ".q_norm", width),
                   norm_if(c.qk_norm, p, c, s + ".k_norm", width)};
  }
  if (c.differential) difference.emplace(p, parameters, c.dim / c.heads, i);
}

Tensor Vit::Heads::operator()(Tape& tape, const Tensor& qkv, const VitConfig& c) const {
  const int64_t width = c.dim / c.heads, keys = shared * width;
  const auto normed = [&](const std::optional<Norm>& norm, int64_t first, int64_t count) {
    const Tensor part = take_columns(tape, part_site, qkv, first, count);
    const Shape& s = part.shape();
    return norm ? (*norm)(tape, part.reshaped({s[0], s[1], count / width, width})).reshaped(s) : part;
  };
  const auto all = [&](Tensor part) {
    return shared == c.heads ? part : repeat_heads(tape, repeat_site, part, shared, c.heads / shared);
  };
  const Tensor q = normed(q_norm, 0, c.dim), k = all(normed(k_norm, c.dim, keys)),
               v = all(normed(std::nullopt, c.dim + keys, keys));
  return join(tape, join_site, join(tape, join_site, q, k), v);
}

Tensor Vit::Attention::operator()(Tape& tape, Tensor h, const Vit& vit) const {
  const int64_t heads = vit.config_.heads;
  if (packed) h = (*packed)(tape, h, vit.config_);
  if (vit.angles_) h = rotate(tape, rope_site, std::move(h), heads, *vit.angles_);
  if (vit.frequencies_) h = rotate_learned(tape, rope_site, std::move(h), heads, *vit.frequencies_, index, vit.places_);
  if (!difference)
    return shear::attention(tape, site, h, heads, {vit.relative_ ? vit.relative_ : relative, vit.config_.across()});
  const Difference& d = *difference;
  const Tensor weight = differential_weight(tape, d.site, d.q1, d.k1, d.q2, d.k2, d.start);
  h = differential_attention(tape, site, h, heads, weight);
  const Shape shape = h.shape();
  h = d.norm(tape, h.reshaped({shape[0], shape[1], heads, shape[2] / heads}));
  return scaled(tape, d.scale_site, std::move(h), 1 - d.start).reshaped(shape);
}

Vit::Block::Block(Parameters& p, const VitConfig& c, int index)
    : site(block_name(index)),
      row_site(block_name(index) + ".class_token"),
      act_site(block_name(index) + ".mlp.act"),
      add1_site(block_name(index) + ".add1"),
      add2_site(block_name(index) + ".add2"),
      drop_site(block_name(index) + ".drop"),
      norm1(norm(p, c, block_name(index) + ".norm1")),
      qkv(linear(p, block_name(index) + ".attn.qkv", c.dim, c.dim + 2 * c.key_width(index), c.qkv_bias)),
      attention(p, c, block_name(index) + ".attn", block_name(index) + ".attn", index),
      attention_norm(norm_if(c.attention_norm, p, c, block_name(index) + ".attn.norm", c.dim)),
      proj(linear(p, block_name(index) + ".attn.proj", c.dim, c.dim, c.proj_bias)),
      scale1(layer_scale(p, c, block_name(index) + ".ls1.gamma")),
      norm2(norm(p, c, block_name(index) + ".norm2")),
      fc1(linear(p, block_name(index) + ".mlp.fc1", c.dim, (c.swiglu ? 2 : 1) * c.mlp_width(), c.proj_bias)),
      mlp_norm(norm_if(c.mlp_norm, p, c, block_name(index) + ".mlp.norm", c.mlp_width())),
      fc2(linear(p, block_name(index) + ".mlp.fc2", c.mlp_width(), c.dim, c.proj_bias)),
      scale2(c.mlp_scale ? layer_scale(p, c, block_name(index) + ".ls2.gamma") : nullptr) {}

// Each line lets go of the value before it: what the policy does not keep dies here, and a sum takes the place of
// what it is added to.
Tensor Vit::Block::operator()(Tape& tape, Tensor x, const Vit& vit, const ForwardContext& context, int index) const {
  const VitConfig& c = vit.config_;
  const auto drop = [&](const Tensor& h, int place) {
    return dropout(tape, drop_site, h, c.dropout, dropout_stream(context, 1 + 3 * index + place));
  };
  // A branch without its last layer, that layer, and the sum.
  const auto add_branch = [&](const Linear& last, Param* scale, const Norm& norm, Site sum, Tensor to, Tensor h,
                              int place) {
    if (c.dropout == 0 && !c.norm_after) return last(tape, h, std::move(to), scale);
    h = last(tape, h, {}, scale);
    if (c.norm_after) h = norm(tape, h);
    return add(tape, sum, std::move(to), drop(h, place));
  };
  Tensor h = c.norm_after ? x : norm1(tape, x);  // (B, N, D)
  h = qkv(tape, h);                              // (B, N, 3, H, D / H)
  h = attention(tape, std::move(h), vit);        // (B, N, D)
  if (c.ends_in_class_token(index)) {            // (B, D) from here on
    x = take_token(tape, row_site, x, 0);
    h = take_token(tape, row_site, h, 0);
  }
  if (attention_norm) h = (*attention_norm)(tape, h);
  x = add_branch(proj, scale1, norm1, add1_site, std::move(x), std::move(h), 0);
  h = fc1(tape, c.norm_after ? x : norm2(tape, x));  // (B, N, mlp * D), twice that where it is gated
  h = c.swiglu ? swiglu(tape, act_site, h) : gelu(tape, act_site, std::move(h), c.gelu);
  h = drop(h, 1);
  if (mlp_norm) h = (*mlp_norm)(tape, h);
  return add_branch(fc2, scale2, norm2, add2_site, std::move(x), std::move(h), 2);  // (B, N, D)
}

Vit::ParallelBlock::ParallelBlock(Parameters& p, const VitConfig& c, int index)
    : site(block_name(index)),
      row_site(block_name(index) + ".class_token"),
      qkv_site(block_name(index) + ".attn.qkv"),
      mlp_site(block_name(index) + ".mlp"),
      act_site(block_name(index) + ".mlp.act"),
      join_site(block_name(index) + ".join"),
      add_site(block_name(index) + ".add"),
      drop_site(block_name(index) + ".drop"),
      norm(shear::norm(p, c, block_name(index) + ".in_norm")),
      in(linear(p, block_name(index) + ".in_proj", c.dim, c.mlp_width() + 3 * c.dim, c.qkv_bias)),
      attention(p, c, block_name(index) + ".attn", block_name(index), index),
      scale(nullptr) {
  const auto last = [&](const char* name, int64_t width) {
    return linear(p, block_name(index) + name, width, c.dim, c.proj_bias);
  };
  if (c.differential) {  // as timm has them
    out = last(".out_proj", c.dim + c.mlp_width());
  } else {
    attention_out = last(".attn_out_proj", c.dim);
    mlp_out = last(".mlp_out_proj", c.mlp_width());
  }
  scale = layer_scale(p, c, block_name(index) + ".ls.gamma");
}

Tensor Vit::ParallelBlock::operator()(Tape& tape, Tensor x, const Vit& vit, const ForwardContext& context,
                                      int index) const {
  const VitConfig& c = vit.config_;
  const auto drop = [&](const Tensor& h, int place) {
    return dropout(tape, drop_site, h, c.dropout, dropout_stream(context, 1 + 3 * index + place));
  };
  Tensor h = norm(tape, x);  // (B, N, D)
  h = in(tape, h);           // (B, N, mlp * D + 3 * D)
  Tensor wide = take_columns(tape, mlp_site, h, 0, c.mlp_width());
  h = take_columns(tape, qkv_site, h, c.mlp_width(), 3 * c.dim);
  h = attention(tape, std::move(h), vit);  // (B, N, D)
  if (c.ends_in_class_token(index))        // (B, D) from here on
    for (Tensor* all : {&x, &h, &wide}) *all = take_token(tape, row_site, *all, 0);
  wide = gelu(tape, act_site, std::move(wide), c.gelu);
  wide = drop(wide, 1);
  Tensor onto = c.dropout == 0 ? std::exchange(x, {}) : Tensor{};
  if (out) {
    h = join(tape, join_site, h, wide);
    h = (*out)(tape, h, std::move(onto), scale);
  } else {
    h = (*attention_out)(tape, h, std::move(onto), scale);
    h = (*mlp_out)(tape, wide, std::move(h), scale);
  }
  if (x) h = add(tape, add_site, std::move(x), drop(h, 2));
  return h;
}

Vit::Vit(Device& device, const VitConfig& config, uint64_t seed, const ParameterOptions& options)
    : config_(checked(config)),
      parameters_(device, seed, options),
      cls_(embedding("cls_token", config.class_token ? 1 : 0, Init::tiny_normal)),
      registers_(embedding("reg_token", config.registers, Init::tiny_normal)),
      pos_(embedding("pos_embed", config.positioned(), Init::trunc_normal)),
      patch_weight_(&parameters_.add("patch_embed.proj.weight",
                                     {config.dim, config.channels, config.patch, config.patch}, Init::trunc_normal,
                                     true)),
      patch_bias_(config.patch_bias ? &parameters_.add("patch_embed.proj.bias", {config.dim}, Init::zeros, false)
                                    : nullptr),
      relative_(relative_if(Relative::shared, parameters_, config, "rel_pos_bias")),
      patch_norm_(norm_if(config.patch_norm, parameters_, config, "patch_embed.norm", config.dim)),
      norm_before_(norm_if(config.norm_before, parameters_, config, "norm_pre", config.dim)),
      frequencies_(config.rope == Rope::mixed
                       ? &parameters_.add("rope.freqs", {2, config.depth, config.heads, config.dim / config.heads / 2},
                                          Init::frequencies, false)
                       : nullptr),
      blocks_(make_blocks<Block>(parameters_, config, !config.parallel)),
      parallel_blocks_(make_blocks<ParallelBlock>(parameters_, config, config.parallel)),
      norm_(norm_if(config.last_norm != LastNorm::none, parameters_, config,
                    config.last_norm == LastNorm::pooled ? "fc_norm" : "norm", config.dim)),
      attention_pool_(pool_if(config.pool == Pool::attention || config.pool == Pool::attention_all)),
      head_(linear(parameters_.head(), "head", config.features(), config.classes, config.head_bias)) {
  if (frequencies_)
    places_ = places_of_patches(device, config);
  else if (config.rope != Rope::none)
    angles_ = rotary_angles(device, config);
  if (!config.key_bias && config.qkv_bias)
    for (const Block& block : blocks_) {
      Param& bias = *block.qkv.bias();
      bias.still_first = bias.still_count = config.dim;
    }
  if (config.pool == Pool::two_heads)
    head_2_ = linear(parameters_, "head_dist", config.features(), config.classes, config.head_bias);
}

Vit::AttentionPool::AttentionPool(Parameters& p, const VitConfig& c)
    : latent(p.add("attn_pool.latent", {1, 1, c.dim}, Init::trunc_normal, false)),
      q(linear(p, "attn_pool.q", c.dim, c.dim, c.qkv_bias)),
      kv(linear(p, "attn_pool.kv", c.dim, 2 * c.dim, c.qkv_bias)),
      proj(p, "attn_pool.proj", c.dim, c.dim),
      norm(shear::norm(p, c, "attn_pool.norm")),
      fc1(p, "attn_pool.mlp.fc1", c.dim, c.pool_hidden > 0 ? c.pool_hidden : c.mlp_width()),
      fc2(p, "attn_pool.mlp.fc2", c.pool_hidden > 0 ? c.pool_hidden : c.mlp_width(), c.dim) {}

std::optional<Vit::AttentionPool> Vit::pool_if(bool there) {
  if (!there) return std::nullopt;
  return std::optional<AttentionPool>(std::in_place, parameters_, config_);
}

Tensor Vit::AttentionPool::operator()(Tape& tape, const Tensor& x, const VitConfig& c) const {
  const Tensor query = q(tape, value_of(tape, "attn_pool.latent", latent));  // (1, 1, D)
  Tensor h = attention_pool(tape, "attn_pool", query, kv(tape, x), c.pool_heads > 0 ? c.pool_heads : c.heads,
                            c.pool == Pool::attention_all ? 0 : c.before_patches());
  h = proj(tape, h);
  const Tensor wide = gelu(tape, "attn_pool.mlp.act", fc1(tape, norm(tape, h)), c.gelu);
  return fc2(tape, wide, std::move(h));
}

Param* Vit::embedding(const char* name, int64_t tokens, Init init) {
  return tokens > 0 ? &parameters_.add(name, {1, tokens, config_.dim}, init, false) : nullptr;
}

template <class B>
std::deque<B> Vit::make_blocks(Parameters& parameters, const VitConfig& config, bool there) {
  std::deque<B> blocks;
  for (int i = 0; there && i < config.depth; ++i) {
    parameters.set_block(i);
    blocks.emplace_back(parameters, config, i);
  }
  parameters.set_block(-1);
  return blocks;
}

template <class B>
Tensor Vit::through(Tape& tape, const std::deque<B>& blocks, Tensor x, const ForwardContext& context) const {
  for (int i = 0; const B& block : blocks)
    x = tape.segment(block.site, std::move(x), [b = &block, v = this, context, at = i++](Tape& t, Tensor in) {
      return (*b)(t, std::move(in), *v, context, at);
    });
  return x;
}

Tensor Vit::operator()(Tape& tape, const Tensor& images, const ForwardContext& context) {
  const Shape& s = images.shape();
  require(s.rank() == 4 && s[1] == config_.channels && s[2] == config_.image && s[3] == config_.image_width(),
          "vit: images ", s, " do not fit (B, ", config_.channels, ", ", config_.image, ", ", config_.image_width(),
          ")");
  Tensor x = patch_embed(tape, "patch_embed.proj", images, config_.patch, *patch_weight_, patch_bias_);
  if (patch_norm_) x = (*patch_norm_)(tape, x);
  if (cls_ || registers_ || pos_) x = add_tokens(tape, "pos_embed", x, cls_, registers_, pos_);  // (B, N, D)
  x = dropout(tape, "pos_drop", x, config_.dropout, dropout_stream(context, 0));
  if (norm_before_) x = (*norm_before_)(tape, x);
  x = through(tape, blocks_, std::move(x), context);
  x = through(tape, parallel_blocks_, std::move(x), context);
  return logits(tape, std::move(x));
}

Tensor Vit::logits(Tape& tape, Tensor x) const {
  if (!head_2_) {
    const Tensor one = pooled(tape, std::move(x));  // a statement of its own: behind it x is gone
    return head_(tape, one);
  }
  const auto normed = [&](int64_t token) {
    const Tensor t = take_token(tape, "cls_token", x, token);
    return norm_ ? (*norm_)(tape, t) : t;
  };
  const Tensor both = join(tape, "both_heads", head_(tape, normed(0)), (*head_2_)(tape, normed(1)));
  return mean_tokens(tape, "mean_of_heads", both.reshaped({x.shape()[0], 2, config_.classes}), 0);
}

Tensor Vit::pooled(Tape& tape, Tensor x) const {
  const auto normed = [&](const Tensor& t) { return norm_ ? (*norm_)(tape, t) : t; };
  // The head sees the class token alone, and a norm works on each token by itself: taking the token first gives the
  // same logits, and the norm keeps B rows for its gradient instead of B * N.
  if (config_.pool == Pool::token) {
    if (x.shape().rank() == 3) x = take_token(tape, "cls_token", x, 0);
    return normed(x);
  }
  if (config_.last_norm == LastNorm::tokens) x = normed(x);
  if (config_.pool == Pool::token_and_mean)
    return join(tape, "token_and_mean", take_token(tape, "cls_token", x, 0),
                mean_tokens(tape, "mean", x, config_.before_patches()));
  if (attention_pool_)
    x = (*attention_pool_)(tape, x, config_);
  else
    x = mean_tokens(tape, "mean", x, config_.pool == Pool::mean ? config_.before_patches() : 0);
  return config_.last_norm == LastNorm::pooled ? normed(x) : x;
}

}  // namespace shear

// The Vision Transformer: what each part is called, and the order of its ops.
#include "shear/models/vit.h"

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
  require(c.image > 0 && c.patch > 0 && c.image % c.patch == 0, "vit: image ", c.image,
          " does not divide into patches of ", c.patch);
  require(c.dim > 0 && c.heads > 0 && c.dim % c.heads == 0, "vit: dim ", c.dim, " does not divide into ", c.heads,
          " heads");
  require(c.depth > 0 && c.classes > 0 && c.channels > 0 && c.mlp > 0, "vit: depth ", c.depth, ", classes ", c.classes,
          ", channels ", c.channels, ", mlp ", c.mlp, ", expected at least 1 each");
  return c;
}

}  // namespace

Vit::Block::Block(Parameters& p, const VitConfig& c, int index)
    : site(block_name(index)),
      attention_site(block_name(index) + ".attn"),
      gelu_site(block_name(index) + ".mlp.act"),
      add1_site(block_name(index) + ".add1"),
      add2_site(block_name(index) + ".add2"),
      drop_site(block_name(index) + ".drop"),
      norm1(p, block_name(index) + ".norm1", c.dim, c.epsilon),
      qkv(p, block_name(index) + ".attn.qkv", c.dim, 3 * c.dim),
      proj(p, block_name(index) + ".attn.proj", c.dim, c.dim),
      norm2(p, block_name(index) + ".norm2", c.dim, c.epsilon),
      fc1(p, block_name(index) + ".mlp.fc1", c.dim, c.mlp * c.dim),
      fc2(p, block_name(index) + ".mlp.fc2", c.mlp * c.dim, c.dim) {}

// Each line lets go of the value before it: what the policy does not keep dies here, and a sum takes the place of
// what it is added to.
Tensor Vit::Block::operator()(Tape& tape, Tensor x, const VitConfig& c, const ForwardContext& context,
                              int index) const {
  const auto drop = [&](const Tensor& h, int place) {
    return dropout(tape, drop_site, h, c.dropout, dropout_stream(context, 1 + 3 * index + place));
  };
  const auto add_branch = [&](const Linear& last, Site sum, Tensor to, Tensor h, int place) {
    if (c.dropout == 0) return last(tape, h, std::move(to));
    return add(tape, sum, std::move(to), drop(last(tape, h), place));
  };
  Tensor h = norm1(tape, x);                        // (B, N, D)
  h = qkv(tape, h);                                 // (B, N, 3, H, D / H)
  h = attention(tape, attention_site, h, c.heads);  // (B, N, D)
  x = add_branch(proj, add1_site, std::move(x), std::move(h), 0);
  h = norm2(tape, x);
  h = fc1(tape, h);  // (B, N, mlp * D)
  h = gelu(tape, gelu_site, std::move(h), c.gelu);
  h = drop(h, 1);
  return add_branch(fc2, add2_site, std::move(x), std::move(h), 2);  // (B, N, D)
}

Vit::Vit(Device& device, const VitConfig& config, uint64_t seed, Values values)
    : config_(checked(config)),
      parameters_(device, seed, values),
      cls_(&parameters_.add("cls_token", {1, 1, config.dim}, Init::tiny_normal, false)),
      pos_(&parameters_.add("pos_embed", {1, config.tokens(), config.dim}, Init::trunc_normal, false)),
      patch_weight_(&parameters_.add("patch_embed.proj.weight",
                                     {config.dim, config.channels, config.patch, config.patch}, Init::trunc_normal,
                                     true)),
      patch_bias_(&parameters_.add("patch_embed.proj.bias", {config.dim}, Init::zeros, false)),
      blocks_(make_blocks(parameters_, config)),
      norm_(parameters_, "norm", config.dim, config.epsilon),
      head_(parameters_.head(), "head", config.dim, config.classes) {}

std::deque<Vit::Block> Vit::make_blocks(Parameters& parameters, const VitConfig& config) {
  std::deque<Block> blocks;
  for (int i = 0; i < config.depth; ++i) {
    parameters.set_block(i);
    blocks.emplace_back(parameters, config, i);
  }
  parameters.set_block(-1);
  return blocks;
}

Tensor Vit::operator()(Tape& tape, const Tensor& images, const ForwardContext& context) {
  const Shape& s = images.shape();
  require(s.rank() == 4 && s[1] == config_.channels && s[2] == config_.image && s[3] == config_.image, "vit: images ",
          s, " do not fit (B, ", config_.channels, ", ", config_.image, ", ", config_.image, ")");
  Tensor x = patch_embed(tape, "patch_embed.proj", images, config_.patch, *patch_weight_, *patch_bias_);
  x = add_tokens(tape, "pos_embed", x, *cls_, *pos_);  // (B, N, D)
  x = dropout(tape, "pos_drop", x, config_.dropout, dropout_stream(context, 0));
  for (int i = 0; const Block& block : blocks_)
    x = tape.segment(block.site, std::move(x), [b = &block, c = &config_, context, at = i++](Tape& t, Tensor in) {
      return (*b)(t, std::move(in), *c, context, at);
    });
  // The head sees the class token alone, and a norm works on each token by itself: taking the token first gives the
  // same logits, and the norm keeps B rows for its gradient instead of B * N.
  x = take_token(tape, "cls_token", x, 0);  // (B, D)
  x = norm_(tape, x);
  return head_(tape, x);
}

}  // namespace shear

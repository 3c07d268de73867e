// When a library's model computes what ours does, and which names it is written under.
#include "weights/library_model.h"

#include <algorithm>

#include "weights/json.h"

namespace shear {

namespace {

// Of the ways to say one model the same for all.
VitConfig plainly(VitConfig c) {
  c.hidden = c.mlp_width();
  c.mlp = 0;
  c.dropout = 0;
  if (c.before_patches() == 0) {
    if (c.positions != Positions::none) c.positions = Positions::all;
    if (c.pool == Pool::mean_all) c.pool = Pool::mean;
    if (c.pool == Pool::attention_all) c.pool = Pool::attention;
  }
  if (c.registers == 0 && c.positions == Positions::but_registers) c.positions = Positions::all;
  if (c.pool_heads == c.heads) c.pool_heads = 0;
  if (c.rope_grid == c.image / c.patch) c.rope_grid = 0;  // positions are scaled by 1
  if (c.rope != Rope::none && c.rope_temperature == 0) c.rope_temperature = c.rope == Rope::index ? 10000 : 100;
  return c;
}

}  // namespace

bool stands_for(const VitConfig& theirs, const VitConfig& ours) {
  const VitConfig t = plainly(theirs);
  VitConfig o = plainly(ours);
  if (t.qkv_bias && !o.qkv_bias) o.key_bias = t.key_bias;
  for (const auto bias : {&VitConfig::patch_bias, &VitConfig::qkv_bias, &VitConfig::key_bias, &VitConfig::proj_bias,
                          &VitConfig::head_bias})
    o.*bias = o.*bias || t.*bias;
  if (t.positions < o.positions) o.positions = t.positions;  // the fewer the later
  return t == o;
}

std::vector<WrittenRule> rules_to_write(const Naming& naming, std::span<const std::string_view> instead) {
  std::vector<bool> is_other;
  std::vector<WrittenRule> all;
  for (const Rule& r : naming.rules) {
    const bool chosen = std::find(instead.begin(), instead.end(), r.source) != instead.end();
    if (r.ours.empty() || r.share != Share::whole || (r.is_alias && !chosen)) continue;
    for (const char* star : {"weight", "bias"}) {
      const auto filled = [&](std::string_view pattern) {
        return pattern.ends_with('*') ? text(pattern.substr(0, pattern.size() - 1), star) : std::string(pattern);
      };
      all.push_back({filled(r.source), filled(r.ours), r.layout, r.part, r.parts});
      is_other.push_back(chosen);
      if (!r.source.ends_with('*')) break;
    }
  }
  std::vector<WrittenRule> written;
  for (size_t i = 0; i < all.size(); ++i) {
    bool replaced = false;
    for (size_t j = 0; j < all.size() && !is_other[i]; ++j) replaced |= is_other[j] && all[j].ours == all[i].ours;
    if (!replaced) written.push_back(all[i]);
  }
  return written;
}

std::vector<double> by_channel(const std::array<float, 3>& v, int64_t channels) {
  std::vector<double> out;
  for (int64_t i = 0; i < std::min<int64_t>(channels, 3); ++i) out.push_back(short_double(v[static_cast<size_t>(i)]));
  return out;
}

void refuse_export(std::string_view library, std::initializer_list<NoPlace> places, std::string_view expected) {
  const auto at = std::find_if(places.begin(), places.end(), [](const NoPlace& p) { return p.has; });
  fail(Fault::usage, setting("naming"), ": ", library, " has no ", at != places.end() ? at->what : "model of this kind",
       ", as these weights have, expected ", setting("naming"), ' ', expected);
}

}  // namespace shear

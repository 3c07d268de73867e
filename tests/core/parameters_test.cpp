// Parameters: how they sleep, how they go to the host and back, and what LoRA adds beside them.
#include "shear/parameters.h"

#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <limits>

#include "backend.h"
#include "errors.h"

using namespace shear;
using namespace shear::test;

TEST_CASE("24 bits are f32 without its last eight, to the nearest, ties to even, and their bf16 is the nearest one") {
  Stream stream(1, Purpose::test);
  for (int i = 0; i < 200000; ++i) {
    const float x = std::bit_cast<float>(stream.word());
    if (!std::isfinite(x) || std::fabs(x) > 1e38f) continue;
    const SplitWeight w = split_weight(x, half_up(x, 8));
    const float back = joined_weight(w.coarse, w.fine);
    const auto bits = std::bit_cast<uint32_t>(x), low = bits & 0xffu;
    const uint32_t up = low > 0x80u || (low == 0x80u && (bits & 0x100u)) ? 0x100u : 0u;
    REQUIRE(std::bit_cast<uint32_t>(back) == (bits & ~0xffu) + up);
    REQUIRE(split_weight(back, 0xffu).fine == w.fine);  // nothing at random moves what is one already
    REQUIRE(split_weight(back, 0xffu).coarse == w.coarse);
    const double off = std::fabs(static_cast<double>(joined_weight(w.coarse)) - static_cast<double>(back));
    const float next = joined_weight(static_cast<uint16_t>(w.coarse + 1));
    REQUIRE(2 * off <= std::fabs(static_cast<double>(next) - static_cast<double>(joined_weight(w.coarse))));
  }
  for (const float x : {0.f, -0.f, 1.f, -2.5f, std::numeric_limits<float>::infinity()}) {
    const SplitWeight w = split_weight(x, half_up(x, 8));
    CHECK(std::bit_cast<uint32_t>(joined_weight(w.coarse, w.fine)) == std::bit_cast<uint32_t>(x));
    CHECK(std::bit_cast<uint32_t>(joined_weight(short_weight(x, half_up(x, 16)))) == std::bit_cast<uint32_t>(x));
  }
  for (const uint32_t bits : {0x7fffffffu, 0xffffffffu, 0x7fc00000u, 0x7f800001u}) {
    const auto nan = std::bit_cast<float>(bits);
    for (const uint32_t up : {0u, 0xffu}) {
      const SplitWeight w = split_weight(nan, up);
      CHECK(std::isnan(joined_weight(w.coarse, w.fine)));
    }
    CHECK(std::isnan(joined_weight(short_weight(nan, 0xffffu))));
  }
}

TEST_CASE("large weights sleep as they are told to, embeddings and small ones in f32, and come back as rounded") {
  struct Case {
    WeightsAs as;
    size_t bytes;
    float unit;
  };
  for (const Case& c :
       {Case{WeightsAs::f32, 4, 0}, Case{WeightsAs::bf16, 2, 0x1p-8f}, Case{WeightsAs::split, 3, 0x1p-16f}}) {
    Device device(test_backend(1), small_step);
    Parameters parameters(device, 7, {Values::drawn, c.as});
    device.restart_peak();
    const size_t before = device.peak().parameters;
    Param& large = parameters.add("large.weight", {64, 64}, Init::trunc_normal, true);
    device.restart_peak();
    CHECK(device.peak().parameters - before == 4096 * c.bytes);
    const Param& small = parameters.add("small.weight", {63, 65}, Init::trunc_normal, true);
    const Param& positions = parameters.add("pos_embed", {1, 64, 64}, Init::trunc_normal, false);
    CHECK(small.value.dtype() == DType::f32);
    CHECK(positions.value.dtype() == DType::f32);
    Parameters exact(device, 7);
    const std::vector<float> drawn =
        device.download(exact.add("large.weight", {64, 64}, Init::trunc_normal, true).value);
    const auto check = [&](const std::vector<float>& values) {
      const std::vector<float> found = read_values(device, large);
      for (size_t i = 0; i < values.size(); ++i)
        REQUIRE(std::fabs(found[i] - values[i]) <= c.unit * std::fabs(values[i]));
    };
    check(drawn);
    std::vector<float> other(4096);
    for (size_t i = 0; i < other.size(); ++i) other[i] = std::sin(static_cast<float>(i));
    assign(device, large, other);
    check(other);
    other.pop_back();
    CHECK_THROWS_AS(assign(device, large, other), Error);
  }
  CHECK(parse_weights_as("bf16+8") == WeightsAs::split);
  CHECK(parse_weights_as("bf16") == WeightsAs::bf16);
  CHECK(sentence(Fault::usage, [] { parse_weights_as("f16"); }).find("weights-as f16: expected f32, bf16 or bf16+8") !=
        std::string::npos);
}

TEST_CASE("LoRA is a rank, an alpha and a pattern, and what is none of it is refused by name") {
  const Lora plain = parse_lora("8");
  CHECK(plain.rank == 8);
  CHECK(plain.alpha == 8);
  CHECK(plain.on == "blocks.*");
  const Lora all = parse_lora("4:alpha=16.5,on=blocks.{2..3}.attn");
  CHECK(all.rank == 4);
  CHECK(all.alpha == 16.5);
  CHECK(all.on == "blocks.{2..3}.attn");
  CHECK(parse_lora("").rank == 0);
  for (const char* bad : {"0", "-1", "x", "8x", "8:", "8:alpha", "8:alpha=", "8:alpha=0", "8:alpha=nan", "8:alpha=-2",
                          "8:on=", "8:beta=3", "8:alpha=2,,on=x", "99999999999999999999", ":alpha=2"}) {
    CAPTURE(bad);
    const std::string why = sentence(Fault::usage, [&] { parse_lora(bad); });
    CHECK(why.find(bad) != std::string::npos);
    CHECK(why.find("expected RANK[:alpha=A,on=PATTERN]") != std::string::npos);
  }
}

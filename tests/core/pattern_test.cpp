// Names by pattern.
#include "shear/pattern.h"

#include <doctest/doctest.h>

#include <string>

using namespace shear;

TEST_CASE("a pattern without a star or a range fits itself alone") {
  CHECK(fits("blocks.3.mlp", "blocks.3.mlp"));
  CHECK_FALSE(fits("blocks.3.mlp", "blocks.3.mlp.fc1"));
  CHECK_FALSE(fits("blocks.3.mlp", "blocks.3.ml"));
  CHECK(fits("", ""));
  CHECK_FALSE(fits("", "x"));
  CHECK_FALSE(fits("x", ""));
}

TEST_CASE("a star stands for any characters or none, wherever it has to give some back") {
  CHECK(fits("*", ""));
  CHECK(fits("*", "anything"));
  CHECK(fits("blocks.*.mlp.*", "blocks.11.mlp.fc1"));
  CHECK(fits("*.weight", "a.weight.weight"));
  CHECK(fits("a*b*c", "abbbcbc"));
  CHECK(fits("**a**", "xay"));
  CHECK_FALSE(fits("a*b*c", "abbbcb"));
  CHECK_FALSE(fits("*.weight", "a.bias"));
}

TEST_CASE("a range stands for the whole numbers in it, written without zeros in front") {
  for (const char* inside : {"8", "9", "10", "11"})
    CHECK(fits("blocks.{8..11}.*", "blocks." + std::string(inside) + ".norm1.weight"));
  for (const char* outside : {"7", "12", "1", "08", "-8", "8x", "", "99999999999999999999"}) {
    CAPTURE(outside);
    CHECK_FALSE(fits("blocks.{8..11}.*", "blocks." + std::string(outside) + ".norm1.weight"));
  }
  CHECK(fits("{0..0}", "0"));
  CHECK(fits("*{1..2}", "x12"));  // the star takes x1
  CHECK(fits("{1..2}.{3..4}", "2.3"));
  CHECK_FALSE(fits("{4..3}", "3"));
}

TEST_CASE("a range that is none stands for its own characters") {
  CHECK(fits("{8..}", "{8..}"));
  CHECK(fits("{a..b}", "{a..b}"));
  CHECK_FALSE(fits("{8..}", "8"));
  CHECK_FALSE(fits("{8.11}", "8"));
}

TEST_CASE("a pattern takes a name, and whatever is in what it names") {
  CHECK(takes("blocks.1.attn.qkv.weight", "blocks.1.attn.qkv.weight"));
  CHECK(takes("blocks.{0..1}.attn", "blocks.1.attn.qkv.weight"));
  CHECK(takes("*.attn", "blocks.1.attn.qkv"));
  CHECK_FALSE(takes("blocks.1", "blocks.10.attn.qkv.weight"));
  CHECK_FALSE(takes("blocks.1.attn.qkv.weight", "blocks.1.attn.qkv"));
  CHECK_FALSE(takes("", "blocks"));
}

// Views: what of a matrix they see, and who gets one to write to.
#include "shear/view.h"

#include <doctest/doctest.h>

#include <type_traits>
#include <vector>

using namespace shear;

TEST_CASE("view: a band and some columns keep the stride of the whole, in elements of any size") {
  std::vector<float> values(3 * 5);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  const View whole(values.data(), 3, 4, 5);  // rows 0 1 2 3, 5 6 7 8, 10 11 12 13
  CHECK(whole.row(2)[3] == 13);
  CHECK(whole.band(1, 2).row(1)[0] == 10);
  const ConstView some = ConstView(whole).band(1, 1).columns(2, 2);
  CHECK(some.row(0)[0] == 7);
  CHECK(some.elements() == 2);
  CHECK(some.contiguous());
  CHECK_FALSE(ConstView(whole).contiguous());

  const std::vector<uint16_t> halves{0, 1, 2, 3, 4, 5};
  const ConstView shorts(halves.data(), 2, 3, 3, DType::bf16);
  CHECK(shorts.band(1, 1).columns(1, 2).row<uint16_t>(0)[1] == 5);
}

TEST_CASE("view: a type reads what is stored as it, and nothing else") {
  CHECK(stored_as<float>(DType::f32));
  CHECK(stored_as<int32_t>(DType::i32));
  CHECK(stored_as<uint16_t>(DType::bf16));
  CHECK(stored_as<uint16_t>(DType::f16));
  CHECK_FALSE(stored_as<float>(DType::i32));
  CHECK_FALSE(stored_as<int32_t>(DType::f32));
  CHECK_FALSE(stored_as<uint16_t>(DType::f32));
  CHECK(stored_as<double>(DType::f64));
  CHECK_FALSE(stored_as<float>(DType::f64));
  CHECK_FALSE(stored_as<double>(DType::f32));
  CHECK_FALSE(stored_as<int64_t>(DType::i64));
}

TEST_CASE("view: a tensor that is const can be read and not be written") {
  CHECK(std::is_convertible_v<const Tensor&, ConstView>);
  CHECK_FALSE(std::is_convertible_v<const Tensor&, View>);
  CHECK(std::is_convertible_v<Tensor&, View>);
  CHECK(std::is_convertible_v<Tensor, View>);
}

// What folders and lists call the parts of a data set.
#pragma once
#include <cstdint>
#include <string_view>

namespace shear {

enum class PartName : uint8_t { none, train, val, eval, test };

// In any case, and with the words that people add: "Training", "val_images", "Test set", "train2017".  `eval` is what
// some call the val part, and others the test part beside it.
PartName part_named(std::string_view);

// What `eval` stands for beside the parts that are there: val, else test; none where both are.
PartName meaning_of_eval(bool has_val, bool has_test);

}  // namespace shear

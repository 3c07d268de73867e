// What holds for the names of classes, wherever they come from.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "shear/data.h"

namespace shear {

// Throws Fault::input where two classes have one name.  Notes names that differ by what nobody sees (blanks, case) and
// classes without an image to train on.
void check_classes(const std::filesystem::path& data, DataSplits&);

// Why nothing can be learnt from the classes: throws Fault::input, or, where nothing is to be learnt, a note.
void refuse_or_note(const DataOptions&, const std::string& sentence, std::vector<std::string>& notes);

// The same for a data set of one class.
void check_count(const std::filesystem::path& data, const std::vector<std::string>& classes, const DataOptions&,
                 std::vector<std::string>& notes);

// "the class "Cat" is not among the 2 classes of the training set (which has "cat")".
std::string unknown_class(const std::string& name, const std::vector<std::string>& classes);

}  // namespace shear

// The kinds of data set that open_data tells apart.
#pragma once
#include <filesystem>

#include "shear/data.h"

namespace shear {

// Whether one of IDX's file names (train-images-idx3-ubyte, t10k-images.idx3-ubyte.gz ...) is in the folder.
bool holds_idx(const std::filesystem::path& folder);

// Whether the folder holds CIFAR-10's or CIFAR-100's binary files.
bool holds_cifar(const std::filesystem::path& folder);

// As open_data, for folders that exist.
DataSplits open_idx(const std::filesystem::path& data, const std::filesystem::path& val);
DataSplits open_cifar(const std::filesystem::path& data, const std::filesystem::path& val);
DataSplits open_folders(const std::filesystem::path& data, const std::filesystem::path& val);

bool is_file(const std::filesystem::path&);  // false, too, for what cannot be looked at

// Throws Fault::input when the folder cannot be read.
std::vector<std::filesystem::directory_entry> list_folder(const std::filesystem::path&);

}  // namespace shear

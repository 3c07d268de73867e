// The kinds of data set that open_data tells apart, and what they share.
#pragma once
#include <filesystem>

#include "shear/data.h"

namespace shear {

// Whether one of IDX's file names (train-images-idx3-ubyte, t10k-images.idx3-ubyte.gz ...) is in the folder.
bool holds_idx(const std::filesystem::path& folder);
bool holds_cifar(const std::filesystem::path& folder);    // CIFAR-10's or CIFAR-100's binary files
bool holds_flowers(const std::filesystem::path& folder);  // one of Flowers-102's MAT files
bool holds_cub(const std::filesystem::path& folder);      // one of CUB-200-2011's lists
bool is_csv(const std::filesystem::path&);                // a file whose name ends in .csv

// As open_data, for paths that exist and hold this kind: parts are as they lie there, `val` is null where a part is
// named test.
DataSplits open_idx(const std::filesystem::path& data, const std::filesystem::path& val, const DataOptions&);
DataSplits open_cifar(const std::filesystem::path& data, const std::filesystem::path& val, const DataOptions&);
DataSplits open_flowers(const std::filesystem::path& data, const std::filesystem::path& val, const DataOptions&);
DataSplits open_cub(const std::filesystem::path& data, const std::filesystem::path& val, const DataOptions&);
DataSplits open_csv(const std::filesystem::path& data, const std::filesystem::path& val, const DataOptions&);
DataSplits open_folders(const std::filesystem::path& data, const std::filesystem::path& val, const DataOptions&);

// Takes round(share * n) images of each class, at least one and not all, out of train into val, by a shuffle of the
// class's images from (seed, the class's name).  Throws Fault::input where no class has two images.
void hold_out(DataSplits&, double share, uint64_t seed, const std::string& data);

}  // namespace shear

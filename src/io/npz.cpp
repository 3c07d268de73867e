// .npz: a zip archive whose members NAME.npy are NumPy arrays.
#include "io/mapped_file.h"
#include "io/npy_header.h"
#include "io/pickle.h"
#include "io/safetensors_header.h"
#include "io/strided.h"
#include "io/tensor_bytes.h"
#include "io/zip.h"
#include "shear/error.h"
#include "shear/io.h"

namespace shear {

// Fortran order puts the first axis last.
static std::vector<std::byte> in_c_order(std::span<const std::byte> values, const Shape& shape, size_t item) {
  std::array<int64_t, Shape::max_rank> strides{};
  int64_t stride = 1;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    strides[static_cast<size_t>(axis)] = stride;
    stride *= shape[axis];
  }
  return in_row_major(values, shape, strides, item);
}

Npz::Npz(const std::filesystem::path& file) : TensorFile(file) {
  const std::string path = file.string();
  for (const ZipMember& m : read_zip(file_->bytes(), path)) {
    const std::string what = text(path, ": member ", in_quotes(m.name));
    if (is_pickle(m.name))
      fail(Fault::input, what, " makes this a file of PyTorch's own, expected an archive of NumPy arrays");
    if (!m.name.ends_with(".npy")) fail(Fault::input, what, " is no .npy, expected an archive of NumPy arrays");
    std::span<const std::byte> content = m.content;
    if (m.deflated) content = unpacked_.emplace_back(inflate_member(m, path));
    check_crc(m, content, path);
    const NpyHeader header = parse_npy(content, what);
    std::span<const std::byte> values = content.subspan(header.bytes);
    const std::optional<uint64_t> bytes = bytes_of(header.dtype, header.shape);
    if (!bytes || *bytes != values.size())
      fail(Fault::input, what, " holds ", values.size(), " bytes of values, but ", name(header.dtype), " ",
           header.shape, " takes ", bytes ? std::to_string(*bytes) : "too many to count");
    if (header.fortran_order && header.shape.rank() > 1)
      values = unpacked_.emplace_back(in_c_order(values, header.shape, size_of(header.dtype)));
    tensors_.push_back({m.name.substr(0, m.name.size() - 4), header.dtype, header.shape, values});
  }
  sort_names();
}

Npz::~Npz() = default;

}  // namespace shear

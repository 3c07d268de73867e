// The members of a zip archive, where they lie.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace shear {

struct ZipMember {
  std::string name;
  bool deflated = false;               // else stored as it is
  uint32_t crc = 0;                    // of the bytes as they were
  uint64_t size = 0;                   // of them
  std::span<const std::byte> content;  // in the archive
};

// The members in the order of their bytes, from the central directory (PKWARE's APPNOTE.TXT 6.3, with zip64).  Checked:
// that each lies where it says, inside the archive, apart from the others, stored or deflated, not encrypted, and that
// it cannot unpack to more than deflate can make of it.  Throws Fault::input, naming `path`.
std::vector<ZipMember> read_zip(std::span<const std::byte> archive, const std::string& path);

// The bytes of a deflated member.  Throws Fault::input where they are not what the directory says.
std::vector<std::byte> inflate_member(const ZipMember&, const std::string& path);
void check_crc(const ZipMember&, std::span<const std::byte> content, const std::string& path);

}  // namespace shear

// zip: members with local headers, then the central directory, which tells where each lies, then the record of its end.
#include "io/zip.h"

#include <zlib.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

#include "io/safetensors_header.h"
#include "shear/error.h"

namespace shear {

static_assert(std::endian::native == std::endian::little, "zip is little-endian, and is read as it lies");

namespace {

using Bytes = std::span<const std::byte>;

// Reads numbers one after another from a record that is known to be long enough.
class Fields {
 public:
  Fields(Bytes archive, uint64_t at) : bytes_(archive.subspan(static_cast<size_t>(at))) {}
  template <class T>
  T next() {
    T value;
    std::memcpy(&value, bytes_.data(), sizeof value);
    bytes_ = bytes_.subspan(sizeof value);
    return value;
  }
  void skip(size_t n) { bytes_ = bytes_.subspan(n); }

 private:
  Bytes bytes_;
};

constexpr uint32_t local_mark = 0x04034b50, member_mark = 0x02014b50, end_mark = 0x06054b50, end64_mark = 0x06064b50,
                   locator_mark = 0x07064b50;
constexpr size_t local_bytes = 30, member_bytes = 46, end_bytes = 22, end64_bytes = 56, locator_bytes = 20;
constexpr uint32_t in_zip64 = std::numeric_limits<uint32_t>::max();  // where a number did not fit 32 bits

bool holds(Bytes archive, uint64_t at, size_t bytes) { return at <= archive.size() && archive.size() - at >= bytes; }

bool marked(Bytes archive, uint64_t at, size_t bytes, uint32_t mark) {
  return holds(archive, at, bytes) && Fields(archive, at).next<uint32_t>() == mark;
}

struct Directory {
  uint64_t members = 0, bytes = 0, at = 0, end = 0;  // end: where the records behind it begin
};

// The end record is the last thing in the archive, but for a comment whose length it tells.
uint64_t find_end(Bytes archive, const std::string& path) {
  constexpr uint64_t longest_comment = 0xffff;
  for (uint64_t behind = end_bytes; behind <= std::min<uint64_t>(archive.size(), end_bytes + longest_comment);
       ++behind) {
    const uint64_t at = archive.size() - behind;
    if (marked(archive, at, end_bytes, end_mark) &&
        Fields(archive, at + end_bytes - 2).next<uint16_t>() == behind - end_bytes)
      return at;
  }
  fail(Fault::input, path,
       ": the zip archive has no end record, expected one in its last bytes: the file is cut short");
}

Directory find_directory(Bytes archive, const std::string& path) {
  const uint64_t end = find_end(archive, path);
  Directory d{.end = end};
  Fields f(archive, end + 4);
  const auto disk = f.next<uint16_t>(), first_disk = f.next<uint16_t>();
  const auto here = f.next<uint16_t>();
  d.members = f.next<uint16_t>();
  d.bytes = f.next<uint32_t>();
  d.at = f.next<uint32_t>();
  bool one_part = disk == first_disk && (disk == 0 || disk == 0xffff) && here == d.members;
  if (end >= locator_bytes && marked(archive, end - locator_bytes, locator_bytes, locator_mark)) {
    Fields locator(archive, end - locator_bytes + 8);
    d.end = locator.next<uint64_t>();
    if (!marked(archive, d.end, end64_bytes, end64_mark))
      fail(Fault::input, path, ": the zip64 end record is not at byte ", d.end, ", where its locator says");
    Fields f64(archive, d.end + 16);
    const auto disk64 = f64.next<uint32_t>(), first64 = f64.next<uint32_t>();
    const auto here64 = f64.next<uint64_t>();
    d.members = f64.next<uint64_t>();
    d.bytes = f64.next<uint64_t>();
    d.at = f64.next<uint64_t>();
    one_part = disk64 == 0 && first64 == 0 && here64 == d.members;
  }
  if (!one_part) fail(Fault::input, path, ": is one part of a zip archive in several, expected a whole one");
  if (d.at > d.end || d.bytes > d.end - d.at)
    fail(Fault::input, path, ": the zip directory claims ", d.bytes, " bytes at byte ", d.at, ", but its end is at ",
         d.end);
  return d;
}

// Replaces the numbers that are said to be in the zip64 field by those in it.
void read_zip64(Bytes extra, uint64_t& size, uint64_t& packed, uint64_t& at, const std::string& what) {
  while (extra.size() >= 4) {
    Fields f(extra, 0);
    const auto tag = f.next<uint16_t>(), bytes = f.next<uint16_t>();
    if (bytes > extra.size() - 4) break;
    if (tag == 1) {
      size_t left = bytes;
      for (uint64_t* number : {&size, &packed, &at}) {
        if (*number != in_zip64 || left < 8) continue;
        *number = f.next<uint64_t>();
        left -= 8;
      }
      return;
    }
    extra = extra.subspan(size_t{4} + bytes);
  }
  fail(Fault::input, what, " refers to a zip64 field that it does not have");
}

struct Placed {
  ZipMember member;
  uint64_t at;  // of its local header
};

// One member of the directory at `at`, which moves behind it.
Placed read_member(Bytes archive, const Directory& d, uint64_t& at, const std::string& path) {
  const uint64_t end = d.at + d.bytes;
  if (end - at < member_bytes || !marked(archive, at, member_bytes, member_mark))
    fail(Fault::input, path, ": the zip directory has no member at byte ", at, ", expected ", d.members, " up to byte ",
         end);
  Fields f(archive, at + 8);
  const auto flags = f.next<uint16_t>(), method = f.next<uint16_t>();
  f.skip(4);  // time and date
  Placed placed;
  ZipMember& m = placed.member;
  m.crc = f.next<uint32_t>();
  uint64_t packed = f.next<uint32_t>();
  m.size = f.next<uint32_t>();
  const size_t name_bytes = f.next<uint16_t>(), extra_bytes = f.next<uint16_t>(), comment_bytes = f.next<uint16_t>();
  f.skip(8);  // disk, attributes
  placed.at = f.next<uint32_t>();
  if (end - at - member_bytes < name_bytes + extra_bytes + comment_bytes)
    fail(Fault::input, path, ": the zip directory's member at byte ", at, " reaches beyond the directory's end at ",
         end);
  const Bytes name = archive.subspan(static_cast<size_t>(at) + member_bytes, name_bytes);
  m.name.assign(reinterpret_cast<const char*>(name.data()), name.size());
  const std::string what = text(path, ": member ", in_quotes(m.name));
  if (m.size == in_zip64 || packed == in_zip64 || placed.at == in_zip64)
    read_zip64(archive.subspan(static_cast<size_t>(at) + member_bytes + name_bytes, extra_bytes), m.size, packed,
               placed.at, what);
  at += member_bytes + name_bytes + extra_bytes + comment_bytes;

  if (flags & 1) fail(Fault::input, what, " is encrypted, expected it plain");
  if (method != 0 && method != 8)
    fail(Fault::input, what, " is packed by method ", method, ", expected 0 (stored) or 8 (deflated)");
  m.deflated = method == 8;
  if (!m.deflated && packed != m.size)
    fail(Fault::input, what, " is stored, of ", m.size, " bytes, but takes ", packed);
  constexpr uint64_t ratio = 1032;  // 258 bytes out of two bits: the most that deflate can do
  if (m.deflated && m.size / ratio > packed)
    fail(Fault::input, what, " claims ", m.size, " bytes, more than ", packed, " deflated ones can hold");

  if (!marked(archive, placed.at, local_bytes, local_mark))
    fail(Fault::input, what, " is not at byte ", placed.at, ", where the directory says");
  Fields local(archive, placed.at + 26);
  const size_t local_name = local.next<uint16_t>(), local_extra = local.next<uint16_t>();
  const uint64_t begin = placed.at + local_bytes + local_name + local_extra;
  if (local_name != name_bytes || !holds(archive, placed.at + local_bytes, name_bytes) ||
      std::memcmp(archive.data() + placed.at + local_bytes, name.data(), name_bytes) != 0)
    fail(Fault::input, what, " has another name at byte ", placed.at);
  if (begin > d.at || packed > d.at - begin)
    fail(Fault::input, what, " claims ", packed, " bytes at byte ", begin, ", but the directory begins at ", d.at);
  m.content = archive.subspan(static_cast<size_t>(begin), static_cast<size_t>(packed));
  return placed;
}

}  // namespace

std::vector<ZipMember> read_zip(Bytes archive, const std::string& path) {
  const Directory d = find_directory(archive, path);
  std::vector<Placed> placed;
  uint64_t at = d.at;
  for (uint64_t i = 0; i < d.members; ++i) placed.push_back(read_member(archive, d, at, path));
  if (at != d.at + d.bytes)
    fail(Fault::input, path, ": the zip directory's ", d.members, " members end at byte ", at, ", expected ",
         d.at + d.bytes);
  std::sort(placed.begin(), placed.end(), [](const Placed& a, const Placed& b) { return a.at < b.at; });
  std::vector<ZipMember> members;
  for (Placed& p : placed) {
    if (!members.empty()) {
      const ZipMember& before = members.back();
      const auto end = static_cast<uint64_t>(before.content.data() + before.content.size() - archive.data());
      if (p.at < end)
        fail(Fault::input, path, ": member ", in_quotes(p.member.name), " begins at byte ", p.at, ", inside ",
             in_quotes(before.name), ", which ends at ", end);
    }
    members.push_back(std::move(p.member));
  }
  return members;
}

std::vector<std::byte> inflate_member(const ZipMember& m, const std::string& path) {
  std::vector<std::byte> out(static_cast<size_t>(m.size));
  z_stream z{};
  require(inflateInit2(&z, -MAX_WBITS) == Z_OK, path, ": zlib does not start");  // negative: no header of its own
  constexpr size_t most = 1u << 30;                                              // zlib counts in 32 bits
  size_t in = 0;
  uint64_t made = 0;
  int status = Z_OK;
  std::byte beyond;  // something to point to where nothing is expected
  while (status == Z_OK) {
    const size_t give = std::min(m.content.size() - in, most), room = std::min(out.size() - made, most);
    z.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(m.content.data() + in));
    z.avail_in = static_cast<uInt>(give);
    z.next_out = reinterpret_cast<Bytef*>(room > 0 ? out.data() + made : &beyond);
    z.avail_out = static_cast<uInt>(room > 0 ? room : 1);
    status = inflate(&z, Z_NO_FLUSH);
    in += give - z.avail_in;
    made += (room > 0 ? room : 1) - z.avail_out;
    if (made > out.size()) break;
    if (status == Z_OK && give == 0 && z.avail_out > 0) break;  // it wants more than there is
  }
  inflateEnd(&z);
  if (status != Z_STREAM_END || made != m.size || in != m.content.size())
    fail(Fault::input, path, ": member ", in_quotes(m.name), " does not inflate to its ", m.size,
         " bytes: it is damaged after ", std::min<uint64_t>(made, m.size));
  return out;
}

void check_crc(const ZipMember& m, Bytes content, const std::string& path) {
  const auto crc = static_cast<uint32_t>(
      crc32_z(crc32_z(0, nullptr, 0), reinterpret_cast<const Bytef*>(content.data()), content.size()));
  if (crc != m.crc)
    fail(Fault::input, path, ": member ", in_quotes(m.name), " has the CRC ", crc, ", its directory says ", m.crc,
         ": the file is damaged");
}

}  // namespace shear

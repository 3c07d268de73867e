// The bytes of an .npz file, put together by hand.
#pragma once
#include <zlib.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

template <class T>
std::string little(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

inline std::string npy(std::string_view header, std::string_view values) {
  std::string text(header);
  text.resize((text.size() + 10) / 16 * 16 + 5, ' ');
  text += '\n';
  return "\x93NUMPY\x01" + std::string(1, '\0') + little(static_cast<uint16_t>(text.size())) + text +
         std::string(values);
}

struct ZipEntry {
  std::string name, content;
  bool deflate = false;
  uint16_t method = 0xffff, flags = 0;  // method 0xffff: as `deflate` says
  uint32_t size = 0xffffffff;           // what the directory claims; 0xffffffff: the truth
  uint32_t crc = 0;                     // 0: the truth
};

inline std::string deflated(std::string_view content) {
  z_stream z{};
  deflateInit2(&z, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&z, content.size()), '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(content.data()));
  z.avail_in = static_cast<uInt>(content.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  deflate(&z, Z_FINISH);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

inline std::string zip(const std::vector<ZipEntry>& entries, std::string_view comment = "") {
  std::string body, directory;
  for (const ZipEntry& e : entries) {
    const std::string packed = e.deflate ? deflated(e.content) : e.content;
    const auto true_crc = static_cast<uint32_t>(
        crc32(0, reinterpret_cast<const Bytef*>(e.content.data()), static_cast<uInt>(e.content.size())));
    const uint16_t method = e.method != 0xffff ? e.method : e.deflate ? 8 : 0;
    const uint32_t size = e.size != 0xffffffff ? e.size : static_cast<uint32_t>(e.content.size());
    const std::string numbers = little(e.flags) + little(method) + little(uint32_t{0}) +
                                little(e.crc ? e.crc : true_crc) + little(static_cast<uint32_t>(packed.size())) +
                                little(size) + little(static_cast<uint16_t>(e.name.size())) + little(uint16_t{0});
    directory += "PK\1\2" + little(uint16_t{20}) + little(uint16_t{20}) + numbers + std::string(10, '\0') +
                 little(static_cast<uint32_t>(body.size())) + e.name;
    body += "PK\3\4" + little(uint16_t{20}) + numbers + e.name + packed;
  }
  const auto count = static_cast<uint16_t>(entries.size());
  return body + directory + "PK\5\6" + little(uint32_t{0}) + little(count) + little(count) +
         little(static_cast<uint32_t>(directory.size())) + little(static_cast<uint32_t>(body.size())) +
         little(static_cast<uint16_t>(comment.size())) + std::string(comment);
}

// What the data layer asks of the file system, with sentences for what goes wrong there.
#pragma once
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace shear {

using Bytes = std::span<const uint8_t>;

// Whether there is anything but a folder; false, too, for what cannot be looked at.
bool is_file(const std::filesystem::path&);

// "a folder", "a named pipe", "a socket", "a device".
const char* name_of(std::filesystem::file_type);

// These throw Fault::input.
std::vector<std::filesystem::directory_entry> list_folder(const std::filesystem::path&);

// A regular file, open for reading.  What could keep a reader waiting, such as a named pipe, is refused, not waited
// for.
class InputFile {
 public:
  // `expected` is what the file should be, such as "an image".
  InputFile(const std::filesystem::path&, const char* expected);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  uint64_t size() const { return size_; }
  std::vector<uint8_t> read(uint64_t most);  // from where it stands; fewer only at the end
  std::vector<uint8_t> read_all();           // from its start; a file that changes its size meanwhile is refused
  void read_at(uint64_t at, std::span<uint8_t> into) const;  // all of it is there, or the file is refused
  int release();                                             // the descriptor, which is the caller's then

 private:
  const std::filesystem::path path_;
  int descriptor_;
  uint64_t size_ = 0;
};

// The whole of a file, of at most `most` bytes.
std::vector<uint8_t> read_bytes(const std::filesystem::path&, const char* expected, uint64_t most = uint64_t{1} << 30);

// The same for text, which is UTF-8 without zero bytes, or refused with the line that is not; without a byte order
// mark.
class TextFile {
 public:
  TextFile(const std::filesystem::path&, const char* expected);
  std::string_view text() const { return text_; }

 private:
  std::vector<uint8_t> bytes_;
  std::string_view text_;
};

// What a file says, for a sentence: printable, and its beginning where it is long.
std::string excerpt(std::string_view);

// "a", "a and b", "a, b and c", "a, b, c and 5 more": names for a sentence, printable.
std::string listing(const std::vector<std::string>&);

}  // namespace shear

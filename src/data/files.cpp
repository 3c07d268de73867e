// What the data layer asks of the file system.
#include "data/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "shear/error.h"
#include "shear/utf8.h"

namespace shear {

namespace fs = std::filesystem;

bool is_file(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  return fs::exists(status) && !fs::is_directory(status);
}

const char* name_of(fs::file_type type) {
  switch (type) {
    case fs::file_type::regular:
      return "a file";
    case fs::file_type::directory:
      return "a folder";
    case fs::file_type::fifo:
      return "a named pipe";
    case fs::file_type::socket:
      return "a socket";
    default:
      return "a device";
  }
}

std::vector<fs::directory_entry> list_folder(const fs::path& folder) {
  std::vector<fs::directory_entry> entries;
  std::error_code error;
  fs::directory_iterator at(folder, error);
  for (; !error && at != fs::directory_iterator(); at.increment(error)) entries.push_back(*at);
  if (error) fail(Fault::input, folder.string(), ": cannot be listed (", error.message(), ")");
  return entries;
}

InputFile::InputFile(const fs::path& path, const char* expected)
    : path_(path), descriptor_(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)) {
  const int opened = errno;
  std::error_code error;
  fs::file_type type = fs::file_type::regular;
  struct stat found {};
  if (descriptor_ < 0) {
    type = fs::status(path, error).type();  // a socket cannot even be opened
    if (error || type != fs::file_type::socket)
      fail(Fault::input, path.string(), ": cannot be opened (", std::strerror(opened), "), expected ", expected);
  } else if (fstat(descriptor_, &found) != 0) {
    const int failed = errno;
    close(descriptor_);
    fail(Fault::input, path.string(), ": cannot be looked at (", std::strerror(failed), "), expected ", expected);
  } else if (!S_ISREG(found.st_mode)) {
    close(descriptor_);
    type = S_ISDIR(found.st_mode)    ? fs::file_type::directory
           : S_ISFIFO(found.st_mode) ? fs::file_type::fifo
                                     : fs::file_type::character;
  }
  if (type != fs::file_type::regular)
    fail(Fault::input, path.string(), ": is ", name_of(type), ", expected a regular file that holds ", expected);
  size_ = static_cast<uint64_t>(found.st_size);
}

InputFile::~InputFile() {
  if (descriptor_ >= 0) close(descriptor_);
}

int InputFile::release() { return std::exchange(descriptor_, -1); }

std::vector<uint8_t> InputFile::read(uint64_t most) {
  std::vector<uint8_t> bytes(most);
  size_t have = 0;
  while (have < bytes.size()) {
    const ssize_t got = ::read(descriptor_, bytes.data() + have, bytes.size() - have);
    if (got == 0) break;
    if (got < 0 && errno == EINTR) continue;
    if (got < 0)
      fail(Fault::input, path_.string(), ": cannot be read after ", have, " of its ", size_, " bytes (",
           std::strerror(errno), ")");
    have += static_cast<size_t>(got);
  }
  bytes.resize(have);
  return bytes;
}

void InputFile::read_at(uint64_t at, std::span<uint8_t> into) const {
  for (size_t have = 0; have < into.size();) {
    const ssize_t got = pread(descriptor_, into.data() + have, into.size() - have, static_cast<off_t>(at + have));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0)
      fail(Fault::input, path_.string(), ": ", into.size(), " of its ", size_, " bytes, from byte ", at,
           " on, cannot be read (", got < 0 ? std::strerror(errno) : "it ends before", ")");
    have += static_cast<size_t>(got);
  }
}

std::vector<uint8_t> InputFile::read_all() {
  std::vector<uint8_t> bytes = read(size_);
  if (bytes.size() != size_)
    fail(Fault::input, path_.string(), ": ends after ", bytes.size(), " of its ", size_,
         " bytes, expected a file that nobody writes to");
  if (!read(1).empty())
    fail(Fault::input, path_.string(), ": goes on after its ", size_, " bytes, expected a file that nobody writes to");
  return bytes;
}

std::vector<uint8_t> read_bytes(const fs::path& path, const char* expected, uint64_t most) {
  InputFile file(path, expected);
  if (file.size() > most)
    fail(Fault::input, path.string(), ": holds ", file.size(), " bytes, expected ", expected, " of at most ", most);
  return file.read_all();
}

TextFile::TextFile(const fs::path& path, const char* expected) : bytes_(read_bytes(path, expected)) {
  text_ = {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()};
  using namespace std::string_view_literals;
  const auto refuse = [&](const char* encoding) {
    fail(Fault::input, path.string(), ": is ", encoding, ", expected ", expected, " in UTF-8");
  };
  if (text_.starts_with("\xff\xfe\0\0"sv) || text_.starts_with("\0\0\xfe\xff"sv)) refuse("UTF-32");
  if (text_.starts_with("\xff\xfe") || text_.starts_with("\xfe\xff")) refuse("UTF-16");
  // Without a byte order mark: every letter of the Latin ones has a zero byte beside it.
  if (text_.size() > 1 && text_.substr(0, 2).find('\0') != std::string_view::npos) refuse("UTF-16");
  if (text_.starts_with("\xef\xbb\xbf")) text_.remove_prefix(3);  // which spreadsheets put there
  if (is_utf8(text_) && text_.find('\0') == std::string_view::npos) return;
  std::string_view rest = text_;
  for (int64_t number = 1; !rest.empty(); ++number) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    if (!is_utf8(line))
      fail(Fault::input, path.string(), ", line ", number, ": \"", excerpt(line), "\" is not UTF-8, expected ",
           expected, " in UTF-8 (if it is Latin-1: iconv -f latin1 -t utf-8)");
    if (line.find('\0') != std::string_view::npos)
      fail(Fault::input, path.string(), ", line ", number, ": \"", excerpt(line), "\" holds a zero byte, expected ",
           expected, " in UTF-8");
  }
}

std::string excerpt(std::string_view text) {
  constexpr size_t most = 100;
  if (text.size() <= most) return printable(text);
  size_t end = most;
  while (end > most - 4 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;  // not within a letter
  return printable(text.substr(0, end)) + "...";
}

std::string listing(const std::vector<std::string>& names) {
  constexpr size_t most = 4;
  const size_t shown = names.size() > most ? most - 1 : names.size();
  std::string all;
  for (size_t i = 0; i < shown; ++i) all += (i == 0 ? "" : i + 1 == names.size() ? " and " : ", ") + excerpt(names[i]);
  return shown == names.size() ? all : text(all, " and ", names.size() - shown, " more");
}

}  // namespace shear

// Names as people read them.
#include <doctest/doctest.h>

#include "shear/utf8.h"

using namespace shear;

TEST_CASE("what is UTF-8 is told from what is not") {
  CHECK(is_utf8(""));
  CHECK(is_utf8("Crème brûlée, 犬, 🐕"));
  CHECK_FALSE(is_utf8("cr\xe8me"));            // Latin-1
  CHECK_FALSE(is_utf8("\xc0\xaf"));            // overlong
  CHECK_FALSE(is_utf8("\xed\xa0\x80"));        // a surrogate
  CHECK_FALSE(is_utf8("\xf5\x80\x80\x80"));    // beyond Unicode
  CHECK_FALSE(is_utf8(std::string("a\xc3")));  // cut short
}

TEST_CASE("control characters and stray bytes are shown, and all else stays") {
  CHECK(printable("犬.jpg") == "犬.jpg");
  CHECK(printable("cr\xe8me") == "cr\\xe8me");
  CHECK(printable("a\x1b[31m\n\t") == "a\\x1b[31m\\x0a\\x09");
  CHECK(printable("\xc2\x9b") == "\\xc2\\x9b");  // a control character of two bytes
  CHECK(printable(std::string_view("a\0b", 3)) == "a\\x00b");
}

TEST_CASE("names that differ by blanks, case or normalisation only have one key") {
  const std::string key = look_alike_key("crème brûlée");
  CHECK(look_alike_key("Crème  Brûlée ") == key);
  CHECK(look_alike_key("\tCRE\u0300ME BRU\u0302LE\u0301E") == key);  // letters with accents of their own
  CHECK(look_alike_key("crème\u00a0brûlée") == key);                 // no-break space
  CHECK(look_alike_key("creme brulee") != key);
  CHECK(look_alike_key("ﬁsh") == look_alike_key("FISH"));
  CHECK(look_alike_key("Straße") == look_alike_key("STRASSE"));
  CHECK(look_alike_key("cr\xe8me") == "cr\xe8me");
  CHECK(look_alike_key(" \t") == "");
}

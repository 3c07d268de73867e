#include "lexer.h"

#include <cctype>
#include <cstdlib>

namespace shear::ptx {

namespace {

bool is_digit(char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; }
bool in_name(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '$' || c == '%' || c == '.';
}

}  // namespace

void Lexer::skip_blanks() {
  for (;;) {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_]))) line_ += text_[at_++] == '\n';
    if (text_.compare(at_, 2, "//") == 0) {
      at_ = std::min(text_.find('\n', at_), text_.size());
    } else if (text_.compare(at_, 2, "/*") == 0) {
      const size_t end = text_.find("*/", at_);
      if (end == std::string_view::npos) refuse("a comment does not end");
      while (at_ < end + 2) line_ += text_[at_++] == '\n';
    } else {
      return;
    }
  }
}

bool Lexer::at_end() {
  skip_blanks();
  return at_ >= text_.size();
}

std::string_view Lexer::next() {
  if (at_end()) refuse("the text ends too early");
  const size_t start = at_;
  const auto take_name = [&] {
    while (at_ < text_.size() && in_name(text_[at_])) ++at_;
  };
  if (text_[at_] == '"') {
    at_ = text_.find('"', at_ + 1);
    if (at_ == std::string_view::npos) refuse("a string does not end");
    ++at_;
  } else if (in_name(text_[at_])) {
    take_name();
    while (text_.compare(at_, 2, "::") == 0) {  // ld.shared::cta.f32
      at_ += 2;
      take_name();
    }
  } else if (text_[at_] == '-' && at_ + 1 < text_.size() && is_digit(text_[at_ + 1])) {
    ++at_;
    take_name();
  } else {
    ++at_;
  }
  return text_.substr(start, at_ - start);
}

std::string_view Lexer::peek() {
  const size_t at = at_;
  const int line = line_;
  const std::string_view word = next();
  at_ = at;
  line_ = line;
  return word;
}

bool Lexer::take(std::string_view word) {
  if (peek() != word) return false;
  next();
  return true;
}

void Lexer::expect(std::string_view word) {
  const std::string_view found = next();
  if (found != word) refuse("expected ", word, ", found ", found);
}

void Lexer::skip_line() { at_ = std::min(text_.find('\n', at_), text_.size()); }

uint64_t Lexer::number() {
  const std::string_view word = next();
  if (!is_number(word)) refuse("expected a number, found ", word);
  return number_of(word);
}

bool is_number(std::string_view word) { return is_digit(word[word[0] == '-' && word.size() > 1 ? 1 : 0]); }

uint64_t number_of(std::string_view word) {
  const std::string text(word);
  if (text.size() > 2 && text[0] == '0' && std::string_view("fFdD").find(text[1]) != std::string_view::npos)
    return std::strtoull(text.c_str() + 2, nullptr, 16);
  if (text[0] == '-') return static_cast<uint64_t>(std::strtoll(text.c_str(), nullptr, 0));
  return std::strtoull(text.c_str(), nullptr, 0);
}

}  // namespace shear::ptx

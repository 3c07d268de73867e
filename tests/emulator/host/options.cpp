// How the emulation runs, by the environment or by a test.
#include <algorithm>
#include <cstdlib>
#include <stdexcept>
#include <utility>

#include "emulation.h"

namespace cuemu {
namespace {

void parse_order(std::string_view text, Options& o) {
  const size_t colon = text.find(':');
  const std::string_view word = text.substr(0, colon);
  if (word == "forward") {
    o.order = Order::forward;
  } else if (word == "reverse") {
    o.order = Order::reverse;
  } else if (word == "random") {
    o.order = Order::random;
    o.seed = colon == text.npos ? 1 : std::stoull(std::string(text.substr(colon + 1)));
  } else {
    throw std::invalid_argument("CUEMU_ORDER is " + std::string(text) + ", expected forward, reverse or random[:seed]");
  }
}

bool parse_streams(std::string_view text) {
  if (text == "lazy") return true;
  if (text == "eager") return false;
  throw std::invalid_argument("CUEMU_STREAMS is " + std::string(text) + ", expected eager or lazy");
}

Options from_environment() {
  Options o;
  if (const char* text = std::getenv("CUEMU_ORDER")) parse_order(text, o);
  if (const char* text = std::getenv("CUEMU_STREAMS")) o.lazy = parse_streams(text);
  if (const char* text = std::getenv("CUEMU_PROTECT")) o.protect = std::string_view(text) == "1";
  if (const char* text = std::getenv("CUEMU_ABORT")) o.abort = std::string_view(text) == "1";
  if (const char* text = std::getenv("CUEMU_TRAFFIC")) o.traffic = std::string_view(text) == "1";
  if (const char* text = std::getenv("CUEMU_DEVICES")) o.device_there = std::string_view(text) != "0";
  if (const char* text = std::getenv("CUEMU_MEMORY")) o.memory = std::stoull(text);
  return o;
}

uint64_t next_random(uint64_t& state) {  // splitmix64
  uint64_t z = state += 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

}  // namespace

Options& options() {
  static Options o = from_environment();
  return o;
}

void set_order(std::string_view text) {
  if (!text.empty()) return parse_order(text, options());
  options().order = from_environment().order;
  options().seed = from_environment().seed;
}

void set_streams(std::string_view text) {
  cudaDeviceSynchronize();
  options().lazy = text.empty() ? from_environment().lazy : parse_streams(text);
}

void set_memory_limit(size_t bytes) { options().memory = bytes; }
bool count_sectors(bool whether) { return std::exchange(options().traffic, whether); }
void set_device_there(bool is) { options().device_there = is; }

void arrange(unsigned* indices, size_t n) {
  if (options().order == Order::reverse) std::reverse(indices, indices + n);
  if (options().order == Order::random)
    for (size_t i = n; i > 1; --i) std::swap(indices[i - 1], indices[next_random(options().seed) % i]);
}

}  // namespace cuemu

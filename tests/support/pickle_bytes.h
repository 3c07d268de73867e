// Words of a pickle, as torch.save writes them.
#pragma once
#include <string>
#include <vector>

#include "npz_bytes.h"

namespace shear::test {

inline const std::string proto = "\x80\x02", stop = ".", mark = "(", reduce = "R", persistent = "Q";

inline std::string str(const std::string& s) { return "X" + little(static_cast<uint32_t>(s.size())) + s; }
inline std::string num(int64_t n) {
  return n >= 0 && n < 256 ? "K" + std::string(1, static_cast<char>(n)) : "J" + little(static_cast<int32_t>(n));
}
inline std::string global(const std::string& module, const std::string& name) {
  return "c" + module + "\n" + name + "\n";
}
inline std::string tuple(const std::string& items) { return mark + items + "t"; }
inline std::string dict(const std::string& pairs) { return "}" + mark + pairs + "u"; }
inline const std::string no_hooks = global("collections", "OrderedDict") + ")" + reduce;

inline std::string storage(const std::string& key, int64_t elements, const std::string& type = "FloatStorage") {
  return tuple(str("storage") + global("torch", type) + str(key) + str("cpu") + num(elements)) + persistent;
}

inline std::string tensor(const std::string& stored, int64_t offset, const std::vector<int64_t>& shape,
                          const std::vector<int64_t>& strides) {
  std::string dims, steps;
  for (const int64_t n : shape) dims += num(n);
  for (const int64_t n : strides) steps += num(n);
  return global("torch._utils", "_rebuild_tensor_v2") +
         tuple(stored + num(offset) + tuple(dims) + tuple(steps) + "\x89" + no_hooks) + reduce;
}

}  // namespace shear::test

// The stack machine of pickle (CPython's Lib/pickletools.py describes each instruction), without calls.
#include "io/pickle.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <string_view>
#include <unordered_map>

#include "io/pickle_words.h"
#include "io/safetensors_header.h"
#include "shear/error.h"

namespace shear {

namespace {

using Bytes = std::span<const std::byte>;
using pickle::Global;
using pickle::Known;
using pickle::known;
using pickle::Opcode;
using pickle::opcodes;
using Ref = uint32_t;  // of a value, by its place among all that were made

struct Value {
  enum Kind : uint8_t { nothing, whole, long_whole, text, list, dictionary, global, storage, tensor } kind = nothing;
  int64_t number = 0;        // whole; a global's place in `known`; a storage's or tensor's place in its list
  std::string_view chars{};  // text; long_whole: its bytes
  std::vector<Ref> items{};  // list, which a tuple is too; dictionary: key, value, key, value ...
};

class Machine {
 public:
  Machine(Bytes stream, const std::string& where) : stream_(stream), where_(where) {}
  Pickled run();

 private:
  template <class... Parts>
  [[noreturn]] void refuse(const Parts&... parts) const {
    fail(Fault::input, where_, ": the pickle ", parts..., " at byte ", at_);
  }

  // -- The stream ---------------------------------------------------------------------------------------------------
  Bytes take(uint64_t n) {
    if (n > stream_.size() - next_) refuse("is cut short");
    const Bytes taken = stream_.subspan(next_, static_cast<size_t>(n));
    next_ += taken.size();
    return taken;
  }
  template <class T>
  T number() {
    T value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }
  std::string_view chars(uint64_t n) {
    const Bytes b = take(n);
    return {reinterpret_cast<const char*>(b.data()), b.size()};
  }
  std::string_view line() {
    const std::string_view rest(reinterpret_cast<const char*>(stream_.data()) + next_, stream_.size() - next_);
    const size_t end = rest.find('\n');
    if (end == rest.npos) refuse("is cut short");
    next_ += end + 1;
    return rest.substr(0, end);
  }

  // -- Values -------------------------------------------------------------------------------------------------------
  Ref make(Value value) {
    values_.push_back(std::move(value));
    return static_cast<Ref>(values_.size() - 1);
  }
  void push(Value value) { stack_.push_back(make(std::move(value))); }
  Value& peek() {
    if (stack_.size() <= (marks_.empty() ? 0 : marks_.back())) refuse("takes more than there is");
    return values_[stack_.back()];
  }
  Ref pop() {
    peek();
    const Ref top = stack_.back();
    stack_.pop_back();
    return top;
  }
  Value& top(Value::Kind kind, const char* what) {
    Value& v = peek();
    if (v.kind != kind) refuse("has no ", what, " where it needs one,");
    return v;
  }
  std::vector<Ref> to_mark() {
    if (marks_.empty()) refuse("has no MARK where it needs one,");
    const std::vector<Ref> items(stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back()), stack_.end());
    stack_.resize(marks_.back());
    marks_.pop_back();
    return items;
  }
  void tuple(size_t n) {
    std::vector<Ref> items(n);
    for (size_t i = n; i-- > 0;) items[i] = pop();
    push({.kind = Value::list, .items = std::move(items)});
  }
  // Puts items behind those of the list or dictionary on top.
  void extend(Value::Kind kind, const char* what, const std::vector<Ref>& items) {
    std::vector<Ref>& to = top(kind, what).items;
    to.insert(to.end(), items.begin(), items.end());
  }
  void put(uint64_t place) {
    if (stack_.empty()) refuse("remembers what is not there");
    memo_[place] = stack_.back();
  }
  void get(uint64_t place) {
    const auto at = memo_.find(place);
    if (at == memo_.end()) refuse("recalls what it never had");
    stack_.push_back(at->second);
  }

  // -- What instructions mean ---------------------------------------------------------------------------------------
  bool step();  // false: STOP
  void name(std::string_view module, std::string_view attribute);
  void call();
  // What a value that stands once in the stream is copied into: as much in all as the stream is long.
  void count(size_t copied) {
    if ((copied_ += copied) > stream_.size()) refuse("makes more of its values than it holds");
  }
  void persistent();
  Ref rebuild(const std::vector<Ref>& arguments, size_t least);
  std::vector<int64_t> numbers(Ref) const;

  // -- What came out ------------------------------------------------------------------------------------------------
  void collect(Ref, const std::string& name, int depth, Pickled& out);

  Bytes stream_;
  const std::string& where_;
  size_t next_ = 0, at_ = 0;
  std::vector<Value> values_;
  std::vector<Ref> stack_;
  std::vector<size_t> marks_;
  std::unordered_map<uint64_t, Ref> memo_;
  std::vector<PickledStorage> storages_;
  std::vector<PickledTensor> tensors_;
  size_t visited_ = 0, named_ = 0, copied_ = 0;
};

void Machine::name(std::string_view module, std::string_view attribute) {
  const std::string full = text(module, '.', attribute);
  const auto at = std::find_if(known.begin(), known.end(), [&](const Known& k) { return k.name == full; });
  if (at == known.end())
    fail(Fault::input, where_, ": the pickle asks for ", in_quotes(full), " at byte ", at_,
         ", which is no tensor; nothing of it was run, expected tensors alone");
  push({.kind = Value::global, .number = at - known.begin()});
}

std::vector<int64_t> Machine::numbers(Ref list) const {
  std::vector<int64_t> out;
  if (values_[list].kind != Value::list) refuse("has a shape that is none,");
  for (const Ref i : values_[list].items) {
    if (values_[i].kind != Value::whole) refuse("has a shape that is none,");
    out.push_back(values_[i].number);
  }
  return out;
}

// (storage, offset, shape, strides, ...)
Ref Machine::rebuild(const std::vector<Ref>& arguments, size_t least) {
  if (arguments.size() < least || values_[arguments[0]].kind != Value::storage ||
      values_[arguments[1]].kind != Value::whole || values_[arguments[1]].number < 0)
    refuse("makes a tensor of something else");
  PickledTensor t;
  t.storage = storages_[static_cast<size_t>(values_[arguments[0]].number)];
  t.offset = static_cast<uint64_t>(values_[arguments[1]].number);
  const std::vector<int64_t> shape = numbers(arguments[2]);
  t.strides = numbers(arguments[3]);
  const auto negative = [](int64_t n) { return n < 0; };
  if (shape.size() > Shape::max_rank || shape.size() != t.strides.size() ||
      std::any_of(shape.begin(), shape.end(), negative) || std::any_of(t.strides.begin(), t.strides.end(), negative))
    refuse("has a tensor of ", shape.size(), " dimensions and ", t.strides.size(), " strides that is none,");
  t.shape = Shape(shape);
  tensors_.push_back(std::move(t));
  return make({.kind = Value::tensor, .number = static_cast<int64_t>(tensors_.size() - 1)});
}

void Machine::call() {
  const Ref arguments = pop(), function = pop();
  if (values_[function].kind != Value::global || values_[arguments].kind != Value::list)
    refuse("calls what is no function");
  count(values_[arguments].items.size());
  const std::vector<Ref> given = values_[arguments].items;
  const Known& k = known[static_cast<size_t>(values_[function].number)];
  switch (k.is) {
    case Global::dictionary: {  // of pairs, or of nothing
      Value made{.kind = Value::dictionary};
      if (given.size() == 1 && values_[given[0]].kind == Value::list)
        for (const Ref pair : values_[given[0]].items) {
          count(2);
          if (values_[pair].kind != Value::list || values_[pair].items.size() != 2)
            refuse("has a dictionary of no pairs");
          made.items.insert(made.items.end(), values_[pair].items.begin(), values_[pair].items.end());
        }
      return push(std::move(made));
    }
    case Global::size:
      if (given.size() != 1) refuse("has a shape that is none,");
      return stack_.push_back(given[0]);
    case Global::device:
    case Global::settings:
      return push({});
    case Global::tensor:
    case Global::old_tensor:
      return stack_.push_back(rebuild(given, k.is == Global::tensor ? 6 : 4));
    case Global::parameter:
      if (given.empty() || values_[given[0]].kind != Value::tensor) refuse("makes a parameter of no tensor");
      return stack_.push_back(given[0]);
    case Global::storage:
      refuse("makes a storage, which torch.save never does,");
  }
}

// ("storage", type, key, device, elements[, view])
void Machine::persistent() {
  const Value& v = values_[pop()];
  const auto kind = [&](size_t i, Value::Kind wanted) { return values_[v.items[i]].kind == wanted; };
  if (v.kind != Value::list || v.items.size() < 5 || v.items.size() > 6 || !kind(0, Value::text) ||
      values_[v.items[0]].chars != "storage" || !kind(1, Value::global) || !kind(2, Value::text) ||
      !kind(4, Value::whole) || values_[v.items[4]].number < 0 ||
      known[static_cast<size_t>(values_[v.items[1]].number)].is != Global::storage)
    refuse("refers to something that is no storage");
  if (v.items.size() == 6 && !kind(5, Value::nothing)) refuse("has a storage that is a part of another,");
  storages_.push_back({values_[v.items[2]].chars, known[static_cast<size_t>(values_[v.items[1]].number)].dtype,
                       static_cast<uint64_t>(values_[v.items[4]].number)});
  push({.kind = Value::storage, .number = static_cast<int64_t>(storages_.size() - 1)});
}

bool Machine::step() {
  at_ = next_;
  const auto code = number<unsigned char>();
  switch (code) {
    case 0x80:  // PROTO
      if (const auto version = number<unsigned char>(); version < 2 || version > 5)
        refuse("is of protocol ", static_cast<int>(version), ", expected 2 to 5,");
      return true;
    case 0x95:  // FRAME
      number<uint64_t>();
      return true;
    case '.':
      return false;
    case '(':
      marks_.push_back(stack_.size());
      return true;
    case 'N':
      push({});
      return true;
    case 0x88:
    case 0x89:
      push({.kind = Value::whole, .number = code == 0x88});
      return true;
    case 'K':
      push({.kind = Value::whole, .number = number<uint8_t>()});
      return true;
    case 'M':
      push({.kind = Value::whole, .number = number<uint16_t>()});
      return true;
    case 'J':
      push({.kind = Value::whole, .number = number<int32_t>()});
      return true;
    case 0x8a: {  // LONG1
      const std::string_view bytes = chars(number<uint8_t>());
      if (bytes.size() > 8) {
        push({.kind = Value::long_whole, .chars = bytes});
        return true;
      }
      int64_t value = !bytes.empty() && static_cast<signed char>(bytes.back()) < 0 ? -1 : 0;
      std::memcpy(&value, bytes.data(), bytes.size());
      push({.kind = Value::whole, .number = value});
      return true;
    }
    case 'G':  // BINFLOAT
      take(8);
      push({});
      return true;
    case 'X':
      push({.kind = Value::text, .chars = chars(number<uint32_t>())});
      return true;
    case 'T':  // strings of Python 2
      push({.kind = Value::text, .chars = chars(number<uint32_t>())});
      return true;
    case 'U':
    case 0x8c:  // SHORT_BINUNICODE
      push({.kind = Value::text, .chars = chars(number<uint8_t>())});
      return true;
    case ')':
      tuple(0);
      return true;
    case 0x85:
    case 0x86:
    case 0x87:
      tuple(code - 0x84u);
      return true;
    case 't':
      push({.kind = Value::list, .items = to_mark()});
      return true;
    case ']':
      push({.kind = Value::list});
      return true;
    case '}':
      push({.kind = Value::dictionary});
      return true;
    case 'a':
      extend(Value::list, "list", {pop()});
      return true;
    case 'e':
      extend(Value::list, "list", to_mark());
      return true;
    case 's': {
      const Ref value = pop(), key = pop();
      extend(Value::dictionary, "dictionary", {key, value});
      return true;
    }
    case 'u': {
      const std::vector<Ref> items = to_mark();
      if (items.size() % 2 != 0) refuse("has a key without a value");
      extend(Value::dictionary, "dictionary", items);
      return true;
    }
    case 'q':
      put(number<uint8_t>());
      return true;
    case 'r':
      put(number<uint32_t>());
      return true;
    case 0x94:  // MEMOIZE
      put(memo_.size());
      return true;
    case 'h':
      get(number<uint8_t>());
      return true;
    case 'j':
      get(number<uint32_t>());
      return true;
    case 'c': {
      const std::string_view module = line();
      name(module, line());
      return true;
    }
    case 0x93: {  // STACK_GLOBAL
      const Ref attribute = pop(), module = pop();
      if (values_[attribute].kind != Value::text || values_[module].kind != Value::text)
        refuse("names what is no name,");
      name(values_[module].chars, values_[attribute].chars);
      return true;
    }
    case 'R':
      call();
      return true;
    case 0x81: {  // NEWOBJ
      const Ref arguments = pop(), type = pop();
      if (values_[type].kind != Value::global ||
          known[static_cast<size_t>(values_[type].number)].is != Global::settings ||
          values_[arguments].kind != Value::list)
        refuse("makes an object that is no tensor");
      push({});
      return true;
    }
    case 'b': {  // BUILD: attributes of what is there, which no tensor's values depend on
      pop();
      const Value::Kind to = peek().kind;
      if (to != Value::dictionary && to != Value::nothing) refuse("gives attributes to what has none");
      return true;
    }
    case 'Q':
      persistent();
      return true;
    default:
      break;
  }
  const auto at = std::find_if(opcodes.begin(), opcodes.end(), [&](const Opcode& o) { return o.code == code; });
  if (at == opcodes.end()) refuse("has the byte ", static_cast<int>(code), ", which is no instruction,");
  refuse("has the instruction ", at->name, ", which no tensor needs,");
}

void Machine::collect(Ref ref, const std::string& name, int depth, Pickled& out) {
  constexpr int deepest = 32;
  const Value& v = values_[ref];
  if (v.kind == Value::tensor) {
    out.tensors.push_back(tensors_[static_cast<size_t>(v.number)]);
    out.tensors.back().name = name;
    return;
  }
  if (v.kind != Value::dictionary && v.kind != Value::list) return;
  if (depth == deepest) fail(Fault::input, where_, ": the pickle nests deeper than ", deepest, " levels");
  constexpr size_t most = size_t{1} << 20;  // one dictionary may stand in many places, itself among them
  const auto below = [&](const std::string& key, Ref item) {
    if (++visited_ > most) fail(Fault::input, where_, ": the pickle holds more than ", most, " values");
    if ((named_ += name.size() + key.size()) > size_t{64} << 20)
      fail(Fault::input, where_, ": the pickle's names take more than 64 MiB");
    collect(item, name.empty() ? key : name + '.' + key, depth + 1, out);
  };
  if (v.kind == Value::list)
    for (size_t i = 0; i < v.items.size(); ++i) below(std::to_string(i), v.items[i]);
  else
    for (size_t i = 0; i < v.items.size(); i += 2) {
      const Value& key = values_[v.items[i]];
      if (key.kind == Value::text)
        below(std::string(key.chars), v.items[i + 1]);
      else if (key.kind == Value::whole)
        below(std::to_string(key.number), v.items[i + 1]);
    }
}

Pickled Machine::run() {
  while (step()) {
  }
  const Value root = values_[pop()];
  Pickled out;
  out.bytes = next_;
  if (root.kind == Value::whole) out.number = root.number;
  if (root.kind == Value::long_whole) out.digits = root.chars;
  if (root.kind == Value::list)
    for (const Ref i : root.items)
      if (values_[i].kind == Value::text) out.strings.emplace_back(values_[i].chars);
  collect(static_cast<Ref>(make(root)), {}, 0, out);
  return out;
}

}  // namespace

Pickled read_pickle(Bytes stream, const std::string& where) { return Machine(stream, where).run(); }

}  // namespace shear

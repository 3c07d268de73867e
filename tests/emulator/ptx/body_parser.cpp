// The body of a kernel: registers, variables, labels, instructions.
#include "parser.h"

namespace shear::ptx {

namespace {

Space space_of(std::string_view word) {
  const std::string_view first = word.substr(0, word.find("::"));  // shared::cta is shared
  return first == "global"   ? Space::global
         : first == "shared" ? Space::shared
         : first == "local"  ? Space::local
         : first == "param"  ? Space::param
         : first == "const"  ? Space::constant
                             : Space::generic;
}

}  // namespace

Variable BodyParser::place(size_t& top, Space space, const Declaration& d) {
  top = (top + d.align - 1) / d.align * d.align;
  const Variable v{space, top, d.bytes, d.align};
  top += d.bytes;
  return v;
}

void BodyParser::parameter(const Declaration& d) {
  const Variable v = place(kernel_.parameter_bytes, Space::param, d);
  variables_[d.name] = v;
  kernel_.parameters.push_back({v.offset, v.bytes});
}

void BodyParser::body() {
  while (!scopes_.empty()) {
    const std::string_view word = lexer_.next();
    if (word == "}") {
      scopes_.pop_back();
    } else if (word == "{") {
      scopes_.emplace_back();
    } else if (word == ".reg") {
      registers();
    } else if (word == ".shared" || word == ".local") {
      const Declaration d = read_declaration(lexer_);
      variables_[d.name] = word == ".shared" ? place(kernel_.shared_bytes, Space::shared, d)
                                             : place(kernel_.local_bytes, Space::local, d);
      lexer_.expect(";");
    } else if (word == ".loc") {
      source_place();
    } else if (word == ".pragma") {
      while (lexer_.next() != ";") {
      }
    } else if (word[0] == '.') {
      lexer_.refuse("the directive ", word, " is not understood in a kernel");
    } else {
      label_or_instruction(word);
    }
  }
  resolve();
}

// .reg .b32 %r<29>;   .reg .pred p, q;
void BodyParser::registers() {
  lexer_.next();  // the type: instructions say what they read
  do {
    const std::string name(lexer_.next());
    if (lexer_.take("<")) {
      const uint64_t count = lexer_.number();
      for (uint64_t k = 0; k < count; ++k) scopes_.back()[name + std::to_string(k)] = kernel_.registers++;
      lexer_.expect(">");
    } else {
      scopes_.back()[name] = kernel_.registers++;
    }
  } while (lexer_.take(","));
  lexer_.expect(";");
}

// .loc 1 42 3   .loc 2 449 5, function_name $L__info_string0, inlined_at 1 42 3
void BodyParser::source_place() {
  const auto place = [&] {
    const int file = static_cast<int>(lexer_.number()), line = static_cast<int>(lexer_.number());
    lexer_.number();  // the column
    return Place{file, line};
  };
  source_ = place();
  caller_ = {};
  if (!lexer_.take(",")) return;
  while (!lexer_.take("inlined_at")) lexer_.next();
  caller_ = place();
}

void BodyParser::label_or_instruction(std::string_view word) {
  if (!lexer_.take(":")) {
    instruction(word);
  } else if (lexer_.take(".branchtargets")) {
    std::vector<std::string>& table = tables_[std::string(word)];
    do table.emplace_back(lexer_.next());
    while (lexer_.take(","));
    lexer_.expect(";");
  } else {
    labels_[std::string(word)] = static_cast<int32_t>(kernel_.code.size());
  }
}

void BodyParser::instruction(std::string_view word) {
  Instruction i;
  i.line = lexer_.line();
  i.source = source_;
  i.caller = caller_;
  if (word == "@") {
    i.guard_negated = lexer_.take("!");
    const std::string_view name = lexer_.next();
    i.guard = find_register(name);
    if (i.guard < 0) lexer_.refuse("the predicate ", name, " was not declared");
    word = lexer_.next();
  }
  i.text = word;
  modifiers(i);
  while (!lexer_.take(";")) {
    if (i.operands_used == Instruction::most_operands) lexer_.refuse(i.text, " has too many operands");
    const Operand o = operand(i);
    i.operands[static_cast<size_t>(i.operands_used++)] = o;
    lexer_.take(",");
  }
  i.run = decode(i);
  kernel_.code.push_back(std::move(i));
}

void BodyParser::modifiers(Instruction& i) {
  for (size_t from = 0; from != std::string::npos;) {
    const size_t dot = i.text.find('.', from);
    i.words.push_back(i.text.substr(from, dot == std::string::npos ? dot : dot - from));
    from = dot == std::string::npos ? dot : dot + 1;
  }
  for (size_t k = 1; k < i.words.size(); ++k) {
    const std::string& word = i.words[k];
    if (const Type t = type_of(word); t != Type::none) {
      if (i.type == Type::none) i.type = t;
      i.source_type = t;
    } else if (const Space s = space_of(word); s != Space::generic) {
      i.space = s;
    } else if (word == "v2" || word == "v4" || word == "v8") {
      i.vector = word[1] - '0';
    } else if (word == "ftz") {
      i.flush = true;
    } else if (word == "sat") {
      i.saturate = true;
    } else if (word.size() <= 3 && word[0] == 'r') {
      constexpr std::string_view letters = "nzmp";  // nearest even, towards zero, minus and plus infinity
      const size_t mode = letters.find(word[1]);
      if (mode != std::string_view::npos && (word.size() == 2 || word[2] == 'i')) {
        i.rounding = static_cast<Rounding>(mode);
        i.integral = word.size() == 3;
      }
    }
  }
}

int BodyParser::find_register(std::string_view name) const {
  for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope)
    if (const auto found = scope->find(std::string(name)); found != scope->end()) return found->second;
  return -1;
}

// Whether it names a variable, whose place the operand then holds.
bool BodyParser::variable(Operand& o, std::string_view name) {
  const std::string key(name);
  auto found = variables_.find(key);
  if (found == variables_.end()) {
    const auto outer = module_.variables.find(key);
    if (outer == module_.variables.end()) return false;
    Variable v = outer->second;
    if (v.space == Space::shared && v.bytes == 0) {
      o.dynamic = true;
      o.space = Space::shared;
      return true;
    }
    if (v.space == Space::shared) {  // this kernel names it first
      Declaration d;
      d.align = v.align;
      d.bytes = v.bytes;
      v = place(kernel_.shared_bytes, Space::shared, d);
    }
    found = variables_.emplace(key, v).first;
  }
  o.constant = found->second.offset;
  o.space = found->second.space;
  return true;
}

void BodyParser::displacement(Operand& o) {
  while (lexer_.take("+")) o.constant += lexer_.number();
  if (is_number(lexer_.peek())) o.constant += lexer_.number();  // [%rd1-4] reads as two words
}

Operand BodyParser::address() {
  Operand o;
  o.kind = Operand::Kind::address;
  const std::string_view word = lexer_.next();
  o.reg = find_register(word);
  if (o.reg < 0) {
    if (is_number(word))
      o.constant = number_of(word);
    else if (!variable(o, word))
      lexer_.refuse("the address ", word, " names no register and no variable");
  }
  displacement(o);
  lexer_.expect("]");
  return o;
}

Operand BodyParser::operand(Instruction& i) {
  Operand o;
  const std::string_view word = lexer_.next();
  if (word == "!") {
    o = operand(i);
    o.negated = true;
  } else if (word == "[") {
    o = address();
  } else if (word == "{") {
    std::vector<Operand> parts;
    do parts.push_back(operand(i));
    while (lexer_.take(","));
    lexer_.expect("}");
    o.kind = Operand::Kind::list;
    o.first = static_cast<int32_t>(i.parts.size());
    o.count = static_cast<int32_t>(parts.size());
    i.parts.insert(i.parts.end(), parts.begin(), parts.end());
  } else if (word == "_") {
    o.kind = Operand::Kind::none;
  } else if (const int reg = find_register(word); reg >= 0) {
    o.kind = Operand::Kind::reg;
    o.reg = reg;
    if (lexer_.take("|")) o.second = find_register(lexer_.next());  // -1 for the sink "_"
  } else if (const int special = special_register(word); special >= 0) {
    o.kind = Operand::Kind::special;
    o.constant = static_cast<uint64_t>(special);
  } else if (is_number(word)) {
    o.kind = Operand::Kind::constant;
    o.constant = number_of(word);
  } else if (word == "WARP_SZ") {
    o.kind = Operand::Kind::constant;
    o.constant = 32;
  } else if (variable(o, word)) {
    o.kind = Operand::Kind::constant;
    displacement(o);
  } else if (const auto table = tables_.find(std::string(word)); table != tables_.end()) {
    o.kind = Operand::Kind::label;
    for (const std::string& label : table->second)
      references_.push_back({kernel_.code.size(), -1, label, lexer_.line()});
  } else if (i.name() == "bra") {
    o.kind = Operand::Kind::label;
    references_.push_back({kernel_.code.size(), i.operands_used, std::string(word), lexer_.line()});
  } else {
    lexer_.refuse(i.text, " has an operand that is not understood, ", word);
  }
  return o;
}

void BodyParser::resolve() {
  for (const Reference& r : references_) {
    const auto found = labels_.find(r.label);
    if (found == labels_.end()) fail(Fault::input, "ptx line ", r.line, ": there is no label ", r.label);
    Instruction& i = kernel_.code[r.instruction];
    if (r.operand < 0)
      i.targets.push_back(found->second);
    else
      i.operands[static_cast<size_t>(r.operand)].constant = static_cast<uint64_t>(found->second);
  }
}

}  // namespace shear::ptx

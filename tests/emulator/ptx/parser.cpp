// The top of a module: variables, and kernels up to their bodies.
#include "parser.h"

#include <cstring>

namespace shear::ptx {

Declaration read_declaration(Lexer& lexer) {
  Declaration d;
  size_t vector = 1;
  bool pointer = false;  // after .ptr, an attribute of parameters, words tell of the memory that is pointed to
  std::string_view word = lexer.next();
  for (; word[0] == '.'; word = lexer.next()) {
    if (word == ".ptr") {
      pointer = true;
    } else if (word == ".align") {
      const uint64_t align = lexer.number();
      if (!pointer) d.align = align;
    } else if (word == ".v2") {
      vector = 2;
    } else if (word == ".v4") {
      vector = 4;
    } else if (const Type t = type_of(word.substr(1)); t != Type::none) {
      d.type = t;
    } else if (!pointer || (word != ".global" && word != ".shared" && word != ".const" && word != ".local")) {
      lexer.refuse("a declaration with ", word, " is not understood");
    }
  }
  if (d.type == Type::none) lexer.refuse("the variable ", word, " has no type");
  d.name = word;
  size_t count = 1;
  while (lexer.take("[")) {
    if (lexer.take("]")) {
      d.open = true;
      continue;
    }
    count *= lexer.number();
    lexer.expect("]");
  }
  d.bytes = d.open ? 0 : static_cast<size_t>(size_of(d.type)) * vector * count;
  if (d.align == 0) d.align = static_cast<size_t>(size_of(d.type)) * vector;
  return d;
}

namespace {

class ModuleParser {
 public:
  explicit ModuleParser(std::string_view text) : lexer_(text) {}

  Module parse() {
    while (!lexer_.at_end()) directive(lexer_.next());
    return std::move(module_);
  }

 private:
  void directive(std::string_view word) {
    if (word == ".version" || word == ".target" || word == ".address_size") {
      lexer_.skip_line();
    } else if (word == ".file") {
      const int number = static_cast<int>(lexer_.number());
      const std::string_view quoted = lexer_.next();
      module_.files[number] = quoted.substr(1, quoted.size() - 2);
      lexer_.skip_line();
    } else if (word == ".section") {
      while (lexer_.next() != "}") {
      }
    } else if (word == ".entry") {
      kernel();
    } else if (word == ".shared") {
      shared();
    } else if (word == ".global" || word == ".const") {
      variable(word == ".global" ? Space::global : Space::constant);
    } else if (word == ".func") {
      lexer_.refuse("a device function was not inlined, and the interpreter knows no calls");
    } else if (word != ".visible" && word != ".weak" && word != ".extern" && word != ".common") {
      lexer_.refuse(word, " is not understood");
    }
  }

  // Given a place in each kernel that names it; of an open one the kernel's launch says the size.
  void shared() {
    const Declaration d = read_declaration(lexer_);
    module_.variables[d.name] = {Space::shared, 0, d.bytes, d.align};
    lexer_.expect(";");
  }

  void variable(Space space) {
    const Declaration d = read_declaration(lexer_);
    std::vector<uint64_t>& memory = module_.memory.emplace_back(d.bytes / 8 + 1);
    const auto start = reinterpret_cast<uint64_t>(memory.data());
    if (start % d.align)
      lexer_.refuse("the variable ", d.name, " asks for an alignment of ", d.align, ", expected at most 16");
    module_.variables[d.name] = {space, start, d.bytes, d.align};
    if (lexer_.take("=")) {
      auto* to = reinterpret_cast<uint8_t*>(memory.data());
      const auto value = [&] {
        const uint64_t bits = lexer_.number();
        if (to + size_of(d.type) > reinterpret_cast<uint8_t*>(start) + d.bytes)
          lexer_.refuse(d.name, " has too many values");
        std::memcpy(to, &bits, static_cast<size_t>(size_of(d.type)));
        to += size_of(d.type);
      };
      if (lexer_.take("{")) {
        do value();
        while (lexer_.take(","));
        lexer_.expect("}");
      } else {
        value();
      }
    }
    lexer_.expect(";");
  }

  void kernel() {
    const std::string name(lexer_.next());
    Kernel& kernel = module_.kernels[name];
    kernel.name = name;
    BodyParser body(lexer_, module_, kernel);
    if (lexer_.take("("))
      while (!lexer_.take(")")) {
        lexer_.expect(".param");
        body.parameter(read_declaration(lexer_));
        lexer_.take(",");
      }
    for (std::string_view word = lexer_.next(); word != "{"; word = lexer_.next())
      if (word == ".maxntid" || word == ".reqntid") {
        kernel.most_threads = static_cast<int>(lexer_.number());
        while (lexer_.take(",")) kernel.most_threads *= static_cast<int>(lexer_.number());
      }
    body.body();
  }

  Lexer lexer_;
  Module module_;
};

}  // namespace

Module parse(std::string_view text) { return ModuleParser(text).parse(); }

}  // namespace shear::ptx

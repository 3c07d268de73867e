// Reading a module: what is declared at its top, and the body of a kernel.
#pragma once
#include <string>
#include <unordered_map>
#include <vector>

#include "lexer.h"
#include "program.h"

namespace shear::ptx {

// A variable's declaration after its space: .align 4 .b8 name[1024]
struct Declaration {
  std::string name;
  Type type = Type::none;
  size_t align = 0, bytes = 0;
  bool open = false;  // name[]
};
Declaration read_declaration(Lexer&);

class BodyParser {
 public:
  BodyParser(Lexer& lexer, Module& module, Kernel& kernel) : lexer_(lexer), module_(module), kernel_(kernel) {}
  void parameter(const Declaration&);
  void body();  // after its opening brace, to the brace that closes it

 private:
  struct Reference {  // to a label, which may come later
    size_t instruction;
    int operand;  // -1: one more of brx.idx's targets
    std::string label;
    int line;
  };

  void registers();
  void source_place();
  void label_or_instruction(std::string_view word);
  void instruction(std::string_view word);
  void modifiers(Instruction&);
  Operand operand(Instruction&);
  Operand address();
  bool variable(Operand&, std::string_view name);
  void displacement(Operand&);
  int find_register(std::string_view name) const;
  void resolve();
  static Variable place(size_t& top, Space, const Declaration&);

  Lexer& lexer_;
  Module& module_;
  Kernel& kernel_;
  std::vector<std::unordered_map<std::string, int>> scopes_{1};  // of register names, innermost last
  std::unordered_map<std::string, Variable> variables_;
  std::unordered_map<std::string, int32_t> labels_;
  std::unordered_map<std::string, std::vector<std::string>> tables_;  // .branchtargets
  std::vector<Reference> references_;
  Place source_, caller_;
};

}  // namespace shear::ptx

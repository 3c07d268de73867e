// Every documented policy, in spellings that tests go through.
#pragma once
#include <string>
#include <vector>

namespace shear::test {

// With the gradients of `full` to the bit.
inline const std::vector<std::string> exact{"full", "lean", "checkpoint"};

// Spelled so that they prune; their names alone are among them, so that no documented policy is forgotten.
inline const std::vector<std::string> lossy{
    "backrazor",
    "prebr-",
    "prebr",
    "prebr:groups=2,period=2",
    "prebr:draw=bernoulli,period=2",
    "prebr:granularity=tensor,sample=0.5,period=2",
    "prebr:sample=0.5,period=2",
    "prebr++",
    "prebr++:groups=2,period=2",
    "prebr++:draw=bernoulli,period=2",
    "prebr++:granularity=tensor,sample=0.5,period=2",
    "prebr++:sample=0.5,period=2",
    "tokens",
    "tokens:bits=16",
    "tokens:keep=0.3,by=distance",
    "tokens@blocks.*.mlp.*|lean",
    "tokens@blocks.*.mlp.*|checkpoint",
    "codes",
    "codes:bits=2,group=32,qkv=3,gelu=2",
    "codes:band=12",
    "codes@blocks.*.mlp.*|lean",
    "prebr:granularity=tensor,sample=0.5,period=2@blocks.*.mlp.*|tokens",
};

// The same with nothing dropped.
inline const std::vector<std::string> whole{
    "backrazor:prune=0",
    "prebr-:prune=0",
    "prebr:prune=0",
    "prebr:prune=0,sample=1,groups=2",
    "prebr:prune=0,draw=bernoulli",
    "prebr:prune=0,granularity=tensor",
    "prebr++:prune=0",
    "prebr++:prune=0,sample=1,groups=2",
    "prebr++:prune=0,draw=bernoulli",
    "prebr++:prune=0,granularity=tensor",
    "tokens:prune=0,keep=1",
    "tokens:prune=0,keep=1,bits=16",
    "tokens:prune=0,keep=1@blocks.*.mlp.*|lean",
    "codes:bits=16,qkv=16,gelu=16",
    "codes:bits=16,qkv=16,gelu=16,band=12",
};

inline std::vector<std::string> every_policy() {
  std::vector<std::string> all = exact;
  all.push_back("full:attention=materialised");
  all.insert(all.end(), lossy.begin(), lossy.end());
  return all;
}

}  // namespace shear::test

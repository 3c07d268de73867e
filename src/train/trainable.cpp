// Which parameters are trained.
#include "shear/error.h"
#include "shear/pattern.h"
#include "shear/suggest.h"
#include "shear/train.h"

namespace shear {

namespace {

// By its own name, or by that of a site or a block that it is of.
bool named(std::string_view pattern, const Param& p) { return pattern == "head" ? p.head : takes(pattern, p.name); }

// What a pattern without a star may have meant.
std::string meant(std::string_view pattern, const Parameters& parameters) {
  std::vector<std::string> known{"all", "head"};
  for (const Param& p : parameters) known.push_back(p.name);
  return did_you_mean(pattern, known);
}

}  // namespace

void choose_trainable(Parameters& parameters, std::string_view which) {
  const Lora& lora = parameters.options().lora;
  if (lora.rank > 0 && parameters.low_rank().empty())
    fail(Fault::usage, setting("lora"), ": the model has no linear that ", lora.on,
         " names; expected names such as blocks.*.attn.* behind on=");
  if (which == "all") {
    if (lora.rank == 0) return;
    which = "head";
  }
  for (Param& p : parameters) p.trainable = p.low_rank;
  for (std::string_view rest = which;; rest.remove_prefix(rest.find(',') + 1)) {
    const std::string_view pattern = rest.substr(0, rest.find(','));
    bool any = false;
    for (Param& p : parameters)
      if (named(pattern, p)) p.trainable = any = true;
    if (!any)
      fail(Fault::usage, setting("train"), " ", which, ": the model has no parameter ",
           pattern.empty() ? "without a name" : pattern, meant(pattern, parameters),
           "; expected all, head, or names such as blocks.{8..11}.* with commas between them");
    if (rest.find(',') == std::string_view::npos) return;
  }
}

}  // namespace shear

// A memory policy decides how each saved activation waits for backward.  It knows neither ops nor storage, and
// never packs, frees or copies: it answers with a verdict, and the tape carries it out or says why not.
//
// The tape calls it, in this order: prepare once, then for each step begin_step, wants and decide in forward order,
// observe in backward; active_columns after begin_step.  Nobody else has to.
//
// A policy has state (what it drew, what it learnt) and belongs to one tape at a time, and to that tape's thread: no
// two tapes share one.  A policy without state of its own may be handed to several.
#pragma once
#include <array>
#include <memory>
#include <string>
#include <vector>

#include "shear/api.h"
#include "shear/verdict.h"

namespace SHEAR_API shear {

// Ways of computing that an op has beside its usual one, for policies that ask for them.
enum class Way : uint8_t {
  materialised_attention,   // the N x N probabilities are whole and saved through the policy; else tiled
  segment_made_again,       // of a block of the model only the input is kept: backward runs the block once more
  standardised_norm_input,  // a LayerNorm saves its input less the mean, by the deviation, for codes
};

// The gradient of a parameter, once it is complete.  What it is asked for is computed then.
class GradientView {
 public:
  virtual ~GradientView() = default;
  virtual ParamInfo param() const = 0;
  // The sum of squares of each column of a (out, in) weight's gradient; valid until the next call.
  virtual std::span<const float> column_square_sums() = 0;
};

// What a policy carries from step to step, by name: kept in checkpoints.
struct PolicyState {
  std::string name;
  std::span<float> values;
};

// How one site is sampled: for metrics.jsonl.
struct SamplingReport {
  std::string site;
  std::array<float, 5> probability;  // least, quartiles, largest
  double share;                      // kept of what was there
  size_t bytes;                      // saved for it in this step
};

class MemoryPolicy {
 public:
  virtual ~MemoryPolicy() = default;

  virtual std::string name() const = 0;                // as the user spelled it: "lean"
  virtual void prepare(std::span<const ParamInfo>) {}  // once, before the first step: what will be trained
  virtual void begin_step(int64_t /*step*/) {}         // once per optimizer step: draw this step's subsets
  virtual bool wants(Way, const Place&) const { return false; }
  // Rows, tokens of images, that a block of the model works on at a time, in whole images; 0: all.  For policies to
  // which it does not matter which images a value has.
  virtual int64_t band_rows(const Place&) const { return 0; }
  virtual Verdict decide(const SaveRequest&) = 0;  // once per value, in forward order
  virtual void observe(GradientView&) {}           // once per pass for each param whose gradient is complete

  // Whether it goes by what it remembers of each image.  Then it is told, by whoever trains, of how many there are,
  // once and before its state is loaded; before each pass, of those of the batch, by number, in order, or none where
  // they have no numbers; and once their logits are known, how far each is from its target: |softmax - target|.
  virtual bool remembers_images() const { return false; }
  virtual void know_images(int64_t /*count*/) {}
  virtual void see_images(std::span<const int64_t>) {}
  virtual void learn_distances(std::span<const float>) {}

  // Whether every step needs the same bytes at the same moments, whatever is drawn; else a plan looks at many draws.
  virtual bool steady() const { return true; }

  // The columns of a parameter's gradient that this step left out by choice, and whose momentum and weight decay are
  // to be left alone too (0 in a mask of one float per column); empty: all of them count.
  virtual std::span<const float> active_columns(const ParamInfo&) const { return {}; }

  virtual std::vector<PolicyState> state() { return {}; }
  virtual std::vector<SamplingReport> report() const { return {}; }
};

}  // namespace shear

// Bytes under every policy: what the report counts is what formulas say, and what a plan says is what a step takes.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "backend.h"
#include "shear/models/vit.h"
#include "shear/train.h"
#include "vit_run.h"

using namespace shear;
using namespace shear::test;

namespace {

// -- The formulas, written down from the methods: every buffer by itself, rounded up --------------------------------

size_t buffer(int64_t bytes) { return aligned(static_cast<size_t>(bytes)); }
size_t floats(int64_t n) { return buffer(4 * n); }
int64_t part_of(double share, int64_t n) {
  return static_cast<int64_t>(std::ceil(share * static_cast<double>(n) - 1e-9));
}

// Of `samples` samples of rows x (parts * cols), in each part the largest share: values and a mask in words.
size_t masked(double share, int64_t samples, int64_t rows, int64_t cols, int64_t bytes_each, int64_t parts = 1) {
  if (share >= 1) return buffer(samples * rows * parts * cols * bytes_each);
  return buffer(samples * parts * part_of(share, rows * cols) * bytes_each) +
         buffer(samples * rows * parts * ((cols + 31) / 32) * 4);
}
// Every value in `bits`, and offset and scale of each row.
size_t coded(int64_t rows, int64_t cols, int64_t bits) {
  return buffer(rows * ((cols * bits + 7) / 8)) + (bits <= 8 ? floats(2 * rows) : 0);
}

// The same with offset and scale, a bf16 each, of each column of a group of rows.
size_t grouped(int64_t rows, int64_t cols, int64_t bits, int64_t group) {
  return buffer(rows * ((cols * bits + 7) / 8)) + buffer((rows + group - 1) / group * cols * 4);
}
size_t by_columns(int64_t rows, int64_t cols, int64_t bits) {
  return bits <= 8 ? grouped(rows, cols, bits, 64) : coded(rows, cols, bits);
}

struct Formula {
  VitConfig c;
  int64_t batch;
  bool last = false;  // of the last block: behind its attention the class token alone is left, where a head reads that

  int64_t tokens() const { return c.tokens(); }
  int64_t left() const { return last && c.pool == Pool::token ? 1 : tokens(); }  // tokens, behind attention
  int64_t rows() const { return batch * tokens(); }
  int64_t rows_left() const { return batch * left(); }
  int64_t wide() const { return c.mlp * c.dim; }
  size_t dense(int64_t cols) const { return floats(rows() * cols); }
  size_t dense_left(int64_t cols) const { return floats(rows_left() * cols); }
  size_t log_sum_exp() const { return floats(batch * c.heads * tokens()); }

  // Pieces of a block.
  size_t norms(const std::function<size_t(int64_t rows)>& input) const {
    return input(rows()) + 2 * floats(rows()) + input(rows_left()) + 2 * floats(rows_left());
  }
  size_t dense_norms() const {
    return norms([&](int64_t n) { return floats(n * c.dim); });
  }
  size_t coded_norms(int64_t bits = 8) const {
    return norms([&](int64_t n) { return coded(n, c.dim, bits); });
  }
  size_t slopes(int64_t bits = 4) const { return coded(rows_left(), wide(), bits); }
  size_t pruned_qkv(double keep) const { return masked(keep, batch, tokens(), c.dim, 2, 3); }
  size_t pruned_probabilities(double keep) const { return masked(keep, batch, c.heads * tokens(), tokens(), 2); }
  // f(tokens, columns) of the inputs of qkv, proj and fc1, and of fc2.
  size_t each_linear(const std::function<size_t(int64_t n, int64_t cols)>& f) const {
    return f(tokens(), c.dim) + 2 * f(left(), c.dim) + f(left(), wide());
  }

  size_t top_columns(double keep, int64_t n, int64_t cols) const {
    const int64_t k = part_of(keep, cols);
    return buffer(batch * n * k * 2) + 2 * floats(k);
  }
  size_t drawn_columns(double sample, double inside, int64_t n, int64_t cols, int64_t groups = 1,
                       bool bernoulli = false) const {
    int64_t k = part_of(sample, cols);
    if (bernoulli) k = std::min(cols, k + static_cast<int64_t>(std::ceil(4 * std::sqrt(static_cast<double>(k)))));
    return masked(inside, batch, n, k, 2) + 2 * floats(groups * k);
  }
  // Of one token there is nothing to draw.
  size_t drawn_tokens(double keep, int64_t bits, int64_t n, int64_t cols) const {
    if (n == 1) return floats(batch * cols);
    const int64_t drawn = batch * part_of(keep, n);
    return by_columns(drawn, cols, bits) + 2 * floats(drawn);
  }

  // Beside the blocks: the images, the last norm, the input of the head, logits and labels.
  size_t rest(bool head_made_again) const {
    const size_t outside = floats(batch * c.channels * c.image * c.image) + floats(batch * c.classes) + floats(batch);
    if (c.pool != Pool::token) return outside + dense(c.dim) + 2 * floats(rows()) + floats(batch * c.dim);
    return outside + (head_made_again ? 1 : 2) * floats(batch * c.dim) + 2 * floats(batch);
  }
  size_t blocks(const std::function<size_t(const Formula&)>& one, bool head_made_again = false) const {
    return static_cast<size_t>(c.depth - 1) * one(*this) + one({c, batch, true}) + rest(head_made_again);
  }
};

struct Case {
  std::string policy;
  std::function<size_t(const Formula&)> bytes;
};

size_t full_block(const Formula& f) {
  return f.dense_norms() + f.dense(3 * f.c.dim) + f.log_sum_exp() + f.dense(f.c.dim) + 2 * f.dense_left(f.c.dim) +
         2 * f.dense_left(f.wide());
}
size_t lean_block(const Formula& f) {
  return f.dense_norms() + f.dense(3 * f.c.dim) + f.log_sum_exp() + f.dense_left(f.c.dim) + f.dense_left(f.wide());
}
// prebr, prebr++ and their kin, given what a linear keeps.
size_t pruned_block(const Formula& f, double keep, bool tiled, size_t linears) {
  return f.coded_norms() + f.slopes() + f.pruned_qkv(keep) + (tiled ? 0 : f.pruned_probabilities(keep)) + linears;
}
size_t columns_block(const Formula& f, bool tiled, double sample, double inside, int64_t groups = 1,
                     bool bernoulli = false) {
  return pruned_block(f, 0.2, tiled, f.each_linear([&](int64_t n, int64_t cols) {
    return f.drawn_columns(sample, inside, n, cols, groups, bernoulli);
  }));
}
// Queries, keys and values whole, in short codes.
size_t tokens_block(const Formula& f, double keep, int64_t bits, int64_t qkv_bits) {
  return f.coded_norms() + f.slopes() + by_columns(f.rows(), 3 * f.c.dim, qkv_bits) +
         f.each_linear([&](int64_t n, int64_t cols) { return f.drawn_tokens(keep, bits, n, cols); });
}
// Of the bands of images that a block works on, which begin on buffers of their own.
size_t in_bands(const Formula& f, int64_t rows, const std::function<size_t(const Formula&)>& band) {
  const int64_t bands = std::min({(f.rows() + rows - 1) / rows, f.batch, int64_t{16}});
  const int64_t images = (f.batch + bands - 1) / bands;
  size_t bytes = 0;
  for (int64_t first = 0; first < f.batch; first += images)
    bytes += band({f.c, std::min(images, f.batch - first), f.last});
  return bytes;
}
// A norm and the linear behind it share one code.
size_t codes_block(const Formula& f, int64_t bits, int64_t group, int64_t qkv_bits, int64_t slope_bits) {
  return f.norms([&](int64_t n) { return grouped(n, f.c.dim, bits, group); }) +
         grouped(f.rows(), 3 * f.c.dim, qkv_bits, group) + grouped(f.rows_left(), f.c.dim, bits, group) +
         f.slopes(slope_bits) + grouped(f.rows_left(), f.wide(), bits, group);
}
size_t usual_codes(const Formula& f) { return codes_block(f, 3, 64, 4, 4); }
// Of the weights of each shape `sample`: their linears keep all columns, the others nothing.
size_t tensors(const Formula& f, bool tiled, double sample, double inside) {
  const auto drawn = static_cast<size_t>(std::max(1L, std::lround(sample * static_cast<double>(f.c.depth))));
  const size_t linears = f.each_linear([&](int64_t n, int64_t cols) { return f.drawn_columns(1, inside, n, cols); });
  return f.blocks([&](const Formula& one) { return pruned_block(one, 0.2, tiled, 0); }) + drawn * linears;
}

using F = const Formula&;
const std::vector<Case> cases{
    {"full", [](F f) { return f.blocks(full_block); }},
    {"full:attention=materialised",
     [](F f) {
       return f.blocks([](F one) {
         return full_block(one) - one.log_sum_exp() + floats(one.batch * one.c.heads * one.tokens() * one.tokens());
       });
     }},
    {"lean", [](F f) { return f.blocks(lean_block, true); }},
    // What is made again is counted when it is: the input of a block and of its first norm are one value.
    {"checkpoint", [](F f) { return f.blocks(lean_block, true); }},
    {"backrazor",
     [](F f) {
       return f.blocks([](F one) {
         const size_t norms = one.norms([&](int64_t n) { return masked(0.2, one.batch, n / one.batch, one.c.dim, 4); });
         return norms + one.pruned_qkv(0.2) + one.pruned_probabilities(0.2) + buffer(one.rows_left() * one.wide() * 2) +
                one.each_linear([&](int64_t n, int64_t cols) { return masked(0.2, one.batch, n, cols, 2); });
       });
     }},
    {"prebr-",
     [](F f) {
       return f.blocks([](F one) {
         return pruned_block(one, 0.2, false,
                             one.each_linear([&](int64_t n, int64_t cols) { return one.top_columns(0.2, n, cols); }));
       });
     }},
    {"prebr", [](F f) { return f.blocks([](F one) { return columns_block(one, false, 0.2, 1); }); }},
    {"prebr:sample=0.5", [](F f) { return f.blocks([](F one) { return columns_block(one, false, 0.5, 0.4); }); }},
    {"prebr:groups=2", [](F f) { return f.blocks([](F one) { return columns_block(one, false, 0.2, 1, 2); }); }},
    {"prebr:draw=bernoulli",
     [](F f) { return f.blocks([](F one) { return columns_block(one, false, 0.2, 1, 1, true); }); }},
    {"prebr:granularity=tensor", [](F f) { return tensors(f, false, 0.2, 1); }},
    {"prebr++", [](F f) { return f.blocks([](F one) { return columns_block(one, true, 0.2, 1); }); }},
    {"prebr++:sample=0.5,groups=2",
     [](F f) { return f.blocks([](F one) { return columns_block(one, true, 0.5, 0.4, 2); }); }},
    {"prebr++:granularity=tensor,sample=0.5", [](F f) { return tensors(f, true, 0.5, 0.4); }},
    {"prebr++:norm=4,gelu=8",
     [](F f) {
       return f.blocks([](F one) {
         return columns_block(one, true, 0.2, 1) - one.coded_norms() - one.slopes() + one.coded_norms(4) +
                one.slopes(8);
       });
     }},
    {"tokens", [](F f) { return f.blocks([](F one) { return tokens_block(one, 0.5, 4, 4); }); }},
    {"tokens:bits=16,keep=0.3,qkv=8",
     [](F f) { return f.blocks([](F one) { return tokens_block(one, 0.3, 16, 8); }); }},
    {"codes", [](F f) { return f.blocks([](F one) { return in_bands(one, 2048, usual_codes); }); }},
    {"codes:band=110", [](F f) { return f.blocks([](F one) { return in_bands(one, 110, usual_codes); }); }},
    {"codes:band=0", [](F f) { return f.blocks(usual_codes); }},
    {"codes:bits=2,group=32,qkv=3,gelu=2",
     [](F f) { return f.blocks([](F one) { return codes_block(one, 2, 32, 3, 2); }); }},
    {"tokens@blocks.*.mlp.*|lean",
     [](F f) {
       return f.blocks(
           [](F one) {
             return one.dense_norms() + one.dense(3 * one.c.dim) + one.log_sum_exp() + one.dense_left(one.c.dim) +
                    one.slopes() + one.drawn_tokens(0.5, 4, one.left(), one.c.dim) +
                    one.drawn_tokens(0.5, 4, one.left(), one.wide());
           },
           true);
     }},
};

// -- Counting -------------------------------------------------------------------------------------------------------

struct Counted {
  MemoryUse use;
  size_t reported = 0, live = 0;  // over the report; by the meter, between forward and backward
  bool operator==(const Counted&) const = default;
};

// One step with a momentum buffer beside each parameter.
Counted count(std::unique_ptr<Backend> backend, const VitConfig& config, int64_t batch, const std::string& policy) {
  VitRun run(std::move(backend), config, batch, policy);
  std::vector<Tensor> momentum;
  for (const Param& p : run.model.parameters())
    momentum.push_back(run.device.empty(p.value.shape(), Category::optimizer));
  Counted c;
  run.begin(0);
  {
    const Tensor loss = run.forward(0);
    c.live = run.device.meter().live(Category::saved);
    run.tape.backward(loss);
  }
  c.use = run.device.peak();
  for (const SaveRow& row : run.tape.report()) c.reported += row.saved_bytes;
  run.tape.reset();
  CHECK(run.device.arena().live() == run.input_bytes());
  CHECK(c.use.parameters == c.use.optimizer);
  CHECK(c.use.parameters == c.use.gradients);
  return c;
}

Counted plan(const VitConfig& config, int64_t batch, const std::string& policy) {
  return count(make_shape_backend(test_backend(2)), config, batch, policy);
}

}  // namespace

TEST_CASE("every documented policy has its formula here") {
  for (const PolicyDoc& doc : policy_docs()) {
    CAPTURE(doc.name);
    CHECK(std::count_if(cases.begin(), cases.end(), [&](const Case& c) { return c.policy == doc.name; }) == 1);
  }
}

TEST_CASE("the bytes of every policy are its formula's, in a step and in a plan, and the plan's peak is the step's") {
  const VitConfig tiny{.image = 28, .patch = 4, .dim = 24, .depth = 2, .heads = 3, .classes = 10, .channels = 1};
  const VitConfig odd{.image = 30, .patch = 5, .dim = 18, .depth = 3, .heads = 3, .classes = 7, .channels = 3};
  const VitConfig larger{.image = 32, .patch = 4, .dim = 64, .depth = 4, .heads = 4, .classes = 100, .channels = 3};
  VitConfig relative = odd;  // of which nothing is saved
  relative.relative = Relative::blocks;
  VitConfig mean = odd;  // in which every row of the last block counts
  mean.pool = Pool::mean;
  for (const VitConfig& config : {tiny, odd, larger, relative, mean})
    for (const int64_t batch : {1, 6}) {
      if (config.dim == larger.dim && test_device() != DeviceKind::cpu) continue;  // minutes of an emulated one
      for (const Case& c : cases) {
        // Of tensors it is drawn which block's: all must be of one size.
        if (c.policy.find("tensor") != std::string::npos && config.pool == Pool::token) continue;
        CAPTURE(spec(config));
        CAPTURE(batch);
        CAPTURE(c.policy);
        const Counted real = count(test_backend(2), config, batch, c.policy), planned = plan(config, batch, c.policy);
        CHECK(real.reported == c.bytes({config, batch}));
        CHECK(planned.reported == real.reported);
        CHECK(planned.live == real.live);
        CHECK(planned.use == real.use);
        if (c.policy != "checkpoint") CHECK(real.live == real.reported);
      }
    }
}

TEST_CASE("ViT-B/16 at batch 128: each policy's share of the paper's full fine-tuning, at most and at least") {
  const VitConfig base{};
  struct Share {  // of its 17970 MiB; a plan that forgets something would look too good
    const char* policy;
    double least, most;
  };
  for (const Share& s : {Share{"lean", 0.55, 0.60}, Share{"backrazor", 0.28, 0.36}, Share{"prebr", 0.21, 0.28},
                         Share{"prebr++", 0.18, 0.19}, Share{"tokens", 0.17, 0.20}, Share{"codes", 0.14, 0.15},
                         Share{"codes:band=0", 0.16, 0.17}, Share{"checkpoint", 0.165, 0.20}}) {
    CAPTURE(std::string(s.policy));
    const Counted c = plan(base, 128, s.policy);
    const double share = static_cast<double>(c.use.peak) / 1048576 / 17970;
    CHECK(share <= s.most);
    CHECK(share >= s.least);
    const auto formula =
        std::find_if(cases.begin(), cases.end(), [&](const Case& one) { return one.policy == s.policy; });
    CHECK(c.reported == formula->bytes({base, 128}));
  }
}

// As many weights of each shape are drawn every time, but the moment of the peak depends on which.
TEST_CASE("where tensors are drawn no step needs more than its plan, and some need less") {
  const VitConfig model{.image = 32, .patch = 4, .dim = 48, .depth = 10, .heads = 4, .classes = 10, .channels = 3};
  for (const char* policy : {"prebr:granularity=tensor,sample=0.5,period=1", "prebr++:granularity=tensor,period=1"}) {
    CAPTURE(policy);
    const Plan planned = plan_training(
        {.model = model_spec(model), .policy = policy, .batch = 4, .device = test_device(), .threads = 2});
    size_t least = planned.use.peak;
    for (uint64_t seed = 0; seed < 40; ++seed) {
      Device device(make_shape_backend(test_backend(2)));
      Vit vit(device, model, 0);
      const auto drawn = make_policy(policy, seed);
      const auto optimizer = make_adamw(device, decay_groups(vit.parameters(), 0));
      TrainStep step(device, vit.parameters(), std::ref(vit), *drawn, *optimizer, {.input = {3, 32, 32}});
      Batch batch;
      batch.count = 4;
      step(0, 0, batch);
      CHECK(device.peak().peak <= planned.use.peak);
      least = std::min(least, device.peak().peak);
    }
    CHECK(least < planned.use.peak);
  }
}

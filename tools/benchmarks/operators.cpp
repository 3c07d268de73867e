// The operators of a ViT's training step.
#include "operators.h"

#include <cmath>

#include "shear/saved.h"

namespace shear::tool {

namespace {

using Run = std::function<void()>;
using List = std::vector<Operator>;

constexpr double f32 = 4;      // bytes
constexpr double share = 0.2;  // of what the pruning policies keep, by default

struct Sizes {
  int64_t batch, tokens, dim, heads, hidden;
  int64_t rows() const { return batch * tokens; }
};

double product(int64_t a, int64_t b) { return static_cast<double>(a) * static_cast<double>(b); }

// y = x w^T + b, and its gradients at x and w.
void add_linear(List& list, const std::string& name, int64_t m, int64_t in, int64_t out) {
  const double flops = 2 * product(m, in) * static_cast<double>(out);
  const double bytes = f32 * (product(m, in) + product(m, out) + product(in, out));
  list.push_back({name + " forward", flops, bytes, [=](Operands& o) -> Run {
                    const View x = o.random(m, in), w = o.random(out, in), b = o.random(1, out), y = o.room(m, out);
                    return [=, &run = o.run()] { run.gemm(Transposed::no, x, Transposed::yes, w, 0, y, b); };
                  }});
  list.push_back({name + " dX", flops, bytes, [=](Operands& o) -> Run {
                    const View dy = o.random(m, out), w = o.random(out, in), dx = o.room(m, in);
                    return [=, &run = o.run()] { run.gemm(Transposed::no, dy, Transposed::no, w, 0, dx); };
                  }});
  list.push_back({name + " dW", flops, bytes, [=](Operands& o) -> Run {
                    const View dy = o.random(m, out), x = o.random(m, in), dw = o.room(out, in);
                    return [=, &run = o.run()] { run.gemm(Transposed::yes, dy, Transposed::no, x, 0, dw); };
                  }});
}

// dW from a fifth of the columns of x, which sleep in f16: woken, multiplied, scattered.
void add_contraction(List& list, int64_t m, int64_t in, int64_t out) {
  const int64_t k = share_of(share, in);
  list.push_back({"column contraction (fc1 dW)", 2 * product(m, k) * static_cast<double>(out),
                  f32 * (product(m, out) + product(in, out)) + 2 * product(m, k), [=](Operands& o) -> Run {
                    const View dy = o.random(m, out), woken = o.room(m, k), part = o.room(out, k), dw = o.room(out, in);
                    const View index = o.choice(k, in), scale = o.ones(k);
                    const PackedView x = o.asleep(Code::f16, m, k, m);
                    o.run().pack({.x = o.random(m, k)}, x, o.room(1, o.run().pack_scratch(k)));
                    return [=, &run = o.run()] {
                      run.unpack(x, 0, woken);
                      run.gemm(Transposed::yes, dy, Transposed::no, woken, 0, part);
                      run.scatter_columns(part, index, scale, 0, dw);
                    };
                  }});
}

void add_attention(List& list, const Sizes& s) {
  const HeadGrid grid{s.batch, s.tokens, s.heads, s.dim / s.heads};
  const int64_t m = s.rows(), d = s.dim, lse = s.batch * s.heads;
  const double flops = 2 * product(m, s.tokens) * static_cast<double>(d);  // of one product per head
  list.push_back({"attention forward", 2 * flops, f32 * 4 * product(m, d), [=](Operands& o) -> Run {
                    const View qkv = o.random(m, 3 * d), context = o.room(m, d), sums = o.room(lse, s.tokens);
                    const View scratch = o.room(1, o.run().attention_scratch(grid));
                    return [=, &run = o.run()] { run.attention(grid, qkv, {}, context, sums, {}, scratch); };
                  }});
  list.push_back({"attention backward", 5 * flops, f32 * 7 * product(m, d), [=](Operands& o) -> Run {
                    const View qkv = o.random(m, 3 * d), context = o.room(m, d), sums = o.room(lse, s.tokens);
                    const View dcontext = o.random(m, d), dqkv = o.room(m, 3 * d);
                    const View scratch = o.room(1, o.run().attention_scratch(grid));
                    o.run().attention(grid, qkv, {}, context, sums, {}, scratch);
                    return [=, &run = o.run()] {
                      run.attention_grad(grid, qkv, {}, sums, {}, dcontext, dqkv, 0, {}, scratch);
                    };
                  }});
}

void add_rowwise(List& list, const Sizes& s) {
  const int64_t m = s.rows(), d = s.dim, h = s.hidden;
  constexpr float epsilon = 1e-6f;
  list.push_back({"LayerNorm forward", 0, f32 * 2 * product(m, d), [=](Operands& o) -> Run {
                    const View x = o.random(m, d), gamma = o.random(1, d), beta = o.random(1, d), y = o.room(m, d);
                    const View mean = o.room(1, m), rstd = o.room(1, m);
                    return [=, &run = o.run()] { run.layernorm(x, gamma, beta, epsilon, y, mean, rstd); };
                  }});
  list.push_back({"LayerNorm backward", 0, f32 * 3 * product(m, d), [=](Operands& o) -> Run {
                    const View x = o.random(m, d), gamma = o.random(1, d), beta = o.random(1, d), y = o.random(m, d);
                    const View mean = o.room(1, m), rstd = o.room(1, m), dx = o.room(m, d);
                    const View dgamma = o.room(1, d), dbeta = o.room(1, d);
                    const View scratch = o.room(1, o.run().layernorm_scratch(d));
                    o.run().layernorm(x, gamma, beta, epsilon, y, mean, rstd);
                    return [=, &run = o.run()] {
                      run.layernorm_grad(x, mean, rstd, gamma, y, 0, dx, 0, dgamma, dbeta, scratch);
                    };
                  }});
  list.push_back({"GELU forward", 0, f32 * 2 * product(m, h), [=](Operands& o) -> Run {
                    const View x = o.random(m, h), y = o.room(m, h);
                    return [=, &run = o.run()] { run.gelu(GeluForm::exact, x, y); };
                  }});
  list.push_back({"GELU backward", 0, f32 * 3 * product(m, h), [=](Operands& o) -> Run {
                    const View x = o.random(m, h), dy = o.random(m, h), dx = o.room(m, h);
                    return [=, &run = o.run()] { run.gelu_grad(GeluForm::exact, x, dy, 0, dx); };
                  }});
  list.push_back({"residual add", 0, f32 * 3 * product(m, d), [=](Operands& o) -> Run {
                    const View a = o.random(m, d), b = o.random(m, d), y = o.room(m, d);
                    return [=, &run = o.run()] { run.add(a, b, y); };
                  }});
  list.push_back({"bias gradient (fc1)", 0, f32 * product(m, h), [=](Operands& o) -> Run {
                    const View dy = o.random(m, h), db = o.room(1, h);
                    return [=, &run = o.run()] { run.column_sums(dy, 0, db); };
                  }});
}

struct Sleep {
  std::string name;
  Code code;
  int64_t kept = 0;  // of each sample's values; 0: no mask
  bool at_random = false;
  Slope slope = Slope::none;
  int64_t group = 0;
};

// Packing all of a matrix, and waking it.
void add_sleep(List& list, const Sleep& how, int64_t m, int64_t cols, int64_t sample_rows) {
  const double values = product(m, cols);
  const double asleep = how.kept > 0 ? product(m / sample_rows, how.kept) * bits_of(how.code) / 8 + values / 8
                                     : values * bits_of(how.code) / 8;
  const double bytes = f32 * values + asleep;
  list.push_back({how.name + " pack", 0, bytes, [=](Operands& o) -> Run {
                    const View x = o.random(m, cols), scratch = o.room(1, o.run().pack_scratch(cols));
                    const PackedView to = o.asleep(how.code, m, cols, sample_rows, how.kept, how.group);
                    return [=, &run = o.run()] {
                      const StreamKey key{1, static_cast<uint32_t>(Purpose::test), 0, 0};
                      run.pack({.x = x, .rounding = how.at_random ? &key : nullptr, .slope = how.slope}, to, scratch);
                    };
                  }});
  list.push_back({how.name + " wake", 0, bytes, [=](Operands& o) -> Run {
                    const View x = o.random(m, cols), y = o.room(m, cols);
                    const PackedView from = o.asleep(how.code, m, cols, sample_rows, how.kept, how.group);
                    o.run().pack({.x = x, .slope = how.slope}, from, o.room(1, o.run().pack_scratch(cols)));
                    return [=, &run = o.run()] { run.unpack(from, 0, y); };
                  }});
}

void add_pruning(List& list, const Sizes& s) {
  const int64_t m = s.rows(), d = s.dim, h = s.hidden;
  add_sleep(list, {"top-k mask f16", Code::f16, share_of(share, s.tokens * h)}, m, h, s.tokens);
  add_sleep(list, {"8-bit codes", Code::u8}, m, d, s.tokens);
  for (const Code code : {Code::u4, Code::u3})
    add_sleep(list, {text(bits_of(code), "-bit codes"), code, 0, true, Slope::none, usual_code_group}, m, d, s.tokens);
  add_sleep(list, {"GELU slope, 4 bits", Code::u4, 0, false, Slope::gelu}, m, h, s.tokens);
  const int64_t k = share_of(share, h), chosen = share_of(0.5, m);
  // A fifth of the columns touches nearly every cache line of x.
  list.push_back({"column gather f16", 0, f32 * product(m, h) + 2 * product(m, k), [=](Operands& o) -> Run {
                    const View x = o.random(m, h), index = o.choice(k, h);
                    const View scratch = o.room(1, o.run().pack_scratch(k));
                    const PackedView to = o.asleep(Code::f16, m, k, s.tokens);
                    return [=, &run = o.run()] {
                      run.pack({.x = x, .column_index = static_cast<const int32_t*>(index.data)}, to, scratch);
                    };
                  }});
  list.push_back({"row gather, 4 bits", 0, (f32 + 0.5) * product(chosen, h), [=](Operands& o) -> Run {
                    const View x = o.random(m, h), index = o.choice(chosen, m);
                    const View scratch = o.room(1, o.run().pack_scratch(h));
                    const PackedView to = o.asleep(Code::u4, chosen, h, chosen);
                    return [=, &run = o.run()] {
                      const StreamKey key{1, static_cast<uint32_t>(Purpose::test), 0, 0};
                      run.pack({.x = x, .row_index = static_cast<const int32_t*>(index.data), .rounding = &key}, to,
                               scratch);
                    };
                  }});
  add_contraction(list, m, d, h);
}

// On as many values as a block has weights.
void add_update(List& list, const Sizes& s) {
  const int64_t rows = 12 * s.dim, cols = s.dim;
  const double values = product(rows, cols);
  list.push_back({"SGD step", 0, f32 * 5 * values, [=](Operands& o) -> Run {
                    const View w = o.random(rows, cols), g = o.random(rows, cols), v = o.random(rows, cols);
                    return [=, &run = o.run()] { run.sgd({1e-6f, 0.9f, 0, 1, false}, w, g, v, {}); };
                  }});
  list.push_back({"AdamW step", 0, f32 * 7 * values, [=](Operands& o) -> Run {
                    const View w = o.random(rows, cols), g = o.random(rows, cols), m = o.random(rows, cols);
                    const View v = o.room(rows, cols);
                    o.run().fill(v, 1);
                    return [=, &run = o.run()] {
                      run.adamw({1e-6f, 0.9f, 0.999f, 1e-8f, 0, 1, 0.1f, 0.001f}, w, g, m, v, {});
                    };
                  }});
  list.push_back({"gradient norm", 0, f32 * values, [=](Operands& o) -> Run {
                    const View g = o.random(rows, cols);
                    const View sum = o.room(1, 1, DType::f64);
                    return [=, &run = o.run()] { run.sum_squares(g, 0, sum); };
                  }});
}

}  // namespace

std::vector<Operator> operators_of(const VitConfig& c, int64_t batch) {
  const Sizes s{batch, c.tokens(), c.dim, c.heads, c.mlp_width()};
  List list;
  add_linear(list, "qkv", s.rows(), s.dim, 3 * s.dim);
  add_linear(list, "proj", s.rows(), s.dim, s.dim);
  add_linear(list, "fc1", s.rows(), s.dim, s.hidden);
  add_linear(list, "fc2", s.rows(), s.hidden, s.dim);
  add_attention(list, s);
  add_rowwise(list, s);
  add_pruning(list, s);
  add_update(list, s);
  return list;
}

}  // namespace shear::tool

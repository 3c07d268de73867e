// The CPU's kernels give the same bits on any number of threads: whether fewer start than were asked for, whatever the
// precision; and a product over many rows, in bands of them or at once.
#include <doctest/doctest.h>
#include <omp.h>

#include <cstring>
#include <deque>
#include <functional>
#include <vector>

#include "shear/make_backend.h"
#include "tape/contract.h"

using namespace shear;

namespace {

constexpr std::array both{Transposed::no, Transposed::yes};
const HeadGrid heads{3, 70, 3, 11};

// What one call reads and writes: numbers that depend on their turn alone.
class Operands {
 public:
  View in(int64_t rows, int64_t cols) { return view(rows, cols); }
  View out(int64_t rows, int64_t cols) {
    results_.push_back(all_.size());
    return view(rows, cols);
  }
  View scratch(int64_t n) { return view(1, n); }
  // Ascending, without repetition.
  ConstView choice(int64_t chosen, int64_t of) {
    std::vector<int32_t>& index = indices_.emplace_back();
    for (int64_t i = 0; i < chosen; ++i) index.push_back(static_cast<int32_t>(i * of / chosen));
    return {index.data(), 1, chosen, chosen, DType::i32};
  }
  // Room for rows x cols in that code, `kept` of each sample where it is not 0.
  PackedView asleep(Code code, int64_t rows, int64_t cols, int64_t sample_rows, int64_t kept = 0, int64_t parts = 1,
                    int64_t group = 0) {
    PackedView p;
    p.code = code, p.rows = rows, p.cols = cols, p.sample_rows = sample_rows, p.kept = kept, p.parts = parts;
    p.group = group;
    const auto zeros = [&](int64_t n) {
      const View v = out(1, n);
      std::fill_n(v.row(0), n, 0.f);
      return v.row(0);
    };
    p.values = zeros(kept > 0 ? rows / sample_rows * parts * kept : rows * cols);
    if (kept > 0) p.bits = reinterpret_cast<uint32_t*>(zeros(rows * parts * p.mask_words()));
    if (group > 0)
      p.of_group = reinterpret_cast<CodeRange*>(zeros(p.groups() * cols));
    else
      p.affine = zeros(2 * rows);
    return p;
  }
  std::vector<float> results() const {
    std::vector<float> joined;
    for (size_t i : results_) joined.insert(joined.end(), all_[i].begin(), all_[i].end());
    return joined;
  }
  float number = 0;  // what a call answered

 private:
  View view(int64_t rows, int64_t cols) {
    std::vector<float>& values = all_.emplace_back(static_cast<size_t>(rows * cols));
    Stream stream(11, Purpose::test, all_.size());
    for (float& v : values) v = stream.normal();
    return {values.data(), rows, cols, cols};
  }
  std::deque<std::vector<float>> all_;
  std::deque<std::vector<int32_t>> indices_;
  std::vector<size_t> results_;
};

struct Op {
  std::string name;
  std::function<void(Backend&, Operands&)> run;
};

void add_products(std::vector<Op>& ops) {
  struct Size {
    int64_t m, n, k;
  };
  // Wide, tall, thin; edges that no tile divides, and inner lengths of more than one depth.
  for (const auto& [m, n, k] : {Size{203, 150, 77},
                                {150, 203, 77},
                                {33, 1600, 3},
                                {1601, 33, 5},
                                {5, 997, 130},
                                {48, 48, 40},
                                {40, 60, 1201},
                                {64, 520, 600},
                                {1, 301, 64}})
    for (const Transposed ta : both)
      for (const Transposed tb : both)
        for (const float beta : {0.f, 1.f})
          ops.push_back({"gemm of " + std::to_string(m) + " x " + std::to_string(n) + " x " + std::to_string(k),
                         [=](Backend& b, Operands& o) {
                           const bool at = ta == Transposed::yes, bt = tb == Transposed::yes;
                           const View x = o.in(at ? k : m, at ? m : k), y = o.in(bt ? n : k, bt ? k : n);
                           b.gemm(ta, x, tb, y, beta, o.out(m, n), beta == 0 ? ConstView(o.in(1, n)) : ConstView());
                         }});
}

void add_sums(std::vector<Op>& ops) {
  for (const auto& [rows, cols] : {std::pair<int64_t, int64_t>{1, 40000}, {5000, 7}, {203, 150}, {9001, 3}}) {
    const auto r = rows, c = cols;
    const std::string of = " of " + std::to_string(r) + " x " + std::to_string(c);
    ops.push_back({"sum of squares" + of, [=](Backend& b, Operands& o) {
                     const View two = o.out(1, 2);
                     b.sum_squares(o.in(r, c), 0, {two.data, 1, 1, 1, DType::f64});
                   }});
    ops.push_back({"column sums" + of, [=](Backend& b, Operands& o) { b.column_sums(o.in(r, c), 1, o.out(1, c)); }});
    ops.push_back(
        {"column square sums" + of, [=](Backend& b, Operands& o) { b.column_square_sums(o.in(r, c), o.out(1, c)); }});
    ops.push_back({"mean" + of, [=](Backend& b, Operands& o) { b.mean(o.in(r, c), o.out(1, 1)); }});
  }
}

void add_norms(std::vector<Op>& ops) {
  for (const auto& [rows, cols] : {std::pair<int64_t, int64_t>{3, 21}, {40, 50}, {203, 150}, {1500, 33}, {2400, 19}})
    for (const float beta : {0.f, 1.f}) {
      const auto r = rows, c = cols;
      ops.push_back({"layernorm of " + std::to_string(r) + " x " + std::to_string(c), [=](Backend& b, Operands& o) {
                       const View x = o.in(r, c), gamma = o.in(1, c), shift = o.in(1, c), mean = o.out(1, r),
                                  rstd = o.out(1, r), dy = o.in(r, c);
                       b.layernorm(x, gamma, shift, 1e-6f, o.out(r, c), mean, rstd);
                       b.layernorm_apply(x, mean, rstd, gamma, shift, o.out(r, c));
                       b.layernorm_standardise(x, mean, rstd, o.out(r, c));
                       b.layernorm_unstandardise(x, mean, rstd, o.out(r, c));
                       b.layernorm_grad(x, mean, rstd, gamma, dy, beta, o.out(r, c), beta, o.out(1, c), o.out(1, c),
                                        o.scratch(b.layernorm_scratch(c)));
                       b.layernorm_grad(x, mean, rstd, gamma, dy, 0, {}, beta, o.out(1, c), {},
                                        o.scratch(b.layernorm_scratch(c)));
                       b.layernorm(x, gamma, {}, 1e-6f, o.out(r, c), {}, rstd);
                       b.layernorm_grad(x, {}, rstd, gamma, dy, beta, o.out(r, c), beta, o.out(1, c), {},
                                        o.scratch(b.layernorm_scratch(c)));
                     }});
    }
}

void add_elementwise(std::vector<Op>& ops) {
  const int64_t r = 197, c = 331;  // a prime number of values in every row
  const auto add = [&](const char* name, auto f) { ops.push_back({name, f}); };
  add("fill", [=](Backend& b, Operands& o) { b.fill(o.out(r, 2 * c), 0.3f); });
  add("copy", [=](Backend& b, Operands& o) { b.copy(o.in(r, 2 * c), 0.7f, o.out(r, 2 * c)); });
  add("add", [=](Backend& b, Operands& o) { b.add(o.in(r, c), o.in(r, c), o.out(r, c)); });
  add("add_row", [=](Backend& b, Operands& o) { b.add_row(o.in(r, c), o.in(1, c), o.out(r, c)); });
  add("multiply", [=](Backend& b, Operands& o) { b.multiply(o.in(r, c), o.in(r, c), 1, o.out(r, c)); });
  add("exponential", [=](Backend& b, Operands& o) { b.exponential(o.in(r, c), o.out(r, c)); });
  add("relu", [=](Backend& b, Operands& o) {
    b.relu(o.in(r, c), o.out(r, c));
    b.relu_grad(o.in(r, c), o.in(r, c), 1, o.out(r, c));
  });
  for (const GeluForm form : {GeluForm::exact, GeluForm::tanh, GeluForm::quick})
    add("gelu", [=](Backend& b, Operands& o) {
      b.gelu(form, o.in(r, c), o.out(r, c));
      b.gelu_grad(form, o.in(r, c), o.in(r, c), 1, o.out(r, c));
    });
  add("swiglu", [=](Backend& b, Operands& o) {
    b.swiglu(o.in(r, 2 * c), o.out(r, c));
    b.swiglu_grad(o.in(r, 2 * c), o.in(r, c), 1, o.out(r, 2 * c));
  });
  add("scale_rows", [=](Backend& b, Operands& o) { b.scale_rows(o.in(r, c), o.in(1, r), 1, o.out(r, c)); });
  add("row_dots", [=](Backend& b, Operands& o) { b.row_dots(o.in(r, c), o.in(r, c), 1, o.out(1, r)); });
  add("mean_tokens", [=](Backend& b, Operands& o) {
    b.mean_tokens(o.in(12 * 17, c), 17, 2, o.out(12, c));
    b.mean_tokens_grad(o.in(12, c), 17, 2, 1, o.out(12 * 17, c));
  });
  add("dropout", [=](Backend& b, Operands& o) {
    b.dropout(o.in(r, c), 0.3f, {1, static_cast<uint32_t>(Purpose::test), 2, 3}, 1, o.out(r, c));
  });
  add("cross_entropy", [=](Backend& b, Operands& o) {
    const View logits = o.in(r, c);
    const ConstView labels = o.choice(r, c);
    b.cross_entropy(logits, labels, 0.1f, o.out(1, r));
    b.cross_entropy_grad(logits, labels, 0.1f, 0.5f, o.in(1, 1), 1, o.out(r, c));
  });
  add("gather_patches", [=](Backend& b, Operands& o) {
    b.gather_patches({3, 20, 20, 5}, o.in(40, 1200), 3, o.out(600, 75));
  });
  add("gather_rows",
      [=](Backend& b, Operands& o) { b.gather_rows(o.in(r, c), o.choice(101, r), o.in(1, 101), o.out(101, c)); });
  add("scatter_columns",
      [=](Backend& b, Operands& o) { b.scatter_columns(o.in(r, 77), o.choice(77, c), o.in(1, 77), 1, o.out(r, c)); });
  for (const bool some : {false, true})
    add(some ? "optimizers of some columns" : "optimizers", [=](Backend& b, Operands& o) {
      const View mask = o.in(1, c);
      for (int64_t i = 0; i < c; ++i) mask.row(0)[i] = i % 3 == 0 ? 0.f : 1.f;
      const ConstView active = some ? ConstView(mask) : ConstView();
      b.sgd({0.1f, 0.9f, 0.01f, 0.7f, true}, o.out(r, c), o.in(r, c), o.out(r, c), active);
      const View w = o.out(r, c), m = o.out(r, c), v = o.out(r, c);
      b.multiply(v, v, 0, v);  // squares
      b.adamw({0.1f, 0.9f, 0.999f, 1e-8f, 0.01f, 0.7f, 0.3f, 0.2f}, w, o.in(r, c), m, v, active);
      // The bytes of some floats as codes.
      const auto codes = [&] {
        const View room = o.out((r + 3) / 4, c);
        return View(room.data, r, c, c, DType::u8);
      };
      const auto scales = [&] { return o.out(1, state_blocks(r * c)); };
      b.sgd_coded({0.1f, 0.9f, 0.01f, 0.7f, true}, w, o.in(r, c), codes(), scales(), active);
      const View of_m = scales(), of_v = scales();
      b.multiply(of_v, of_v, 0, of_v);
      b.adamw_coded({0.1f, 0.9f, 0.999f, 1e-8f, 0.01f, 0.7f, 0.3f, 0.2f},
                    {1, static_cast<uint32_t>(Purpose::test), 2, 3}, w, o.in(r, c), codes(), of_m, codes(), of_v,
                    active);
      // And as weights of 24 bits.
      const View coarse(o.out((r + 1) / 2, c).data, r, c, c, DType::bf16), fine = codes();
      b.sgd({0.1f, 0.9f, 0.01f, 0.7f, true}, {coarse, fine, {1, static_cast<uint32_t>(Purpose::test), 2, 4}},
            o.in(r, c), o.out(r, c), active);
      b.wake_weights(coarse, fine, o.out(r, c));
    });
}

void add_attention(std::vector<Op>& ops) {
  const int64_t rows = heads.batch * heads.tokens, d = heads.model(), all = heads.batch * heads.heads;
  for (const bool whole : {false, true})
    ops.push_back({whole ? "attention with probabilities" : "attention", [=](Backend& b, Operands& o) {
                     const View qkv = o.in(rows, 3 * d), up = o.in(rows, d);
                     const View scratch = o.scratch(b.attention_scratch(heads));
                     const View lse = whole ? View() : o.out(all, heads.tokens);
                     const View p = whole ? o.out(all * heads.tokens, heads.tokens) : View();
                     b.attention(heads, qkv, {}, o.out(rows, d), lse, p, scratch);
                     b.attention_grad(heads, qkv, {}, lse, p, up, o.out(rows, 3 * d), 0, {}, scratch);
                     if (!whole) b.attention_grad(heads, qkv, {}, {}, {}, up, o.out(rows, 3 * d), 0, {}, scratch);
                   }});
}

void add_relative_attention(std::vector<Op>& ops) {
  HeadGrid grid = heads;
  grid.across = 23;
  const int64_t rows = grid.batch * grid.tokens, d = grid.model(), all = grid.batch * grid.heads;
  ops.push_back({"attention with relative positions", [=](Backend& b, Operands& o) {
                   const View qkv = o.in(rows, 3 * d), table = o.in(grid.distances(), grid.heads), up = o.in(rows, d);
                   const View scratch = o.scratch(b.attention_scratch(grid) + b.relative_scratch(grid));
                   const View lse = o.out(all, grid.tokens);
                   b.attention(grid, qkv, table, o.out(rows, d), lse, {}, scratch);
                   b.attention_grad(grid, qkv, table, lse, {}, up, o.out(rows, 3 * d), 0,
                                    o.out(grid.distances(), grid.heads), scratch);
                 }});
}

void add_attention_pool(std::vector<Op>& ops) {
  const int64_t d = heads.model();
  ops.push_back({"attention_pool", [=](Backend& b, Operands& o) {
                   const View query = o.in(1, d), kv = o.in(heads.batch * heads.tokens, 2 * d);
                   const View scratch = o.scratch(b.attention_pool_scratch(heads));
                   b.attention_pool(heads, 1, query, kv, o.out(heads.batch, d), scratch);
                   b.attention_pool_grad(heads, 1, query, kv, o.in(heads.batch, d), o.out(heads.batch, d),
                                         o.out(heads.batch * heads.tokens, 2 * d), scratch);
                 }});
}

void add_rotation(std::vector<Op>& ops) {
  const HeadGrid even{heads.batch, heads.tokens, heads.heads, 64};
  for (const bool back : {false, true})
    ops.push_back({"rotate", [=](Backend& b, Operands& o) {
                     const int64_t rows = even.batch * even.tokens, cols = 3 * even.model();
                     b.rotate(even, 1, RotaryPairs::halves, back, o.in(even.tokens - 1, 64), o.in(even.tokens - 1, 64),
                              o.in(rows, cols), 1, o.out(rows, cols));
                   }});
  ops.push_back({"angles of heads", [=](Backend& b, Operands& o) {
                   const int64_t rows = even.batch * even.tokens, places = even.tokens - 1, d = even.model();
                   const View sine = o.out(places, d), cosine = o.out(places, d);
                   b.sine_cosine(o.in(places, d / 2), sine, cosine);
                   b.rotate(even, 1, RotaryPairs::neighbours, false, sine, cosine, o.in(rows, 3 * d), 1,
                            o.out(rows, 3 * d));
                   b.rotate_angles_grad(even, 1, o.in(rows, 3 * d), o.in(rows, 3 * d), 1, o.out(places, d / 2));
                 }});
}

void add_sleep(std::vector<Op>& ops) {
  const int64_t rows = 340, cols = 555, sample = 17;
  const StreamKey key{1, static_cast<uint32_t>(Purpose::test), 0, 0};
  for (const Code code : all_codes)
    for (const int group : {0, 32, 64})
      for (const bool drawn : {false, true}) {
        if (group > 0 && format_of(code).scheme != Scheme::affine) continue;
        ops.push_back({"codes of " + std::to_string(bits_of(code)) + " bits", [=](Backend& b, Operands& o) {
                         const View x = o.in(rows, cols);
                         const PackedView to = o.asleep(code, rows, cols, sample, 0, 1, group);
                         b.pack({.x = x, .rounding = drawn ? &key : nullptr}, to, o.scratch(b.pack_scratch(cols)));
                         b.unpack(to, 5, o.out(rows - 5, cols));
                       }});
      }
  ops.push_back({"codes of what is less a row of its sample", [=](Backend& b, Operands& o) {
                   const PackedView to = o.asleep(Code::u4, rows, cols, sample, 0, 1, 64);
                   const View x = o.in(rows, cols), shift = o.in(rows / sample, cols);
                   b.pack({.x = x, .shift = shift, .sample_rows = sample}, to, o.scratch(b.pack_scratch(cols)));
                 }});
  for (const Code code : {Code::f32, Code::f16})
    for (const bool coarse : {false, true})  // many values are equal: which of them are kept?
      ops.push_back({"masks", [=](Backend& b, Operands& o) {
                       const View x = o.in(rows, cols);
                       for (int64_t i = 0; coarse && i < rows * cols; ++i) x.row(0)[i] = std::round(2 * x.row(0)[i]);
                       const PackedView to = o.asleep(code, rows, cols, sample, 171, 3);
                       b.pack({.x = x}, to, o.scratch(b.pack_scratch(cols)));
                       b.unpack(to, 5, o.out(rows - 5, cols));
                     }});
  ops.push_back({"slopes", [=](Backend& b, Operands& o) {
                   const PackedView to = o.asleep(Code::u4, rows, cols, sample);
                   b.pack({.x = o.in(rows, cols), .slope = Slope::gelu}, to, o.scratch(b.pack_scratch(cols)));
                 }});
}

std::vector<Op> every_op() {
  std::vector<Op> ops;
  add_products(ops);
  add_sums(ops);
  add_norms(ops);
  add_elementwise(ops);
  add_attention(ops);
  add_relative_attention(ops);
  add_attention_pool(ops);
  add_rotation(ops);
  add_sleep(ops);
  return ops;
}

// The bits, so that nan equals itself.
std::vector<uint32_t> bits_of(const std::vector<float>& values) {
  std::vector<uint32_t> bits(values.size());
  if (!bits.empty()) std::memcpy(bits.data(), values.data(), bits.size() * sizeof(float));
  return bits;
}

std::vector<uint32_t> found(const Op& op, Backend& backend) {
  Operands operands;
  op.run(backend, operands);
  return bits_of(operands.results());
}

}  // namespace

TEST_CASE("every kernel has the same bits on any number of threads") {
  const std::vector<Op> ops = every_op();
  for (const Precision precision : {Precision::f32, Precision::bf16}) {
    const auto one = make_cpu_backend(1, precision);
    std::vector<std::unique_ptr<Backend>> others;
    for (const int threads : {2, 3, 5, 7, 16}) others.push_back(make_cpu_backend(threads, precision));
    for (const Op& op : ops) {
      CAPTURE(op.name);
      const std::vector<uint32_t> expected = found(op, *one);
      CHECK_FALSE(expected.empty());
      for (const auto& other : others) CHECK(found(op, *other) == expected);
    }
  }
}

TEST_CASE("where fewer threads start than were asked for, the bits are the same") {
  const auto one = make_cpu_backend(1), five = make_cpu_backend(5);
  for (const Op& op : every_op()) {
    CAPTURE(op.name);
    const std::vector<uint32_t> expected = found(op, *one);
    std::vector<uint32_t> inside;
#pragma omp parallel num_threads(2)
    {
#pragma omp single
      inside = found(op, *five);  // a team within a team is of one
    }
    CHECK(inside == expected);
  }
}

TEST_CASE("a weight's gradient summed over bands of rows has the bits of the whole sum") {
  for (const int threads : {1, 2}) {
    const auto cpu = make_cpu_backend(threads);
    const int64_t rows = 2 * band_rows + 77;
    Operands o;
    const View dy = o.in(rows, 13), x = o.in(rows, 37), whole = o.out(13, 37), banded = o.out(13, 37);
    cpu->gemm(Transposed::yes, dy, Transposed::no, x, 0, whole);
    for (int64_t first = 0; first < rows; first += band_rows) {
      const int64_t n = std::min(band_rows, rows - first);
      cpu->gemm(Transposed::yes, dy.band(first, n), Transposed::no, x.band(first, n), first == 0 ? 0.f : 1.f, banded);
    }
    CHECK(std::memcmp(whole.row(0), banded.row(0), 13 * 37 * sizeof(float)) == 0);
  }
}

// Blocks that work on a band of images at a time: the same values and gradients, in less room.
#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "backend.h"
#include "errors.h"
#include "gradcheck.h"
#include "shear/make_backend.h"
#include "shear/ops.h"
#include "shear/policies.h"
#include "vit_run.h"

using namespace shear;
using namespace shear::test;

namespace {

constexpr int64_t batch = 5, tokens = 5;
const VitConfig config{.image = 8, .patch = 4, .dim = 12, .depth = 3, .heads = 2, .classes = 3, .channels = 1};

// Everything is kept as it is, and blocks work on so many rows.
class InBands final : public MemoryPolicy {
 public:
  explicit InBands(int64_t rows) : rows_(rows) {}
  std::string name() const override { return "in bands"; }
  int64_t band_rows(const Place& at) const override { return at.in_block() ? rows_ : 0; }
  Verdict decide(const SaveRequest&) override { return Keep{}; }

 private:
  int64_t rows_;
};

// A step of a tape of its own over the model of `run`; returns what it looked up.
struct Step {
  Step(VitRun& run, MemoryPolicy& policy, int64_t number = 0)
      : tape(run.device, policy, run.model.parameters(), {.seed = 1}) {
    tape.begin_step(number);
    {
      const Tensor logits = run.model(tape, run.images, {5, number});
      values = run.device.download(logits);
      tape.backward(cross_entropy(tape, "loss", logits, run.labels));
    }
    gradients = run.gradients();
    rows.assign(tape.report().begin(), tape.report().end());
    tape.reset();
    live = run.device.arena().live() - run.input_bytes();
  }
  Tape tape;
  std::vector<float> values;
  std::vector<std::vector<float>> gradients;
  std::vector<SaveRow> rows;
  size_t live = 0;
};

double worst(const std::vector<std::vector<float>>& found, const std::vector<std::vector<float>>& expected) {
  double most = 0;
  for (size_t i = 0; i < expected.size(); ++i) most = std::max(most, relative_error(found[i], expected[i]));
  return most;
}

// x + gelu(x w): what a block is in the tests below.
struct Residual {
  Param* w;
  Tensor operator()(Tape& tape, Tensor x) const {
    const Tensor h = gelu(tape, "act", linear(tape, "wide", x, *w, nullptr));
    return add(tape, "sum", std::move(x), h);
  }
};

}  // namespace

TEST_CASE("blocks in bands of images have the values of all images at once, to the bit, and their gradients") {
  // As many images in each band; one too many; a class token alone behind the last block; parallel blocks; rotary
  // positions; a table that blocks share.
  VitConfig parallel = config, mean = config, rotary = config, relative = config;
  parallel.parallel = true;
  mean.pool = Pool::mean;
  rotary.rope = Rope::index;
  rotary.dim = 16;
  relative.relative = Relative::shared;
  for (const VitConfig& c : {config, parallel, mean, rotary, relative}) {
    VitRun run(test_backend(2), c, batch, "full");
    InBands all(0);
    const Step expected(run, all);
    CHECK(expected.live == 0);
    for (const int64_t images : {1, 2, 3, 4}) {
      CAPTURE(images);
      InBands policy(images * tokens);
      const Step found(run, policy);
      CHECK(found.values == expected.values);
      CHECK(worst(found.gradients, expected.gradients) < 2e-6);
      CHECK(found.live == 0);
    }
  }
}

TEST_CASE("the report of blocks in bands has a line for each value, with the bytes of all images") {
  VitRun run(test_backend(2), config, batch, "full");
  InBands all(0), two(2 * tokens);
  const Step whole(run, all), found(run, two);
  REQUIRE(found.rows.size() == whole.rows.size());
  for (size_t i = 0; i < found.rows.size(); ++i) {
    const SaveRow &a = found.rows[i], &b = whole.rows[i];
    CAPTURE(a.site);
    CHECK(a.site == b.site);
    CHECK(a.op == b.op);
    CHECK(a.got == b.got);
    CHECK(a.dense_bytes == b.dense_bytes);
    CHECK(a.saved_bytes >= b.saved_bytes);  // each band's are rounded up
    CHECK(a.saved_bytes <= b.saved_bytes + 3 * alignment);
  }
}

TEST_CASE("blocks in bands that are made again have the same bits, dropout and all, and fewer bytes") {
  VitConfig drops = config;
  drops.dropout = 0.3f;
  VitRun run(test_backend(2), drops, batch, "full");
  InBands kept(2 * tokens);
  const auto made = make_policy("checkpoint:band=10"), whole = make_policy("checkpoint");
  const Step expected(run, kept), found(run, *made), all(run, *whole);
  CHECK(found.values == expected.values);
  CHECK(found.gradients == expected.gradients);
  CHECK(found.gradients != all.gradients);  // which drops others
  CHECK(found.live == 0);
  // The lines of what is made again are as many as those of whole blocks.
  REQUIRE(found.rows.size() == all.rows.size());
  for (size_t i = 0; i < found.rows.size(); ++i) {
    CHECK(found.rows[i].site == all.rows[i].site);
    CHECK(found.rows[i].why == all.rows[i].why);
    CHECK(found.rows[i].dense_bytes == all.rows[i].dense_bytes);
  }
  VitRun one(test_backend(2), config, 8, "checkpoint"), bands(test_backend(2), config, 8, "checkpoint:band=10");
  one.step(0);
  bands.step(0);
  CHECK(worst(bands.gradients(), one.gradients()) < 2e-6);
  CHECK(bands.device.arena().high_water() < one.device.arena().high_water() * 9 / 10);
}

TEST_CASE("what a block in bands is given takes its gradient in place where it can, beside others where it must") {
  for (const bool used_again : {false, true})
    for (const bool wanted : {true, false}) {
      CAPTURE(used_again);
      CAPTURE(wanted);
      std::vector<std::vector<float>> found;
      for (const int64_t rows : {0, 6}) {
        Device device(test_backend(2), small_step);
        InBands policy(rows);
        Param w = make_param(device, "w", normal({6, 6}, 1)), before = make_param(device, "before", normal({6, 6}, 2));
        before.trainable = wanted;
        Tape tape(device, policy, {&w, &before});
        tape.begin_step(0);
        const Tensor up = upload(device, normal({5, 3, 6}, 4)), other = upload(device, normal({5, 3, 6}, 5));
        Tensor x = linear(tape, "before", upload(device, normal({5, 3, 6}, 3)), before, nullptr);
        Tensor copy = used_again ? x : Tensor{};
        Tensor y = tape.segment("one", std::move(x), Residual{&w});
        y = tape.segment("two", std::move(y), Residual{&w});
        Tensor loss = weighted_sum(tape, y, up);
        if (used_again) loss = add(tape, "both", std::move(loss), weighted_sum(tape, copy, other));
        tape.backward(loss);
        found.push_back(device.download(w.grad));
        if (wanted) found.push_back(device.download(before.grad));
        tape.reset();
      }
      const size_t half = found.size() / 2;
      for (size_t i = 0; i < half; ++i) CHECK(relative_error(found[half + i], found[i]) < 2e-6);
    }
}

TEST_CASE("values that ops have reshaped around a block in bands have the gradients of all images at once") {
  std::vector<std::vector<float>> found;
  for (const int64_t rows : {0, 8}) {
    Device device(test_backend(2), small_step);
    InBands policy(rows);
    Param w = make_param(device, "w", normal({6, 6}, 1)), before = make_param(device, "before", normal({6, 6}, 2));
    Tape tape(device, policy, {&w, &before});
    tape.begin_step(0);
    const Tensor up = upload(device, normal({5, 4, 6}, 4));
    Tensor x = linear(tape, "before", upload(device, normal({5, 4, 6}, 3)), before, nullptr);
    x = x.reshaped({5, 2, 12});
    Tensor y = tape.segment("one", std::move(x), [w = &w](Tape& t, Tensor in) {
      const int64_t images = in.shape()[0];
      Tensor h = Residual{w}(t, in.reshaped({images, 4, 6}));
      return h.reshaped({images, 2, 2, 6});
    });
    CHECK(y.shape() == Shape{5, 2, 2, 6});
    tape.backward(weighted_sum(tape, y.reshaped({5, 4, 6}), up));
    found.push_back(device.download(w.grad));
    found.push_back(device.download(before.grad));
    tape.reset();
  }
  for (size_t i = 0; i < 2; ++i) CHECK(relative_error(found[2 + i], found[i]) < 2e-6);
}

TEST_CASE("a block in a block in bands is not divided again, and one that mixes images up is refused") {
  std::vector<std::vector<float>> found;
  for (const int64_t rows : {0, 3}) {
    Device device(test_backend(2), small_step);
    InBands policy(rows);
    Param w = make_param(device, "w", normal({6, 6}, 1));
    Tape tape(device, policy, {&w});
    tape.begin_step(0);
    Tensor x = upload(device, normal({40, 3, 6}, 3));  // sixteen bands are of more rows than 3
    const Tensor up = upload(device, normal({40, 3, 6}, 4));
    Tensor y = tape.segment("outer", std::move(x), [w = &w](Tape& t, Tensor in) {
      return t.segment("inner", Residual{w}(t, std::move(in)), Residual{w});
    });
    tape.backward(weighted_sum(tape, y, up));
    found.push_back(device.download(w.grad));
    tape.reset();
  }
  CHECK(relative_error(found[1], found[0]) < 2e-6);

  Device device(test_backend(2), small_step);
  InBands policy(3);
  Tape tape(device, policy);
  CHECK(sentence(Fault::internal, [&] {
          tape.segment("flat", upload(device, normal({4, 3, 6}, 3)), [](Tape&, Tensor in) {
            return in.reshaped({in.shape()[0] * 3, 6});
          });
        }).find("segment flat: made (3, 6) of a band of 1 images") != std::string::npos);
}

TEST_CASE("dropout draws for each band anew, and backward drops what forward dropped") {
  Device device(test_backend(2), small_step);
  InBands policy(8);
  Tape tape(device, policy);
  Tensor x = upload(device, {{6, 4, 32}, std::vector<double>(6 * 4 * 32, 1)});
  const Tensor up = upload(device, {{6, 4, 32}, std::vector<double>(6 * 4 * 32, 1)});
  tape.watch(x);
  const Tensor given = x;
  const Tensor y = tape.segment("drops", std::move(x), [](Tape& t, Tensor in) {
    return dropout(t, "drop", in, 0.5f, {1, static_cast<uint32_t>(Purpose::dropout), 0, 3});
  });
  const std::vector<float> values = device.download(y);
  tape.backward(weighted_sum(tape, y, up));
  CHECK(device.download(tape.grad(given)) == values);  // of ones: the mask, scaled
  std::set<std::vector<float>> masks;
  const size_t band = values.size() / 3;
  for (size_t first = 0; first < values.size(); first += band)
    masks.insert({values.begin() + static_cast<int64_t>(first), values.begin() + static_cast<int64_t>(first + band)});
  CHECK(masks.size() == 3);
}

TEST_CASE("an inference tape, and a block of which nothing is trained, work in bands or not, to the same bits") {
  VitRun run(test_backend(2), config, batch, "full");
  Tape inference(run.device);
  const std::vector<float> expected = run.device.download(run.model(inference, run.images, {5, 0}));
  for (Param& p : run.model.parameters()) p.trainable = p.head;
  InBands policy(tokens);
  const Step step(run, policy);
  CHECK(step.values == expected);
}

TEST_CASE("codes take less room in bands, as planned to the byte, and are right in the mean") {
  VitConfig wide = config;
  wide.dim = 48, wide.heads = 4;
  for (const int group : {0, 64}) {
    size_t whole = 0;
    for (const std::string& keys : {text(group, ",band=0"), text(group, ",band=10"),
                                    text(group, ",band=10@blocks.1.*|codes:bits=2,band=15,group=", group)}) {
      const std::string spec = "codes:group=" + keys;
      CAPTURE(spec);
      VitRun planned(make_planning_backend(test_device(), 2), wide, 8, spec), run(test_backend(2), wide, 8, spec);
      planned.step(0);
      run.step(0);
      CHECK(run.device.meter().peak() == planned.device.meter().peak());
      CHECK(run.device.arena().high_water() == planned.device.arena().high_water());
      if (whole == 0)
        whole = run.device.arena().high_water();
      else if (group == 0)                               // the 10 rows of a toy's band would have the ranges of 64
        CHECK(run.device.arena().high_water() < whole);  // by far in a model that is no toy
    }
  }
  // Where one of the policies of a model's sites wants all images, all have them.
  const auto mixed = make_policy("codes:band=10@blocks.*.mlp.*|lean"), both = make_policy("codes:band=10@a|codes");
  CHECK(mixed->band_rows({"blocks.0", 0}) == 0);
  VitRun blocks(test_backend(2), config, 2, "codes:band=10@blocks.{0..1}.*|codes:band=0@blocks.*|lean");
  CHECK(blocks.policy->band_rows({"blocks.0", 0}) == 10);
  CHECK(blocks.policy->band_rows({"blocks.2", 2}) == 0);
  CHECK(both->band_rows({"blocks.0", 0}) == 10);

  VitRun exact(test_backend(2), config, batch, "full"),
      coded(test_backend(2), config, batch, "codes:qkv=32,gelu=32,band=10");
  exact.step(0);
  std::vector<std::vector<float>> sum;
  constexpr int draws = 200;
  for (int64_t step = 0; step < draws; ++step) {
    coded.step(step);
    const auto one = coded.gradients();
    if (sum.empty()) sum.resize(one.size());
    for (size_t i = 0; i < one.size(); ++i) {
      sum[i].resize(one[i].size());
      for (size_t j = 0; j < one[i].size(); ++j) sum[i][j] += one[i][j] / draws;
    }
    if (step == 0) CHECK(worst(one, exact.gradients()) > 0.02);
  }
  const auto expected = exact.gradients();
  size_t i = 0;
  for (const Param& p : exact.model.parameters()) {
    if (p.name.ends_with("fc2.weight") && p.name.starts_with("blocks.1.")) {
      CAPTURE(p.name);
      CHECK(relative_error(sum[i], expected[i]) < 0.03);
    }
    ++i;
  }
}

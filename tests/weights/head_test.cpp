// The head of a weight file and the classes of the data: rows go by name, and where names are not known that is told.
#include <algorithm>

#include "shear/make_backend.h"
#include "shear/models/vit.h"
#include "shear/train.h"
#include "shell.h"

using namespace shear;
using namespace shear::test;

namespace {

VitConfig config_of(int64_t classes) {
  return {.image = 8, .patch = 4, .dim = 16, .depth = 1, .heads = 2, .classes = classes, .channels = 1};
}

std::vector<float> logits(Vit& model) {
  Device& device = model.parameters().device();
  std::vector<float> pixels(64);
  for (size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<float>(i % 7) / 7 - 0.3f;
  Tape tape(device);
  return device.download(model(tape, device.upload({1, 1, 8, 8}, Category::workspace, pixels)));
}

// Weights for these classes, and what a model for others begins with from them.
struct Heads {
  explicit Heads(const std::vector<std::string>& names, int64_t count = 0)
      : device(make_cpu_backend(1)), own(device, config_of(count > 0 ? count : static_cast<int64_t>(names.size())), 1) {
    Stream stream(1, Purpose::test);  // a fresh head is zero
    for (const char* part : {"head.weight", "head.bias"}) {
      const Param& p = *own.parameters().find(part);
      std::vector<float> values(static_cast<size_t>(p.value.elements()));
      for (float& v : values) v = static_cast<float>(stream.uniform()) - 0.5f;
      device.run().upload(p.value.data<void>(), values.data(), p.value.bytes());
    }
    save_weights(dir / "w.safetensors", own.parameters(),
                 to_metadata({spec(own.config()), names, default_preprocess(*model_spec(own.config()))}));
  }

  struct Begun {
    std::vector<float> logits;
    WeightsReport report;
    std::string note;
  };
  Begun for_classes(const std::vector<std::string>& classes) {
    Vit model(device, config_of(static_cast<int64_t>(classes.size())), 2, Values::undefined);
    const WeightsReport report = load_weights(Weights(dir / "w.safetensors"), model.parameters(),
                                              {.matching = Matching::fine_tuning, .positions = {}, .classes = classes});
    const size_t file = (dir / "w.safetensors: ").string().size();
    return {logits(model), report, report.notes.empty() ? "" : report.notes.front().substr(file)};
  }

  TempDir dir;
  Device device;
  Vit own;
};

bool all_zero(const std::vector<float>& values) {
  return std::ranges::all_of(values, [](float v) { return v == 0; });
}

}  // namespace

TEST_CASE("rows of a head go to the data's classes by name") {
  Heads heads({"cat", "dog", "emu", "yak"});
  const std::vector<float> theirs = logits(heads.own);
  REQUIRE(theirs[0] != theirs[1]);
  const auto same = heads.for_classes({"cat", "dog", "emu", "yak"});
  CHECK(same.logits == theirs);
  CHECK(same.report.head == HeadFrom::file);
  CHECK(same.note == "its head is for the classes of the data, in their order");
  const auto permuted = heads.for_classes({"yak", "cat", "emu", "dog"});
  CHECK(permuted.logits == std::vector<float>{theirs[3], theirs[0], theirs[2], theirs[1]});
  CHECK(permuted.report.head == HeadFrom::rows);
  CHECK(permuted.note == "its head is for the classes of the data in another order: rows go by name");
  const auto fewer = heads.for_classes({"emu", "cat"});
  CHECK(fewer.logits == std::vector<float>{theirs[2], theirs[0]});
  CHECK(fewer.note == "its head has 4 classes: the 2 of the data are taken by name");
}

TEST_CASE("a head that does not know all of the data's classes begins at zero, and why is told") {
  Heads heads({"cat", "dog", "emu", "yak"});
  const auto begun = [&](const std::vector<std::string>& classes) {
    const auto b = heads.for_classes(classes);
    CHECK(b.report.head == HeadFrom::zero);
    CHECK(all_zero(b.logits));
    return b.note;
  };
  CHECK(begun({"ant", "bee", "owl", "pig"}) == "its head is for cat, dog, emu and 1 more; the new one begins at zero");
  CHECK(begun({"cat", "dog", "emu", "zebra"}) ==
        "its head is for cat, dog, emu and 1 more, which leaves out the data's zebra; the new one begins at zero");
  CHECK(begun({"0", "1", "2", "3"}) == "its head is for cat, dog, emu and 1 more; the new one begins at zero");
  // ImageNet has two classes called crane: which one is meant is not known.
  Heads twice({"crane", "dog", "crane"});
  CHECK(twice.for_classes({"dog", "crane"}).report.head == HeadFrom::zero);
  CHECK(twice.for_classes({"dog"}).report.head == HeadFrom::rows);
}

TEST_CASE("a head without names is kept for classes that are numbers alone") {
  Heads heads({}, 11);
  const std::vector<float> theirs = logits(heads.own);
  std::vector<std::string> numbers;
  for (int i = 0; i < 11; ++i) numbers.push_back(std::to_string(i));
  const auto kept = heads.for_classes(numbers);
  CHECK(kept.logits == theirs);
  CHECK(kept.note == "its head names no classes, and those of the data are numbers: row i is for class i");
  std::ranges::sort(numbers);  // as folders come: 10 before 2
  const auto sorted = heads.for_classes(numbers);
  CHECK(sorted.report.head == HeadFrom::rows);
  for (size_t i = 0; i < numbers.size(); ++i) CHECK(sorted.logits[i] == theirs[std::stoul(numbers[i])]);

  numbers[3] = "01";
  CHECK(heads.for_classes(numbers).note == "its head does not name its 11 classes; the new one begins at zero");
  CHECK(heads.for_classes({"0", "1"}).note ==
        "its head has 11 classes, not the 2 of the data; the new one begins at zero");
  CHECK(all_zero(heads.for_classes({"0", "1"}).logits));
}

TEST_CASE("a head whose parts are of different sizes is refused") {
  Heads heads({"cat", "dog", "emu"});
  const SafeTensors file(heads.dir / "w.safetensors");
  std::vector<TensorToWrite> tensors;
  for (const TensorView& t : file.tensors())
    tensors.push_back({t.name, t.dtype, t.name == "head.bias" ? Shape{2} : t.shape, t.bytes.data()});
  write_safetensors(heads.dir / "w.safetensors", tensors, file.metadata());
  for (const std::vector<std::string>& classes : {std::vector<std::string>{"emu", "cat"}, {"emu", "cat", "dog"}}) {
    CAPTURE(classes.size());
    CHECK_THROWS_WITH_AS(heads.for_classes(classes),
                         doctest::Contains("head.bias has the shape (2), the model expects (3)"), Error);
  }
}

TEST_CASE("classes of weights without names are known by number, or by position where as many are there") {
  const ClassMatch numbers = match_unnamed_classes({"7", "0", "10"}, 11);
  CHECK(numbers.labels == std::vector<int>{7, 0, 10});
  CHECK(numbers.by == ClassMatch::by_number);
  const ClassMatch position = match_unnamed_classes({"cat", "dog"}, 2);
  CHECK(position.labels == std::vector<int>{0, 1});
  CHECK(position.by == ClassMatch::by_position);
  for (const int64_t classes : {1, 3})
    CHECK_THROWS_WITH_AS(
        match_unnamed_classes({"cat", "dog"}, classes),
        doctest::Contains("do not name them, so that none of them is known to be cat, dog, the classes "
                          "of the data; expected names in them, such as id2label"),
        Error);
  CHECK_THROWS_AS(match_unnamed_classes({"7", "0", "11"}, 11), Error);
}

TEST_CASE("eval refuses weights that do not name their classes for a data set of other size, and trains on by name") {
  Shell shear;
  write_idx(shear.dir / "data");
  Heads three({}, 10);
  const std::string w = (three.dir / "w.safetensors").string();
  const Result by_number = shear({"eval", "--data", shear.path("data"), "--weights", w, "--json"});
  CAPTURE(by_number.err);
  CHECK(by_number.status == 0);
  CHECK(by_number.err.find("names no classes, and those of the data are numbers") != std::string::npos);
  Heads fewer({}, 9);
  shear.refuses(3, {"eval", "--data", shear.path("data"), "--weights", (fewer.dir / "w.safetensors").string()},
                {"the weights have 9 classes and do not name them", "known to be 0, 1, 2 and 7 more, the classes"});
  const Result trained = shear(shear.train("run", {"--weights", w, "--model", spec(config_of(10))}));
  CAPTURE(trained.err);
  CHECK(trained.err.find("row i is for class i") != std::string::npos);
}

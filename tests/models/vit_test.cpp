// The models: names and shapes as timm's, spellings, and the order in which values die.
#include "shear/models/vit.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "backend.h"
#include "errors.h"
#include "shear/models/mlp.h"
#include "shear/optim.h"
#include "shear/policies.h"

using namespace shear;
using namespace shear::test;
using shear::test::sentence;

namespace {

std::vector<std::pair<std::string, Shape>> names_and_shapes(Vit& model) {
  std::vector<std::pair<std::string, Shape>> all;
  for (const Param& p : model.parameters()) all.emplace_back(p.name, p.value.shape());
  return all;
}

// As timm 1.0.31's VisionTransformer lists its state.
std::vector<std::pair<std::string, Shape>> as_timm(int64_t dim, int64_t depth, int64_t tokens, int64_t patch,
                                                   int64_t classes) {
  std::vector<std::pair<std::string, Shape>> all{{"cls_token", {1, 1, dim}},
                                                 {"pos_embed", {1, tokens, dim}},
                                                 {"patch_embed.proj.weight", {dim, 3, patch, patch}},
                                                 {"patch_embed.proj.bias", {dim}}};
  for (int64_t i = 0; i < depth; ++i) {
    const std::string b = "blocks." + std::to_string(i) + ".";
    const std::pair<const char*, Shape> rest[] = {{"norm1.weight", {dim}},
                                                  {"norm1.bias", {dim}},
                                                  {"attn.qkv.weight", {3 * dim, dim}},
                                                  {"attn.qkv.bias", {3 * dim}},
                                                  {"attn.proj.weight", {dim, dim}},
                                                  {"attn.proj.bias", {dim}},
                                                  {"norm2.weight", {dim}},
                                                  {"norm2.bias", {dim}},
                                                  {"mlp.fc1.weight", {4 * dim, dim}},
                                                  {"mlp.fc1.bias", {4 * dim}},
                                                  {"mlp.fc2.weight", {dim, 4 * dim}},
                                                  {"mlp.fc2.bias", {dim}}};
    for (const auto& [name, shape] : rest) all.emplace_back(b + name, shape);
  }
  all.insert(all.end(),
             {{"norm.weight", {dim}}, {"norm.bias", {dim}}, {"head.weight", {classes, dim}}, {"head.bias", {classes}}});
  return all;
}

VitConfig small(int64_t depth) { return {.image = 8, .patch = 4, .dim = 16, .depth = depth, .heads = 2, .classes = 3}; }

Tensor random_images(Device& device, const VitConfig& c, int64_t count) {
  std::vector<float> pixels(static_cast<size_t>(count * c.channels * c.image * c.image));
  Stream stream(3, Purpose::test);
  for (float& v : pixels) v = stream.normal();
  return device.upload({count, c.channels, c.image, c.image}, Category::workspace, pixels);
}

}  // namespace

TEST_CASE("a ViT's parameters have timm's names, shapes and order") {
  Device shapes(make_shape_backend(test_backend(1)));
  Vit tiny(shapes, parse_vit("vit_tiny_patch16_224"), 0), base(shapes, parse_vit("vit_base_patch16_224"), 0);
  CHECK(names_and_shapes(tiny) == as_timm(192, 12, 197, 16, 1000));
  CHECK(names_and_shapes(base) == as_timm(768, 12, 197, 16, 1000));
}

TEST_CASE("the known models have as many parameters and heads as timm's") {
  struct Size {
    const char* name;
    size_t tensors;
    int64_t elements, heads;
  };
  for (const Size& size :
       {Size{"vit_tiny_patch16_224", 152, 5717416, 3}, Size{"vit_small_patch16_224", 152, 22050664, 6},
        Size{"vit_base_patch16_224", 152, 86567656, 12}, Size{"vit_base_patch32_224", 152, 88224232, 12},
        Size{"vit_large_patch16_224", 296, 304326632, 16}}) {
    CAPTURE(size.name);
    Device shapes(make_shape_backend(test_backend(1)));
    Vit model(shapes, parse_vit(size.name), 0);
    CHECK(model.parameters().size() == size.tensors);
    CHECK(model.parameters().elements() == size.elements);
    CHECK(model.config().heads == size.heads);
  }
}

TEST_CASE("a ViT's matrices decay, and nothing else does") {
  Device shapes(make_shape_backend(test_backend(1)));
  Vit model(shapes, small(2), 0);
  for (const Param& p : model.parameters()) {
    CAPTURE(p.name);
    const bool matrix = p.name.ends_with(".weight") && p.name.find("norm") == std::string::npos;
    CHECK(p.decay == matrix);
    CHECK(p.trainable);
  }
}

TEST_CASE("what a ViT saves is reported under its modules' names, in forward order") {
  Device device(test_backend(1));
  Vit model(device, small(2), 1);
  const auto policy = make_policy("full");
  Tape tape(device, *policy);
  model(tape, random_images(device, small(2), 2));
  std::vector<std::string> found;
  for (const SaveRow& row : tape.report())
    if (row.asked != "-" || row.got == "shared") found.push_back(std::string(row.site) + " " + std::string(row.op));
  std::vector<std::string> expected{"patch_embed.proj patch_embed"};
  for (const std::string b : {"blocks.0.", "blocks.1."})
    for (const char* rest : {"norm1 layernorm", "attn.qkv linear", "attn attention", "attn.proj linear",
                             "norm2 layernorm", "mlp.fc1 linear", "mlp.act gelu", "mlp.fc2 linear"})
      expected.push_back(b + rest);
  expected.insert(expected.end(), {"norm layernorm", "head linear"});
  CHECK(found == expected);
}

TEST_CASE("a ViT of which only the head is trained saves the head's input and nothing else") {
  Device device(test_backend(1));
  Vit model(device, small(2), 1);
  for (Param& p : model.parameters()) p.trainable = p.name.starts_with("head.");
  model.parameters().make_gradients();
  const auto policy = make_policy("full");
  Tape tape(device, *policy);
  const Tensor logits = model(tape, random_images(device, small(2), 2));
  REQUIRE(tape.report().size() == 1);
  CHECK(tape.report()[0].site == "head");
  const Tensor labels = device.upload({2}, Category::workspace, std::vector<int32_t>{1, 1});
  tape.backward(cross_entropy(tape, "loss", logits, labels));
  for (const Param& p : model.parameters()) {
    CAPTURE(p.name);
    CHECK(p.writes == (p.trainable ? 1 : 0));
  }
}

TEST_CASE("a value of the first branch of a block does not outlive it") {
  Device device(make_shape_backend(test_backend(2)));
  const VitConfig config = parse_vit("vit_base_patch16_224");
  Vit model(device, config, 1);
  model.parameters().make_gradients();
  const auto policy = make_policy("lean");
  Tape tape(device, *policy);
  {
    const Tensor images = tape.empty({32, 3, 224, 224}), labels = tape.empty({32}, DType::i32);
    tape.backward(cross_entropy(tape, "loss", model(tape, images), labels));
  }
  // Widest in backward, in units of B * N * D: the gradients of the residual stream and of GELU's input and output, and
  // bands of what is made again.  A value that lingers while others are placed costs a unit.
  const double unit = 4.0 * 32 * 197 * 768;
  CHECK(static_cast<double>(device.peak().workspace) / unit < 10.5);
}

TEST_CASE("images and configurations that do not fit are refused with the numbers") {
  Device device(test_backend(1));
  Vit model(device, small(1), 1);
  Tape tape(device);
  const auto refused = [&](const Shape& images) {
    return sentence(Fault::internal, [&] { model(tape, device.empty(images, Category::workspace)); });
  };
  CHECK(refused({2, 1, 8, 8}) == "vit: images (2, 1, 8, 8) do not fit (B, 3, 8, 8)");
  CHECK(refused({2, 3, 8, 12}) == "vit: images (2, 3, 8, 12) do not fit (B, 3, 8, 8)");
  CHECK(refused({3, 8, 8}) == "vit: images (3, 8, 8) do not fit (B, 3, 8, 8)");
  const auto impossible = [&](auto change) {
    VitConfig config = small(1);
    change(config);
    return sentence(Fault::internal, [&] { Vit(device, config, 1); });
  };
  CHECK(impossible([](VitConfig& c) { c.patch = 0; }) == "vit: image 8 has no patch of 0");
  CHECK(impossible([](VitConfig& c) { c.patch = 9; }) == "vit: image 8 has no patch of 9");
  CHECK(impossible([](VitConfig& c) { c.heads = 3; }) == "vit: dim 16 does not divide into 3 heads");
  CHECK(impossible([](VitConfig& c) { c.heads = 0; }) == "vit: dim 16 does not divide into 0 heads");
  CHECK(impossible([](VitConfig& c) { c.classes = 0; }) ==
        "vit: depth 1, classes 0, channels 3, mlp 4, expected at least 1 each");
}

TEST_CASE("a model's spelling gives its configuration, and the other way round") {
  const VitConfig c = parse_vit("vit:image=28,patch=4,dim=192,depth=6,heads=3,classes=10,channels=1");
  CHECK(c == VitConfig{.image = 28, .patch = 4, .dim = 192, .depth = 6, .heads = 3, .classes = 10, .channels = 1});
  CHECK(c.tokens() == 50);
  CHECK(parse_vit(spec(c)) == c);
  VitConfig relative = c;
  relative.relative = Relative::shared;
  CHECK(relative.distances() == 13 * 13 + 3);
  CHECK(parse_vit(spec(relative)) == relative);
  CHECK(parse_vit("vit_large_patch16_224") == VitConfig{.dim = 1024, .depth = 24, .heads = 16});
  CHECK(parse_vit("vit_base_patch32_224:classes=7,image=384") == VitConfig{.image = 384, .patch = 32, .classes = 7});
}

TEST_CASE("a model that cannot be is refused with the key, what was found and what was expected") {
  const auto refused = [](const char* spec) { return sentence(Fault::usage, [&] { parse_model(spec); }); };
  CHECK(refused("resnet50").find("unknown, expected one of ") != std::string::npos);
  CHECK(refused("vit:image=28,patch=4,dim=8,depth=1,heads=1") ==
        "model vit:image=28,patch=4,dim=8,depth=1,heads=1: classes is missing");
  CHECK(refused("vit_base_patch16_224:depht=2")
            .find("unknown key depht (did you mean depth?), expected one of image, patch") != std::string::npos);
  CHECK(refused("vit_base_patch16_224:depth=0") ==
        "model vit_base_patch16_224:depth=0: depth=0, expected a whole number from 1 to 256");
  CHECK(refused("vit_base_patch16_224:depth=1x").find("depth=1x, expected a whole number") != std::string::npos);
  CHECK(refused("vit_base_patch16_224:depth=2,depth=3").find("key depth is given twice") != std::string::npos);
  CHECK(refused("vit_base_patch16_224:image=225").find("image 225 does not divide into patches of 16") !=
        std::string::npos);
  CHECK(refused("vit_base_patch16_224:heads=7").find("dim 768 does not divide into 7 heads") != std::string::npos);
  CHECK(refused("vit_base_patch16_224:relative=blocks,registers=1")
            .find("relative positions are of patches behind one class token in plain attention, expected cls=1") !=
        std::string::npos);
  CHECK(refused("vit_base_patch16_224:relative=1").ends_with("relative=1, expected none, blocks or shared"));
  CHECK(refused("vit").find("expected key=value") != std::string::npos);
  CHECK(refused("vit_base_patch16_224:").find("expected key=value, found \"\"") != std::string::npos);
  CHECK(refused("vit_base_patch16_224:depth=2,").find("expected key=value, found \"\"") != std::string::npos);
  CHECK(refused("vit_base_patch16_224:depth=2,,mlp=2").find("expected key=value, found \"\"") != std::string::npos);
  CHECK(refused("vit_base_patch16_224:depth").find("expected key=value, found \"depth\"") != std::string::npos);
  CHECK(refused("").find("unknown, expected one of") != std::string::npos);
  for (const char* number : {"-3", "+3", " 3", "3.0", "1e3", "0x3", "", "99999999999999999999"}) {
    CAPTURE(number);
    CHECK(refused(("vit_base_patch16_224:classes=" + std::string(number)).c_str())
              .ends_with("classes=" + std::string(number) + ", expected a whole number from 1 to 1000000"));
  }
  // Each key's bounds: the last number that is understood, and the first that is not.
  CHECK(parse_vit("vit_base_patch16_224:dim=16368,mlp=64,depth=256,channels=64").dim == 16368);
  for (const char* key :
       {"image=4112", "patch=4097", "dim=16385", "depth=257", "heads=1025", "channels=65", "mlp=65"}) {
    CAPTURE(key);
    CHECK(refused(("vit_base_patch16_224:" + std::string(key)).c_str()).find("expected a whole number from 1 to") !=
          std::string::npos);
  }
}

TEST_CASE("a parameter's first values depend on the seed and its name alone") {
  Device device(test_backend(1));
  const VitConfig shallow{.image = 8, .patch = 4, .dim = 16, .depth = 1, .heads = 2, .classes = 3};
  VitConfig deep = shallow;
  deep.depth = 2;
  Vit a(device, shallow, 7), b(device, deep, 7), c(device, shallow, 8);
  const auto values = [&](Vit& m, const char* name) { return device.download(m.parameters().find(name)->value); };
  CHECK(values(a, "head.weight") == values(b, "head.weight"));
  CHECK(values(a, "head.weight") != values(c, "head.weight"));
  const auto w = values(a, "blocks.0.mlp.fc1.weight");
  CHECK(*std::max_element(w.begin(), w.end()) <= 0.04f);
  double squares = 0;
  for (float v : w) squares += static_cast<double>(v) * static_cast<double>(v);
  CHECK(std::sqrt(squares / static_cast<double>(w.size())) ==
        doctest::Approx(0.0176).epsilon(0.1));  // a normal, cut at two std
  CHECK(values(a, "blocks.0.norm1.weight") == std::vector<float>(16, 1.f));
}

TEST_CASE("two halves of a batch give the gradients of the whole") {
  Device device(test_backend(2));
  const VitConfig config{.image = 12, .patch = 4, .dim = 24, .depth = 2, .heads = 3, .classes = 5, .channels = 1};
  Vit model(device, config, 1);
  model.parameters().make_gradients();
  std::vector<float> pixels(4 * 144);
  Stream stream(3, Purpose::test);
  for (float& v : pixels) v = stream.normal();
  const int32_t classes[] = {0, 4, 2, 1};
  const auto policy = make_policy("full");
  Tape tape(device, *policy);
  const auto pass = [&](int64_t first, int64_t n, float seed) {
    const Tensor images =
        device.upload({n, 1, 12, 12}, Category::workspace,
                      std::span(pixels).subspan(static_cast<size_t>(first * 144), static_cast<size_t>(n * 144)));
    const Tensor labels = device.empty({n}, Category::workspace, DType::i32);
    device.run().upload(labels.data<void>(), classes + first, labels.bytes());
    tape.backward(cross_entropy(tape, "loss", model(tape, images), labels), seed);
    tape.reset();
  };
  pass(0, 4, 1);
  std::vector<std::vector<float>> whole;
  for (const Param& p : model.parameters()) whole.push_back(device.download(p.grad));
  model.parameters().forget_gradients();
  pass(0, 2, 0.5f);
  pass(2, 2, 0.5f);
  size_t i = 0;
  for (const Param& p : model.parameters()) {
    const auto halves = device.download(p.grad);
    const auto& all = whole[i++];
    double difference = 0, size = 0;
    for (size_t k = 0; k < all.size(); ++k) {
      difference += std::pow(static_cast<double>(halves[k] - all[k]), 2);
      size += std::pow(static_cast<double>(all[k]), 2);
    }
    CAPTURE(p.name);
    CHECK(size > 0);
    CHECK(std::sqrt(difference / size) < 2e-6);
  }
}

TEST_CASE("dropout changes with the step and is off in inference") {
  Device device(test_backend(1));
  VitConfig config{.image = 8, .patch = 4, .dim = 16, .depth = 1, .heads = 2, .classes = 3};
  config.dropout = 0.5f;
  Vit model(device, config, 1);
  const std::vector<float> pixels(3 * 64, 0.3f);
  const Tensor images = device.upload({1, 3, 8, 8}, Category::workspace, pixels);
  const auto policy = make_policy("full");
  const auto logits = [&](bool training, int64_t step) {
    if (!training) {
      Tape tape(device);
      return device.download(model(tape, images, {9, step}));
    }
    Tape tape(device, *policy);
    const auto values = device.download(model(tape, images, {9, step}));
    tape.reset();
    return values;
  };
  CHECK(logits(true, 0) == logits(true, 0));
  CHECK(logits(true, 0) != logits(true, 1));
  CHECK(logits(false, 0) == logits(false, 1));
  CHECK(logits(false, 0) != logits(true, 0));
}

TEST_CASE("every dropout of a ViT has a mask of its own") {
  Device device(test_backend(1));
  VitConfig config = small(2);
  config.dim = 64;
  config.dropout = 0.5f;
  Vit model(device, config, 1);
  for (Param& p : model.parameters())
    if (p.name != "head.weight") device.run().fill(p.value, p.name == "norm.weight" ? 1.f : 0.f);
  const Tensor images = random_images(device, config, 1);
  const auto policy = make_policy("full");
  Tape tape(device, *policy);
  // Ones that come out of one place alone, and pass its dropout: the logits tell the mask of the class token.
  std::vector<std::vector<float>> found;
  for (const char* source : {"pos_embed", "blocks.0.attn.proj.bias", "blocks.0.mlp.fc2.bias", "blocks.1.attn.proj.bias",
                             "blocks.1.mlp.fc2.bias"}) {
    CAPTURE(source);
    Tensor& value = model.parameters().find(source)->value;
    device.run().fill(value, 1);
    found.push_back(device.download(model(tape, images, {9, 0})));
    tape.reset();
    CHECK(found.back() == device.download(model(tape, images, {9, 0})));
    tape.reset();
    CHECK(found.back() != device.download(model(tape, images, {8, 0})));  // another seed
    tape.reset();
    device.run().fill(value, 0);
  }
  std::sort(found.begin(), found.end());
  CHECK(std::adjacent_find(found.begin(), found.end()) == found.end());
}

TEST_CASE("an MLP learns exclusive or") {
  Device device(test_backend(1));
  Mlp model(device, {2, 16, 2}, 3);
  for (Param& p : model.parameters())
    if (p.decay) {  // wider first weights than a ViT's: two inputs are few
      auto values = device.download(p.value);
      for (float& v : values) v *= 40;
      device.run().upload(p.value.data<void>(), values.data(), p.value.bytes());
    }
  model.parameters().make_gradients();
  const auto sgd = make_sgd(device, decay_groups(model.parameters(), 0));
  const std::vector<float> inputs{0, 0, 0, 1, 1, 0, 1, 1};
  const Tensor x = device.upload({4, 2}, Category::workspace, inputs),
               labels = device.empty({4}, Category::workspace, DType::i32);
  const int32_t classes[] = {0, 1, 1, 0};
  device.run().upload(labels.data<void>(), classes, sizeof classes);
  const auto policy = make_policy("full");
  Tape tape(device, *policy);
  float loss = 0;
  for (int step = 0; step < 200; ++step) {
    const Tensor l = cross_entropy(tape, "loss", model(tape, x), labels);
    loss = device.download(l)[0];
    tape.backward(l);
    tape.reset();
    sgd->step(step, 0.1f, 1);
  }
  CHECK(loss < 0.02f);
}

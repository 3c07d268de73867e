// Names behind what a training script puts in front of them all, and PyTorch's own files.
#include <doctest/doctest.h>

#include "errors.h"
#include "npz_bytes.h"
#include "pickle_bytes.h"
#include "shear/weights.h"
#include "temp_dir.h"
#include "tests_dir.h"

using namespace shear;
using namespace shear::test;
namespace fs = std::filesystem;

namespace {

const fs::path golden = tests_dir() / "golden" / "weights";

// The golden file of a library, each name behind one of `wrappers` in turn.
void wrap(const fs::path& out, const char* library, const std::vector<std::string>& wrappers) {
  const SafeTensors plain(golden / library / "model.safetensors");
  std::vector<TensorToWrite> tensors;
  for (const std::string& wrapper : wrappers)
    for (const TensorView& t : plain.tensors()) tensors.push_back({wrapper + t.name, t.dtype, t.shape, t.bytes.data()});
  write_safetensors(out, tensors);
}

// The golden file of timm as torch.save writes a training's checkpoint: {"epoch": 3, "model": {...}}.
std::string as_pytorch(const TensorFile& plain) {
  std::string model;
  std::vector<ZipEntry> entries;
  for (const TensorView& t : plain.tensors()) {
    REQUIRE(t.dtype == DType::f32);
    const std::string key = std::to_string(entries.size());
    std::vector<int64_t> shape, strides;
    for (int axis = 0; axis < t.shape.rank(); ++axis) {
      int64_t stride = 1;
      for (int later = axis + 1; later < t.shape.rank(); ++later) stride *= t.shape[later];
      shape.push_back(t.shape[axis]);
      strides.push_back(stride);
    }
    model += str(t.name) + tensor(storage(key, t.shape.elements()), 0, shape, strides);
    entries.push_back({"archive/data/" + key, {reinterpret_cast<const char*>(t.bytes.data()), t.bytes.size()}});
  }
  entries.push_back({"archive/data.pkl", proto + dict(str("epoch") + num(3) + str("model") + dict(model)) + stop});
  return zip(entries);
}

}  // namespace

TEST_CASE("what stands in front of all names of a model is found and told, whatever it is") {
  const TempDir dir;
  for (const auto& [library, wrapper, told] : {std::tuple{"timm", "state_dict.", "\"state_dict.\""},
                                               {"timm", "model.module.", "\"model.module.\""},
                                               {"hf", "student.backbone.", "\"student.backbone.vit.\""}}) {
    CAPTURE(wrapper);
    wrap(dir / "w.safetensors", library, {wrapper});
    const Weights wrapped(dir / "w.safetensors"), plain(golden / library / "model.safetensors");
    CHECK(wrapped.source() == plain.source());
    CHECK(wrapped.unused().empty());
    CHECK(wrapped.parameters() == plain.parameters());
    for (const std::string& name : plain.parameters()) CHECK(wrapped.read(name) == plain.read(name));
    const ModelSpecPtr model = wrapped.model("vit:image=12,patch=4,dim=12,depth=2,heads=3,mlp=2,classes=5");
    CHECK(wrapped.describe(*model, wrapped.preprocess(*model)).front().find(text("names behind ", told)) !=
          std::string::npos);
  }
}

TEST_CASE("a file of two models is refused, and says where they are") {
  const TempDir dir;
  wrap(dir / "w.safetensors", "timm", {"model.", "model_ema."});
  CHECK(sentence(Fault::input, [&] {
          const Weights w(dir / "w.safetensors");
        }).ends_with("w.safetensors: holds two models, behind \"model.\" and behind \"model_ema.\", expected one"));
  std::vector<std::string> many;
  for (int i = 0; i < 40; ++i) many.push_back(text("fold", i, '.'));
  wrap(dir / "w.safetensors", "timm", many);
  CHECK(sentence(Fault::input, [&] { const Weights w(dir / "w.safetensors"); }).find("holds more than 15 models") !=
        std::string::npos);
}

TEST_CASE("a checkpoint that torch.save wrote has the weights of the same model") {
  const TempDir dir;
  const Weights plain(golden / "timm" / "model.safetensors");
  put(dir / "pytorch_model.bin", as_pytorch(plain.file()));
  for (const fs::path& given : {dir / "pytorch_model.bin", dir / "."}) {  // the file, or its folder
    const Weights pickled(given);
    CHECK(pickled.parameters() == plain.parameters());
    CHECK(pickled.unused().empty());
    for (const std::string& name : plain.parameters()) CHECK(pickled.read(name) == plain.read(name));
  }
}

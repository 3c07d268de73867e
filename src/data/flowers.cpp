// Flowers-102 (Nilsback and Zisserman, "Automated flower classification over a large number of classes", 2008).
//
//   setid.mat        trnid, valid, tstid: the numbers of the images of each part, from 1
//   imagelabels.mat  labels: the class of every image, 1 to 102
//   jpg/image_00001.jpg ...
#include <array>
#include <cstdio>

#include "data/files.h"
#include "data/listed.h"
#include "data/mat.h"
#include "data/sources.h"
#include "shear/error.h"

namespace shear {
namespace {

namespace fs = std::filesystem;

// In the order of the labels, as the data set's page spells them.
// clang-format off
constexpr std::array<const char*, 102> flowers{
    "pink primrose", "hard-leaved pocket orchid", "canterbury bells", "sweet pea", "english marigold", "tiger lily",
    "moon orchid", "bird of paradise", "monkshood", "globe thistle", "snapdragon", "colt's foot", "king protea",
    "spear thistle", "yellow iris", "globe-flower", "purple coneflower", "peruvian lily", "balloon flower",
    "giant white arum lily", "fire lily", "pincushion flower", "fritillary", "red ginger", "grape hyacinth",
    "corn poppy", "prince of wales feathers", "stemless gentian", "artichoke", "sweet william", "carnation",
    "garden phlox", "love in the mist", "mexican aster", "alpine sea holly", "ruby-lipped cattleya", "cape flower",
    "great masterwort", "siam tulip", "lenten rose", "barbeton daisy", "daffodil", "sword lily", "poinsettia",
    "bolero deep blue", "wallflower", "marigold", "buttercup", "oxeye daisy", "common dandelion", "petunia",
    "wild pansy", "primula", "sunflower", "pelargonium", "bishop of llandaff", "gaura", "geranium", "orange dahlia",
    "pink-yellow dahlia?", "cautleya spicata", "japanese anemone", "black-eyed susan", "silverbush",
    "californian poppy", "osteospermum", "spring crocus", "bearded iris", "windflower", "tree poppy", "gazania",
    "azalea", "water lily", "rose", "thorn apple", "morning glory", "passion flower", "lotus", "toad lily",
    "anthurium", "frangipani", "clematis", "hibiscus", "columbine", "desert-rose", "tree mallow", "magnolia",
    "cyclamen", "watercress", "canna lily", "hippeastrum", "bee balm", "ball moss", "foxglove", "bougainvillea",
    "camellia", "mallow", "mexican petunia", "bromelia", "blanket flower", "trumpet creeper", "blackberry lily"};
// clang-format on

fs::path labels_file(const fs::path& folder) { return folder / "imagelabels.mat"; }
fs::path parts_file(const fs::path& folder) { return folder / "setid.mat"; }

class Flowers {
 public:
  explicit Flowers(const fs::path& folder)
      : folder_(folder), labels_(read_mat_vector(labels_file(folder), "labels")), part_of_(labels_.size()) {
    for (size_t i = 0; i < labels_.size(); ++i)
      if (labels_[i] < 1 || labels_[i] > std::ssize(flowers))
        fail(Fault::input, labels_file(folder).string(), ": the label of image ", i + 1, " is ", labels_[i],
             ", expected 1 to ", flowers.size());
  }

  void add(const char* part, std::vector<ListedImage>& images) {
    for (const int64_t id : read_mat_vector(parts_file(folder_), part)) {
      if (id < 1 || id > std::ssize(labels_))
        fail(Fault::input, parts_file(folder_).string(), ": ", part, " names image ", id, ", expected 1 to ",
             labels_.size(), ", the labels that there are");
      const size_t i = static_cast<size_t>(id - 1);
      if (part_of_[i])
        fail(Fault::input, parts_file(folder_).string(), ": image ", id, " stands in ", part_of_[i], " and again in ",
             part, ", expected once");
      part_of_[i] = part;
      char name[32];
      std::snprintf(name, sizeof name, "jpg/image_%05d.jpg", static_cast<int>(id));
      images.push_back({name, static_cast<int>(labels_[i] - 1)});
      absent_.look_for(folder_ / name, 0);
    }
  }

  std::unique_ptr<Dataset> listed(std::vector<ListedImage> images) const {
    if (images.empty()) return nullptr;
    return make_listed(folder_, std::move(images), {flowers.begin(), flowers.end()});
  }

  void refuse_absent() const { absent_.refuse(parts_file(folder_)); }

 private:
  fs::path folder_;
  std::vector<int64_t> labels_;       // by image, from 1
  std::vector<const char*> part_of_;  // by image; null: none so far
  AbsentImages absent_;
};

}  // namespace

bool holds_flowers(const fs::path& folder) { return is_file(parts_file(folder)) || is_file(labels_file(folder)); }

DataSplits open_flowers(const fs::path& data, const fs::path& val, const DataOptions& options) {
  const auto open = [&](const fs::path& folder) {
    Flowers found(folder);
    std::vector<ListedImage> train, valid, test;
    found.add("trnid", train);
    found.add("valid", options.official_split ? valid : train);
    found.add("tstid", test);
    if (!options.allow_absent) found.refuse_absent();
    DataSplits splits{"Flowers-102", found.listed(train), found.listed(valid), found.listed(test), {}};
    if (!splits.train) fail(Fault::input, parts_file(folder).string(), ": trnid and valid are empty");
    return splits;
  };
  DataSplits splits = open(data);
  if (val.empty()) return splits;
  splits.val = open(val).test;
  if (!splits.val) fail(Fault::input, parts_file(val).string(), ": tstid is empty, expected images to validate on");
  return splits;
}

}  // namespace shear

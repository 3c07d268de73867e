// Images and labels: data sets on disk, what is done to an image before a model sees it, and a loader that keeps ahead.
#pragma once
#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "shear/api.h"
#include "shear/random.h"

namespace SHEAR_API shear {

// 8 bits per channel, rows from the top, channels interleaved (R G B, or one of grey).
struct Image {
  int width = 0, height = 0, channels = 0;
  std::vector<uint8_t> pixels;  // width * height * channels
};

// JPEG, PNG, WebP, GIF, BMP or TIFF by content, not by name, to the bytes that Pillow's convert("RGB") or convert("L")
// gives: of an animation or of several pages the first, CMYK becomes the light that its inks leave, alpha is left out
// (what lies under it shows), of 16 bits the higher 8 stay (in grey too, which Pillow clips at 255).  Grey stays grey.
// Turned upright as Pillow's exif_transpose does.  A file that ends early is an error; damage inside a JPEG is passed
// over as Pillow does.  Throws Fault::input with the file, what was found and what was expected.  Thread-safe.
Image decode_image(const std::filesystem::path&);

// What a file's header says of its image, as it is stored: not yet turned.
struct ImageHeader {
  int width = 0, height = 0, channels = 0;
  // What decode_image takes at most at one time: the file's bytes, the pixels, what the codec needs beside them, and
  // the second copy where the image is turned by a quarter.  EXIF and the like may take a MiB or two more.
  size_t decode_bytes = 0;
};
// Reads no more of the file than it must.  Throws as decode_image does where the header alone makes that fail.
// Thread-safe.
ImageHeader probe_image(const std::filesystem::path&);
// The images below a folder, by their names' endings or, without one, by how they begin, in the order of their paths;
// hidden files, and links to folders, are passed over.  Throws Fault::input where there are none.
std::vector<std::filesystem::path> images_below(const std::filesystem::path& folder);
Image to_channels(Image, int channels);  // grey to RGB, or RGB to grey (ITU-R 601 luma)

// Labelled images.  `read` is thread-safe.
class Dataset {
 public:
  virtual ~Dataset() = default;
  virtual int64_t size() const = 0;
  virtual int channels() const = 0;  // of what read returns
  virtual const std::vector<std::string>& classes() const = 0;
  virtual int label(int64_t index) const = 0;
  virtual Image read(int64_t index) const = 0;
  virtual std::string describe(int64_t index) const = 0;  // a path, or "FILE, image 17"
  // What an image is called wherever the data set lies, once in a part: its path below the part's folder (a list's:
  // below the folder of the list), or "FILE, image 17" without the folder.
  virtual std::string key(int64_t index) const { return "image " + std::to_string(index); }
  // What is cheap to know of its content: the size of its file in bytes, 0 where that cannot be seen, or a hash of
  // pixels that are in memory anyway.
  virtual uint64_t sign(int64_t) const { return 0; }
  // What `read` takes for a moment beyond what the data set holds, in bytes; 0: little.  Throws as `read` may.
  virtual size_t reading_bytes(int64_t) const { return 0; }
};

// A number that is another one where images were added, removed, renamed, given another class or replaced by ones with
// another `sign`; the same wherever the data set lies, in whatever order its images and classes stand.  Asks the file
// system for the size of every file and opens none.
uint64_t fingerprint(const Dataset&);

// A data set with its parts.  Classes are matched by name: labels of val and test are indices into train's classes.
struct DataSplits {
  std::string kind;                     // "IDX", "CIFAR-10", "class folders"
  std::unique_ptr<Dataset> train, val;  // val is null where there is none
  std::unique_ptr<Dataset> test;        // null where there is none, or where it serves as val
  std::vector<std::string> notes;       // what is worth knowing, a sentence each: files that were passed over
};

// How a data set is read, beyond its path.
struct DataOptions {
  std::string kind{};                 // a name of data_kinds(); empty: recognised
  std::string class_order = "plain";  // of folders and CSV: plain as torchvision ("10" < "2"), or natural as timm
  double val_share = 0;               // of each class's training images, held out where there is no validation part
  uint64_t split_seed = 0;            // which ones: the same for the same images, whatever else a run draws
  bool official_split = false;        // Flowers-102: train on trnid alone, validate on valid
  // Images that a list names are looked for when they are read, not at once: for check_data, which tells of each.
  bool allow_absent = false;
  // A single class, or folders that look like one too many, becomes a note: for who does not train.
  bool any_classes = false;
  std::filesystem::path own{};  // where a run is written: no data where it lies among the class folders
  // Of the model that training goes on with: IDX, which names no classes, has these though its labels show fewer.
  std::vector<std::string> classes{};
};

// "idx", "cifar", "flowers102", "cub200", "csv", "folders".
const std::vector<std::string>& data_kinds();

// Recognises
//   IDX           plain or gzip: train-images-idx3-ubyte[.gz] ..., t10k as test; classes from 0 to the greatest label
//   CIFAR         -10 and -100 in binary
//   Flowers-102   setid.mat, imagelabels.mat, jpg/: trains on trnid and valid, tests on tstid
//   CUB-200-2011  images.txt, image_class_labels.txt, classes.txt, train_test_split.txt, images/
//   CSV           a file with a column of paths (path, file, file_name, image ...), one of labels (label, class,
//                 target ...), and maybe split; separated by commas, semicolons or tabs
//   class folders flat: then all of it is train; or in folders for the parts, train with val or test, by their usual
//                 names in any case ("Training", "val_images", "dev", "Test set"), where these hold class folders
// A test part serves as val where there is no other.  `val` names another data set of the same kind for validation;
// empty: none.  Throws Fault::input with one sentence, Fault::usage for options that make no sense.
DataSplits open_data(const std::filesystem::path& data, const std::filesystem::path& val = {}, const DataOptions& = {});

// What `shear check` tells: reads every sample.
struct CheckReport {
  std::string kind;
  struct Part {
    std::string name;  // "train", "val", "test"
    int64_t samples = 0;
    std::vector<std::pair<std::string, int64_t>> per_class;
    int min_width = 0, max_width = 0, min_height = 0, max_height = 0;
  };
  std::vector<Part> parts;
  std::vector<std::string> broken;  // one sentence each
};
CheckReport check_data(const DataSplits&);

// Pillow's filters of these names, which reach 1, 2, 3, 0.5 and 1 pixels far; bicubic has a = -0.5.
enum class Interpolation : uint8_t { bilinear, bicubic, lanczos, box, hamming };
const std::vector<std::string>& interpolations();  // their names, in that order: timm's and Pillow's
std::string_view name(Interpolation);
std::optional<Interpolation> parse_interpolation(std::string_view);  // nothing for another name

// Pillow 13's resize: two passes (horizontal, then vertical; the other way round where the height shrinks, and by more
// than twice as many pixels as the width), support scaled with the reduction (antialias),
// 8-bit fixed-point coefficients (22 fraction bits), rounded and clipped to 8 bits after each pass. The box
// [left, right) x [top, bottom) of the source is mapped onto the whole result.
struct Box {
  double left, top, right, bottom;
};
Image resize(const Image&, int width, int height, Interpolation, const Box&);
Image resize(const Image&, int width, int height, Interpolation);

// Which side of an image evaluation resizes before it cuts the centre.
enum class Fit : uint8_t {
  shorter,  // the shorter one, the other in proportion
  both,     // both to the same, whatever the ratio: a squash
  longer,   // the longer one; what is missing then has the colour `mean`: timm's "border"
  none,     // neither: transformers' do_resize false
};
// Where a centre begins that leaves an odd number of pixels.
enum class Halves : uint8_t {
  even,  // Python's round(n / 2), as in torchvision and timm
  down,  // n // 2, as in transformers
};

// From an image to a model's input: C x H x W floats, (v / 255 - mean) / std per channel.
struct Preprocess {
  int image = 224, channels = 3;
  std::array<float, 3> mean{0.5f, 0.5f, 0.5f}, std{0.5f, 0.5f, 0.5f};
  Interpolation interpolation = Interpolation::bicubic;
  // Evaluation resizes as `fit` says to floor(image / crop) pixels, or to just `resize` where that is not 0, and cuts
  // the centre then.  A side that is less than `image` by then has black beside it, one pixel more behind than before
  // where their number is odd, as in torchvision.
  Fit fit = Fit::shorter;
  float crop = 0.9f;  // 1: no margin; above 1: the image is less than what the model sees
  int resize = 0;
  Halves halves = Halves::even;
  bool cut = true;  // false: what is resized must be `image` x `image`, another is refused
};
int64_t resized_side(const Preprocess&);  // in pixels, before the cut; of Fit::none meaningless
struct Augment {
  bool random_crop = true;                 // torchvision's RandomResizedCrop; off: as in eval
  std::array<float, 2> area{0.08f, 1.0f};  // share of the image
  std::array<float, 2> ratio{3.f / 4, 4.f / 3};
  bool flip = true;  // left-right, with probability 1/2
  int pad = 0;       // small images: zero-padding and a random cut instead of a random crop
};
// Both throw Fault::input for a model of other than 1 or 3 channels, and for an image that has not the model's size
// where neither resizing nor a cut gives it that.
void prepare_eval(const Image&, const Preprocess&, float* chw);
void prepare_train(const Image&, const Preprocess&, const Augment&, Stream&, float* chw);

// The order of a training epoch: a permutation drawn from (seed, epoch).
std::vector<int64_t> epoch_order(int64_t size, uint64_t seed, int64_t epoch);

// A batch in host memory: images (count, C, H, W), labels (count).
struct Batch {
  int64_t count = 0;
  std::vector<float> images;
  std::vector<int32_t> labels;
  std::vector<int64_t> indices;  // into the data set
};

// Decodes and prepares batches on threads of its own, ahead of who asks.  What it yields depends on its options
// and on `start` alone, not on threads or timing.
class Loader {
 public:
  struct Options {
    int64_t batch = 128;
    bool training = false;  // shuffled, augmented, only whole batches; else in order, the last may be short
    uint64_t seed = 0;
    int threads = 1, ahead = 2;  // batches in flight
    // For images that are being decoded, on all threads together, in bytes; 0: whatever they take.  An image that takes
    // more by itself is Fault::memory.
    size_t decoding_room = 0;
    Preprocess preprocess;
    Augment augment;
  };
  Loader(const Dataset&, const Options&);
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  static size_t bytes(const Options&);  // of the batches that it holds
  size_t decoding_peak() const;         // the most that images took while they were decoded, so far
  int64_t batches_per_epoch() const;
  // From batch `first` of `epoch`; training goes on into the following epochs without end.
  void start(int64_t epoch, int64_t first_batch = 0);
  // The next batch, valid until the following call; null at the end of an evaluation pass.  Rethrows what a worker met.
  const Batch* next();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace shear

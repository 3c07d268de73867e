// How folders may lie: parts under their usual names, and folders too many or too few, which are never taken for
// classes without a word.
#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

#include "data/part_names.h"
#include "image_files.h"
#include "shear/utf8.h"

namespace shear::test {
namespace {

using Lines = std::vector<std::string>;

void write_images(const fs::path& root, const Lines& names) {
  for (const std::string& name : names) write_png(root / name, flat(2, 2, {9, 9, 9}));
}

// Two images of cat and two of dog.
void write_part(const fs::path& part) { write_images(part, {"cat/1.png", "cat/2.png", "dog/1.png", "dog/2.png"}); }

std::string opening(const fs::path& folder, const DataOptions& options = {}) {
  return sentence(Fault::input, [&] { open_data(folder, {}, options); });
}

std::string only_note(const DataSplits& data) {
  REQUIRE(data.notes.size() == 1);
  return data.notes[0];
}

int64_t size_of(const std::unique_ptr<Dataset>& part) { return part ? part->size() : 0; }

}  // namespace

TEST_CASE("the parts' usual names are known in any case, with the words that people add") {
  for (const char* name : {"train", "Training", "TRAIN", "Train_Data", "train_set", "trainset", "train-images",
                           "training data", "train2017", "images_train", "Train Images (1)"})
    CHECK_MESSAGE(part_named(name) == PartName::train, name);
  for (const char* name : {"val", "Valid", "validation_data", "val_images", "dev", "DevSet", "validation-set"})
    CHECK_MESSAGE(part_named(name) == PartName::val, name);
  for (const char* name : {"test", "TEST", "Testing", "test_data", "testset", "test1"})
    CHECK_MESSAGE(part_named(name) == PartName::test, name);
  for (const char* name : {"eval", "Evaluation", "eval_images"})
    CHECK_MESSAGE(part_named(name) == PartName::eval, name);
  for (const char* name : {"", "trains", "trainer", "data", "set", "dataset", "images", "contest", "device", "tested",
                           "2017", "value", "\xe9val", "training wheels"})
    CHECK_MESSAGE(part_named(name) == PartName::none, name);
}

TEST_CASE("folders of parts are no classes, however they are called") {
  struct Case {
    const char *train, *val, *test;
  };
  for (const Case& names : {Case{"Training", "", "Testing"}, Case{"Train", "Val", "Test"}, Case{"TRAIN", "dev", ""},
                            Case{"Train_Data", "", "TEST"}, Case{"training", "validation_data", "test_set"},
                            Case{"train_set", "val_images", ""}, Case{"trainset", "eval", "testset"},
                            Case{"train", "validation", "evaluation"}, Case{"train", "", "Test"}}) {
    CAPTURE(names.train);
    const TempDir root;
    for (const char* part : {names.train, names.val, names.test})
      if (*part) write_part(root / part);
    const DataSplits data = open_data(root.path());
    CHECK(data.train->classes() == Lines{"cat", "dog"});
    CHECK(size_of(data.train) == 4);
    CHECK(size_of(data.val) == 4);
    CHECK(size_of(data.test) == (*names.val && *names.test ? 4 : 0));
    CHECK(data.train->key(0) == "cat/1.png");
    CHECK(data.notes.empty());
    CHECK(size_of(open_data(root.path(), root.path()).val) == 4);
  }
}

TEST_CASE("two folders for one part are refused with both names") {
  for (const auto& [one, two, part] :
       {std::tuple{"Train", "training", "training"}, std::tuple{"dev", "val", "validation"},
        std::tuple{"TEST", "test_data", "test"}}) {
    const TempDir root;
    for (const char* name : {"train", one, two}) write_part(root / name);
    if (part == std::string("training")) fs::remove_all(root / "train");
    CHECK(contains(opening(root.path()),
                   text(": holds ", one, " and ", two, ", which both name the ", part, " part, expected one of them")));
  }
  const TempDir root;
  for (const char* name : {"train", "val", "eval", "test"}) write_part(root / name);
  CHECK(contains(opening(root.path()), ": holds val, test and eval, expected one folder for validation and one for"));
}

TEST_CASE("what lies beside the folders of the parts is told of") {
  const TempDir root;
  for (const char* name : {"train", "val", "extra", "unlabeled"}) write_part(root / name);
  write_images(root.path(), {"cover.png", "Training/1.png"});
  write_file(root / "README", {'x'});
  const DataSplits data = open_data(root.path());
  CHECK(contains(only_note(data), ": beside train, extra, unlabeled, Training and 1 image are passed over"));
  CHECK(size_of(data.train) == 4);
  const TempDir other;
  write_part(other.path());
  CHECK(contains(open_data(root.path(), other.path()).notes.back(), "val: is passed over, as "));
}

TEST_CASE("a test part without labels stops nothing, with or without a part for validation") {
  for (const char* val : {"", "val"})
    for (const double share : {0., 0.5})
      for (const char* test : {"test/1.png", "test1/1.png", "evaluation/1.png", "Test/cat/no image"}) {
        CAPTURE(val);
        CAPTURE(share);
        CAPTURE(test);
        const TempDir root;
        write_part(root / "train");
        if (*val) write_part(root / val);
        if (contains(test, "no image"))
          write_file(root / test, {'x'});
        else
          write_images(root.path(), {test});
        const DataSplits data = open_data(root.path(), {}, {.val_share = share});
        CHECK(size_of(data.train) == (share > 0 && !*val ? 2 : 4));
        CHECK(size_of(data.val) == (*val ? 4 : share > 0 ? 2 : 0));
        CHECK(data.test == nullptr);
        REQUIRE(!data.notes.empty());
        CHECK(data.notes[0].ends_with(" is left out"));
        CHECK(contains(data.notes[0], *val == 0 && contains(test, "no image") ? ": holds no images;" : "; "));
      }
}

TEST_CASE("a test part with classes that training never saw is refused where it would validate, else left out") {
  const TempDir root;
  write_part(root / "train");
  write_images(root.path(), {"test/Cat/1.png", "test/dog/1.png"});
  const std::string told = opening(root.path());
  CHECK(
      contains(told, "test/Cat: the class \"Cat\" is not among the 2 classes of the training set (which has \"cat\")"));
  CHECK(contains(told, "; --val-share 0.1 would validate on training images instead"));
  CHECK(contains(only_note(open_data(root.path(), {}, {.val_share = 0.5})), "; test is left out"));
}

TEST_CASE("a class may be named as a part is, but parts without class folders are refused") {
  const TempDir root;
  write_images(root.path(), {"bus/1.png", "train/1.png"});
  CHECK(contains(only_note(open_data(root.path())), ": train is named as a part of a data set, but holds no folders"));
  fs::remove_all(root / "bus");
  write_images(root.path(), {"Test/1.png"});
  CHECK(contains(opening(root.path()),
                 ": train and Test are named as parts of a data set, but hold no folders, expected a folder for each"));
  fs::remove_all(root / "train");
  write_images(root.path(), {"Test/cat/1.png"});
  CHECK(contains(opening(root.path()), ": holds Test but no train with class folders, expected both"));
}

TEST_CASE("a folder too many above the classes is refused, and the one that is meant is named") {
  const TempDir root;
  write_images(root.path(), {"flowers/rose/1.png", "flowers/tulip/1.png"});
  CHECK(opening(root.path()) == root.path().string() +
                                    ": one class only, flowers, whose images lie in the folders rose and tulip, "
                                    "expected a folder for each class; is " +
                                    (root / "flowers").string() + " meant?");
  fs::create_directories(root / "a/b/c");
  fs::rename(root / "flowers", root / "a/b/c/d");
  CHECK(contains(opening(root / "a"),
                 "whose images lie in the folders rose and tulip, expected a folder for each class"));
  CHECK(contains(opening(root / "a"), "a/b/c/d meant?"));
  for (const char* name : {"train", "val"}) write_part(root / "zip/archive/data" / name);
  CHECK(contains(opening(root / "zip"), "one class only, archive, whose images lie in the folders train and val"));
  CHECK(contains(opening(root / "zip"), "zip/archive/data meant?"));
  write_part(root / "twice/train/train");
  CHECK(contains(opening(root / "twice"), "one class only, train, whose images lie in the folders cat and dog"));
  write_images(root.path(), {"one/cat/1.png", "one/cat/more/1.png"});
  CHECK(opening(root / "one") == (root / "one").string() + ": one class only, cat, expected at least two");
}

TEST_CASE("who does not train is told of a single class and reads it") {
  const TempDir root;
  write_images(root.path(), {"flat/cat/1.png", "deep/flowers/rose/1.png", "deep/flowers/tulip/1.png"});
  const DataSplits flat_one = open_data(root / "flat", {}, {.any_classes = true});
  CHECK(flat_one.train->size() == 1);
  CHECK(contains(only_note(flat_one), "flat: one class only, cat, expected at least two"));
  const DataSplits deep = open_data(root / "deep", {}, {.any_classes = true});
  CHECK(deep.train->classes() == Lines{"flowers"});
  CHECK(contains(only_note(deep), "whose images lie in the folders rose and tulip"));
}

TEST_CASE("folders of the same names within every class are refused with these names") {
  const TempDir root;
  for (const char* site : {"site1", "site2", "site3", "site4", "site5"})
    write_images(root / "sites" / site, {"benign/1.png", "malignant/1.png"});
  CHECK(opening(root / "sites") ==
        (root / "sites").string() +
            ": the images of all its folders, site1, site2, site3 and 2 more, lie in folders of the same names, benign "
            "and malignant, expected a folder for each class; is " +
            (root / "sites/site1").string() + " meant?");
  write_images(root.path(), {"inside/cat/train/1.png", "inside/cat/test/1.png", "inside/dog/train/1.png"});
  CHECK(contains(opening(root / "inside"),
                 "lie in folders of the same names, test and train, expected a folder for each class in each part "
                 "(test/cat, not cat/test)"));
  // As Office-31 has them, below folders that all are called alike.
  for (const char* domain : {"amazon", "dslr"})
    write_images(root / "office" / domain / "images", {"bike/1.png", "mug/1.png"});
  CHECK(contains(opening(root / "office"), "office/amazon/images meant?"));
  CHECK(open_data(root / "office", {}, {.any_classes = true}).train->size() == 4);
}

TEST_CASE("images in folders of their class's own are its images, and told of where there are several such folders") {
  const TempDir root;
  // As in Tiny ImageNet.
  write_images(root.path(), {"tiny/n01/images/1.png", "tiny/n01/images/2.png", "tiny/n02/images/1.png"});
  const DataSplits tiny = open_data(root / "tiny");
  CHECK(tiny.train->size() == 3);
  CHECK(tiny.notes.empty());
  write_images(root.path(),
               {"by day/cat/monday/1.png", "by day/cat/friday/1.png", "by day/dog/1.png", "by day/dog/more/1.png"});
  const DataSplits days = open_data(root / "by day");
  CHECK(days.train->size() == 4);
  CHECK(contains(only_note(days),
                 ": 1 class has its images in several folders, all of which count for it, the first is"));
  CHECK(contains(days.notes[0], "by day/cat"));
}

TEST_CASE("the directory of a run among the class folders is no class") {
  const TempDir root;
  write_part(root.path());
  fs::create_directories(root / "run");
  CHECK(contains(opening(root.path()), "run: holds no images"));
  const DataSplits first = open_data(root.path(), {}, {.own = root / "run"});
  CHECK(first.train->classes() == Lines{"cat", "dog"});
  CHECK(contains(only_note(first), ": run is of a training, without images, and no class"));
  CHECK(open_data(root.path(), {}, {.own = root / "run/seed1/.."}).train->classes().size() == 2);
  write_file(root / "run/seed1/last.safetensors", {'x'});
  write_file(root / "second/metrics.jsonl", {'x'});
  CHECK(
      contains(only_note(open_data(root.path())), ": run and second are of a training, without images, and no class"));
  CHECK(open_data(root.path(), {}, {.own = root.path()}).train->classes().size() == 2);
  CHECK(open_data(root.path(), {}, {.own = root / "cat"}).train->classes().size() == 2);
}

TEST_CASE("classes whose names differ by what nobody sees are told of") {
  const TempDir root;
  write_images(root.path(), {"cat/1.png", "Cat/1.png", "caf\xc3\xa9/1.png", "cafe\xcc\x81/1.png"});
  const DataSplits data = open_data(root.path());
  CHECK(data.train->classes().size() == 4);
  REQUIRE(data.notes.size() == 2);
  CHECK(contains(data.notes[1], "the classes \"Cat\" and \"cat\" differ by blanks, case or spelling of a letter only"));
}

TEST_CASE("a class folder whose name is not UTF-8 is refused with the name, an image's may be any") {
  const TempDir root;
  write_part(root.path());
  write_images(root.path(), {"cat/cr\xe8me.png"});
  const DataSplits data = open_data(root.path());
  CHECK(data.train->size() == 5);
  CHECK(data.train->describe(2) == (root / "cat/cr\xe8me.png").string());
  CHECK(data.train->read(2).width == 2);
  write_file(root / "cat/cr\xe9pe.png", {'x'});
  const Lines broken = check_data(open_data(root.path())).broken;
  REQUIRE(broken.size() == 1);
  CHECK(is_utf8(broken[0]));
  CHECK(contains(broken[0], "cat/cr\\xe9pe.png: begins with the bytes 78"));
  write_images(root.path(), {"cr\xe8me/1.png"});
  CHECK(opening(root.path()) ==
        (root / "cr\\xe8me").string() + ": the folder's name is not UTF-8, expected UTF-8, as it names a class");
}

TEST_CASE("what is no regular file among the images is told of at once, and keeps nobody waiting") {
  const TempDir root;
  write_part(root.path());
  REQUIRE(mkfifo((root / "cat/pipe.jpg").c_str(), 0600) == 0);
  REQUIRE(mkfifo((root / "cat/pipe").c_str(), 0600) == 0);  // whose name says nothing: no image
  fs::create_symlink("/dev/zero", root / "cat/zero.jpg");
  write_images(root.path(), {"dog/folder.jpg/1.png"});  // its images are the class's
  const int listening = socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, (root / "dog/s.jpg").c_str(), sizeof address.sun_path - 1);
  REQUIRE(bind(listening, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  const DataSplits data = open_data(root.path());
  CHECK(data.train->size() == 8);
  const Lines broken = check_data(data).broken;
  close(listening);
  REQUIRE(broken.size() == 3);
  CHECK(contains(broken[0], "cat/pipe.jpg: is a named pipe, expected a regular file that holds an image"));
  CHECK(contains(broken[1], "cat/zero.jpg: is a device, expected a regular file"));
  CHECK(contains(broken[2], "dog/s.jpg: is a socket, expected a regular file"));
  CHECK(contains(opening(root / "cat/pipe"), "cat/pipe: is a named pipe, expected a folder with IDX files"));
}

TEST_CASE("a list that is no regular file is told of at once") {
  for (const char* name : {"list.csv", "idx/train-labels-idx1-ubyte", "cifar/data_batch_1.bin", "cub/classes.txt",
                           "flowers/imagelabels.mat", "names/batches.meta.txt"}) {
    CAPTURE(name);
    const TempDir root;
    for (const char* folder : {"idx", "cifar", "cub", "flowers", "names"}) fs::create_directories(root / folder);
    write_file(root / "idx/train-images-idx3-ubyte", {0});
    write_file(root / "cub/train_test_split.txt", {'1'});
    write_file(root / "names/data_batch_1.bin", std::vector<uint8_t>(3073));
    REQUIRE(mkfifo((root / name).c_str(), 0600) == 0);
    const fs::path file = root / name;
    CHECK(contains(opening(file.extension() == ".csv" ? file : file.parent_path()),
                   file.string() + ": is a named pipe, expected a regular file that holds "));
  }
}

TEST_CASE("links that lead nowhere, in circles or to folders below a class are told of") {
  const TempDir root;
  write_part(root.path());
  write_images(root.path(), {"elsewhere/1.png"});
  fs::rename(root / "elsewhere", root / ".elsewhere");
  fs::create_directory_symlink(root / ".elsewhere", root / "emu");
  CHECK(open_data(root.path()).train->classes() == Lines{"cat", "dog", "emu"});
  fs::create_directory_symlink(root / ".elsewhere", root / "cat/more");
  fs::create_directory_symlink("ring", root / "ring");
  fs::create_directory_symlink(root / "gone", root / "ant");
  const DataSplits data = open_data(root.path());
  CHECK(data.train->size() == 5);
  REQUIRE(data.notes.size() == 2);
  CHECK(contains(data.notes[0], ": 2 links lead nowhere and are passed over, the first is " + (root / "ant").string()));
  CHECK(contains(data.notes[1], ": 1 link to a folder below a class is not followed, the first is"));
  CHECK(contains(opening(root / "ring"), "ring: cannot be read (Too many levels of symbolic links)"));
  CHECK(contains(opening(root / std::string(300, 'x')), ": cannot be read (File name too long)"));
}

}  // namespace shear::test

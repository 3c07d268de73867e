// The executable on folders and lists of photos: parts that are held out, what is broken, and prepared batches.
#include <sys/stat.h>

#include "image_files.h"
#include "shell.h"

using namespace shear;
using namespace shear::test;

namespace {

const std::string colour_model = "vit:image=8,patch=4,dim=16,depth=1,heads=2";

void write_photos(const fs::path& root, int images) {
  for (const char* name : {"a", "b", "c"})
    for (int i = 0; i < images; ++i)
      write_jpeg(root / name / text(100 + i, ".jpg"), pattern(9 + i, 12 + name[0] % 7, 3));
}

}  // namespace

TEST_CASE("a part that training held out is what eval sees, and a resumed run") {
  Shell shear;
  write_photos(shear.dir / "photos", 20);
  const Args flags{"--data", shear.path("photos"), "--model", colour_model, "--epochs",
                   "2",      "--val-share",        "0.25",    "--batch",    "8",
                   "--json"};
  const Result trained = shear(shear.train("run", flags));
  REQUIRE(trained.status == 0);
  CHECK(trained.err.find("45 training and 15 validation images") != std::string::npos);
  const std::string weights = shear.path("run/model.safetensors");
  const Result eval = shear({"eval", "--data", shear.path("photos"), "--weights", weights, "--json"});
  REQUIRE(eval.status == 0);
  CHECK(eval.json()["samples"] == 15);
  CHECK(eval.json()["accuracy"] == trained.json()["accuracy"]);
  CHECK(eval.json()["loss"].get<double>() == doctest::Approx(trained.json()["loss"].get<double>()).epsilon(1e-5));

  Args stopped = flags;
  stopped.insert(stopped.end(), {"--stop-after", "4"});
  CHECK(shear(shear.train("again", stopped)).status == 130);
  REQUIRE(shear({"train", "--resume", shear.path("again")}).status == 0);
  CHECK(contents(shear.dir / "again/model.safetensors") == contents(shear.dir / "run/model.safetensors"));
  shear.refuses(2, {"train", "--resume", shear.path("again"), "--val-share", "0.5"}, {"--val-share", "0.25"});

  // Elsewhere nothing says that these are the same images: eval takes all of them, and tells.
  fs::rename(shear.dir / "photos", shear.dir / "moved");
  const Result moved = shear({"eval", "--data", shear.path("moved"), "--weights", weights, "--json"});
  CHECK(moved.json()["samples"] == 60);
  CHECK(moved.err.find("--val-share 0.25 --split-seed 0") != std::string::npos);
  const Args given{"eval", "--data", shear.path("moved"), "--weights", weights, "--val-share", "0.25", "--json"};
  CHECK(shear(given).json()["accuracy"] == eval.json()["accuracy"]);
}

TEST_CASE("a list whose images are not there stops training at once, and a check names them") {
  Shell shear;
  write_photos(shear.dir.path(), 3);
  put(shear.dir / "list.csv", "path,label\na/100.jpg,x\nb/100.jpg,y\nb/999.jpg,y\n");
  const std::string list = shear.path("list.csv");
  shear.refuses(3, {"train", "--data", list, "--model", colour_model, "--batch", "1", "--out", shear.path("run")},
                {"list.csv: 1 of its 3 images are not there", "b/999.jpg", "(line 4)"});
  const Result check = shear({"check", "--data", list, "--json"});
  CHECK(check.status == 3);
  CHECK(check.json()["kind"] == "CSV");
  REQUIRE(check.json()["broken"].size() == 1);
  CHECK(check.json()["broken"][0].get<std::string>().find("b/999.jpg: cannot be opened") != std::string::npos);
  shear.refuses(2, {"check", "--data", list, "--kind", "cvs"}, {"--kind cvs", "csv"});
}

TEST_CASE("a prepared batch is what gradients takes") {
  Shell shear;
  write_photos(shear.dir / "photos", 8);
  REQUIRE(shear(shear.train("run",
                            {"--data", shear.path("photos"), "--model", colour_model, "--steps", "2", "--batch", "4"}))
              .status == 0);
  const std::string weights = shear.path("run/model.safetensors"), batch = shear.path("batch.safetensors");
  REQUIRE(shear({"prepare", "--weights", weights, "--data", shear.path("photos"), "--index", "0,9,23", "--out", batch})
              .status == 0);
  const SafeTensors file(batch);
  CHECK(file.find("images")->shape == Shape({3, 3, 8, 8}));
  CHECK(read_integers(file, *file.find("labels")) == std::vector<int64_t>{0, 1, 2});
  const Result gradients =
      shear({"gradients", "--weights", weights, "--batch", batch, "--out", shear.path("g.safetensors")});
  CHECK(gradients.status == 0);

  // Named images have no labels; a model's name alone says how they are prepared.
  const std::string photo = shear.path("photos/a/100.jpg"), alone = shear.path("alone.safetensors");
  REQUIRE(shear({"prepare", "--model", colour_model + ",classes=3", photo, "--out", alone}).status == 0);
  const SafeTensors one(alone);
  CHECK(one.find("labels") == nullptr);
  const std::vector<float> all = read_floats(file, *file.find("images"));
  CHECK(read_floats(one, *one.find("images")) == std::vector<float>(all.begin(), all.begin() + 192));
  shear.refuses(2, {"prepare", photo, "--out", alone}, {"--weights and --model"});
  shear.refuses(2, {"prepare", "--model", colour_model + ",classes=3", "--out", alone}, {"files of images"});
  shear.refuses(3, {"prepare", "--weights", weights, "--data", shear.path("photos"), "--index", "24", "--out", batch},
                {"--index 24", "0 to 23"});
  shear.refuses(3, {"prepare", "--model", colour_model + ",classes=3,channels=4", photo, "--out", alone},
                {photo + ": the model sees 4 channels, but images have 1 (grey) or 3 (colour)"});
}

TEST_CASE("a run may lie among the class folders of its data, and goes on there") {
  Shell shear;
  write_photos(shear.dir / "data", 8);
  const Args flags{"--model", colour_model, "--batch", "4", "--steps", "4"};
  Args stopped = flags;
  stopped.insert(stopped.end(), {"--stop-after", "2"});
  const Result begun = shear(shear.train("data/run", stopped));
  CHECK(begun.status == 130);
  CHECK(begun.err.find("run is of a training, without images, and no class") != std::string::npos);
  REQUIRE(shear({"train", "--resume", shear.path("data/run")}).status == 0);
  const Args eval{"eval",  "--data", shear.path("data"), "--weights", shear.path("data/run/model.safetensors"),
                  "--json"};
  CHECK(shear(eval).json()["samples"] == 24);
}

TEST_CASE("a single class is not trained on, but checked and evaluated") {
  Shell shear;
  write_photos(shear.dir / "data", 8);
  REQUIRE(shear(shear.train("run", {"--model", colour_model, "--batch", "4", "--steps", "2"})).status == 0);
  fs::create_directories(shear.dir / "deep");
  fs::rename(shear.dir / "data", shear.dir / "deep/flowers");
  shear.refuses(3, shear.train("other", {"--data", shear.path("deep"), "--model", colour_model, "--batch", "4"}),
                {"deep: one class only, flowers, whose images lie in the folders a, b and c", "deep/flowers meant?"});
  const Result check = shear({"check", "--data", shear.path("deep"), "--json"});
  CHECK(check.status == 0);
  CHECK(check.json()["parts"][0]["classes"].size() == 1);
  CHECK(check.err.find("one class only, flowers, whose images lie in the folders a, b and c") != std::string::npos);
  for (const char* name : {"a", "b"}) fs::remove_all(shear.dir / "deep/flowers" / name);
  const Result eval =
      shear({"eval", "--data", shear.path("deep/flowers"), "--weights", shear.path("run/model.safetensors"), "--json"});
  CHECK(eval.status == 0);
  CHECK(eval.json()["samples"] == 8);
}

TEST_CASE("names that are not UTF-8 and pipes among the images leave a check whole") {
  Shell shear;
  write_photos(shear.dir / "data", 2);
  put(shear.dir / "data/a/cr\xe8me.jpg", "x");
  REQUIRE(mkfifo((shear.dir / "data/b/pipe.jpg").c_str(), 0600) == 0);
  const Result check = shear({"check", "--data", shear.path("data"), "--json"});
  CHECK(check.status == 3);
  REQUIRE(check.json()["broken"].size() == 2);
  CHECK(check.json()["broken"][0].get<std::string>().find("cr\\xe8me.jpg: begins with the bytes 78") !=
        std::string::npos);
  CHECK(check.json()["broken"][1].get<std::string>().find("pipe.jpg: is a named pipe") != std::string::npos);
  fs::rename(shear.dir / "data/a", shear.dir / "data/\xe0");
  shear.refuses(3, {"check", "--data", shear.path("data")}, {"data/\\xe0: the folder's name is not UTF-8"});
}

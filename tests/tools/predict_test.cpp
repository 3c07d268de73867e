// shear predict over many images: those that can be read have their rows, the others are told of.
#include "image_files.h"
#include "shell.h"

using namespace shear;
using namespace shear::test;

namespace {

// Weights for colour images of 8 x 8, and folders with some.
struct Photos : Shell {
  std::string weights = path("run/model.safetensors");

  Photos() {
    for (const char* name : {"cat", "dog"})
      for (int i = 0; i < 3; ++i)
        write_png(dir / "photos" / name / (std::to_string(i) + ".png"), pattern(10 + i, 9, 3));
    REQUIRE((*this)({"train", "--data", path("photos"), "--model", "vit:image=8,patch=4,dim=16,depth=1,heads=2",
                     "--batch", "4", "--steps", "1", "--threads", "1", "--out", path("run")})
                .status == 0);
  }
  Args predict(const Args& more) const {
    Args args{"predict", "--weights", weights, "--threads", "1", "--top", "1"};
    args.insert(args.end(), more.begin(), more.end());
    return args;
  }
};

}  // namespace

TEST_CASE("one broken image of three is named, and the others have their rows") {
  Photos shear;
  const std::string good = shear.path("photos/cat/0.png"), bad = shear.path("photos/broken.png"),
                    last = shear.path("photos/dog/1.png");
  put(bad, "");
  const Result r = shear(shear.predict({good, bad, last, good}));
  CHECK(r.status == 3);
  CHECK(r.sentence().find("1 of 4 images cannot be read, the first is " + bad) != std::string::npos);
  CHECK(r.out.find(good) != r.out.rfind(good));  // twice, as asked for
  CHECK(r.out.find(last) != std::string::npos);
  CHECK(r.out.find(bad) == std::string::npos);

  const Result j = shear(shear.predict({"--json", good, bad, last}));
  CHECK(j.status == 3);
  const auto predictions = j.json()["predictions"];
  REQUIRE(predictions.size() == 3);
  CHECK(predictions[0]["classes"].size() == 1);
  CHECK(predictions[1]["image"] == bad);
  CHECK(predictions[1]["error"].get<std::string>().starts_with(bad));
  CHECK_FALSE(predictions[1].contains("classes"));
  CHECK(predictions[2]["image"] == last);

  shear.refuses(3, shear.predict({bad}), {bad});
  shear.refuses(3, shear.predict({bad, shear.path("nowhere.png")}), {"2 of 2 images", bad});
}

TEST_CASE("a folder stands for the images below it, in the order of their paths") {
  Photos shear;
  write_png(shear.dir / "photos/another.PNG", pattern(8, 8, 3));
  put_below(shear.dir / "photos/notes.txt", "no image");
  put_below(shear.dir / "photos/.hidden/1.png", "no image");
  fs::create_directory_symlink(shear.dir / "photos", shear.dir / "photos/loop");
  const auto predictions = shear(shear.predict({"--json", shear.path("photos")})).json()["predictions"];
  REQUIRE(predictions.size() == 7);
  CHECK(predictions[0]["image"] == shear.path("photos/another.PNG"));
  for (size_t i = 1; i < 7; ++i)
    CHECK(predictions[i]["image"] ==
          shear.path("photos/" + std::string(i < 4 ? "cat/" : "dog/") + std::to_string((i - 1) % 3) + ".png"));
  fs::create_directories(shear.dir / "empty/below");
  shear.refuses(3, shear.predict({shear.path("empty")}), {"empty: holds no images", ".png"});
}

TEST_CASE("names that are not UTF-8, or that move a cursor, are printed and kept all the same") {
  Photos shear;
  const std::string odd = "cr\xe8me\x1b[31m";
  fs::rename(shear.dir / "photos", shear.dir / odd);
  const std::string image = shear.path(odd + "/cat/0.png");
  const Result table = shear(shear.predict({image})), json = shear(shear.predict({"--json", image}));
  CHECK(table.status == 0);
  CHECK(table.out.find("cr\\xe8me\\x1b[31m/cat/0.png") != std::string::npos);
  CHECK(json.status == 0);
  CHECK(json.json()["predictions"][0]["image"] == shear.path("cr\\xe8me\\x1b[31m/cat/0.png"));
  const std::string data = shear.path(odd), out = shear.path("run" + odd);
  const Args train{"train",   "--data", data,        "--model", "vit:image=8,patch=4,dim=16,depth=1,heads=2",
                   "--batch", "4",      "--threads", "1",       "--steps",
                   "2",       "--out",  out};
  Args half = train;
  half.insert(half.end(), {"--stop-after", "1"});
  const Result first = shear(half);
  CHECK(first.status == 130);
  CHECK(first.err.find('\x1b') == std::string::npos);
  CHECK(first.err.find('\xe8') == std::string::npos);
  const Result second = shear({"train", "--resume", out});
  CHECK_MESSAGE(second.status == 0, second.err);
  CHECK(second.out.find('\x1b') == std::string::npos);
  for (const Args& args :
       {Args{"check", "--data", data, "--json"}, Args{"inspect", out + "/last.safetensors", "--json"},
        Args{"eval", "--data", data, "--weights", out + "/model.safetensors", "--json"},
        Args{"export", "--weights", out + "/last.safetensors", "--out", out + "/e.safetensors", "--json"}}) {
    const Result r = shear(args);
    CHECK_MESSAGE(r.status == 0, r.err);
    CHECK_NOTHROW(r.json());
  }
  Args compare = train;
  compare[0] = "compare";
  compare.back() = shear.path("cmp" + odd);
  compare.insert(compare.end(), {"--seeds", "1", "--policy", "full", "--cosine-batches", "1", "--json"});
  const Result compared = shear(compare);
  CHECK_MESSAGE(compared.status == 0, compared.err);
  put(shear.dir / (odd + "/cat/1.png"), "");
  const Result broken = shear({"check", "--data", data, "--json"});
  CHECK(broken.status == 3);
  CHECK(broken.err.find('\x1b') == std::string::npos);
  CHECK(broken.json()["broken"].size() == 1);
}

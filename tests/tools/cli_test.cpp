// The executable: exit statuses, sentences, and what a signal leaves behind.
#include <csignal>

#include "image_files.h"
#include "shell.h"

using namespace shear;
using namespace shear::test;

static std::string changed(std::string bytes, const std::string& from, const std::string& to) {
  REQUIRE(from.size() == to.size());
  const size_t at = bytes.find(from);
  REQUIRE(at != std::string::npos);
  return bytes.replace(at, from.size(), to);
}

TEST_CASE("help is on stdout and lists every command") {
  Shell shear;
  const Result help = shear({"--help"});
  CHECK(help.status == 0);
  CHECK(help.err.empty());
  for (const char* command :
       {"train", "eval", "predict", "plan", "compare", "trace", "gradients", "check", "inspect", "models", "export"}) {
    CHECK_MESSAGE(help.out.find(std::string("  ") + command) != std::string::npos, command);
    const Result page = shear({command, "--help"});
    CHECK(page.status == 0);
    CHECK(page.out.find("--json") != std::string::npos);
  }
  const std::string page = shear({"train", "--help"}).out;
  for (const char* flag : {"--clip", "--batch", "--resume", "--memory-limit", "--stop-after", "lean"})
    CHECK_MESSAGE(page.find(flag) != std::string::npos, flag);
}

TEST_CASE("a wrong flag is one sentence and status 2") {
  Shell shear;
  write_idx(shear.dir / "data");
  shear.refuses(2, {"trane"}, {"trane"});
  shear.refuses(2, {"train", "--bogus"}, {"--bogus"});
  shear.refuses(2, {"plan"}, {"--model"});
  shear.refuses(2, {"plan", "--no-time", "--model", "vit_huge"}, {"vit_huge"});
  shear.refuses(2, {"plan", "--no-time", "--model", whole_model, "--policy", "fuller"}, {"fuller", "lean"});
  shear.refuses(2, {"plan", "--no-time", "--model", whole_model, "--budget", "4 apples"},
                {"--budget 4 apples", "4GiB"});
  shear.refuses(2, {"plan", "--no-time", "--model", whole_model, "--batch", "many"}, {"--batch", "many"});
  shear.refuses(2, shear.train("run", {"--accumulate", "5"}), {"--accumulate 5", "--batch 16"});
  shear.refuses(2, shear.train("run", {"--lr", "-1"}), {"--lr -1"});
  shear.refuses(2, shear.train("run", {"--update", "never"}), {"--update never", "in-backward"});
  shear.refuses(2, shear.train("run", {"--state", "4bit"}), {"--state 4bit", "8bit"});
  shear.refuses(2, shear.train("run", {"--clip-by", "norm", "--update", "in-backward"}),
                {"--clip-by norm", "previous"});
  shear.refuses(2, shear.train("run", {"--accumulate", "2", "--update", "in-backward"}), {"--accumulate 1", "sgd"});
  shear.refuses(2, {"plan", "--no-time", "--model", whole_model, "--update", "never"},
                {"--update never", "in-backward"});
  shear.refuses(2, shear.train("run", {"--device", "tpu"}), {"--device tpu", "cuda"});
  shear.refuses(2, shear.train("run", {"--epochs", "3", "--steps", "4"}), {"--epochs and --steps"});
  shear.refuses(2, {"train", "--data", shear.path("data"), "--model", tiny_model}, {"--out is missing"});
  shear.refuses(2, {"train", "--data", shear.path("data"), "--out", shear.path("run")}, {"--model is missing"});
  CHECK_FALSE(fs::exists(shear.dir / "run/last.safetensors"));
}

TEST_CASE("a device that is not there is status 5") {
  Shell shear;
  write_idx(shear.dir / "data");
  shear.refuses(5, shear.train("run", {"--device", "cuda"}), {"--device cuda", "cpu"});
  CHECK_FALSE(fs::exists(shear.dir / "run"));
}

TEST_CASE("a step that does not fit is status 4, with the figures") {
  Shell shear;
  write_idx(shear.dir / "data");
  shear.refuses(4, shear.train("run", {"--memory-limit", "100KiB"}), {"--memory-limit allows 0.1 MiB", "needs"});
  const Result plan =
      shear({"plan", "--no-time", "--model", "vit_base_patch16_224", "--batch", "128", "--budget", "1GiB"});
  CHECK(plan.status == 4);
  CHECK(plan.sentence().find("none of the policies fits") != std::string::npos);
}

TEST_CASE("plan tells the bytes of each policy, and the first that fits") {
  Shell shear;
  const Args plan{"plan",        "--no-time", "--model",  "vit_tiny_patch16_224",
                  "--batch",     "8",         "--policy", "full;lean",
                  "--optimizer", "sgd",       "--json"};
  const Result r = shear(plan);
  CHECK(r.status == 0);
  const auto j = r.json();
  CHECK(j["model"] == "vit_tiny_patch16_224");
  CHECK(j["batch"] == 8);
  REQUIRE(j["policies"].size() == 2);
  for (const auto& p : j["policies"]) {
    int64_t sum = 0;
    for (const char* part : {"parameter", "gradient", "optimizer", "saved", "workspace"})
      sum += p[std::string(part) + "_bytes"].get<int64_t>();
    CHECK(p["peak_bytes"] == sum);
    CHECK(p["parameter_bytes"] >= 4 * 5717416);
  }
  const int64_t full = j["policies"][0]["peak_bytes"], lean = j["policies"][1]["peak_bytes"];
  CHECK(lean < full);
  const auto choose = [&](int64_t budget) {
    Args args = plan;
    args.insert(args.end(), {"--budget", std::to_string(budget)});
    return shear(args);
  };
  CHECK(choose(full).json()["choice"] == "full");
  CHECK(choose(full - 1).json()["choice"] == "lean");
  CHECK(choose(lean).json()["policies"][1]["largest_batch"] == 8);
  CHECK(choose(lean).json()["policies"][0]["fits"] == false);
  Args automatic = plan;
  automatic[7] = "full;auto";
  automatic.insert(automatic.end(), {"--budget", std::to_string(lean - 1)});
  const auto found = shear(automatic).json();
  REQUIRE(found["policies"].size() == 2);
  CHECK(found["policies"][1]["policy"] == "auto");
  CHECK(found["policies"][1]["fits"] == true);
  CHECK(found["policies"][1]["gradient_error"].get<double>() > 0);
  CHECK(found["choice"] == found["policies"][1]["chosen"]);
  // Where it takes more than a policy, that is told beside it.
  const auto shortest = shear({"plan", "--no-time", "--model", "vit_tiny_patch16_224", "--batch", "8", "--policy",
                               "codes:bits=2,group=256,qkv=2,gelu=2", "--optimizer", "sgd", "--json"})
                            .json()["policies"][0]["peak_bytes"]
                            .get<int64_t>();
  automatic.back() = std::to_string(shortest - 1);
  CHECK(shear(automatic).json()["choice_with"] == "--update in-backward");
  automatic.erase(automatic.end() - 2, automatic.end());
  shear.refuses(2, automatic, {"policy auto", "expected --budget"});
  const Result none = choose(lean - 1);
  CHECK(none.status == 4);
  CHECK(none.json()["choice"].is_null());
}

TEST_CASE("plan tells the time of a step and of a training, measured once") {
  Shell shear;
  Args plan{"plan", "--model", whole_model, "--batch", "16", "--policy", "full;codes", "--threads", "1"};
  const auto with = [&](Args more) {
    Args args = plan;
    args.insert(args.end(), more.begin(), more.end());
    return args;
  };
  const Result first = shear(with({"--images", "100", "--epochs", "5", "--json"}));
  REQUIRE_MESSAGE(first.status == 0, first.err);
  CHECK(first.sentence().find("measuring how long kernels take") != std::string::npos);
  const auto timed = first.json();
  for (const auto& p : timed["policies"]) {
    CHECK(p["seconds"].get<double>() > 0);
    CHECK(p["run_seconds"].get<double>() == doctest::Approx(30 * p["seconds"].get<double>()));  // 6 steps an epoch
  }
  const Result again = shear(with({"--json"}));
  CHECK(again.err.empty());
  CHECK(again.json()["policies"][0]["seconds"] == first.json()["policies"][0]["seconds"]);
  CHECK_FALSE(again.json()["policies"][0].contains("run_seconds"));
  CHECK(shear(with({"--images", "100"})).out.find("60 steps") != std::string::npos);
  CHECK(shear(plan).out.find("step s") != std::string::npos);

  const Result without = shear(with({"--no-time"}));
  CHECK(without.out.find("step s") == std::string::npos);
  CHECK_FALSE(shear(with({"--no-time", "--json"})).json()["policies"][0].contains("seconds"));
  CHECK(shear(with({"--time-anew"})).err.find("measuring") != std::string::npos);
  // What is kept may be anything, or not to be written.
  for (const auto& file : fs::directory_iterator(shear.dir / "cache/shear"))
    write_text_atomically(file.path(), "{ \"gelu");
  CHECK(shear(plan).err.find("measuring") != std::string::npos);
  CHECK(shear(plan).err.empty());
  setenv("XDG_CACHE_HOME", "/proc/none", 1);
  const Result unkept = shear(plan);
  CHECK(unkept.status == 0);
  CHECK(unkept.err.find("times of kernels are not kept") != std::string::npos);

  shear.refuses(2, with({"--no-time", "--time-anew"}), {"--no-time", "--time-anew"});
  shear.refuses(2, with({"--no-time", "--images", "100"}), {"--no-time", "--images"});
  shear.refuses(2, with({"--epochs", "3"}), {"--epochs 3", "--images"});
  shear.refuses(2, with({"--images", "3"}), {"--images 3", "--batch 16"});
}

TEST_CASE("data that cannot be used is status 3 and names what is wrong") {
  Shell shear;
  const Args tail{"--model", tiny_model, "--out", shear.path("run")};
  const auto train_on = [&](const std::string& name) {
    Args args{"train", "--data", shear.path(name)};
    args.insert(args.end(), tail.begin(), tail.end());
    return args;
  };
  shear.refuses(3, train_on("nowhere"), {"nowhere", "does not exist"});
  fs::create_directories(shear.dir / "empty");
  shear.refuses(3, train_on("empty"), {"empty", "expected"});
  shear.refuses(3, {"check", "--data", shear.path("empty")}, {"empty"});

  write_idx(shear.dir / "cut");
  const std::string images = contents(shear.dir / "cut/train-images-idx3-ubyte");
  put_below(shear.dir / "cut/train-images-idx3-ubyte", images.substr(0, 1000));
  shear.refuses(3, train_on("cut"), {"train-images-idx3-ubyte"});

  write_idx(shear.dir / "few", 8);
  shear.refuses(3, train_on("few"), {"8 training images", "128"});

  write_idx(shear.dir / "data");
  shear.refuses(3, shear.train("run", {"--model", "vit:image=8,patch=4,dim=16,depth=1,heads=2,channels=1,classes=9"}),
                {"9 classes", "the data has 10"});
}

TEST_CASE("a class that only the validation part has is refused, one that it lacks is told of") {
  Shell shear;
  write_idx(shear.dir / "data");
  write_idx_part(shear.dir / "data", "t10k", 22, 8, 11, 2);
  shear.refuses(3, shear.train("run"), {"class \"10\"", "the 10 classes of the training set"});
  write_idx_part(shear.dir / "data", "t10k", 18, 8, 9, 2);
  const Result r = shear(shear.train("run"));
  CHECK(r.status == 0);
  CHECK(r.err.find("warning: the validation part has no image of the class 9\n") != std::string::npos);
}

TEST_CASE("a truncated image among good ones is named by check, by train and by predict") {
  Shell shear;
  for (const char* part : {"train", "val"})
    for (const char* name : {"cat", "dog"})
      for (int i = 0; i < 4; ++i)
        write_jpeg(shear.dir / "photos" / part / name / (std::to_string(i) + ".jpg"), pattern(20 + i, 16, 3));
  const Args train{"train",
                   "--data",
                   shear.path("photos"),
                   "--model",
                   "vit:image=8,patch=4,dim=16,depth=1,heads=2",
                   "--batch",
                   "4",
                   "--steps",
                   "3",
                   "--out"};
  const auto into = [&](const std::string& out) {
    Args args = train;
    args.push_back(shear.path(out));
    return args;
  };
  CHECK(shear({"check", "--data", shear.path("photos")}).status == 0);
  CHECK(shear(into("good")).status == 0);
  const Args predict{"predict", "--weights", shear.path("good/model.safetensors"),
                     shear.path("photos/train/dog/2.jpg")};
  CHECK(shear(predict).out.find("dog") != std::string::npos);

  const std::string whole = contents(shear.dir / "photos/train/dog/2.jpg");
  put(shear.dir / "photos/train/dog/2.jpg", whole.substr(0, whole.size() / 2));
  shear.refuses(3, into("bad"), {"train/dog/2.jpg"});
  shear.refuses(3, predict, {"train/dog/2.jpg"});
  const Result check = shear({"check", "--data", shear.path("photos"), "--json"});
  CHECK(check.status == 3);
  CHECK(check.sentence().find("1 of 16 samples") != std::string::npos);
  REQUIRE(check.json()["broken"].size() == 1);
  CHECK(check.json()["broken"][0].get<std::string>().find("train/dog/2.jpg") != std::string::npos);
}

TEST_CASE("weights that are cut, absurd or of another shape are status 3") {
  Shell shear;
  write_idx(shear.dir / "data");
  REQUIRE(shear(shear.train("first", {"--steps", "1"})).status == 0);
  const std::string good = contents(shear.dir / "first/model.safetensors");
  const auto refuse = [&](const std::string& bytes, const Args& parts) {
    put_below(shear.dir / "bad.safetensors", bytes);
    Args all = parts;
    all.push_back("bad.safetensors");
    shear.refuses(3, {"inspect", shear.path("bad.safetensors")}, all);
    shear.refuses(3, shear.train("second", {"--weights", shear.path("bad.safetensors")}), all);
    shear.refuses(3, {"eval", "--data", shear.path("data"), "--weights", shear.path("bad.safetensors")}, all);
  };
  for (const size_t cut : {size_t{0}, size_t{5}, size_t{8}, size_t{100}, good.size() - 1})
    refuse(good.substr(0, cut), {});
  refuse(good + "more", {});
  refuse(changed(good, "\"data_offsets\":[0,", "\"data_offsets\":[8,"), {});  // a hole, or an overlap
  refuse(std::string(7, '\xff') + '\x7f' + good.substr(8), {});               // a header of 2^63 bytes
  refuse(changed(good, "\"dtype\":\"F32\"", "\"dtype\":\"X32\""), {});
  shear.refuses(3, shear.train("second", {"--weights", shear.path("nowhere.safetensors")}), {"nowhere.safetensors"});
  shear.refuses(3,
                shear.train("second", {"--weights", shear.path("first/model.safetensors"), "--model",
                                       "vit:image=8,patch=4,dim=24,depth=2,heads=2,channels=1"}),
                {"cls_token has the shape (1, 1, 16), the model expects (1, 1, 24)"});
  shear.refuses(2, {"eval", "--data", shear.path("data")}, {"--weights"});
}

TEST_CASE("an output directory that cannot be written is status 3 before training starts") {
  Shell shear;
  write_idx(shear.dir / "data");
  put_below(shear.dir / "file", "not a directory");
  shear.refuses(3, shear.train("file"), {"--out", "file"});
  shear.refuses(3, shear.train("file/below"), {"--out", "file/below"});
  // Nobody may write there, whoever asks.
  shear.refuses(3, shear.train("", {"--out", "/proc/shear-run"}), {"--out /proc/shear-run"});
}

TEST_CASE("a disk that is full, at once or later, is status 3 and leaves whole files") {
  Shell shear;
  write_idx(shear.dir / "data");
  REQUIRE(shear(shear.train("room", {"--steps", "1"})).status == 0);
  const auto blocks = static_cast<long>(fs::file_size(shear.dir / "room/last.safetensors") / 512);
  const auto limited = [&](long size, const Args& args) {
    Args words{"-c", "ulimit -f " + std::to_string(size) + "; exec \"$0\" \"$@\"", executable()};
    words.insert(words.end(), args.begin(), args.end());
    return shear.run_program("sh", words);
  };
  const Result at_once = limited(blocks / 2, shear.train("small"));
  shear.refused(at_once, 3, {"small/last.safetensors", "File too large"});
  CHECK_FALSE(fs::exists(shear.dir / "small/last.safetensors"));
  CHECK_FALSE(fs::exists(shear.dir / "small/metrics.jsonl"));

  // The checkpoint fits, the metrics outgrow the limit.
  const Result later = limited(blocks + 8, shear.train("later", {"--steps", "100000", "--checkpoint-every", "50"}));
  shear.refused(later, 3, {"later/metrics.jsonl", "File too large"});
  // The last checkpoint is whole, and the run goes on from it once there is room.
  const int64_t step = step_of(shear.dir / "later/last.safetensors");
  CHECK(step > 0);
  CHECK(shear({"train", "--resume", shear.path("later"), "--stop-after", std::to_string(step + 3)}).status == 130);
  CHECK(step_of(shear.dir / "later/last.safetensors") == step + 3);
}

TEST_CASE("three hundred steps are one hundred and fifty, a resume and one hundred and fifty, byte for byte") {
  Shell shear;
  write_idx(shear.dir / "data");
  const Args more{"--steps", "300", "--eval-every", "40", "--dropout", "0.1", "--augment", "crop", "--policy", "lean"};
  REQUIRE(shear(shear.train("whole", more)).status == 0);
  Args half = more;
  half.insert(half.end(), {"--stop-after", "150"});
  const Result first = shear(shear.train("parts", half));
  CHECK(first.status == 130);
  CHECK(first.err.find("interrupted after step 150") != std::string::npos);
  shear.refuses(2, {"train", "--resume", shear.path("parts"), "--lr", "0.5"}, {"--lr 0.5", "began with"});
  const Result second = shear({"train", "--resume", shear.path("parts"), "--dropout", "0.1", "--json"});
  CHECK(second.status == 0);
  CHECK(second.json()["steps"] == 300);
  for (const char* file : {"last.safetensors", "best.safetensors", "model.safetensors"})
    CHECK_MESSAGE(contents(shear.dir / "whole" / file) == contents(shear.dir / "parts" / file), file);
  const Result again = shear({"train", "--resume", shear.path("parts"), "--json"});
  CHECK(again.status == 0);
  CHECK(again.json() == second.json());
  CHECK(again.err.find("is finished") != std::string::npos);
  shear.refuses(3, shear.train("whole", more), {"holds a run already", "--overwrite"});
  shear.refuses(3, {"train", "--resume", shear.path("data")}, {"last.safetensors"});
}

TEST_CASE("killed at any moment, a run leaves whole files and ends as if nothing had happened") {
  Shell shear;
  write_idx(shear.dir / "data");
  const Args more{"--steps", "3000", "--eval-every", "100", "--checkpoint-every", "2"};
  REQUIRE(shear(shear.train("whole", more)).status == 0);
  Stream stream(11, Purpose::test);
  int killed = 0;
  Args args = shear.train("killed", more);
  for (int round = 0; round < 8; ++round) {
    const pid_t pid = start(executable(), args, shear.dir / "stdout", shear.dir / "stderr");
    std::this_thread::sleep_for(std::chrono::milliseconds(20 + stream.below(250)));
    kill(pid, SIGKILL);
    killed += wait_for(pid) == 1000 + SIGKILL;
    for (const fs::directory_entry& entry : fs::directory_iterator(shear.dir / "killed")) {
      CAPTURE(entry.path().string());
      const std::string name = entry.path().filename().string();
      if (name.ends_with(".safetensors")) CHECK_NOTHROW(SafeTensors(entry.path()));
      if (name == "summary.json") CHECK(nlohmann::json::accept(contents(entry.path())));
    }
    if (fs::exists(shear.dir / "killed/last.safetensors")) args = {"train", "--resume", shear.path("killed")};
  }
  CHECK(killed >= 3);
  CHECK(shear(args).status == 0);
  for (const char* file : {"last.safetensors", "best.safetensors", "model.safetensors"})
    CHECK_MESSAGE(contents(shear.dir / "whole" / file) == contents(shear.dir / "killed" / file), file);
  for (const fs::directory_entry& entry : fs::directory_iterator(shear.dir / "killed"))
    CHECK_MESSAGE(entry.path().extension() != ".tmp", entry.path().string());
}

TEST_CASE("an interrupt writes a checkpoint and is status 130") {
  Shell shear;
  write_idx(shear.dir / "data");
  for (const int signal : {SIGINT, SIGTERM}) {
    const std::string run = "run-" + std::to_string(signal);
    const pid_t pid = start(executable(), shear.train(run, {"--steps", "1000000", "--checkpoint-every", "1000000"}),
                            shear.dir / "stdout", shear.dir / "stderr");
    wait_for_lines(shear.dir / run / "metrics.jsonl", 3);
    kill(pid, signal);
    CHECK(wait_for(pid) == 130);
    CHECK(contents(shear.dir / "stderr").find("--resume " + shear.path(run)) != std::string::npos);
    const int64_t step = step_of(shear.dir / run / "last.safetensors");
    CHECK(step >= 3);
    // The run stops where it stopped: its metrics are those of the checkpoint.
    int64_t lines = 0;
    for (const std::string& line : lines_of(shear.dir / run / "metrics.jsonl"))
      lines += line.find("\"kind\":\"step\"") != std::string::npos;
    CHECK(lines == step);
  }
}

TEST_CASE("a second training in the same directory is refused while the first one runs") {
  Shell shear;
  write_idx(shear.dir / "data");
  const pid_t pid =
      start(executable(), shear.train("run", {"--steps", "1000000"}), shear.dir / "first-out", shear.dir / "first-err");
  wait_for_lines(shear.dir / "run/metrics.jsonl", 1);
  shear.refuses(3, {"train", "--resume", shear.path("run")}, {"another training runs"});
  kill(pid, SIGKILL);
  wait_for(pid);
}

TEST_CASE("a trained file is enough to evaluate, to predict and to be inspected") {
  Shell shear;
  write_idx(shear.dir / "data");
  const Result trained = shear(shear.train("run", {"--steps", "60", "--lr", "3e-3", "--json"}));
  REQUIRE(trained.status == 0);
  const std::string weights = shear.path("run/model.safetensors");

  const Result eval = shear({"eval", "--data", shear.path("data"), "--weights", weights, "--json"});
  REQUIRE(eval.status == 0);
  CHECK(eval.json()["samples"] == 30);
  CHECK(eval.json()["accuracy"] == trained.json()["accuracy"]);
  CHECK(eval.json()["top5"] >= eval.json()["accuracy"]);
  CHECK(eval.json()["loss"].get<double>() == doctest::Approx(trained.json()["loss"].get<double>()).epsilon(1e-5));
  CHECK(shear({"eval", "--data", shear.path("data"), "--weights", weights}).out.find("recognised least") !=
        std::string::npos);

  const Result predict =
      shear({"predict", "--weights", weights, "--data", shear.path("data"), "--index", "0,5", "--top", "2", "--json"});
  REQUIRE(predict.status == 0);
  const auto predictions = predict.json()["predictions"];
  REQUIRE(predictions.size() == 2);
  CHECK(predictions[1]["truth"] == "5");
  REQUIRE(predictions[1]["classes"].size() == 2);
  CHECK(predictions[1]["classes"][0]["probability"] >= predictions[1]["classes"][1]["probability"]);
  shear.refuses(3, {"predict", "--weights", weights, "--data", shear.path("data"), "--index", "30"},
                {"--index 30", "0 to 29"});
  shear.refuses(3, {"predict", "--weights", weights, shear.path("run/metrics.jsonl")}, {"metrics.jsonl"});
  shear.refuses(2, {"predict", "--weights", weights}, {"no image"});

  const Result inspect = shear({"inspect", weights, "--json"});
  REQUIRE(inspect.status == 0);
  const auto held = inspect.json();
  CHECK(held["model"].get<std::string>().starts_with("vit:image="));
  CHECK(held["model_told_by"][0].get<std::string>().find("from its own metadata") != std::string::npos);
  CHECK(held["tensors"][0]["name"] == "cls_token");
  CHECK(held["metadata"]["shear.policy"] == "full");
  for (const auto& t : held["tensors"]) CHECK_FALSE(t["name"].get<std::string>().starts_with("optimizer."));
  CHECK(shear({"inspect", shear.path("run/last.safetensors")}).out.find("optimizer.") != std::string::npos);
  CHECK(shear({"check", "--data", shear.path("data"), "--json"}).json()["parts"][0]["samples"] == 80);
}

TEST_CASE("gradients are written under the names of the weights, and lean's are full's") {
  Shell shear;
  write_idx(shear.dir / "data");
  REQUIRE(shear(shear.train("run", {"--steps", "2"})).status == 0);
  const std::string weights = shear.path("run/model.safetensors");
  std::vector<float> images;
  Stream stream(3, Purpose::test);
  for (int i = 0; i < 3 * 64; ++i) images.push_back(stream.normal());
  const std::vector<int64_t> labels{0, 3, 1};
  write_safetensors(shear.dir / "batch.safetensors",
                    std::vector<TensorToWrite>{{"images", DType::f32, {3, 1, 8, 8}, images.data()},
                                               {"labels", DType::i64, {3}, labels.data()}});
  for (const std::string policy : {"full", "lean"})
    REQUIRE(shear({"gradients", "--weights", weights, "--batch", shear.path("batch.safetensors"), "--policy", policy,
                   "--out", shear.path(policy + ".safetensors")})
                .status == 0);
  const SafeTensors model(weights), full(shear.dir / "full.safetensors"), lean(shear.dir / "lean.safetensors");
  CHECK(full.tensors().size() == model.tensors().size() + 2);
  CHECK(full.find("logits")->shape == Shape({3, 10}));
  CHECK(full.find("loss")->shape.elements() == 1);
  for (const TensorView& t : model.tensors()) {
    CAPTURE(t.name);
    REQUIRE(full.find(t.name));
    CHECK(full.find(t.name)->shape == t.shape);
    const std::vector<float> a = read_floats(full, *full.find(t.name)), b = read_floats(lean, *lean.find(t.name));
    double difference = 0, size = 0;
    for (size_t i = 0; i < a.size(); ++i) difference += (a[i] - b[i]) * (a[i] - b[i]), size += a[i] * a[i];
    CHECK(size > 0);
    CHECK(difference <= 1e-12 * size);
  }
  const std::vector<int64_t> wrong{0, 10, 1};
  write_safetensors(shear.dir / "wrong.safetensors",
                    std::vector<TensorToWrite>{{"images", DType::f32, {3, 1, 8, 8}, images.data()},
                                               {"labels", DType::i64, {3}, wrong.data()}});
  shear.refuses(3,
                {"gradients", "--weights", weights, "--batch", shear.path("wrong.safetensors"), "--out",
                 shear.path("g.safetensors")},
                {"a label is 10", "0 to 9"});
  shear.refuses(3, {"gradients", "--weights", weights, "--batch", weights, "--out", shear.path("g.safetensors")},
                {"no tensor \"images\""});
}

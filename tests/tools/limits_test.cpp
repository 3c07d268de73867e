// Little address space, few descriptors, few threads: the user's surroundings are no fault of ours.
#include <cstdlib>

#include "shell.h"

using namespace shear;
using namespace shear::test;

namespace {

Result under(Shell& shear, const std::string& limit, const Args& args) {
  Args words{"-c", "ulimit " + limit + " && exec \"$0\" \"$@\"", executable()};
  words.insert(words.end(), args.begin(), args.end());
  return shear.run_program("sh", words);
}

// Under `ulimit`: done, bad input or no memory, with one sentence where it is not done.  A program that the system
// cannot load, or whose libraries (CUDA's) find no memory to begin with, never comes to its main.
void ends_well(Shell& shear, const std::string& limit, const Args& args) {
  const Result r = under(shear, limit, args);
  INFO("ulimit ", limit, ": ", r.status, ", ", r.err);
  if (r.status > 4 && !r.sentence().starts_with("shear: ") && under(shear, limit, {"--version"}).status != 0) return;
  CHECK((r.status == 0 || r.status == 3 || r.status == 4));
  if (r.status == 0) return;
  CHECK(r.sentence().starts_with("shear: "));
  CHECK(r.err.find("libgomp") == std::string::npos);
  CHECK(r.err.find("terminate") == std::string::npos);
}

}  // namespace

TEST_CASE("with little address space a training is done, or says that there is no memory") {
  if (sanitized) return;  // a sanitizer's shadow takes terabytes of addresses
  Shell shear;
  write_idx(shear.dir / "data");
  const auto train = [&](const char* threads, const char* loaders) {
    return shear.train("run", {"--threads", threads, "--loader-threads", loaders, "--steps", "2", "--overwrite"});
  };
  for (int mebibytes = 12; mebibytes < 2048; mebibytes += std::max(4, mebibytes / 4))
    ends_well(shear, "-v " + std::to_string(mebibytes * 1024), train("2", "1"));
  for (const int mebibytes : {24, 40, 56, 90, 150, 300})
    ends_well(shear, "-v " + std::to_string(mebibytes * 1024), train("16", "16"));
  Args words{"-c", "ulimit -v 400000; exec \"$0\" \"$@\"", executable()};
  for (const std::string& word : train("64", "1")) words.push_back(word);
  shear.refused(shear.run_program("sh", words), 4, {"--threads 64: the system lets", "start", "expected"});
}

TEST_CASE("with little address space every other command ends as well") {
  if (sanitized) return;
  Shell shear;
  write_idx(shear.dir / "data");
  REQUIRE(shear(shear.train("run", {"--steps", "1"})).status == 0);
  const std::string weights = shear.path("run/model.safetensors"), data = shear.path("data");
  for (const int mebibytes : {14, 18, 22, 30, 40, 60}) {
    const std::string limit = "-v " + std::to_string(mebibytes * 1024);
    ends_well(shear, limit, {"eval", "--data", data, "--weights", weights, "--threads", "2"});
    ends_well(shear, limit, {"predict", "--data", data, "--index", "0", "--weights", weights});
    ends_well(shear, limit, {"check", "--data", data});
    ends_well(shear, limit, {"inspect", weights});
    ends_well(shear, limit, {"plan", "--model", whole_model, "--policy", "prebr"});
  }
  // What is reserved is no more than the limit leaves.
  const Result r = shear.run_program("sh", {"-c", "ulimit -v 200000; exec \"$0\" \"$@\"", executable(), "eval",
                                            "--data", data, "--weights", weights, "--threads", "1"});
  CHECK_MESSAGE(r.status == 0, r.err);
}

TEST_CASE("with few descriptors a training is done, or names the file that cannot be opened") {
  if (sanitized) return;  // a sanitizer looks at types through a pipe
  Shell shear;
  write_idx(shear.dir / "data");
  for (int descriptors = 3; descriptors < 12; ++descriptors)
    ends_well(shear, "-n " + std::to_string(descriptors), shear.train("run", {"--steps", "2", "--overwrite"}));
  for (const int descriptors : {4, 6, 8})
    ends_well(shear, "-n " + std::to_string(descriptors), {"check", "--data", shear.path("data")});
}

TEST_CASE("more threads than the environment allows are a wrong flag") {
  Shell shear;
  write_idx(shear.dir / "data");
  Args words{"OMP_THREAD_LIMIT=2", executable()};
  for (const std::string& word : shear.train("run", {"--threads", "3"})) words.push_back(word);
  shear.refused(shear.run_program("env", words), 2, {"--threads 3", "OMP_THREAD_LIMIT allows 2"});
  shear.refuses(2, shear.train("run", {"--threads", "100000"}), {"--threads 100000", "0 to 1024"});
}

TEST_CASE("a training's memory is its plan, the images in flight and little more, whatever it writes and reads back") {
  if (sanitized) return;  // a sanitizer keeps what was given back
  Shell shear;
  write_idx(shear.dir / "data");
  constexpr int margin = 60;                                                             // MiB, for threads and heaps
  const std::string model = "vit:image=32,patch=16,dim=640,depth=6,heads=8,channels=1";  // 113 MiB as f32
  for (const char* weights : {"f32", "bf16+8"}) {
    CAPTURE(weights);
    Args args = shear.train("run", {"--steps", "2", "--overwrite", "--json", "--threads", "2", "--policy", "tokens",
                                    "--update", "in-backward", "--state", "8bit", "--weights-as", weights});
    for (size_t i = 0; i + 1 < args.size(); ++i)
      if (args[i] == "--model") args[i + 1] = model;
    const Result r = shear(args);
    REQUIRE_MESSAGE(r.status == 0, r.err);
    const auto summary = nlohmann::json::parse(r.out);
    const auto bytes = [&](const char* key) { return summary[key].get<double>() / (1 << 20); };
    const double planned = bytes("planned_peak_bytes") + bytes("in_flight_bytes"), resident = bytes("rss_peak_bytes");
    CHECK(planned > 100);
    CHECK(resident < planned + 60);
    CHECK(resident > 0.9 * planned);

    // So is its address space, beside what the executable and its libraries take of it, which the refusal of a limit
    // tells: the checkpoint, larger than what is added here, is read back through a buffer.
    REQUIRE(std::filesystem::file_size(shear.dir / "run" / "last.safetensors") > 2 * size_t{margin} << 20);
    const auto limit = [](double mebibytes) { return "-v " + std::to_string(static_cast<int>(mebibytes) * 1024); };
    ::setenv("MALLOC_ARENA_MAX", "1", 1);  // else glibc takes 64 MiB of addresses for a thread, where it can
    const Result refused = under(shear, limit(planned + 20), args);
    REQUIRE(refused.status == 4);
    const std::string words = "(ulimit -v) has ";
    const size_t told = refused.err.find(words);
    REQUIRE_MESSAGE(told != std::string::npos, refused.err);
    const double taken = planned + 20 - std::stod(refused.err.substr(told + words.size()));
    const Result limited = under(shear, limit(planned + taken + margin), args);
    ::unsetenv("MALLOC_ARENA_MAX");
    CHECK_MESSAGE(limited.status == 0, limited.err);
  }
}

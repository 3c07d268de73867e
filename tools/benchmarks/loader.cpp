// bench_loader: how many images a second the loader prepares for training, when nothing else is asked of the machine.
// Prints one line of JSON.
#include <chrono>
#include <iostream>
#include <nlohmann/json.hpp>

#include "shear/train.h"
#include "tools/shear/exit_code.h"
#include "tools/shear/options.h"

namespace shear::tool {

namespace {

struct Flags {
  std::string data, model = "vit_tiny_patch16_224";
  Loader::Options loader;
  double seconds = 2;
};

void measure(Flags& flags) {
  const DataSplits data = open_data(flags.data);
  flags.loader.batch = 32;
  flags.loader.training = true;
  flags.loader.preprocess = default_preprocess(*parse_model(flags.model));
  Loader loader(*data.train, flags.loader);
  loader.start(0);
  loader.next();  // the first batches wait for threads to start and for files that no cache holds
  int64_t images = 0;
  double seconds = 0;
  const auto start = std::chrono::steady_clock::now();
  while (seconds < flags.seconds) {
    images += loader.next()->count;
    seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  const nlohmann::ordered_json answer{{"kind", data.kind},
                                      {"images", data.train->size()},
                                      {"images_per_second", static_cast<double>(images) / seconds}};
  std::cout << answer.dump() << std::endl;
}

}  // namespace

}  // namespace shear::tool

int main(int argc, char** argv) {
  shear::tool::Flags flags;
  CLI::App app("Times the loader: images a second, with random crops and flips.", "bench_loader");
  app.add_option("--data", flags.data, "as for shear train")->required();
  app.add_option("--model", flags.model, "whose images")->capture_default_str();
  app.add_option("--threads", flags.loader.threads, "of the loader")->capture_default_str()->check(CLI::PositiveNumber);
  app.add_option("--seconds", flags.seconds, "at least")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    shear::tool::measure(flags);
  } catch (const shear::Error& e) {
    std::cerr << "bench_loader: " << e.what() << std::endl;
    return shear::tool::exit_code(e.fault());
  }
  return 0;
}

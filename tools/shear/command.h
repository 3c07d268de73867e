// The commands of the executable: each adds its flags, and says what to run once they are read.
#pragma once
#include <CLI/CLI.hpp>
#include <functional>

namespace shear::tool {

using Run = std::function<int()>;  // returns the exit status

void add_train(CLI::App&, Run& chosen);
void add_eval(CLI::App&, Run& chosen);
void add_predict(CLI::App&, Run& chosen);
void add_prepare(CLI::App&, Run& chosen);
void add_plan(CLI::App&, Run& chosen);
void add_compare(CLI::App&, Run& chosen);
void add_trace(CLI::App&, Run& chosen);
void add_gradients(CLI::App&, Run& chosen);
void add_check(CLI::App&, Run& chosen);
void add_inspect(CLI::App&, Run& chosen);
void add_models(CLI::App&, Run& chosen);
void add_export(CLI::App&, Run& chosen);

}  // namespace shear::tool

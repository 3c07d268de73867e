// The flags that say how a model is trained.
#include "recipe_flags.h"

#include <nlohmann/json.hpp>

#include "numbers.h"

namespace shear::tool {

void RecipeFlags::add_model(CLI::App& app) {
  app.add_option("--data", recipe.data,
                 "folder of class folders, CSV of path and label, IDX, CIFAR, Flowers-102 or CUB-200-2011")
      ->type_name("PATH REQUIRED");
  add_data_options(app, recipe.read);
  app.add_option("--val", recipe.val, "another data set of the same kind for validation")->type_name("PATH");
  offer_models(app.add_option("--model", recipe.model,
                              "vit_tiny_patch16_224, ..., or vit:image=28,patch=4,dim=192,depth=6,heads=3")
                   ->default_str("the weights' own; needed without --weights")
                   ->type_name("NAME"));
  app.add_option("--weights", recipe.weights,
                 "safetensors or PyTorch's file by Shear, timm or Hugging Face, or Google's .npz, to begin with; rows "
                 "of the head go by "
                 "the names of classes, and a head that does not know them all is replaced by zeros")
      ->type_name("FILE");
  add_loading(app, recipe.positions, recipe.strict, recipe.allow_mismatch);
}

void RecipeFlags::add_training(CLI::App& app) {
  add_trainable(app, recipe.train);
  const auto optimization = "Optimization";
  add_recipe_number(app, "--epochs", recipe.epochs, "passes over the training images")
      ->default_str("10")
      ->group(optimization);
  add_recipe_number(app, "--steps", recipe.steps, "or as many updates")->group(optimization);
  add_recipe_number(app, "--batch", recipe.batch, "images per step")->group(optimization);
  add_recipe_number(app, "--accumulate", recipe.accumulate,
                    "cuts each batch into as many passes: less memory, the same result")
      ->group(optimization);
  offer(app.add_option("--optimizer", recipe.optimizer, "adamw or sgd")->capture_default_str()->group(optimization),
        {"adamw", "sgd"});
  add_recipe_number(app, "--lr", recipe.lr, "highest learning rate; half a cosine leads it to zero")
      ->default_str("0.001 for adamw, 0.01 for sgd")
      ->group(optimization);
  add_recipe_number(app, "--momentum", recipe.momentum, "of sgd")->group(optimization);
  add_recipe_number(app, "--weight-decay", recipe.weight_decay, "of weights; none on biases, norms and embeddings")
      ->default_str("0.05 for adamw, 0 for sgd")
      ->group(optimization);
  add_recipe_number(app, "--warmup", recipe.warmup, "steps in which the learning rate grows to its highest")
      ->default_str("a twentieth of the steps")
      ->group(optimization);
  add_recipe_number(app, "--clip", recipe.clip, "the largest norm of the gradient; 0: any")->group(optimization);
  offer(app.add_option(
               "--clip-by", recipe.clip_by,
               "norm: that of all gradients together; for updates in backward previous: that of the step before, or "
               "tensor: each parameter's own")
            ->default_str("norm, or previous in backward")
            ->group(optimization),
        {"norm", "previous", "tensor"});
  add_state(app, recipe.state)->group(optimization);
  add_weights_as(app, recipe.weights_as)->group(optimization);
  add_lora(app, recipe.lora)->group(optimization);
  add_update(app, recipe.update)->group(optimization);
  add_recipe_number(app, "--smoothing", recipe.smoothing, "of the labels")->group(optimization);
  add_recipe_number(app, "--dropout", recipe.dropout, "probability")->group(optimization);
  CLI::Option* augment = app.add_option(
      "--augment", recipe.augment,
      "none, flip (left-right), pad (and a random cut of the padded image) or crop (random resized, and flip)");
  offer(augment->capture_default_str()->group(optimization), {"none", "flip", "pad", "crop"});
  add_recipe_number(app, "--seed", recipe.seed, "of first weights, order, augmentation and dropout")
      ->group(optimization);
  image.add(app, "the weights' own, else as their library");
  const auto running = "Running";
  add_recipe_number(app, "--eval-every", recipe.eval_every, "steps between evaluations; 0: an epoch")->group(running);
  add_recipe_number(app, "--checkpoint-every", recipe.checkpoint_every,
                    "steps between checkpoints, which are also written before each evaluation; 0: an epoch")
      ->group(running);
}

void RecipeFlags::add_running(CLI::App& app) {
  app.add_option("--memory-limit", memory_limit,
                 "refuses a step that needs more: 4GiB, 800MB; images being decoded do not count")
      ->default_str("what the machine has left")
      ->type_name("SIZE")
      ->group("Running");
  device.add(app);
  add_number(app, "--loader-threads", loader_threads, loader_thread_counts, "for reading images");
}

Recipe RecipeFlags::read() const {
  Recipe r = recipe;
  for (std::string* path : {&r.data, &r.val, &r.weights}) *path = absolute_path(*path);
  r.image = image.read();
  r.precision = device.precision;
  return r;
}

static std::string word(const nlohmann::ordered_json& value) {
  if (value.is_string()) return text_from_json(value);
  if (!value.is_array()) return value.dump();
  std::string words;
  for (const auto& part : value) words += (words.empty() ? "" : ",") + part.dump();
  return words;
}

// The keys of a recipe's JSON are the names of the flags.
std::vector<std::string> to_flags(const Recipe& recipe) {
  std::vector<std::string> flags;
  const auto fields = nlohmann::ordered_json::parse(to_json(recipe));
  for (const auto& [key, value] : fields.items()) {
    const bool no_words = value.is_string() && value.get_ref<const std::string&>().empty();
    if (value.is_boolean()) {
      if (value.get<bool>()) flags.push_back("--" + key);
    } else if (!value.is_null() && !no_words) {
      flags.push_back("--" + key + '=' + word(value));
    }
  }
  return flags;
}

}  // namespace shear::tool

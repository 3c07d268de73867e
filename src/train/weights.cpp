// Parameters from files and to files, by name.
#include <algorithm>
#include <set>

#include "train/tensors.h"

namespace shear {

static bool in_head(std::string_view name) { return name.starts_with("head."); }
static bool is_state(std::string_view name) { return name.starts_with("optimizer.") || name.starts_with("policy."); }

void read_tensor(const SafeTensors& file, const TensorView& from, Device& device, const Tensor& into) {
  const std::vector<float> values = read_floats(file, from);
  device.run().upload(into.data<void>(), values.data(), into.bytes());
}

static void zero(Param& p, Device& device) { device.run().fill(p.value, 0); }

// A head for another number of classes: the same but for the first dimension.
static bool other_classes(const Param& p, const Shape& found) {
  const Shape& own = p.value.shape();
  if (!in_head(p.name) || found.rank() != own.rank() || found.rank() == 0 || found[0] == own[0]) return false;
  return std::equal(own.begin() + 1, own.end(), found.begin() + 1);
}

static const Param* first_of_head(const Parameters& parameters) {
  for (const Param& p : parameters)
    if (in_head(p.name)) return &p;
  return nullptr;
}

WeightsReport load_weights(const SafeTensors& file, Parameters& parameters, Matching matching) {
  Device& device = parameters.device();
  WeightsReport report;
  const Param* head = first_of_head(parameters);
  const TensorView* file_head = head ? file.find(head->name) : nullptr;
  const bool new_head =
      matching == Matching::fine_tuning && head && (!file_head || other_classes(*head, file_head->shape));
  size_t matched = 0;
  // All is checked before anything is changed.
  for (const Param& p : parameters) {
    const TensorView* t = file.find(p.name);
    if (!t) {
      report.missing.push_back(p.name);
      continue;
    }
    ++matched;
    if (t->shape == p.value.shape() || (new_head && other_classes(p, t->shape))) continue;
    fail(Fault::input, file.path().string(), ": ", p.name, " has the shape ", t->shape, ", the model expects ",
         p.value.shape());
  }
  if (matched == 0 && parameters.size() > 0)
    fail(Fault::input, file.path().string(), ": none of its ", file.tensors().size(),
         " tensors has the name of a parameter of the ", "model, expected names as ", parameters.begin()->name);
  if (matching == Matching::exact && !report.missing.empty())
    fail(Fault::input, file.path().string(), ": ", report.missing.front(), " is not there",
         report.missing.size() > 1 ? text(", nor are ", report.missing.size() - 1, " other parameters") : std::string(),
         ", expected all ", parameters.size(), " parameters of the model");
  for (Param& p : parameters) {
    const TensorView* t = file.find(p.name);
    if (new_head && in_head(p.name))
      zero(p, device);
    else if (t)
      read_tensor(file, *t, device, p.value);
  }
  if (new_head && file_head) report.head_classes = file_head->shape[0];
  for (const TensorView& t : file.tensors())
    if (!is_state(t.name) && !parameters.find(t.name)) report.unused.push_back(t.name);
  return report;
}

void TensorList::add(std::string name, const Tensor& t) {
  const void* data = t.data<void>();
  if (!device_.run().on_host()) {
    std::vector<float>& copy = copies_.emplace_back(device_.download(t));
    data = copy.data();
  }
  tensors_.push_back({std::move(name), t.dtype(), t.shape(), data});
}

void save_weights(const std::filesystem::path& path, const Parameters& parameters,
                  const std::map<std::string, std::string>& metadata) {
  TensorList list(parameters.device());
  for (const Param& p : parameters) list.add(p.name, p.value);
  write_safetensors(path, list.tensors(), metadata);
}

}  // namespace shear

#include "kernel/shipped-binaries.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "kernel/make.h"
#include "support/error.h"
#include "support/files.h"

namespace kpatch {

namespace fs = std::filesystem;

namespace {

// What the kernel looks up in a module, in its order.
std::vector<const BinarySymbol*> looked_up(const Binary& object) {
  std::vector<const BinarySymbol*> list;
  for (const BinarySymbol& s : object.symbols())
    if (s.defined() && s.type != SymbolType::file && s.type != SymbolType::section) list.push_back(&s);
  return list;
}

bool same_symbols(const Binary& a, const Binary& b) {
  const auto in_a = looked_up(a), in_b = looked_up(b);
  return std::equal(in_a.begin(), in_a.end(), in_b.begin(), in_b.end(),
                    [&](const BinarySymbol* x, const BinarySymbol* y) {
                      return x->name == y->name && x->value == y->value && x->size == y->size && x->type == y->type &&
                             x->binding == y->binding && a.section_name(x->section) == b.section_name(y->section);
                    });
}

}  // namespace

const Binary& ShippedBinaries::object(const std::string& module) {
  auto it = opened_.find(module);
  if (it == opened_.end()) {
    const auto file = module.empty() ? std::optional(base_.vmlinux) : module_file(base_, module);
    if (!file) throw Error(fmt::format("{}.ko is not among the shipped modules", module));
    it = opened_.emplace(module, Binary::open(*file)).first;
  }
  return it->second;
}

const Binary* ShippedBinaries::named(std::string_view name) {
  if (paths_.empty())
    walk(base_.modules, [&](const fs::directory_entry& entry) {
      const std::string path = entry.path().lexically_relative(base_.modules).string();
      if (const auto module = module_path_of(path)) paths_.emplace(module_name_of(*module), *module);
      return true;
    });
  const auto it = paths_.find(std::string(name));
  return it == paths_.end() ? nullptr : &object(it->second);
}

const std::set<std::string>& ShippedBinaries::needed_by(const std::string& name) {
  const auto [it, fresh] = needs_.try_emplace(name);
  const Binary* module = fresh ? named(name) : nullptr;
  if (module != nullptr) it->second = dependencies(*module, [&](std::string_view other) { return named(other); });
  return it->second;
}

fs::path parent_of_module(const Base& base, const std::string& module) {
  const auto shipped = module_file(base, module);
  if (!shipped) {
    throw Error(
        fmt::format("{}.ko is affected, but is not among the shipped modules in {}", module, base.modules.string()));
  }
  const fs::path debug = base.debug_modules / (module + ".ko");
  if (base.debug_modules.empty() || !fs::exists(debug) || debug == *shipped) return *shipped;
  return same_symbols(Binary::open(*shipped), Binary::open(debug)) ? debug : *shipped;
}

}  // namespace kpatch

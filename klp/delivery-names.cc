// Which symbol of the kernel is it?
//
//   patched object (fs/proc/cmdline.o)       kernel that runs
//   call  _printk          undefined         the export
//   call  seq_show         undefined         vmlinux's global, or an export of a module
//   call  .text.show       local             the `show` behind the FILE symbol cmdline.c, however many others there are
//   mov   count.7          local             `count.N` behind that FILE symbol: the number is one compile's own
//
// Several files have one base name. The group of locals that shares most names with the object's is its file; a patch
// adds or takes away a few of them, and another file of that name shares next to none.
//
// Of numbered names the one that is spelled the same is meant, unless the patch shows that numbers moved: the object has
// others of that stem than the kernel, or the one spelled the same is of another size. Then any that fits in size is
// accepted, as long as no two of the object's are taken for one (delivery.cc). So it is where a static local becomes a
// variable of its file, and loses the number.
#include "klp/delivery-names.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace kpatch {

namespace {

bool plain(const BinarySymbol& s) { return s.type == SymbolType::function || s.type == SymbolType::object; }

}  // namespace

const Binary* KernelNames::binary(std::string_view owner) {
  if (owner == "vmlinux") return input_.vmlinux;
  auto [it, fresh] = binaries_.try_emplace(std::string(owner), nullptr);
  if (fresh && input_.open_module) it->second = input_.open_module(owner);
  return it->second;
}

std::string KernelNames::describe(const KernelSymbol& s) {
  const BinarySymbol& known = symbol(s);
  return fmt::format("{} of {} at {:#x}", known.name, s.owner, known.value);
}

std::optional<KernelSymbol> KernelNames::ranked(std::string_view owner, std::string_view name, unsigned long sympos) {
  const Binary* b = binary(owner);
  if (b == nullptr) return std::nullopt;
  const auto found = b->named(name);
  if (sympos == 0 ? found.size() != 1 : sympos > found.size()) return std::nullopt;
  return KernelSymbol{std::string(owner), found[sympos == 0 ? 0 : sympos - 1]};
}

std::optional<KernelSymbol> KernelNames::global(std::string_view owner, std::string_view name) {
  const Binary* b = binary(owner);
  if (b == nullptr) return std::nullopt;
  for (uint32_t id : b->named(name))
    if (b->symbols()[id].binding != SymbolBinding::local) return KernelSymbol{std::string(owner), id};
  return std::nullopt;
}

std::optional<KernelSymbol> KernelNames::exported_by_vmlinux(std::string_view name) {
  const Export* found = input_.symvers->find(name);
  return found == nullptr || found->owner != "vmlinux" ? std::nullopt : global("vmlinux", name);
}

std::optional<KernelSymbol> KernelNames::linked(std::string_view owner, std::string_view name) {
  if (auto own = global(owner, name)) return own;
  const Export* found = input_.symvers->find(name);
  if (found == nullptr) return std::nullopt;
  return global(found->owner == "vmlinux" ? found->owner : module_name_of(found->owner), name);
}

const std::vector<uint32_t>& KernelNames::groups(const Image& object, const Binary& b, std::string_view file) {
  auto [it, fresh] = groups_.try_emplace({&object, std::string(file)});
  if (!fresh) return it->second;
  std::set<std::string, std::less<>> names;
  for (uint32_t i = 1; i < object.elf.symbols.size(); ++i) {
    const KlpSymbol& s = object.elf.symbols[i];
    if (s.in_section() && s.local() && (s.type() == STT_FUNC || s.type() == STT_OBJECT) && object.file_of(i) == file)
      names.insert(s.name);
  }
  size_t most = 0;
  for (uint32_t g = 0; g < b.files().size(); ++g) {
    const FileGroup& group = b.files()[g];
    if (group.name != file) continue;
    size_t common = 0;
    for (const BinarySymbol& s : b.symbols().subspan(group.first, group.count))
      if (plain(s) && names.contains(s.name)) ++common;
    if (common > most) it->second.clear();
    most = std::max(most, common);
    if (common == most) it->second.push_back(g);
  }
  return it->second;
}

std::vector<KernelSymbol> KernelNames::locals(const Image& object, std::string_view owner, uint32_t symbol) {
  const Binary& b = *binary(owner);
  const KlpSymbol& s = object.elf.symbols[symbol];
  const auto same_type = [&](const BinarySymbol& k) {
    if (!k.defined() || k.binding != SymbolBinding::local) return false;
    if (s.type() == STT_NOTYPE) return k.type == SymbolType::none;  // of asm() at file scope
    return plain(k) && (k.type == SymbolType::function) == (s.type() == STT_FUNC);
  };
  std::string_view file = object.file_of(symbol);
  if (file.empty())  // a global: the object's own file
    for (const KlpSymbol& f : object.elf.symbols)
      if (f.type() == STT_FILE && file.empty()) file = f.name;
  const std::string stem = without_numbers(s.name);
  std::vector<uint32_t> same, alike;
  std::set<std::string> theirs, ours;
  const auto consider = [&](uint32_t id) {
    const BinarySymbol& k = b.symbols()[id];
    if (!same_type(k)) return;
    if (k.name == s.name) same.push_back(id);
    // A variable of the file may have been a static local, whose number the kernel's has.
    if (stem == s.name && (k.name == stem || s.type() != STT_OBJECT)) return;
    if (without_numbers(k.name) != stem) return;
    theirs.emplace(k.name);
    if (k.size == s.entry.st_size) alike.push_back(id);
  };
  if (file.empty()) {
    for (uint32_t id : b.named(s.name)) consider(id);
  } else if (b.files().empty()) {  // stripped of FILE symbols, as distributions do with modules
    for (uint32_t id = 1; id < b.symbols().size(); ++id) consider(id);
  } else {
    for (uint32_t g : groups(object, b, file))
      for (uint32_t id = b.files()[g].first; id < b.files()[g].first + b.files()[g].count; ++id) consider(id);
  }
  std::vector<KernelSymbol> result;
  for (uint32_t id : same) result.push_back({std::string(owner), id});
  if (stem == s.name && !same.empty()) return result;
  for (uint32_t i = 1; i < object.elf.symbols.size(); ++i) {
    const KlpSymbol& o = object.elf.symbols[i];
    if (o.in_section() && o.type() == s.type() && o.local() && without_numbers(o.name) == stem) ours.insert(o.name);
  }
  const bool moved = theirs != ours || same.empty() || std::any_of(same.begin(), same.end(), [&](uint32_t id) {
                       return b.symbols()[id].size != s.entry.st_size;
                     });
  if (moved)
    for (uint32_t id : alike)
      if (std::find(same.begin(), same.end(), id) == same.end()) result.push_back({std::string(owner), id});
  return result;
}

std::vector<KernelSymbol> KernelNames::find_defined(const Image& object, std::string_view owner, uint32_t symbol) {
  if (binary(owner) == nullptr) return {};
  const KlpSymbol& s = object.elf.symbols[symbol];
  if (!s.local())
    if (auto found = global(owner, s.name)) return {*found};
  std::vector<KernelSymbol> found = locals(object, owner, symbol);
  if (found.empty() && s.local())  // no longer global
    if (auto was = global(owner, s.name)) found.push_back(*was);
  return found;
}

const std::vector<KernelSymbol>& KernelNames::defined(const Image& object, std::string_view owner, uint32_t symbol) {
  auto [it, fresh] = defined_.try_emplace({&object, symbol});
  if (fresh) it->second = find_defined(object, owner, symbol);
  return it->second;
}

}  // namespace kpatch

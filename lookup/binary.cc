// A livepatch names what it means by (object, symbol, sympos); the kernel finds the address in kallsyms. If the
// third part is wrong, an unrelated function is patched or called. Take the four `show` of a vmlinux:
//
//   ffffffff81302f20 t show      drivers/base/...      sympos 1
//   ffffffff813a1e40 t show      block/...             sympos 2
//   ffffffff8149d0a0 T show                            sympos 3   (a global counts as well)
//   ffffffff818c7710 t show      fs/...                sympos 4
//
// The rank is by address, since kallsyms is sorted by address, whatever the order of the symbol table. In a module it
// is by symbol table order, since the kernel walks the module's own table (klp_find_object_symbol in
// kernel/livepatch/core.c; kallsyms_on_each_match_symbol in kernel/kallsyms.c; module_kallsyms_on_each_symbol in
// kernel/module/kallsyms.c). Symbols at address 0 count too (klp_find_callback counts before it looks at addresses),
// although the kernel will then say that it did not find them.
//
// So one array of symbol indices, sorted by (name, kernel's order), answers both questions: a name is an equal range
// of it, and sympos is the place in the range. The array costs one sort when an ELF file is read, and nothing when an
// index is, which holds it as it is.
#include "lookup/binary.h"

#include <elf.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include "arch/arch.h"
#include "lookup/binary-data.h"
#include "support/error.h"

namespace kpatch {

namespace {

bool in_range(const BinaryData& data, uint64_t address) {
  return address >= data.ro_after_init_start && address < data.ro_after_init_end;
}

// The first bytes of a name as a number that sorts as the name does: most comparisons end there.
uint64_t name_prefix(std::string_view name) {
  uint64_t prefix = 0;
  for (size_t i = 0; i < 8; ++i) prefix = prefix << 8 | (i < name.size() ? static_cast<uint8_t>(name[i]) : 0);
  return prefix;
}

// Where the bounds of a memory range of vmlinux are told by a pair of symbols.
void find_ro_after_init(BinaryData& data) {
  if (data.relocatable) return;
  for (const BinarySymbol& symbol : data.symbols) {
    if (!symbol.defined() || !symbol.name.ends_with("_ro_after_init")) continue;
    if (symbol.name == "__start_ro_after_init") data.ro_after_init_start = symbol.value;
    if (symbol.name == "__end_ro_after_init") data.ro_after_init_end = symbol.value;
  }
}

}  // namespace

void sort_by_name(BinaryData& data) {
  struct Key {
    uint64_t prefix;
    uint32_t symbol;
  };
  std::vector<Key> keys;
  keys.reserve(data.symbols.size());
  for (uint32_t i = 0; i < data.symbols.size(); ++i) {
    const BinarySymbol& symbol = data.symbols[i];
    if (!symbol.defined() || symbol.name.empty()) continue;
    if (symbol.type == SymbolType::file || symbol.type == SymbolType::section) continue;
    uint64_t flags = symbol.section < data.sections.size() ? data.sections[symbol.section].flags : UINT64_MAX;
    if (!data.relocatable && missing_from_kallsyms(symbol, flags)) continue;
    keys.push_back({name_prefix(symbol.name), i});
  }
  std::sort(keys.begin(), keys.end(), [&](const Key& a, const Key& b) {
    if (a.prefix != b.prefix) return a.prefix < b.prefix;
    const BinarySymbol& x = data.symbols[a.symbol];
    const BinarySymbol& y = data.symbols[b.symbol];
    if (int order = x.name.compare(y.name); order != 0) return order < 0;
    if (!data.relocatable && x.value != y.value) return x.value < y.value;
    return a.symbol < b.symbol;
  });
  data.by_name_storage.reserve(keys.size());
  for (const Key& key : keys) data.by_name_storage.push_back(key.symbol);
  data.by_name = data.by_name_storage;
}

Binary Binary::open(const std::filesystem::path& path) {
  auto data = std::make_unique<BinaryData>();
  data->path = path;
  data->file = FileBytes::read(path);
  if (looks_like_index(data->file.bytes())) {
    read_index(*data);
    data->file.require_unchanged();
    return Binary(std::move(data));
  }
  if (looks_like_symbol_text(data->file.bytes())) {
    read_symbol_text(*data);
  } else {
    read_elf(*data);
  }
  find_ro_after_init(*data);
  sort_by_name(*data);
  data->file.require_unchanged();
  return Binary(std::move(data));
}

Binary::Binary(std::unique_ptr<BinaryData> data) : data_(std::move(data)) {}
Binary::Binary(Binary&&) noexcept = default;
Binary& Binary::operator=(Binary&&) noexcept = default;
Binary::~Binary() = default;

void Binary::require_unchanged() const { data_->file.require_unchanged(); }

uint16_t Binary::machine() const { return data_->machine; }
bool Binary::relocatable() const { return data_->relocatable; }
std::span<const BinarySymbol> Binary::symbols() const { return data_->symbols; }
std::span<const FileGroup> Binary::files() const { return data_->files; }
std::string_view Binary::banner() const { return data_->banner; }
std::string_view Binary::build_id() const { return data_->build_id; }

std::span<const uint32_t> Binary::named(std::string_view name) const {
  struct ByName {
    const BinaryData& data;
    bool operator()(uint32_t a, std::string_view b) const { return data.symbols[a].name < b; }
    bool operator()(std::string_view a, uint32_t b) const { return a < data.symbols[b].name; }
  };
  auto [first, last] = std::equal_range(data_->by_name.begin(), data_->by_name.end(), name, ByName{*data_});
  return {first, last};
}

unsigned Binary::sympos(uint32_t symbol) const {
  KPATCH_ASSERT(symbol < data_->symbols.size());
  std::string_view name = data_->symbols[symbol].name;
  std::span<const uint32_t> same = named(name);
  auto place = std::find(same.begin(), same.end(), symbol);
  if (place == same.end())
    throw Error(
        fmt::format("'{}': the kernel cannot look up symbol '{}' (number {})", data_->path.string(), name, symbol));
  return same.size() == 1 ? 0 : place - same.begin() + 1;
}

bool Binary::forgotten_after_init(const BinarySymbol& symbol) const {
  if (!relocatable() || !symbol.defined()) return false;
  if (symbol.section >= data_->sections.size()) return true;
  const BinarySection& section = data_->sections[symbol.section];
  // The loader takes SHF_ALLOC from the last two (rewrite_section_headers).
  return section.name.starts_with(".init") || (section.flags & SHF_ALLOC) == 0 || section.name == ".modinfo" ||
         section.name == "__versions";
}

const BinarySymbol* Binary::shifts_sympos(uint32_t symbol) const {
  for (uint32_t other : named(data_->symbols[symbol].name)) {
    if (other == symbol) break;
    if (forgotten_after_init(data_->symbols[other])) return &data_->symbols[other];
  }
  return nullptr;
}

std::optional<uint64_t> Binary::struct_size(std::string_view name) const {
  for (const auto& [known, size] : data_->struct_sizes)
    if (known == name) return size;
  if (!data_->is_elf) return std::nullopt;
  std::optional<uint64_t> size;
  // A module's BTF continues that of vmlinux: its own offsets mean nothing without it.
  if (!data_->relocatable)
    for (const BinarySection& section : data_->sections)
      if (section.name == ".BTF") size = btf_struct_size(section.bytes, name);
  if (!size) size = dwarf_struct_size(*data_, name);
  data_->struct_sizes.emplace_back(name, size);
  return size;
}

std::span<const std::string_view> Binary::units() const {
  if (!data_->units) data_->units = dwarf_units(*data_);
  return data_->units->names;
}

std::string_view Binary::producer() const {
  if (!data_->units) data_->units = dwarf_units(*data_);
  return data_->units->producer;
}

bool Binary::in_ro_after_init(const BinarySymbol& symbol) const {
  return symbol.defined() && in_range(*data_, symbol.value);
}

bool Binary::seals_ro_after_init_keys() const { return !named("jump_label_init_ro").empty(); }

std::span<const std::byte> Binary::contents(const BinarySymbol& symbol) const {
  if (symbol.section == 0 || symbol.section >= data_->sections.size()) return {};
  const BinarySection& section = data_->sections[symbol.section];
  uint64_t offset = data_->relocatable ? symbol.value : symbol.value - section.address;
  if (offset > section.bytes.size() || symbol.size > section.bytes.size() - offset) return {};
  return section.bytes.subspan(offset, symbol.size);
}

std::string_view Binary::section_name(uint32_t section) const {
  return section < data_->sections.size() ? data_->sections[section].name : std::string_view();
}

std::span<const BinarySection> Binary::sections() const { return data_->sections; }

std::vector<BinaryRelocation> Binary::relocations(uint32_t section) const {
  if (!data_->is_elf || !data_->relocatable) return {};
  return read_relocations(*data_, section);
}

void Binary::write_index(const std::filesystem::path& path) const {
  std::vector<std::pair<std::string_view, uint64_t>> sizes;
  const Arch* arch = find_arch(data_->machine);
  std::vector<std::string_view> names = arch != nullptr ? arch->entry_structs() : std::vector<std::string_view>();
  names.insert(names.end(), loader_structs().begin(), loader_structs().end());
  for (std::string_view name : names)
    if (std::optional<uint64_t> size = struct_size(name)) sizes.emplace_back(name, *size);
  units();
  require_unchanged();
  kpatch::write_index(*data_, sizes, *data_->units, path);
}

}  // namespace kpatch

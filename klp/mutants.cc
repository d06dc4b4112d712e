// One mistake at a time, where the patch's own code and data are: the template's are kbuild's business.
#include "klp/mutants.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "klp/audit-parts.h"
#include "klp/patch-tables.h"

namespace kpatch {

namespace {

using Made = std::optional<std::string>;

// Sections that hold nothing but what the differ put there.
bool is_own(const KlpSection& s) {
  if (!s.allocated() || s.header.sh_type == SHT_RELA) return false;
  const std::string_view name = s.name;
  // Without a function's name: of the template, which is compiled without sections of functions.
  if (name.starts_with(".rodata.str") || name.starts_with(".rodata.cst") || name == ".text.unlikely") return false;
  return name.starts_with(".text.") || name.starts_with(".rodata.") || name.starts_with(".data.") ||
         name.starts_with(".altinstr_replacement");
}

bool is_code(const KlpSection& s) { return (s.header.sh_flags & SHF_EXECINSTR) != 0; }
bool holds_strings(const KlpSection& s) { return (s.header.sh_flags & SHF_STRINGS) != 0; }

struct Reference {
  KlpSection* home;
  size_t number;
  KlpRelocation& get() const { return home->relocations[number]; }
};

std::vector<Reference> references(KlpElf& elf) {
  std::vector<Reference> list;
  for (KlpSection& s : elf.sections)
    if (s.header.sh_type == SHT_RELA && is_own(elf.sections[s.header.sh_info]))
      for (size_t i = 0; i < s.relocations.size(); ++i)
        if (s.relocations[i].type != 0) list.push_back({&s, i});
  return list;
}

std::string place(const KlpElf& elf, const Reference& r) {
  return elf.describe({r.home->header.sh_info, r.get().offset});
}

bool outside(const KlpSymbol& s) { return s.entry.st_shndx == SHN_UNDEF || s.entry.st_shndx == shn_livepatch; }

std::vector<uint32_t> own_symbols(const KlpElf& elf) {
  std::vector<uint32_t> list;
  for (uint32_t i = 1; i < elf.symbols.size(); ++i) {
    const KlpSymbol& s = elf.symbols[i];
    if (s.in_section() && (s.type() == STT_FUNC || s.type() == STT_OBJECT) && s.entry.st_size != 0 &&
        is_own(elf.sections[s.entry.st_shndx]) && !s.name.starts_with("__pfx_"))
      list.push_back(i);
  }
  return list;
}

Made changed_addend(KlpElf& elf, const Binary&, size_t which) {
  const auto list = references(elf);
  if (which >= list.size()) return std::nullopt;
  KlpRelocation& r = list[which].get();
  const int64_t by = which % 2 == 0 ? 1 : -8;
  r.addend += by;
  return fmt::format("{}: addend {:+}", place(elf, list[which]), by);
}

Made swapped_target(KlpElf& elf, const Binary&, size_t which) {
  std::vector<Reference> list = references(elf);
  std::erase_if(list, [&](const Reference& r) { return !outside(elf.symbols[r.get().symbol]); });
  if (which >= list.size()) return std::nullopt;
  KlpRelocation& r = list[which].get();
  for (size_t i = 1; i < elf.symbols.size(); ++i) {
    const auto other = static_cast<uint32_t>(1 + (r.symbol + i - 1) % (elf.symbols.size() - 1));
    const KlpSymbol& s = elf.symbols[other];
    if (!outside(s) || s.name.empty() || s.entry.st_shndx != elf.symbols[r.symbol].entry.st_shndx ||
        s.name == elf.symbols[r.symbol].name)
      continue;
    r.symbol = other;
    return fmt::format("{}: {}", place(elf, list[which]), s.name);
  }
  return "";
}

// A place in the module instead of another one.
Made swapped_place(KlpElf& elf, const Binary&, size_t which) {
  std::vector<Reference> list = references(elf);
  std::erase_if(list, [&](const Reference& r) { return outside(elf.symbols[r.get().symbol]); });
  if (which >= list.size()) return std::nullopt;
  KlpRelocation& r = list[which].get();
  const auto here = elf.place_of(r.symbol, r.addend);
  for (const Reference& other : list) {
    const auto there = elf.place_of(other.get().symbol, other.get().addend);
    if (other.get().type != r.type || there == here) continue;
    if (here && there && elf.string_at(*here) == elf.string_at(*there) && holds_strings(elf.sections[here->section]))
      continue;
    r.symbol = other.get().symbol;
    r.addend = other.get().addend;
    return fmt::format("{}: {}", place(elf, list[which]), there ? elf.describe(*there) : "?");
  }
  return "";
}

Made dropped_relocation(KlpElf& elf, const Binary&, size_t which) {
  const auto list = references(elf);
  if (which >= list.size()) return std::nullopt;
  const std::string text = place(elf, list[which]);
  list[which].home->relocations.erase(list[which].home->relocations.begin() +
                                      static_cast<ptrdiff_t>(list[which].number));
  return text;
}

// Such a type as the loader applies otherwise.
Made changed_type(KlpElf& elf, const Binary&, size_t which) {
  const auto list = references(elf);
  if (which >= list.size()) return std::nullopt;
  KlpRelocation& r = list[which].get();
  const Arch& arch = *find_arch(elf.header.e_machine);
  const auto meaning = [&](uint32_t type) { return arch.proof->field(type).value_or(RelocatedField{}).type; };
  uint32_t type = arch.elf.absolute_64;
  for (const Reference& other : list)
    if (meaning(other.get().type) != meaning(r.type)) type = other.get().type;
  if (meaning(type) == meaning(r.type)) return "";
  r.type = type;
  return fmt::format("{}: type {}", place(elf, list[which]), r.type);
}

// R_*_NONE of every architecture: the loader skips it.
Made type_of_nothing(KlpElf& elf, const Binary&, size_t which) {
  const auto list = references(elf);
  if (which >= list.size()) return std::nullopt;
  list[which].get().type = 0;
  return place(elf, list[which]);
}

// Beyond everything that a livepatch refers to; 16 MiB are beyond what is meant alone.
Made far_addend(KlpElf& elf, const Binary&, size_t which) {
  const auto list = references(elf);
  if (which >= list.size()) return std::nullopt;
  KlpRelocation& r = list[which].get();
  const bool inside = elf.symbols[r.symbol].in_section();
  const int64_t by = inside ? int64_t{1} << 24 : int64_t{1} << 40;
  r.addend += by;
  return fmt::format("{}: addend {:+}", place(elf, list[which]), by);
}

std::vector<uint32_t> klp_symbols(const KlpElf& elf) {
  std::vector<uint32_t> list;
  for (uint32_t i = 1; i < elf.symbols.size(); ++i)
    if (elf.symbols[i].entry.st_shndx == shn_livepatch && parse_klp_symbol(elf.symbols[i].name)) list.push_back(i);
  return list;
}

// sympos 1 of a unique name is the same symbol as 0.
Made swapped_rank(KlpElf& elf, const Binary&, size_t which) {
  const auto list = klp_symbols(elf);
  if (which >= list.size()) return std::nullopt;
  KlpSymbol& s = elf.symbols[list[which]];
  const KlpName name = *parse_klp_symbol(s.name);
  s.name = fmt::format(".klp.sym.{}.{},{}", name.owner, name.name,
                       name.sympos == 1   ? 2
                       : name.sympos == 0 ? 2
                                          : name.sympos - 1);
  return s.name;
}

Made wrong_owner(KlpElf& elf, const Binary&, size_t which) {
  const auto list = klp_symbols(elf);
  if (which >= list.size()) return std::nullopt;
  KlpSymbol& s = elf.symbols[list[which]];
  const KlpName name = *parse_klp_symbol(s.name);
  s.name = fmt::format(".klp.sym.{}.{},{}", name.owner == "vmlinux" ? "xt_comment" : "vmlinux", name.name, name.sympos);
  return s.name;
}

Made wrong_klp_section(KlpElf& elf, const Binary&, size_t which) {
  for (KlpSection& s : elf.sections) {
    constexpr std::string_view prefix = ".klp.rela.";
    if (!s.name.starts_with(prefix) || which-- != 0) continue;
    const size_t dot = s.name.find('.', prefix.size());
    const bool vmlinux = s.name.substr(prefix.size(), dot - prefix.size()) == "vmlinux";
    s.name = fmt::format("{}{}{}", prefix, vmlinux ? "xt_comment" : "vmlinux", s.name.substr(dot));
    return s.name;
  }
  return std::nullopt;
}

// Bytes of functions and variables that no relocation fills.
template <typename Wanted>
Made flip(KlpElf& elf, size_t which, Wanted wanted) {
  const Arch& arch = *find_arch(elf.header.e_machine);
  for (uint32_t id : own_symbols(elf)) {
    const KlpSymbol& symbol = elf.symbols[id];
    KlpSection& section = elf.sections[symbol.entry.st_shndx];
    std::set<uint64_t> fields;
    for (const KlpSection& s : elf.sections)
      if (s.header.sh_type == SHT_RELA && s.header.sh_info == symbol.entry.st_shndx)
        for (const KlpRelocation& r : s.relocations)
          for (uint64_t i = 0; i < arch.klp.field_size(r.type).value_or(8); ++i) fields.insert(r.offset + i);
    for (uint64_t at = symbol.entry.st_value;
         at < symbol.entry.st_value + symbol.entry.st_size && at < section.bytes.size();) {
      const uint64_t length =
          is_code(section) ? std::max<uint64_t>(1, arch.audit->instruction_length(section.bytes, at)) : 1;
      const auto byte = wanted(section, at, length);
      const uint64_t here = at;
      at += length;
      if (!byte || fields.contains(here + *byte)) continue;
      if (which-- != 0) continue;
      section.bytes[here + *byte] ^= std::byte{1};
      return fmt::format("{}+{:#x} of {}", symbol.name, here + *byte - symbol.entry.st_value, section.name);
    }
  }
  return std::nullopt;
}

using Offset = std::optional<uint64_t>;

Made flipped_instruction(KlpElf& elf, const Binary&, size_t which) {
  return flip(elf, which, [](const KlpSection& s, uint64_t, uint64_t) { return is_code(s) ? Offset{0} : Offset{}; });
}

Made flipped_data(KlpElf& elf, const Binary&, size_t which) {
  return flip(elf, which, [](const KlpSection& s, uint64_t, uint64_t) {
    return !is_code(s) && !holds_strings(s) ? Offset{0} : Offset{};
  });
}

// mov $x, %reg and the group of add, cmp … with one byte.
Made changed_immediate(KlpElf& elf, const Binary&, size_t which) {
  return flip(elf, which, [](const KlpSection& s, uint64_t at, uint64_t length) -> Offset {
    if (!is_code(s)) return std::nullopt;
    const auto opcode = std::to_integer<unsigned>(s.bytes[at]);
    if (opcode >= 0xb8 && opcode <= 0xbf && length == 5) return 1;
    return opcode == 0x83 ? Offset{length - 1} : std::nullopt;
  });
}

Made flipped_replacement(KlpElf& elf, const Binary&, size_t which) {
  for (uint32_t i = 1; i < elf.sections.size(); ++i) {
    KlpSection& s = elf.sections[i];
    if (s.name != ".altinstr_replacement") continue;
    std::set<uint64_t> fields;
    for (const KlpSection& r : elf.sections)
      if (r.header.sh_type == SHT_RELA && r.header.sh_info == i)
        for (const KlpRelocation& x : r.relocations)
          for (uint64_t k = 0; k < 4; ++k) fields.insert(x.offset + k);
    if (which >= s.bytes.size()) return std::nullopt;
    if (fields.contains(which)) return "";
    s.bytes[which] ^= std::byte{1};
    return elf.describe({i, which});
  }
  return std::nullopt;
}

Made stale_string(KlpElf& elf, const Binary&, size_t which) {
  for (uint32_t i = 1; i < elf.sections.size(); ++i) {
    KlpSection& s = elf.sections[i];
    if (!is_own(s) || !holds_strings(s)) continue;
    for (size_t at = 0; at < s.bytes.size(); ++at) {
      const bool first = s.bytes[at] != std::byte{0} && (at == 0 || s.bytes[at - 1] == std::byte{0});
      if (!first || which-- != 0) continue;
      s.bytes[at] ^= std::byte{1};
      return elf.describe({i, at});
    }
  }
  return std::nullopt;
}

// --- tables ---

struct Table {
  std::string_view name;
  uint64_t size;
};

std::vector<Table> tables(const Arch& arch, const Binary& vmlinux) {
  std::vector<Table> list;
  for (const TableFacts& t : arch.tables)
    list.push_back({t.section, t.fixed_size != 0 ? t.fixed_size : vmlinux.struct_size(t.struct_name).value_or(0)});
  for (const ListedCall& call : arch.audit->calls)
    if (!call.written) list.push_back({call.table, call.entry_size});
  list.push_back({arch.audit->call_table, 4});
  list.push_back({".static_call_sites", 8});
  return list;
}

// Entries that tell of own code: section, offset, size.
struct TableEntry {
  uint32_t section;
  uint64_t at, size;
};

std::vector<TableEntry> entries(const KlpElf& elf, const Binary& vmlinux) {
  std::vector<TableEntry> list;
  for (const Table& table : tables(*find_arch(elf.header.e_machine), vmlinux)) {
    const auto section = elf.find_section(table.name);
    const uint64_t size = table.size;
    if (!section || size == 0) continue;
    for (const KlpSection& s : elf.sections) {
      if (s.header.sh_type != SHT_RELA || s.header.sh_info != *section) continue;
      for (const KlpRelocation& r : s.relocations) {
        const auto to = elf.place_of(r.symbol, r.addend);
        if (r.offset % size == 0 && to && is_own(elf.sections[to->section]) && is_code(elf.sections[to->section]))
          list.push_back({*section, r.offset, size});
      }
    }
  }
  // One of each table first, so that a sample has all of them.
  std::stable_sort(list.begin(), list.end(), [](const auto& a, const auto& b) { return a.at < b.at; });
  return list;
}

void erase_range(KlpElf& elf, uint32_t section, uint64_t at, uint64_t size) {
  auto& bytes = elf.sections[section].bytes;
  bytes.erase(bytes.begin() + static_cast<ptrdiff_t>(at), bytes.begin() + static_cast<ptrdiff_t>(at + size));
  for (KlpSection& s : elf.sections) {
    if (s.header.sh_type != SHT_RELA || s.header.sh_info != section) continue;
    std::erase_if(s.relocations, [&](const auto& r) { return r.offset >= at && r.offset < at + size; });
    for (KlpRelocation& r : s.relocations)
      if (r.offset >= at + size) r.offset -= size;
  }
}

// Makes a table of 32-bit places, whose references are at their own offsets, longer by a copy of an entry.
void double_range(KlpElf& elf, uint32_t section, uint64_t at, uint64_t size) {
  auto& bytes = elf.sections[section].bytes;
  const uint64_t end = bytes.size();
  const std::vector<std::byte> copy(bytes.begin() + static_cast<ptrdiff_t>(at),
                                    bytes.begin() + static_cast<ptrdiff_t>(at + size));
  bytes.insert(bytes.end(), copy.begin(), copy.end());
  for (KlpSection& s : elf.sections) {
    if (s.header.sh_type != SHT_RELA || s.header.sh_info != section) continue;
    const auto list = s.relocations;
    for (KlpRelocation r : list)
      if (r.offset >= at && r.offset < at + size) {
        r.offset += end - at;
        s.relocations.push_back(r);
      }
  }
}

Made lost_entry(KlpElf& elf, const Binary& vmlinux, size_t which) {
  const auto list = entries(elf, vmlinux);
  if (which >= list.size()) return std::nullopt;
  erase_range(elf, list[which].section, list[which].at, list[which].size);
  return elf.describe({list[which].section, list[which].at});
}

Made doubled_entry(KlpElf& elf, const Binary& vmlinux, size_t which) {
  const auto list = entries(elf, vmlinux);
  if (which >= list.size()) return std::nullopt;
  double_range(elf, list[which].section, list[which].at, list[which].size);
  return elf.describe({list[which].section, list[which].at});
}

Made moved_entry(KlpElf& elf, const Binary& vmlinux, size_t which) {
  const auto list = entries(elf, vmlinux);
  if (which >= list.size()) return std::nullopt;
  for (KlpSection& s : elf.sections)
    if (s.header.sh_type == SHT_RELA && s.header.sh_info == list[which].section)
      for (KlpRelocation& r : s.relocations)
        if (r.offset == list[which].at) r.addend += which % 2 == 0 ? 1 : -1;
  return elf.describe({list[which].section, list[which].at});
}

// The second field of an entry that objtool makes: the key, with flags in its low bits.
Made changed_key(KlpElf& elf, const Binary&, size_t which) {
  constexpr size_t variants = 4;
  const auto table = elf.find_section(".static_call_sites");
  size_t entry = which / variants;
  for (KlpSection& s : elf.sections) {
    if (!table || s.header.sh_type != SHT_RELA || s.header.sh_info != *table) continue;
    for (KlpRelocation& r : s.relocations) {
      if (r.offset % 8 != 4 || entry-- != 0) continue;
      const std::string place = elf.describe({*table, r.offset});
      if (which % variants < 3) {
        r.addend ^= int64_t{1} << which % variants;
        return place;
      }
      const std::string_view own = elf.symbols[r.symbol].name;
      for (uint32_t id = 1; id < elf.symbols.size(); ++id) {
        const std::string& name = elf.symbols[id].name;
        if (name == own || (name.find("__SCK__") == std::string::npos && name.find("__SCT__") == std::string::npos))
          continue;
        r.symbol = id;
        return place;
      }
      return "";
    }
  }
  return std::nullopt;
}

// Bytes of an entry that no reference fills: flags, lengths, lines.
Made changed_entry(KlpElf& elf, const Binary& vmlinux, size_t which) {
  auto list = entries(elf, vmlinux);
  std::erase_if(list, [](const TableEntry& e) { return e.size <= 8; });
  if (which >= list.size()) return std::nullopt;
  const TableEntry& e = list[which];
  if (e.size == 16) return "";  // struct jump_entry: references alone
  elf.sections[e.section].bytes[e.at + 8] ^= std::byte{2};
  return elf.describe({e.section, e.at + 8});
}

// --- symbols, functions ---

Made wrong_size(KlpElf& elf, const Binary&, size_t which) {
  const auto list = own_symbols(elf);
  if (which >= list.size()) return std::nullopt;
  KlpSymbol& s = elf.symbols[list[which]];
  s.entry.st_size += which % 2 == 0 ? 1 : static_cast<uint64_t>(-1);
  return s.name;
}

Made undefined_symbol(KlpElf& elf, const Binary&, size_t which) {
  const auto list = own_symbols(elf);
  if (which >= list.size()) return std::nullopt;
  KlpSymbol& s = elf.symbols[list[which]];
  s.entry.st_shndx = SHN_UNDEF;
  return s.name;
}

// Binding turned over. Locals come first in a symbol table, so the symbol changes places with the one at the border.
Made other_binding(KlpElf& elf, const Binary&, size_t which) {
  const auto list = own_symbols(elf);
  if (which >= list.size()) return std::nullopt;
  const auto border = static_cast<uint32_t>(
      std::find_if(elf.symbols.begin(), elf.symbols.end(), [](const auto& s) { return !s.local(); }) -
      elf.symbols.begin());
  const uint32_t id = list[which];
  const bool local = elf.symbols[id].local();
  const uint32_t other = local ? border - 1 : border;
  std::swap(elf.symbols[id], elf.symbols[other]);
  KlpSymbol& s = elf.symbols[other];
  s.entry.st_info = GELF_ST_INFO(local ? STB_GLOBAL : STB_LOCAL, s.type());
  for (KlpSection& section : elf.sections)
    for (KlpRelocation& r : section.relocations) r.symbol = r.symbol == id ? other : r.symbol == other ? id : r.symbol;
  return fmt::format("{} {}", s.name, local ? "global" : "local");
}

Made swapped_functions(KlpElf& elf, const Binary&, size_t which) {
  auto list = own_symbols(elf);
  std::erase_if(list, [&](uint32_t id) { return elf.symbols[id].type() != STT_FUNC; });
  if (which + 1 >= list.size()) return std::nullopt;
  KlpSymbol& a = elf.symbols[list[which]];
  KlpSymbol& b = elf.symbols[list[which + 1]];
  if (a.entry.st_shndx == b.entry.st_shndx && a.entry.st_value == b.entry.st_value) return "";  // aliases
  std::swap(a.entry.st_shndx, b.entry.st_shndx);
  std::swap(a.entry.st_value, b.entry.st_value);
  return fmt::format("{} and {}", a.name, b.name);
}

// Rows of .kpatch.funcs, ours or dynup's; nothing past the last one.
struct Row {
  uint32_t section;
  uint64_t offset, size;
};

std::optional<Row> row_of_functions(const KlpElf& elf, size_t which) {
  const auto section = elf.find_section(".kpatch.funcs");
  if (!section) return std::nullopt;
  const uint64_t size = read_patch_tables(elf).form == PatchForm::dynup ? 56 : 32;
  if ((which + 1) * size > elf.sections[*section].bytes.size()) return std::nullopt;
  return Row{*section, which * size, size};
}

Made dropped_function(KlpElf& elf, const Binary&, size_t which) {
  const auto row = row_of_functions(elf, which);
  if (!row) return std::nullopt;
  erase_range(elf, row->section, row->offset, row->size);
  return fmt::format("row {}", which);
}

Made doubled_function(KlpElf& elf, const Binary&, size_t which) {
  const auto row = row_of_functions(elf, which);
  if (!row) return std::nullopt;
  double_range(elf, row->section, row->offset, row->size);
  return fmt::format("row {}", which);
}

uint64_t sympos_in_row(PatchForm form) {
  switch (form) {
    case PatchForm::kpatch_build:
      return 24;
    case PatchForm::dynup:
      return 32;
    default:  // struct klp_func
      return 16;
  }
}

// The rank of a function that is replaced, whoever wrote the table; 0 and 1 are the same for a name that is unique.
Made function_rank(KlpElf& elf, const Binary&, size_t which) {
  const PatchTables tables = read_patch_tables(elf);
  if (which >= tables.functions.size()) return std::nullopt;
  const KlpPlace row = tables.functions[which].entry;
  auto& byte = elf.sections[row.section].bytes[row.offset + sympos_in_row(tables.form)];
  byte = byte == std::byte{2} ? std::byte{1} : std::byte{2};
  return fmt::format("row {}", which);
}

// The relocation that fills a field; nothing where none does.
std::optional<Reference> reference_at(KlpElf& elf, KlpPlace field) {
  for (KlpSection& s : elf.sections)
    if (s.header.sh_type == SHT_RELA && s.header.sh_info == field.section)
      for (size_t i = 0; i < s.relocations.size(); ++i)
        if (s.relocations[i].offset == field.offset) return Reference{&s, i};
  return std::nullopt;
}

// A name that nothing in the kernel has, whoever wrote the table.
Made misnamed_function(KlpElf& elf, const Binary&, size_t which) {
  const PatchTables tables = read_patch_tables(elf);
  if (which >= tables.functions.size()) return std::nullopt;
  const auto r = reference_at(elf, tables.functions[which].name);
  const auto name = r ? elf.place_of(r->get().symbol, r->get().addend) : std::nullopt;
  if (!name || name->offset >= elf.sections[name->section].bytes.size()) return "";
  elf.sections[name->section].bytes[name->offset] = std::byte{'~'};
  return fmt::format("row {}", which);
}

Made lost_new_function(KlpElf& elf, const Binary&, size_t which) {
  const PatchTables tables = read_patch_tables(elf);
  if (which >= tables.functions.size()) return std::nullopt;
  const auto r = reference_at(elf, tables.functions[which].new_function);
  if (!r) return "";
  r->home->relocations.erase(r->home->relocations.begin() + static_cast<ptrdiff_t>(r->number));
  return fmt::format("row {}", which);
}

Made dropped_callback(KlpElf& elf, const Binary&, size_t which) {
  for (uint32_t i = 1; i < elf.sections.size(); ++i) {
    if (!elf.sections[i].name.starts_with(".kpatch.callbacks.")) continue;
    const uint64_t rows = elf.sections[i].bytes.size() / 16;
    if (which < rows) {
      erase_range(elf, i, which * 16, 16);
      return elf.describe({i, which * 16});
    }
    which -= rows;
  }
  return std::nullopt;
}

// The cold part is there, and holds NOPs.
Made lost_cold_part(KlpElf& elf, const Binary&, size_t which) {
  for (uint32_t id : own_symbols(elf)) {
    const KlpSymbol& s = elf.symbols[id];
    if (s.name.find(".cold") == std::string::npos || which-- != 0) continue;
    KlpSection& section = elf.sections[s.entry.st_shndx];
    std::fill_n(section.bytes.begin() + static_cast<ptrdiff_t>(s.entry.st_value), s.entry.st_size, std::byte{0x90});
    for (KlpSection& r : elf.sections)
      if (r.header.sh_type == SHT_RELA && r.header.sh_info == s.entry.st_shndx) r.relocations.clear();
    return s.name;
  }
  return std::nullopt;
}

Made foreign_code(KlpElf& elf, const Binary&, size_t which) {
  std::vector<uint32_t> code;
  for (uint32_t id : own_symbols(elf))
    if (elf.symbols[id].type() == STT_FUNC) code.push_back(elf.symbols[id].entry.st_shndx);
  if (which >= code.size()) return std::nullopt;
  KlpSection& s = elf.sections[code[which]];
  for (unsigned byte : {0x31, 0xc0, 0xc3}) s.bytes.push_back(static_cast<std::byte>(byte));
  return s.name;
}

constexpr auto kinds = std::to_array<MutantKind>({
    {"changed addend", changed_addend},
    {"another symbol of the kernel", swapped_target},
    {"another place of the module", swapped_place},
    {"relocation dropped", dropped_relocation},
    {"relocation of another type", changed_type},
    {"relocation that writes nothing", type_of_nothing},
    {"addend far off", far_addend},
    {"another rank (sympos)", swapped_rank},
    {"another owner", wrong_owner},
    {"klp relocations of another object", wrong_klp_section},
    {"instruction changed", flipped_instruction},
    {"immediate changed", changed_immediate},
    {"replacement of an alternative changed", flipped_replacement},
    {"data changed", flipped_data},
    {"stale string", stale_string},
    {"entry lost", lost_entry},
    {"entry doubled", doubled_entry},
    {"entry moved by a byte", moved_entry},
    {"entry's flags changed", changed_entry},
    {"key of a static call changed", changed_key},
    {"symbol of another size", wrong_size},
    {"symbol made undefined", undefined_symbol},
    {"symbol of another binding", other_binding},
    {"two functions swapped", swapped_functions},
    {"klp_func dropped", dropped_function},
    {"klp_func doubled", doubled_function},
    {"klp_func of another rank", function_rank},
    {"klp_func of a name that isn't there", misnamed_function},
    {"klp_func without its function", lost_new_function},
    {"callback dropped", dropped_callback},
    {"cold part lost", lost_cold_part},
    {"code that nobody wrote", foreign_code},
});

}  // namespace

std::span<const MutantKind> mutant_kinds() { return kinds; }

}  // namespace kpatch

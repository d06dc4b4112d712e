// What the relocations of a pair refer to: the same, by identity and not by name.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "klp/audit-parts.h"
#include "klp/delivery-parts.h"

namespace kpatch {

void DeliveryCheck::compare_references(uint32_t object, const Atom& atom, KlpPlace place,
                                       const std::vector<CodeRange>& rewritten) {
  const Image& o = objects_[object];
  const auto theirs = o.relocations(atom.section, atom.begin, atom.end);
  const auto ours = module_.relocations(place.section, place.offset, place.offset + (atom.end - atom.begin));
  const auto gone = [&](const ImageRelocation& r) {
    return std::any_of(rewritten.begin(), rewritten.end(),
                       [&](const CodeRange& range) { return r.offset >= range.begin && r.offset < range.end; });
  };
  size_t m = 0;
  for (const ImageRelocation& t : theirs) {
    if (gone(t)) continue;
    const uint64_t at = t.offset - atom.begin;
    for (; m < ours.size() && ours[m].offset - place.offset < at; ++m)
      find({place.section, ours[m].offset},
           fmt::format("refers to {} where the compiler wrote no reference", describe(ours[m])));
    if (m == ours.size() || ours[m].offset - place.offset != at) {
      find({place.section, place.offset + at},
           fmt::format("{}+{:#x} has lost its reference to {}", o.name_of(atom), at,
                       o.elf.symbols[t.symbol].type() == STT_SECTION
                           ? o.elf.sections[o.elf.symbols[t.symbol].entry.st_shndx].name
                           : o.elf.symbols[t.symbol].name));
      continue;
    }
    compare_reference(object, atom, t, {place.section, ours[m].offset}, ours[m]);
    ++m;
  }
  for (; m < ours.size(); ++m)
    find({place.section, ours[m].offset},
         fmt::format("refers to {} where the compiler wrote no reference", describe(ours[m])));
}

std::string DeliveryCheck::describe(const ImageRelocation& ours) {
  const KlpSymbol& s = module_.elf.symbols[ours.symbol];
  if (const auto place = module_.elf.place_of(ours.symbol, ours.addend + ours.behind))
    return module_.elf.describe(*place);
  if (const auto known = kernels(ours.symbol)) return fmt::format("{}{:+}", names_.describe(*known), ours.addend);
  return fmt::format("{}{:+}", s.name, ours.addend);
}

// The kernel's symbol that one of the module stands for.
std::optional<KernelSymbol> DeliveryCheck::kernels(uint32_t symbol) {
  const KlpSymbol& s = module_.elf.symbols[symbol];
  if (s.entry.st_shndx == SHN_UNDEF) return names_.exported_by_vmlinux(s.name);
  if (s.entry.st_shndx != shn_livepatch) return std::nullopt;
  const auto klp = parse_klp_symbol(s.name);
  return klp ? names_.ranked(klp->owner, klp->name, klp->sympos) : std::nullopt;
}

bool DeliveryCheck::leads_nowhere(uint32_t object, const Atom& entry) const {
  const Image& o = objects_[object];
  const TableFacts* facts = arch_.table(o.elf.sections[entry.section].name);
  if (facts == nullptr || facts->length_offset == nullptr) return false;
  const uint32_t length = facts->length_offset(entry.end - entry.begin);
  return length != 0 && length < o.bytes(entry).size() && o.bytes(entry)[length] == 0;
}

// A call of a function of the same file has another type than that of one that is bound.
bool DeliveryCheck::of_one_meaning(uint32_t a, uint32_t b) const {
  if (arch_.proof == nullptr) return false;
  const auto one = arch_.proof->field(a), other = arch_.proof->field(b);
  return one && other && one->type == other->type;
}

void DeliveryCheck::compare_reference(uint32_t object, const Atom& home, const ImageRelocation& theirs, KlpPlace at,
                                      const ImageRelocation& ours) {
  const Image& o = objects_[object];
  if (theirs.type != ours.type && !(from_source_ && of_one_meaning(theirs.type, ours.type)))
    return find(at, fmt::format("has a relocation of type {}, the compiler's is {}", ours.type, theirs.type));
  if (const auto klp = parse_klp_symbol(module_.elf.symbols[ours.symbol].name); klp) {
    const std::string_view group = klp->owner == "vmlinux" ? klp->owner : std::string_view(owners_[object]);
    if (!module_.elf.sections[ours.list].name.starts_with(fmt::format(".klp.rela.{}.", group)))
      find(at, fmt::format("is relocated by {}, when {} should be there", module_.elf.sections[ours.list].name, group));
  }
  const KlpSymbol& symbol = o.elf.symbols[theirs.symbol];
  if (theirs.symbol == 0 || symbol.entry.st_shndx == SHN_ABS) {
    if (module_.elf.symbols[ours.symbol].name != symbol.name || ours.addend != theirs.addend)
      find(at, fmt::format("refers to {}, the compiler's to a number", describe(ours)));
    return;
  }
  if (const auto fields = o.relocations(home.section, home.begin, home.end);
      fields.size() == 2 && theirs.offset == fields[1].offset && leads_nowhere(object, home)) {
    const auto first = module_.relocations(at.section, at.offset - (fields[1].offset - fields[0].offset), at.offset);
    if (!from_source_ && (first.empty() || module_.target(first.front()) != module_.target(ours)))
      find(at, "is an alternative of no length, and leads elsewhere than to the code itself");
    return;
  }
  if (symbol.in_section())
    compare_defined(object, home, theirs, at, ours);
  else
    compare_undefined(object, home, theirs, at, ours);
}

void DeliveryCheck::compare_defined(uint32_t object, const Atom& home, const ImageRelocation& theirs, KlpPlace at,
                                    const ImageRelocation& ours) {
  const Image& o = objects_[object];
  const KlpPlace to = *o.target(theirs);
  Atom atom = o.atom_at(to, theirs.symbol);
  const SectionKind kind = o.kind(home.section);
  const bool position = kind == SectionKind::table || kind == SectionKind::out_of_line_code;
  const bool pointer = !position && to.offset == atom.begin &&
                       arch_.code.use_of({o.elf.sections[home.section].bytes, o.code(home.section)},
                                         {theirs.offset, theirs.type, SymbolId{theirs.symbol}, theirs.addend, 0}) ==
                           kpatch::Use::address;
  if (module_.elf.symbols[ours.symbol].in_section()) {
    KlpPlace place = *module_.elf.place_of(ours.symbol, ours.addend + theirs.behind);
    if (is_off_key(theirs, o.name_of(atom), at, ours)) return;
    place.offset -= to.offset - atom.begin;
    link(at, object, atom, place);
    uses_.push_back({at, object, atom, false, pointer});
    return;
  }
  if (atom.symbol == 0) atom = o.atom_before(to).value_or(atom);
  // A name without a size is meant with its distance: optprobe_template_end+32.
  if (atom.symbol == 0 && o.elf.symbols[theirs.symbol].type() != STT_SECTION)
    atom = {to.section, o.elf.symbols[theirs.symbol].entry.st_value, o.elf.symbols[theirs.symbol].entry.st_value,
            theirs.symbol};
  std::vector<uint32_t> names = o.symbols_at({atom.section, atom.symbol == 0 ? to.offset : atom.begin});
  std::erase_if(names, [&](uint32_t id) {
    const std::string& name = o.elf.symbols[id].name;
    return name.starts_with(".L") || name.starts_with("__pfx_") || name.starts_with("__cfi_");
  });
  if (atom.symbol == 0 && !names.empty()) atom = {to.section, to.offset, to.offset, names.front()};
  if (atom.symbol == 0)
    return find(at,
                fmt::format("refers to {}, the compiler's to {}, which has no name", describe(ours), o.name_of(atom)));
  const KlpSymbol& named = o.elf.symbols[atom.symbol];
  const int64_t addend = theirs.addend + static_cast<int64_t>(o.elf.symbols[theirs.symbol].entry.st_value) -
                         static_cast<int64_t>(named.entry.st_value);
  // Names of one place stand for each other: KVM's em_cmp has no type, and lies on a function that has one.
  std::vector<KernelSymbol> expected = names_.defined(o, owners_[object], atom.symbol);
  for (const uint32_t name : names) {
    const auto& more = names_.defined(o, owners_[object], name);
    if (name != atom.symbol) expected.insert(expected.end(), more.begin(), more.end());
  }
  expect_kernels(at, expected, named.name, addend, ours);
  uses_.push_back({at, object, atom, true, pointer});
  // No two of the object's symbols are one of the kernel's.
  const auto known = kernels(ours.symbol);
  if (!known) return;
  const AtomKey key{object, atom.section, atom.begin};
  const auto [a, fresh_a] = taken_.try_emplace(*known, key);
  const auto [b, fresh_b] = taken_for_.try_emplace(key, *known);
  if (a->second != key && std::get<0>(a->second) == object)
    find(at, fmt::format("refers to {}, which stands for two of the object's symbols", names_.describe(*known)));
  else if (b->second != *known)
    find(at, fmt::format("refers to {}, elsewhere {} is {}", names_.describe(*known), named.name,
                         names_.describe(b->second)));
}

void DeliveryCheck::expect_kernels(KlpPlace at, const std::vector<KernelSymbol>& expected, std::string_view name,
                                   int64_t addend, const ImageRelocation& ours) {
  const auto known = kernels(ours.symbol);
  if (expected.empty())
    return find(at,
                fmt::format("refers to {}, the compiler's to {}, which the kernel doesn't have", describe(ours), name));
  if (!known || std::find(expected.begin(), expected.end(), *known) == expected.end())
    return find(at,
                fmt::format("refers to {}, the compiler's to {}", describe(ours), names_.describe(expected.front())));
  if (ours.addend != addend)
    find(at, fmt::format("refers to {}, the compiler's to {:+} of it", describe(ours), addend));
}

// A branch on a tracepoint of the patched module has a key of the livepatch.
bool DeliveryCheck::is_off_key(const ImageRelocation& theirs, std::string_view name, KlpPlace at,
                               const ImageRelocation& ours) {
  constexpr int64_t flags = 3;
  if (module_.elf.sections[at.section].name != "__jump_table" || !name.starts_with("__tracepoint_")) return false;
  const auto key = module_.elf.place_of(ours.symbol, ours.addend - (theirs.addend & flags));
  if (!key) return false;
  for (const uint32_t symbol : module_.symbols_at(*key)) {
    const KlpSymbol& s = module_.elf.symbols[symbol];
    if (s.name != off_key_symbol || !s.local()) continue;
    cover(*key, key->offset + s.entry.st_size, nobodys, {});
    return true;
  }
  return false;
}

std::vector<std::pair<uint32_t, uint32_t>> DeliveryCheck::globals(std::string_view name) const {
  std::vector<std::pair<uint32_t, uint32_t>> found;
  for (uint32_t other = 0; other < objects_.size(); ++other) {
    const auto& symbols = objects_[other].elf.symbols;
    for (uint32_t i = 1; i < symbols.size(); ++i)
      if (!symbols[i].local() && symbols[i].in_section() && symbols[i].name == name) found.emplace_back(other, i);
  }
  return found;
}

Atom DeliveryCheck::link_global(uint32_t object, uint32_t symbol, const ImageRelocation& theirs, KlpPlace at,
                                const ImageRelocation& ours) {
  const GElf_Sym& entry = objects_[object].elf.symbols[symbol].entry;
  const Atom atom = objects_[object].atom_at({entry.st_shndx, entry.st_value}, symbol);
  KlpPlace place = *module_.elf.place_of(ours.symbol, ours.addend - theirs.addend);
  place.offset -= entry.st_value - atom.begin;
  link(at, object, atom, place);
  return atom;
}

bool DeliveryCheck::calls_new_one(uint32_t object, const Atom& home, const ImageRelocation& theirs, KlpPlace at,
                                  const ImageRelocation& ours, const KernelSymbol& known) {
  if (!from_source_ || !module_.elf.symbols[ours.symbol].in_section()) return false;
  const Image& caller = objects_[object];
  for (const auto& [other, symbol] : globals(caller.elf.symbols[theirs.symbol].name)) {
    const auto& meant = names_.defined(objects_[other], owners_[other], symbol);
    if (objects_[other].elf.symbols[symbol].type() != STT_FUNC || std::ranges::find(meant, known) == meant.end())
      continue;
    const auto use = arch_.code.use_of({caller.elf.sections[home.section].bytes, caller.code(home.section)},
                                       {theirs.offset, theirs.type, SymbolId{theirs.symbol}, theirs.addend, 0});
    const Atom atom = link_global(other, symbol, theirs, at, ours);
    uses_.push_back({at, other, atom, false, use == kpatch::Use::address});
    return true;
  }
  return false;
}

void DeliveryCheck::compare_undefined(uint32_t object, const Atom& home, const ImageRelocation& theirs, KlpPlace at,
                                      const ImageRelocation& ours) {
  const std::string& name = objects_[object].elf.symbols[theirs.symbol].name;
  const KlpSymbol& symbol = module_.elf.symbols[ours.symbol];
  // What extracted source leaves open is bound by name: a static function or variable of its file, or one that is called
  // foo.klp.STEM since foo has another meaning there.
  if (const auto klp = from_source_ ? parse_klp_symbol(symbol.name) : std::nullopt;
      klp && ours.addend == theirs.addend && (name == klp->name || name.starts_with(fmt::format("{}.klp.", klp->name))))
    return;
  if (const auto known = names_.linked(owners_[object], name)) {
    if (known->owner != "vmlinux" && is_off_key(theirs, name, at, ours)) return;
    if (calls_new_one(object, home, theirs, at, ours, *known)) return;
    return expect_kernels(at, {*known}, name, theirs.addend, ours);
  }
  if (!arch_.in_each_module(name))
    for (const auto& [other, defined] : globals(name)) {
      const auto& known = names_.defined(objects_[other], owners_[other], defined);
      if (!known.empty()) return expect_kernels(at, known, name, theirs.addend, ours);
      if (!symbol.in_section()) continue;
      link_global(other, defined, theirs, at, ours);
      return;
    }
  if (symbol.name != name || ours.addend != theirs.addend)
    find(at, fmt::format("refers to {}, the compiler's to {}{:+}", describe(ours), name, theirs.addend));
}

// What the patch brings is used from the patch, but for pointers to what it replaces.
void DeliveryCheck::check_uses() {
  for (const Use& use : uses_) {
    const Image& o = objects_[use.object];
    const AtomKey key{use.object, use.atom.section, use.atom.begin};
    const bool included = links_.contains(key);
    const auto replaced = replaced_.find(key);
    if (use.kernels && included && (replaced == replaced_.end() || !use.pointer))
      find(use.place, fmt::format("refers to the kernel's {}, though the patch brings one", o.name_of(use.atom)));
    if (use.kernels || replaced == replaced_.end() || !use.pointer) continue;
    const BinarySymbol& original = names_.symbol(replaced->second);
    const std::string_view code = o.bytes(use.atom);
    const bool lands = arch_.code.landing_pad != nullptr &&
                       arch_.code.landing_pad->begins(std::as_bytes(std::span(code.data(), code.size())));
    if (!lands || (original.has_landing_pad && !original.landing_pad_sealed))
      find(use.place,
           fmt::format("takes the address of the new {}: pointers to it would compare unequal", o.name_of(use.atom)));
  }
}

}  // namespace kpatch

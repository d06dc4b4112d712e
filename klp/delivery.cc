// The result is what the compiler wrote
//
// Between the compiler's object and the finished module stand the differ, two linkers, objtool, modpost and post-link.
// Each may lose, double or redirect something, and the module still looks like one. So both ends are read, and what is
// in the module is matched with what is in the objects, piece by piece, beginning at what the kernel is told of:
//
//   .kpatch.funcs: show of vmlinux,2  ──►  .text.show+0x10  ═  show in cmdline.o (the file of vmlinux's second show)
//      1f PLT32 .klp.sym.vmlinux.seq_show,2 - 4             ═  1f PLT32 seq_show - 4: vmlinux's global seq_show?
//      2a 32S   .rodata.show.str1.1 + 4                     ═  2a 32S   .LC3: "%s\n" in both?
//      35 PLT32 .text.helper + c                            ═  35 PLT32 .text.helper + c: then these two are a pair too
//
// Two pieces (Atom) that refer to each other's counterparts at the same places by the same relocations are a pair; a pair
// has the same bytes, relocations, symbols and entries in special sections, and neither belongs to another pair. What is
// left in the module when all pairs are found is of the template, or nobody's.
//
// Nothing here knows what the differ decided: not its side table, not its reasons. What may differ is this alone:
//   - objtool turns the jump of a static branch and calls of __fentry__ into NOPs, where a table lists the place;
//   - a reference to what the patch doesn't bring is one to the kernel's own, found by the rules of delivery-names.cc;
//   - the address of a replaced function is the original's, unless that one has no landing pad;
//   - a branch on a tracepoint of a module has a key that is off for good;
//   - what was global in the kernel is local in the livepatch; a numbered name is the kernel's;
//   - an alternative of no length leads anywhere.
#include "klp/delivery.h"

#include <fmt/format.h>

#include <algorithm>

#include "klp/delivery-parts.h"

namespace kpatch {

DeliveryCheck::DeliveryCheck(const AuditInput& input, const Arch& arch, KlpElf module,
                             std::span<const PatchedObject> objects, MadeOf made_of)
    : input_(input),
      arch_(arch),
      module_(std::move(module), arch, *input.vmlinux),
      names_(input),
      from_source_(made_of == MadeOf::extracted_source),
      covered_(module_.elf.sections.size()) {
  for (const PatchedObject& object : objects) {
    KlpElf elf = KlpElf::read(object.file);
    if (elf.header.e_machine != module_.elf.header.e_machine) {
      find({}, fmt::format("{} is for another machine", object.file.filename().string()));
      continue;
    }
    objects_.emplace_back(std::move(elf), arch, *input.vmlinux);
    owners_.push_back(object.owner);
  }
  find_own_files();
}

// The differ puts all that it writes behind a FILE symbol of its own; what was compiled from extracted source stands behind
// that of its file.
void DeliveryCheck::find_own_files() {
  own_files_ = {"livepatch"};
  if (!from_source_) return;
  for (const Image& object : objects_)
    for (const KlpSymbol& symbol : object.elf.symbols)
      if (symbol.type() == STT_FILE) own_files_.insert(symbol.name);
}

std::vector<Finding> DeliveryCheck::run() {
  add_template();
  add_functions();
  add_callbacks();
  follow();
  add_symbols();
  check_uses();
  check_replaced();
  check_listed();
  check_nothing_else();
  return std::move(findings_);
}

void DeliveryCheck::find(KlpPlace place, std::string message) {
  Location location{.section = module_.elf.sections[place.section].name, .offset = place.offset};
  if (place.section != 0)
    if (const Atom atom = module_.atom_at(place); atom.symbol != 0)
      location.function = module_.elf.symbols[atom.symbol].name;
  findings_.push_back({"delivery", Severity::error, std::move(location), std::move(message), {}});
}

void DeliveryCheck::follow() {
  while (!work_.empty()) {
    const auto [object, atom, place] = work_.front();
    work_.pop_front();
    compare(object, atom, place);
  }
}

// Makes a pair of them, or says why they are none.
void DeliveryCheck::link(KlpPlace from, uint32_t object, const Atom& atom, KlpPlace place) {
  const Image& o = objects_[object];
  if (place.section >= module_.elf.sections.size() || static_cast<int64_t>(place.offset) < 0 ||
      place.offset > module_.size(place.section) || module_.size(place.section) - place.offset < atom.end - atom.begin)
    return find(from,
                fmt::format("refers to {}, where {} doesn't fit in", module_.elf.describe(place), o.name_of(atom)));
  if (o.mergeable(atom.section)) return link_mergeable(from, object, atom, place);
  const auto [it, fresh] = links_.try_emplace({object, atom.section, atom.begin}, place);
  if (!fresh) {
    if (it->second != place)
      find(from, fmt::format("refers to {}, but {} is at {}", module_.elf.describe(place), o.name_of(atom),
                             module_.elf.describe(it->second)));
    return;
  }
  if (!cover(place, place.offset + (atom.end - atom.begin), object, atom)) {
    find(from, fmt::format("refers to {} where the compiler wrote {}", module_.elf.describe(place), o.name_of(atom)));
    links_.erase(it);
    return;
  }
  work_.emplace_back(object, atom, place);
}

void DeliveryCheck::link_mergeable(KlpPlace from, uint32_t object, const Atom& atom, KlpPlace place) {
  const Image& o = objects_[object];
  const Atom ours{place.section, place.offset, place.offset + (atom.end - atom.begin)};
  if (module_.writable(place.section) || module_.code(place.section) || module_.bytes(ours) != o.bytes(atom))
    return find(from, fmt::format("refers to {} with other contents than the compiler's {}",
                                  module_.elf.describe(place), o.name_of(atom)));
  if (!module_.relocations(ours.section, ours.begin, ours.end).empty())
    find(place, "is a constant, and has a relocation");
  cover(place, ours.end, object, atom);
}

// False when something else is there.
bool DeliveryCheck::cover(KlpPlace place, uint64_t end, uint32_t object, const Atom& atom) {
  auto& list = covered_[place.section];
  const bool shared = object == nobodys || objects_[object].mergeable(atom.section);
  const auto next = list.lower_bound(place.offset);
  const bool overlaps =
      (next != list.end() && next->first < end) || (next != list.begin() && std::prev(next)->second.end > place.offset);
  if (!overlaps) {
    list.emplace(place.offset, Covered{end, object, atom});
    return true;
  }
  if (!shared) return false;
  if (next != list.end() && next->first == place.offset) next->second.end = std::max(next->second.end, end);
  return true;
}

const Covered* DeliveryCheck::covered_at(KlpPlace place) const {
  const auto& list = covered_[place.section];
  const auto next = list.upper_bound(place.offset);
  if (next == list.begin() || std::prev(next)->second.end <= place.offset) return nullptr;
  return &std::prev(next)->second;
}

bool DeliveryCheck::lists(std::span<const std::string_view> tables, KlpPlace place) const {
  const auto entries = module_.entries(place.section, place.offset, place.offset + 1);
  return std::any_of(entries.begin(), entries.end(), [&](const ImageEntry& e) {
    return std::find(tables.begin(), tables.end(), module_.elf.sections[e.table].name) != tables.end();
  });
}

std::vector<CodeRange> DeliveryCheck::rewritten(uint32_t object, const Atom& atom, KlpPlace place) {
  const Image& o = objects_[object];
  std::vector<CodeRange> ranges;
  if (!o.code(atom.section) || arch_.proof == nullptr) return ranges;
  const auto span_of = [](std::string_view text) { return std::as_bytes(std::span(text.data(), text.size())); };
  const auto theirs = span_of(o.bytes(atom));
  const auto ours = span_of(module_.bytes({place.section, place.offset, place.offset + (atom.end - atom.begin)}));
  if (theirs.size() != ours.size()) return ranges;
  for (const ImageEntry& entry : o.entries(atom.section, atom.begin, atom.end)) {
    // include/linux/jump_label.h and arch/x86/include/asm/jump_label.h: bit 1 of the key asks objtool for a NOP.
    if (o.elf.sections[entry.table].name != "__jump_table") continue;
    const auto fields = o.relocations(entry.table, entry.begin, entry.end);
    if (fields.size() != 3) continue;
    const KlpSymbol& key = o.elf.symbols[fields[2].symbol];
    if (((key.entry.st_value + static_cast<uint64_t>(fields[2].addend)) & 2) == 0) continue;
    const uint64_t at = entry.code.offset - atom.begin;
    if (const uint64_t length = arch_.proof->branch_made_nop(theirs, ours, at); length != 0)
      ranges.push_back({entry.code.offset, entry.code.offset + length});
  }
  for (const ImageRelocation& r : o.relocations(atom.section, atom.begin, atom.end)) {
    const std::string& callee = o.elf.symbols[r.symbol].name;
    if (std::find(arch_.ftrace.calls.begin(), arch_.ftrace.calls.end(), callee) == arch_.ftrace.calls.end()) continue;
    const CodeRange made = arch_.proof->call_made_nop(theirs, ours, r.offset - atom.begin);
    if (made.end != 0 && lists(arch_.ftrace.tables, {place.section, place.offset + made.begin}))
      ranges.push_back({atom.begin + made.begin, atom.begin + made.end});
  }
  std::sort(ranges.begin(), ranges.end(), [](const auto& a, const auto& b) { return a.begin < b.begin; });
  return ranges;
}

void DeliveryCheck::compare(uint32_t object, const Atom& atom, KlpPlace place) {
  const Image& o = objects_[object];
  if (o.code(atom.section) != module_.code(place.section) ||
      (!module_.writable(place.section) && o.writable(atom.section)))
    find(place, fmt::format("{} is in a section of other rights than the compiler's {}", o.name_of(atom),
                            o.elf.sections[atom.section].name));
  if (!o.code(atom.section) && arch_.table(o.elf.sections[atom.section].name) == nullptr &&
      module_.elf.sections[place.section].header.sh_addralign < o.elf.sections[atom.section].header.sh_addralign)
    find(place, fmt::format("{} is aligned less than in the object", o.name_of(atom)));
  const auto made = rewritten(object, atom, place);
  const std::string_view theirs = o.bytes(atom);
  const std::string_view ours = module_.bytes({place.section, place.offset, place.offset + (atom.end - atom.begin)});
  auto next = made.begin();
  for (uint64_t i = 0; i < std::max(theirs.size(), ours.size()); ++i) {
    while (next != made.end() && next->end <= atom.begin + i) ++next;
    if (next != made.end() && next->begin <= atom.begin + i) continue;
    // .bss has no bytes
    const unsigned expected = i < theirs.size() ? static_cast<unsigned char>(theirs[i]) : 0;
    const unsigned found = i < ours.size() ? static_cast<unsigned char>(ours[i]) : 0;
    if (expected == found) continue;
    find({place.section, place.offset + i},
         fmt::format("{}+{:#x} has byte {:02x} where the compiler wrote {:02x}", o.name_of(atom), i, found, expected));
    break;
  }
  compare_references(object, atom, place, made);
  compare_symbols(object, atom, place);
  compare_entries(object, atom, place);
}

// Where the object has symbols, aliases among them, the module has them too.
void DeliveryCheck::compare_symbols(uint32_t object, const Atom& atom, KlpPlace place) {
  if (atom.symbol == 0) return;
  for (uint32_t id : objects_[object].symbols_at({atom.section, atom.begin})) {
    const uint8_t type = objects_[object].elf.symbols[id].type();
    if (type == STT_FUNC || type == STT_OBJECT) compare_symbol(object, id, place);
  }
}

// The compiler numbers static variables of functions: __func__.6 in the whole file, __func__.0 in an extraction of it.
static std::string_view plain(std::string_view name) {
  const size_t dot = name.rfind('.');
  const bool number = dot != std::string_view::npos && dot + 1 < name.size() &&
                      name.find_first_not_of("0123456789", dot + 1) == std::string_view::npos;
  return number ? name.substr(0, dot) : name;
}

void DeliveryCheck::compare_symbol(uint32_t object, uint32_t symbol, KlpPlace place) {
  const KlpSymbol& theirs = objects_[object].elf.symbols[symbol];
  const auto& known = names_.defined(objects_[object], owners_[object], symbol);
  const bool local = theirs.local() || !known.empty();
  for (uint32_t id : module_.symbols_at(place)) {
    const KlpSymbol& ours = module_.elf.symbols[id];
    const bool numbered = from_source_ && ours.local() && theirs.local() && plain(ours.name) == plain(theirs.name);
    const bool named = ours.name == theirs.name || numbered ||
                       std::any_of(known.begin(), known.end(),
                                   [&](const KernelSymbol& k) { return names_.symbol(k).name == ours.name; });
    if (!named) continue;
    if (ours.type() != theirs.type())
      return find(place,
                  fmt::format("symbol {} is of type {}, the compiler's of {}", ours.name, ours.type(), theirs.type()));
    if (ours.entry.st_size != theirs.entry.st_size)
      return find(place, fmt::format("symbol {} has {} bytes, the compiler's {}", ours.name, ours.entry.st_size,
                                     theirs.entry.st_size));
    if (ours.local() != local && !(from_source_ && local))
      return find(place,
                  fmt::format("symbol {} is {}", ours.name,
                              local ? "global, though the kernel has its own" : "local, though new in the patch"));
    return;
  }
  find(place, fmt::format("no symbol {} is there", theirs.name));
}

// The entries of special sections that tell of the pair are pairs too.
void DeliveryCheck::compare_entries(uint32_t object, const Atom& atom, KlpPlace place) {
  const Image& o = objects_[object];
  const auto theirs = o.entries(atom.section, atom.begin, atom.end);
  const auto ours = module_.entries(place.section, place.offset, place.offset + (atom.end - atom.begin));
  const auto table_of = [](const Image& image, const ImageEntry& e) -> const std::string& {
    return image.elf.sections[e.table].name;
  };
  size_t t = 0, m = 0;
  while (t < theirs.size() || m < ours.size()) {
    const bool surplus = t == theirs.size() || (m < ours.size() && table_of(module_, ours[m]) < table_of(o, theirs[t]));
    const std::string& table = surplus ? table_of(module_, ours[m]) : table_of(o, theirs[t]);
    size_t t_end = t, m_end = m;
    while (t_end < theirs.size() && table_of(o, theirs[t_end]) == table) ++t_end;
    while (m_end < ours.size() && table_of(module_, ours[m_end]) == table) ++m_end;
    if (t_end - t != m_end - m)
      find(place, fmt::format("{} has {} entries for {}, the compiler wrote {}", table, m_end - m, o.name_of(atom),
                              t_end - t));
    for (size_t i = 0; t + i < t_end && m + i < m_end; ++i) {
      const ImageEntry& a = theirs[t + i];
      const ImageEntry& b = ours[m + i];
      if (a.end - a.begin != b.end - b.begin) {
        find({b.table, b.begin},
             fmt::format("is an entry of {} bytes, the compiler's has {}", b.end - b.begin, a.end - a.begin));
        continue;
      }
      link({b.table, b.begin}, object, {a.table, a.begin, a.end}, {b.table, b.begin});
    }
    t = t_end, m = m_end;
  }
}

std::vector<Finding> check_delivery(const AuditInput& input, std::span<const PatchedObject> objects, MadeOf made_of) {
  KlpElf module = KlpElf::read(input.module);
  const Arch* arch = find_arch(module.header.e_machine);
  if (arch == nullptr || arch->audit == nullptr || module.symtab == 0) return {};
  std::vector<Finding> findings = DeliveryCheck(input, *arch, std::move(module), objects, made_of).run();
  input.vmlinux->require_unchanged();
  return findings;
}

}  // namespace kpatch

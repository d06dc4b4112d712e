// Where the comparison begins, and what is left when it has ended.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "klp/audit-parts.h"
#include "klp/delivery-parts.h"

namespace kpatch {

namespace {

constexpr auto callback_kinds =
    std::to_array<std::string_view>({"pre_patch", "post_patch", "pre_unpatch", "post_unpatch"});

// What remembers that a message was written, or names a lock: a copy harms nobody.
constexpr auto fresh_names =
    std::to_array<std::string_view>({"__key", "__warned", "__already_done", "_rs", "_entry", "_entry_ptr", "descriptor",
                                     "__print_once", "__func__", "__FUNCTION__", "__PRETTY_FUNCTION__", "CSWTCH"});

bool is_fresh(std::string_view name) {
  const std::string stem = without_numbers(name);
  const std::string_view last =
      std::string_view(stem).substr(stem.rfind('.') == std::string::npos ? 0 : stem.rfind('.') + 1);
  return name.starts_with(".L") || stem.find("__UNIQUE_ID_ddebug") != std::string::npos ||
         std::find(fresh_names.begin(), fresh_names.end(), last) != fresh_names.end();
}

}  // namespace

std::optional<std::string_view> DeliveryCheck::string_of(uint32_t section, uint64_t at) const {
  const auto fields = module_.relocations(section, at, at + 1);
  if (fields.size() != 1) return std::nullopt;
  const auto place = module_.target(fields.front());
  return place ? module_.elf.string_at(*place) : std::nullopt;
}

// .kpatch.funcs, see doc/formats.md.
void DeliveryCheck::add_functions() {
  const auto section = module_.elf.find_section(".kpatch.funcs");
  constexpr uint64_t row = 32;
  if (!section) return;
  for (uint64_t at = 0; at + row <= module_.size(*section); at += row) add_function(*section, at);
}

void DeliveryCheck::add_function(uint32_t section, uint64_t at) {
  const KlpPlace here{section, at};
  const auto fields = module_.relocations(section, at, at + 1);
  const auto place = fields.size() == 1 ? module_.target(fields.front()) : std::nullopt;
  const auto name = string_of(section, at + 8), owner = string_of(section, at + 16);
  if (!place || !name || !owner) return find(here, "is no row that tells of a function");
  const auto known = names_.ranked(*owner, *name, module_.elf.u64_at(module_.elf.sections[section], at + 24));
  if (!known) return find(here, fmt::format("{} of {} is no one function of the kernel", *name, *owner));
  for (const auto& [key, replaced] : replaced_)
    if (replaced == *known) return find(here, fmt::format("replaces {} a second time", names_.describe(*known)));
  const std::string stem = without_numbers(*name);
  for (const bool exact : {true, false})
    for (uint32_t object = 0; object < objects_.size(); ++object) {
      const Image& o = objects_[object];
      if (owners_[object] != *owner) continue;
      for (uint32_t i = 1; i < o.elf.symbols.size(); ++i) {
        const KlpSymbol& s = o.elf.symbols[i];
        if (!s.in_section() || s.type() != STT_FUNC || (exact ? s.name != *name : without_numbers(s.name) != stem))
          continue;
        const auto& may = names_.defined(o, owners_[object], i);
        const Atom atom = o.atom_at({s.entry.st_shndx, s.entry.st_value}, i);
        const AtomKey key{object, atom.section, atom.begin};
        if (std::find(may.begin(), may.end(), *known) == may.end() || replaced_.contains(key)) continue;
        replaced_.emplace(key, *known);
        return link(here, object, atom, *place);
      }
    }
  find(here, fmt::format("no patched object of {} has {}", *owner, names_.describe(*known)));
}

void DeliveryCheck::add_callbacks() {
  constexpr uint64_t row = 16;
  for (std::string_view kind : callback_kinds) {
    const std::string table = fmt::format(".kpatch.callbacks.{}", kind);
    const auto section = module_.elf.find_section(table);
    const uint64_t size = section ? module_.size(*section) : 0;
    std::set<uint64_t> done;
    for (uint32_t object = 0; object < objects_.size(); ++object) {
      const Image& o = objects_[object];
      const auto theirs = o.elf.find_section(table);
      if (!theirs) continue;
      for (const ImageRelocation& r : o.relocations(*theirs, 0, o.size(*theirs))) {
        const auto to = o.target(r);
        if (!to) continue;
        const Atom atom = o.atom_at(*to, r.symbol);
        bool found = false;
        for (uint64_t at = 0; at + row <= size && !found; at += row) {
          const auto fields = module_.relocations(*section, at, at + 1);
          const auto place = fields.empty() ? std::nullopt : module_.target(fields.front());
          if (done.contains(at) || !place || string_of(*section, at + 8) != owners_[object]) continue;
          const auto symbols = module_.symbols_at(*place);
          found = std::any_of(symbols.begin(), symbols.end(),
                              [&](uint32_t id) { return module_.elf.symbols[id].name == o.name_of(atom); });
          if (!found) continue;
          done.insert(at);
          link({*section, at}, object, atom, *place);
        }
        if (!found)
          find({}, fmt::format("the callback {} of {} is not in {}", o.name_of(atom), owners_[object], table));
      }
    }
    for (uint64_t at = 0; at + row <= size; at += row)
      if (!done.contains(at)) find({*section, at}, "is a callback that no patched object has");
  }
}

bool DeliveryCheck::of_template(uint32_t symbol) const {
  const std::string_view file = module_.file_of(symbol);
  return !file.empty() && !own_files_.contains(file);
}

// What the patch brings and nothing refers to, such as a new global function.
void DeliveryCheck::add_symbols() {
  for (uint32_t id = 1; id < module_.elf.symbols.size(); ++id) {
    const KlpSymbol& ours = module_.elf.symbols[id];
    if (!ours.in_section() || ours.entry.st_size == 0 || of_template(id) || ours.name.starts_with("__pfx_") ||
        (ours.type() != STT_FUNC && ours.type() != STT_OBJECT))
      continue;
    const KlpPlace place{ours.entry.st_shndx, ours.entry.st_value};
    if (covered_at(place) != nullptr) continue;
    bool linked = false;
    for (uint32_t object = 0; object < objects_.size() && !linked; ++object) {
      const Image& o = objects_[object];
      for (uint32_t i = 1; i < o.elf.symbols.size() && !linked; ++i) {
        const KlpSymbol& s = o.elf.symbols[i];
        if (!s.in_section() || s.name != ours.name || s.type() != ours.type()) continue;
        const Atom atom = o.atom_at({s.entry.st_shndx, s.entry.st_value}, i);
        if (links_.contains({object, atom.section, atom.begin})) continue;
        link(place, object, atom, place);
        linked = true;
      }
    }
    follow();
  }
}

// What the template's and kbuild's symbols hold, and what that refers to.
void DeliveryCheck::add_template() {
  std::deque<std::tuple<uint32_t, uint64_t, uint64_t>> work;
  const auto add = [&](KlpPlace place, uint64_t end) {
    if (covered_at(place) != nullptr || place.offset >= end) return;
    cover(place, end, nobodys, {});
    work.emplace_back(place.section, place.offset, end);
  };
  for (uint32_t id = 1; id < module_.elf.symbols.size(); ++id) {
    const KlpSymbol& s = module_.elf.symbols[id];
    if (s.in_section() && s.entry.st_size != 0 && of_template(id))
      add({s.entry.st_shndx, s.entry.st_value}, s.entry.st_value + s.entry.st_size);
  }
  while (!work.empty()) {
    const auto [section, begin, end] = work.front();
    work.pop_front();
    for (const ImageRelocation& r : module_.relocations(section, begin, end)) {
      const auto to = module_.target(r);
      if (!to || to->section >= module_.elf.sections.size()) continue;
      const Atom atom = module_.atom_at(*to, r.symbol);
      const SectionKind kind = module_.kind(atom.section);
      const bool unnamed = atom.symbol == 0 && (kind == SectionKind::rodata || kind == SectionKind::data);
      if (module_.mergeable(atom.section) || kind == SectionKind::out_of_line_code || unnamed)
        add({atom.section, atom.begin}, atom.end);
    }
    for (const ImageEntry& e : module_.entries(section, begin, end)) add({e.table, e.begin}, e.end);
  }
}

// A function that the kernel has, and can redirect, is only there to replace it; state is not there twice.
void DeliveryCheck::check_replaced() {
  for (const auto& [key, place] : links_) {
    const auto& [object, section, begin] = key;
    const Image& o = objects_[object];
    const Atom atom = o.atom_at({section, begin});
    if (atom.symbol == 0 || replaced_.contains(key)) continue;
    const auto& known = names_.defined(o, owners_[object], atom.symbol);
    if (known.empty()) continue;
    const BinarySymbol& original = names_.symbol(known.front());
    const bool function = o.elf.symbols[atom.symbol].type() == STT_FUNC;
    // Extracted source copies what the kernel has under a name of the compiler's alone.
    if (function && original.has_ftrace_site && !from_source_)
      find(place, fmt::format("no row of .kpatch.funcs makes it replace {}", names_.describe(known.front())));
    // Constants that hold addresses lie in writable sections until they are relocated.
    const SectionKind kind = o.kind(section);
    const bool state = o.writable(section) && kind != SectionKind::dyndbg && kind != SectionKind::rodata;
    if (!function && state && !is_fresh(o.name_of(atom)))
      find(place, fmt::format("is a second {}, the kernel has its own state", o.name_of(atom)));
  }
}

void DeliveryCheck::check_nothing_else() {
  for (uint32_t i = 1; i < module_.elf.sections.size(); ++i) {
    const KlpSection& s = module_.elf.sections[i];
    if (!s.allocated() || s.header.sh_type == SHT_RELA) continue;
    switch (module_.kind(i)) {
      case SectionKind::text:
      case SectionKind::shared_text:
      case SectionKind::init:
      case SectionKind::data:
      case SectionKind::rodata:
      case SectionKind::bss:
      case SectionKind::strings:
      case SectionKind::constants:
      case SectionKind::dyndbg:
      case SectionKind::out_of_line_code:
      case SectionKind::table:
        check_rest(i);
        break;
      default:
        break;
    }
  }
}

// Strings of one function come as they are in its section, those too that no code here refers to: WARN() of an inlined
// function names its header in the section of whatever function comes first. The length of one that begins here and
// that an object has in its section of that name; 0: there is none.
uint64_t DeliveryCheck::unused_constant(uint32_t section, uint64_t at) {
  if (!module_.mergeable(section)) return 0;
  const KlpSection& own = module_.elf.sections[section];
  const auto [known, fresh] = constants_.try_emplace(section);
  if (fresh)
    for (const Image& o : objects_)
      for (uint32_t i = 1; i < o.elf.sections.size(); ++i) {
        if (o.elf.sections[i].name != own.name || !o.mergeable(i)) continue;
        for (uint64_t begin = 0; begin < o.size(i);) {
          const Atom atom = o.atom_at({i, begin});
          if (atom.end <= begin) break;
          known->second.emplace(o.bytes(atom));
          begin = atom.end;
        }
      }
  const Atom atom = module_.atom_at({section, at});
  return atom.begin == at && known->second.contains(std::string(module_.bytes(atom))) ? atom.end - at : 0;
}

// Bytes that no pair has are padding, or constants that no code here uses; no reference stands in them.
void DeliveryCheck::check_rest(uint32_t section) {
  const auto& bytes = module_.elf.sections[section].bytes;
  const bool code = module_.code(section);
  auto next = covered_[section].begin();
  for (uint64_t at = 0; at < module_.size(section);) {
    if (next != covered_[section].end() && next->first <= at) {
      at = std::max(at, next->second.end);
      ++next;
      continue;
    }
    const uint64_t end = next == covered_[section].end() ? module_.size(section) : next->first;
    if (const auto rest = module_.relocations(section, at, end); !rest.empty())
      return find({section, rest.front().offset}, "is in no patched object, and refers to " + describe(rest.front()));
    for (uint64_t i = at; i < std::min<uint64_t>(end, bytes.size());) {
      if (const uint64_t length = unused_constant(section, i); length != 0 && i + length <= end) {
        i += length;
        continue;
      }
      const uint64_t padding =
          bytes[i] == std::byte{0} ? 1
          : code && arch_.audit->padding != nullptr
              ? arch_.audit->padding(std::span(bytes).first(std::min<uint64_t>(end, bytes.size())), i)
              : 0;
      if (padding == 0) return find({section, i}, "is in no patched object");
      i += padding;
    }
    at = end;
  }
}

// --- what objtool lists ---

// Where the entries of a table of 32-bit places point, in their order.
std::vector<KlpPlace> DeliveryCheck::listed(std::string_view table, uint64_t entry_size) {
  std::vector<KlpPlace> places;
  const auto section = module_.elf.find_section(table);
  for (uint64_t at = 0; section && at + entry_size <= module_.size(*section); at += entry_size) {
    const auto fields = module_.relocations(*section, at, at + 1);
    const auto place = fields.empty() ? std::nullopt : module_.target(fields.front());
    if (place && module_.code(place->section))
      places.push_back(*place);
    else
      find({*section, at}, "lists no place in code");
  }
  std::sort(places.begin(), places.end());
  for (size_t i = 1; i < places.size(); ++i)
    if (places[i] == places[i - 1]) find(places[i], fmt::format("{} lists it twice", table));
  return places;
}

namespace {

// What objtool lists of code.
struct Branches {
  std::map<KlpPlace, std::string> out;  // calls and branches out of pairs, with their callee's name
  std::set<KlpPlace> direct_calls;

  template <typename Predicate>
  std::set<KlpPlace> to(Predicate is_callee) const {
    std::set<KlpPlace> places;
    for (const auto& [place, callee] : out)
      if (is_callee(callee)) places.insert(place);
    return places;
  }
};

}  // namespace

// Each instruction of a kind is listed once, and nothing else is. Those of an alternative's replacement are listed by
// objtool since some release between 6.12 and 7.2 (annotate_call_site() returned early for them before): all or none.
void DeliveryCheck::check_listed() {
  if (arch_.audit->instruction_length == nullptr || arch_.audit->is_direct_call == nullptr) return;
  Branches in_line, replacing;
  for (uint32_t section = 1; section < covered_.size(); ++section) {
    if (!module_.code(section)) continue;
    auto& [branches, direct_calls] = module_.kind(section) == SectionKind::out_of_line_code ? replacing : in_line;
    const std::span<const std::byte> bytes = module_.elf.sections[section].bytes;
    for (const auto& [begin, covered] : covered_[section]) {
      const auto fields = module_.relocations(section, begin, covered.end);
      auto field = fields.begin();
      for (uint64_t at = begin; at < covered.end && at < bytes.size();) {
        const auto length =
            arch_.audit->instruction_length(bytes.first(std::min<uint64_t>(covered.end, bytes.size())), at);
        const uint64_t end = at + std::max<uint64_t>(length, 1);
        if (arch_.audit->is_direct_call(bytes, at)) direct_calls.insert({section, at});
        for (; field != fields.end() && field->offset < end; ++field) {
          if (field->offset < at) continue;
          const KlpSymbol& s = module_.elf.symbols[field->symbol];
          if (s.in_section()) continue;
          std::string_view name = s.name;
          bool foreign = false;
          if (s.entry.st_shndx == shn_livepatch) {
            if (const auto klp = parse_klp_symbol(s.name)) {
              name = klp->name;
              foreign = klp->owner != "vmlinux";
            }
          }
          if (foreign && name.starts_with("__SCT__")) continue;  // called as any other
          if (arch_.audit->is_branch(bytes, field->type, field->offset)) branches[{section, at}] = std::string(name);
        }
        at = end;
      }
    }
  }
  const auto compare = [&](std::string_view table, const std::vector<KlpPlace>& places, std::set<KlpPlace> wanted,
                           const std::set<KlpPlace>& of_replacements) {
    if (std::ranges::any_of(places, [&](const KlpPlace& place) { return of_replacements.contains(place); }))
      wanted.insert(of_replacements.begin(), of_replacements.end());
    for (const KlpPlace& place : places)
      if (!wanted.contains(place) && covered_at(place) != nullptr)
        find(place, fmt::format("{} lists it, though no such instruction is there", table));
    for (const KlpPlace& place : wanted)
      if (!std::binary_search(places.begin(), places.end(), place))
        find(place, fmt::format("{} doesn't list it", table));
  };
  // What is listed elsewhere is no direct call any more.
  const auto take = [&](std::string_view table, uint64_t entry_size, const auto& is_callee) {
    const auto places = in_line.to(is_callee), others = replacing.to(is_callee);
    if (!table.empty()) compare(table, listed(table, entry_size), places, others);
    for (const KlpPlace& place : places) in_line.direct_calls.erase(place);
    for (const KlpPlace& place : others) replacing.direct_calls.erase(place);
  };
  for (const ListedCall& call : arch_.audit->calls) {
    if (call.written) continue;  // a table of the compiler's
    take(call.table, call.entry_size, [&](std::string_view callee) {
      return call.prefix ? callee.starts_with(call.callee) : callee == call.callee;
    });
  }
  const bool in_line_calls = !input_.vmlinux->named("__start_static_call_sites").empty();
  take(in_line_calls ? ".static_call_sites" : "", 8,
       [](std::string_view callee) { return callee.starts_with("__SCT__"); });
  const std::string_view calls = arch_.audit->call_table;
  if (calls.empty() || !module_.elf.find_section(calls)) return;
  compare(calls, listed(calls, 4), in_line.direct_calls, replacing.direct_calls);
}

}  // namespace kpatch

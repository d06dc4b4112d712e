// A livepatch that replaces another takes away all that the other did, and no kernel warns of what is missing:
//
//   livepatch-2.ko: .kpatch.funcs  meminfo_proc_show, comment_mt      .modinfo  kpatch_fixes=CVE-2026-1
//   livepatch-3.ko: .kpatch.funcs  meminfo_proc_show                            kpatch_fixes=CVE-2026-1
//
// The tables say what is replaced, whoever made them (patch-tables.cc). Modules of ours say besides, in .modinfo, what the
// patches changed, line by line, as digests: `kpatch_hunk`, and the ids of shadow variables: `kpatch_shadow`.
#include "klp/content.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "arch/arch.h"
#include "lookup/lookup.h"
#include "support/digest.h"
#include "support/error.h"
#include "support/text.h"

namespace kpatch {
namespace {

std::vector<std::string_view> values_of(const KlpElf& elf, std::string_view key) {
  const auto section = elf.find_section(".modinfo");
  if (!section) return {};
  return modinfo_values(std::span<const std::byte>(elf.sections[*section].bytes), key);
}

// What a relocation is of: its symbol's name, or the string that it leads to. Places in sections move, and say nothing.
std::string meaning_of(const KlpElf& elf, const Relocation& relocation) {
  const KlpSymbol& symbol = elf.symbols[index(relocation.symbol)];
  if (symbol.type() != STT_SECTION) return fmt::format("{}+{}", symbol.name, relocation.addend);
  const auto to = elf.place_of(index(relocation.symbol), relocation.addend);
  const bool strings = to && (elf.sections[to->section].header.sh_flags & SHF_STRINGS) != 0;
  const auto text = strings ? elf.string_at(*to) : std::nullopt;
  return text ? std::string(*text) : elf.sections[symbol.entry.st_shndx].name;
}

// Digests of code with all that it leads to within the module: what a system call does is in a function that it calls.
class Codes {
 public:
  explicit Codes(const KlpElf& elf) : elf_(elf), relocations_(elf.sections.size()), symbols_(elf.sections.size()) {
    for (const KlpSection& table : elf.sections) {
      if (table.header.sh_type != SHT_RELA || table.header.sh_info >= elf.sections.size()) continue;
      for (const KlpRelocation& r : table.relocations)
        relocations_[table.header.sh_info].push_back({r.offset, r.type, SymbolId{r.symbol}, r.addend, r.addend});
    }
    const Arch* arch = find_arch(elf.header.e_machine);
    for (size_t i = 0; i < relocations_.size(); ++i) {
      std::ranges::stable_sort(relocations_[i], {}, &Relocation::offset);
      const KlpSection& section = elf.sections[i];
      if (arch != nullptr && (section.header.sh_flags & SHF_EXECINSTR) != 0)
        arch->code.find_targets({section.bytes, true}, relocations_[i]);
    }
    for (uint32_t i = 1; i < elf.symbols.size(); ++i)
      if (has_bytes(i)) symbols_[elf.symbols[i].entry.st_shndx].push_back(i);
    for (auto& list : symbols_)
      std::ranges::stable_sort(list, {}, [&](uint32_t id) { return elf.symbols[id].entry.st_value; });
  }

  // Empty where the module has no such function.
  std::string of(std::string_view function) const {
    uint32_t first = 0;
    for (uint32_t i = 1; first == 0 && i < elf_.symbols.size(); ++i)
      if (elf_.symbols[i].type() == STT_FUNC && elf_.symbols[i].name == function && has_bytes(i)) first = i;
    if (first == 0) return {};
    std::vector<uint32_t> reached = {first};
    std::set<uint32_t> known = {first};
    std::string text;
    for (size_t i = 0; i < reached.size(); ++i) add(reached[i], reached, known, text);
    return digest_of(text);
  }

 private:
  bool has_bytes(uint32_t id) const {
    const KlpSymbol& s = elf_.symbols[id];
    const GElf_Sym& entry = s.entry;
    if (!s.in_section() || (s.type() != STT_FUNC && s.type() != STT_OBJECT) || entry.st_shndx >= elf_.sections.size())
      return false;
    const size_t size = elf_.sections[entry.st_shndx].bytes.size();
    return entry.st_size != 0 && entry.st_value <= size && entry.st_size <= size - entry.st_value;
  }

  // The function or variable that a reference leads into.
  uint32_t symbol_at(const KlpPlace& place) const {
    const auto& list = symbols_[place.section];
    const auto behind =
        std::ranges::upper_bound(list, place.offset, {}, [&](uint32_t id) { return elf_.symbols[id].entry.st_value; });
    if (behind == list.begin()) return 0;
    const GElf_Sym& entry = elf_.symbols[*(behind - 1)].entry;
    return place.offset < entry.st_value + entry.st_size ? *(behind - 1) : 0;
  }

  void add(uint32_t id, std::vector<uint32_t>& reached, std::set<uint32_t>& known, std::string& text) const {
    const GElf_Sym& entry = elf_.symbols[id].entry;
    const std::vector<std::byte>& bytes = elf_.sections[entry.st_shndx].bytes;
    text += fmt::format("\n{} ", entry.st_size);
    text.append(reinterpret_cast<const char*>(bytes.data()) + entry.st_value, entry.st_size);
    const auto& list = relocations_[entry.st_shndx];
    const auto from = std::ranges::lower_bound(list, entry.st_value, {}, &Relocation::offset);
    for (auto it = from; it != list.end() && it->offset < entry.st_value + entry.st_size; ++it) {
      text += fmt::format("\n{:x} {} {}", it->offset - entry.st_value, it->type, meaning_of(elf_, *it));
      const uint32_t symbol = index(it->symbol);
      if (!elf_.symbols[symbol].in_section()) continue;
      const auto place = elf_.place_of(symbol, it->target_offset);
      const uint32_t target = has_bytes(symbol) ? symbol : place ? symbol_at(*place) : 0;
      if (target != 0 && known.insert(target).second) reached.push_back(target);
    }
  }

  const KlpElf& elf_;
  std::vector<std::vector<Relocation>> relocations_;
  std::vector<std::vector<uint32_t>> symbols_;
};

bool is_of_shadow_variables(const KlpSymbol& symbol) {
  const std::string_view name = symbol.name;
  return symbol.entry.st_shndx != SHN_ABS && !symbol.in_section() &&
         (name.starts_with("klp_shadow_") || name.starts_with(".klp.sym.vmlinux.klp_shadow_"));
}

[[noreturn]] void no_content() { throw Error("no report of a build that made a livepatch: it has no \"livepatch\""); }

}  // namespace

std::string PatchPlace::text() const {
  return fmt::format("{}:{} {}{}{}", file, line, function, function.empty() ? "" : " ", joined(lines, " "));
}

std::optional<PatchPlace> PatchPlace::of(std::string_view text) {
  PatchPlace place;
  // A file's name may have blanks; digests have none.
  std::vector<std::string_view> words = fields_of(text, ' ');
  const auto is_digest = [](std::string_view word, std::string_view signs) {
    return word.size() == 9 && signs.find(word[0]) != std::string_view::npos &&
           word.find_first_not_of("0123456789abcdef", 1) == std::string_view::npos;
  };
  while (!words.empty() && is_digest(words.back(), "-+")) {
    place.lines.insert(place.lines.begin(), std::string(words.back()));
    words.pop_back();
  }
  if (!words.empty() && is_digest(words.back(), "@")) {
    place.function = words.back();
    words.pop_back();
  }
  const std::string name = joined(words, " ");
  const size_t colon = name.rfind(':');
  if (place.lines.empty() || colon == std::string::npos || colon == 0) return std::nullopt;
  const char* end = name.data() + name.size();
  const auto [stop, problem] = std::from_chars(name.data() + colon + 1, end, place.line);
  if (problem != std::errc() || stop != end) return std::nullopt;
  place.file = name.substr(0, colon);
  return place;
}

LivepatchContent content_of(const KlpElf& elf) {
  LivepatchContent content;
  const PatchTables tables = read_patch_tables(elf);
  if (tables.form == PatchForm::none)
    throw Error(fmt::format("{} is no livepatch: it has no table of what it replaces", elf.path.string()));
  content.maker = name_of(tables.form);
  content.knows_functions = true;
  const Codes codes(elf);
  for (const Replacement& f : replacements_of(elf, tables))
    content.functions.push_back({f.object, f.name, f.sympos, codes.of(f.by)});
  std::ranges::sort(content.functions);
  for (const NamedCallback& callback : callbacks_of(elf, tables))
    content.callbacks.emplace(callback.object, callback.kind);
  content.has_shadow_variables = std::ranges::any_of(elf.symbols, is_of_shadow_variables);
  content.has_states = tables.has_states;
  if (const auto vermagic = values_of(elf, "vermagic"); !vermagic.empty())
    content.release = vermagic.front().substr(0, vermagic.front().find(' '));
  for (const std::string_view id : values_of(elf, "kpatch_shadow")) content.shadow_ids.emplace(id);
  for (const std::string_view fix : values_of(elf, "kpatch_fixes")) content.fixes.emplace(fix);
  for (const std::string_view hunk : values_of(elf, "kpatch_hunk")) {
    auto place = PatchPlace::of(hunk);
    if (!place) throw Error(fmt::format("{}: kpatch_hunk={} is damaged", elf.path.string(), hunk));
    content.places.push_back(std::move(*place));
    content.knows_patches = true;
  }
  return content;
}

nlohmann::json to_json(const LivepatchContent& content) {
  nlohmann::json functions = nlohmann::json::array(), callbacks = nlohmann::json::array(),
                 places = nlohmann::json::array();
  for (const ContentFunction& f : content.functions)
    functions.push_back({{"object", f.object}, {"name", f.name}, {"sympos", f.sympos}, {"code", f.code}});
  for (const auto& [object, kind] : content.callbacks) callbacks.push_back({{"object", object}, {"kind", kind}});
  for (const PatchPlace& place : content.places)
    places.push_back(
        {{"file", place.file}, {"line", place.line}, {"function", place.function}, {"lines", place.lines}});
  return {{"release", content.release},
          {"functions", functions},
          {"callbacks", callbacks},
          {"shadow_variables", content.has_shadow_variables},
          {"shadow_ids", content.shadow_ids},
          {"fixes", content.fixes},
          {"hunks", places}};
}

LivepatchContent livepatch_content_of(const nlohmann::json& json) {
  LivepatchContent content;
  content.maker = "a report";
  content.knows_functions = content.knows_patches = true;
  try {
    content.release = json.at("release").get<std::string>();
    for (const auto& f : json.at("functions"))
      content.functions.push_back({f.at("object").get<std::string>(), f.at("name").get<std::string>(),
                                   f.at("sympos").get<uint64_t>(), f.at("code").get<std::string>()});
    for (const auto& c : json.at("callbacks"))
      content.callbacks.emplace(c.at("object").get<std::string>(), c.at("kind").get<std::string>());
    content.has_shadow_variables = json.at("shadow_variables").get<bool>();
    content.shadow_ids = json.at("shadow_ids").get<std::set<std::string>>();
    content.fixes = json.at("fixes").get<std::set<std::string>>();
    for (const auto& p : json.at("hunks"))
      content.places.push_back({p.at("file").get<std::string>(), p.at("line").get<unsigned>(),
                                p.at("lines").get<std::vector<std::string>>(), p.value("function", "")});
  } catch (const nlohmann::json::exception&) {
    no_content();
  }
  return content;
}

}  // namespace kpatch

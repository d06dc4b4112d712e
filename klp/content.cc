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
std::string meaning_of(const KlpElf& elf, const KlpRelocation& relocation) {
  const KlpSymbol& symbol = elf.symbols[relocation.symbol];
  if (symbol.type() != STT_SECTION) return fmt::format("{}+{}", symbol.name, relocation.addend);
  const auto to = elf.place_of(relocation.symbol, relocation.addend);
  const bool strings = to && (elf.sections[to->section].header.sh_flags & SHF_STRINGS) != 0;
  const auto text = strings ? elf.string_at(*to) : std::nullopt;
  return text ? std::string(*text) : elf.sections[symbol.entry.st_shndx].name;
}

std::string code_of(const KlpElf& elf, std::string_view function) {
  const auto symbol = std::ranges::find_if(
      elf.symbols, [&](const KlpSymbol& s) { return s.type() == STT_FUNC && s.name == function && s.in_section(); });
  if (symbol == elf.symbols.end()) return {};
  const GElf_Sym& entry = symbol->entry;
  if (entry.st_shndx >= elf.sections.size()) return {};
  const std::vector<std::byte>& bytes = elf.sections[entry.st_shndx].bytes;
  if (entry.st_value > bytes.size() || entry.st_size > bytes.size() - entry.st_value) return {};
  std::string code(reinterpret_cast<const char*>(bytes.data()) + entry.st_value, entry.st_size);
  std::vector<std::string> references;
  for (const KlpSection& table : elf.sections) {
    if (table.header.sh_type != SHT_RELA || table.header.sh_info != entry.st_shndx) continue;
    for (const KlpRelocation& r : table.relocations)
      if (r.offset >= entry.st_value && r.offset < entry.st_value + entry.st_size)
        references.push_back(fmt::format("{:08x} {} {}\n", r.offset - entry.st_value, r.type, meaning_of(elf, r)));
  }
  std::ranges::sort(references);
  return digest_of(code + joined(references, ""));
}

bool is_of_shadow_variables(const KlpSymbol& symbol) {
  const std::string_view name = symbol.name;
  return symbol.entry.st_shndx != SHN_ABS && !symbol.in_section() &&
         (name.starts_with("klp_shadow_") || name.starts_with(".klp.sym.vmlinux.klp_shadow_"));
}

[[noreturn]] void no_content() { throw Error("no report of a build that made a livepatch: it has no \"livepatch\""); }

}  // namespace

std::string PatchPlace::text() const { return fmt::format("{}:{} {}", file, line, joined(lines, " ")); }

std::optional<PatchPlace> PatchPlace::of(std::string_view text) {
  PatchPlace place;
  // A file's name may have blanks; digests have none.
  std::vector<std::string_view> words = fields_of(text, ' ');
  const auto is_line = [](std::string_view word) {
    return word.size() == 9 && (word[0] == '-' || word[0] == '+') &&
           word.find_first_not_of("0123456789abcdef", 1) == std::string_view::npos;
  };
  while (!words.empty() && is_line(words.back())) {
    place.lines.insert(place.lines.begin(), std::string(words.back()));
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
  for (const Replacement& f : replacements_of(elf, tables))
    content.functions.push_back({f.object, f.name, f.sympos, code_of(elf, f.by)});
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
    places.push_back({{"file", place.file}, {"line", place.line}, {"lines", place.lines}});
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
                                p.at("lines").get<std::vector<std::string>>()});
  } catch (const nlohmann::json::exception&) {
    no_content();
  }
  return content;
}

}  // namespace kpatch

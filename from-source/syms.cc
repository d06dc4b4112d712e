// A symbol's meaning, as a text that people edit and as a table that post-link reads
//
//     meminfo_extra 0 vmlinux                   a name of one kind: the source says meminfo_extra
//     show 2 vmlinux show.klp.slub              the second show of vmlinux, which slub.c calls show.klp.slub
//
// Each becomes an entry without a place in the side table: whatever refers to the placeholder means this. Positions are
// the kernel's own count (Binary::sympos), never this program's.
#include "from-source/syms.h"

#include <elf.h>
#include <fmt/core.h>

#include <charconv>

#include "arch/arch.h"
#include "elf/elf.h"
#include "from-source/workshop.h"
#include "support/error.h"
#include "support/text.h"

namespace kpatch {

using std::string;
using std::string_view;

std::vector<LivepatchSymbol> parse_syms(string_view text, const string& file) {
  std::vector<LivepatchSymbol> symbols;
  std::vector<string> errors;
  std::set<string> placeholders;
  constexpr int exit_twice = 7;  // what the program says when a name is there twice
  bool twice = false;
  int line = 0;
  for (const string_view whole : lines_of(text)) {
    ++line;
    const std::vector<string_view> words = words_of(whole.substr(0, whole.find('#')));
    if (words.empty()) continue;
    const auto wrong = [&](string_view what) { errors.push_back(fmt::format("{}:{}: {}", file, line, what)); };
    if (words.size() < 2 || words.size() > 4) {
      wrong("expected NAME POSITION [MODULE [PLACEHOLDER]]");
      continue;
    }
    LivepatchSymbol symbol{.name = string(words[0]), .line = line};
    const auto [end, error] = std::from_chars(words[1].data(), words[1].data() + words[1].size(), symbol.position);
    if (error != std::errc() || end != words[1].data() + words[1].size())
      wrong(fmt::format("'{}' is no position: 0 for a name that is there once, else 1, 2, …", words[1]));
    if (words.size() > 2) symbol.owner = string(words[2]);
    symbol.placeholder = string(words.size() > 3 ? words[3] : words[0]);
    if (!placeholders.insert(symbol.placeholder).second) {
      twice = true;
      wrong(fmt::format("{} is there twice: a name in the source has one meaning", symbol.placeholder));
    }
    symbols.push_back(std::move(symbol));
  }
  if (!errors.empty()) throw ExitError(twice ? exit_twice : exit_error, joined(errors, "\n"));
  return symbols;
}

string format_syms(const std::vector<LivepatchSymbol>& symbols) {
  string text;
  for (const LivepatchSymbol& symbol : symbols) {
    text += fmt::format("{} {} {}", symbol.name, symbol.position, symbol.owner);
    if (symbol.placeholder != symbol.name) text += " " + symbol.placeholder;
    text += "\n";
  }
  return text;
}

void write_side_table(const std::vector<LivepatchSymbol>& symbols, const std::map<string, string>& patched,
                      const std::set<string>& namespaces, const Arch& arch, const std::filesystem::path& output) {
  OutputObject object;
  object.machine = arch.elf.machine;
  object.big_endian = arch.elf.big_endian;
  OutputSection strings{.name = ".kpatch.strings", .type = SHT_PROGBITS, .flags = SHF_ALLOC};
  OutputSection table{.name = ".comment.kpatch.relocs", .type = SHT_PROGBITS, .alignment = 8};
  constexpr uint32_t strings_index = 0;
  const uint32_t start = object.add_symbol(
      {.name = "klpmake_strings", .section = strings_index, .info = ELF64_ST_INFO(STB_LOCAL, STT_OBJECT)});
  const auto text_at = [&](string_view text) {
    const auto at = static_cast<int64_t>(strings.contents.size());
    for (const char c : text) strings.contents.push_back(static_cast<std::byte>(c));
    strings.contents.push_back(std::byte{0});
    return at;
  };
  for (const LivepatchSymbol& symbol : symbols) {
    const auto user = patched.find(symbol.placeholder);
    if (user == patched.end()) continue;
    const uint32_t placeholder =
        object.add_symbol({.name = symbol.placeholder, .info = ELF64_ST_INFO(STB_GLOBAL, STT_NOTYPE)});
    const uint64_t at = table.contents.size();
    table.relocations.push_back({at + 8, arch.elf.absolute_64, placeholder, 0});
    table.relocations.push_back({at + 16, arch.elf.absolute_64, start, text_at(user->second)});
    table.relocations.push_back({at + 24, arch.elf.absolute_64, start, text_at(symbol.owner)});
    table.relocations.push_back({at + 32, arch.elf.absolute_64, start, text_at(symbol.name)});
    for (int field = 0; field < 5; ++field) object.append_u64(table, 0);
    object.append_u64(table, symbol.position);
  }
  strings.size = strings.contents.size();
  table.size = table.contents.size();
  object.add_section(std::move(strings));
  object.add_section(std::move(table));
  OutputSection info{.name = ".modinfo", .type = SHT_PROGBITS, .flags = SHF_ALLOC};
  for (const string& name : namespaces)
    for (const char c : fmt::format("import_ns={}{}", name, '\0')) info.contents.push_back(static_cast<std::byte>(c));
  info.size = info.contents.size();
  if (info.size != 0) object.add_section(std::move(info));
  write_elf(object, output);
}

}  // namespace kpatch

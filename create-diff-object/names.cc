// The names that compilers and the kernel's macros give to symbols.
//
// A symbol's suffix says which compile it came from: `foo.isra.0` may be `foo.isra.1` in the patched object, and
// `count.7` may be `count.9`. Names of sections are arch/sections.h's.

#include "create-diff-object/names.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace kpatch {
namespace {

bool all_digits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isdigit(c); });
}

// Splits the last `.component` off; empty when there is none (a leading dot is part of the name).
std::string_view last_component(std::string_view name) {
  const size_t dot = name.rfind('.');
  return dot == std::string_view::npos || dot == 0 ? std::string_view{} : name.substr(dot + 1);
}

constexpr auto numbered_suffixes =
    std::to_array<std::string_view>({".isra", ".constprop", ".part", ".cold", ".lto_priv"});

std::string_view base_of_static(std::string_view name) {
  const std::string_view last = last_component(name);
  if (last.empty()) return name;
  if (all_digits(last)) return name.substr(0, name.size() - last.size() - 1);  // gcc: name.N
  return last;                                                                 // clang: function.name
}

// Data of which each compile makes its own, and a copy may have its own too. Of what remembers that something was done
// once, only messages are here: that one comes once more harms nobody.
//   __already_done, __warned, __print_once   include/linux/once_lite.h, printk.h, lockdep: a message, a warning
//   _rs                                      a limit of messages
// DO_ONCE is not (include/linux/once.h: ___done and ___once_key): what it guards is drawn or registered once for the
// kernel's life, a secret of TCP for one. Those refer to the kernel's own, like all that nobody has decided.
constexpr auto special_bases = std::to_array<std::string_view>(
    {"__key", "__warned", "__func__", "__FUNCTION__", "__PRETTY_FUNCTION__", "__already_done", "_rs", "CSWTCH",
     "_entry", "_entry_ptr", "descriptor", "__print_once"});

constexpr auto special_prefixes = std::to_array<std::string_view>(
    {".LC", ".Lubsan_data", ".Lubsan_type", ".L__unnamed_", "CSWTCH.", "switch.table."});

}  // namespace

bool is_special_static(std::string_view name) {
  for (std::string_view prefix : special_prefixes)
    if (name.starts_with(prefix)) return true;
  const std::string_view last = last_component(name);
  if (last.empty()) return false;
  const std::string_view base = base_of_static(name);
  return std::find(special_bases.begin(), special_bases.end(), base) != special_bases.end() ||
         // clang and LTO: function.name.N
         (all_digits(last) &&
          std::find(special_bases.begin(), special_bases.end(), base_of_static(base)) != special_bases.end() &&
          base_of_static(base) != base);
}

bool is_special_section(std::string_view name) {
  for (std::string_view prefix : {std::string_view{".data.rel.ro.local."}, std::string_view{".data.rel.local."},
                                  std::string_view{".data.rel.ro."}, std::string_view{".data.rel."},
                                  std::string_view{".data."}, std::string_view{".rodata."}, std::string_view{".bss."}})
    if (name.starts_with(prefix)) return is_special_static(name.substr(prefix.size()));
  return false;
}

bool holds_line_number(std::string_view name) {
  const std::string_view base = base_of_static(name);
  return base == "_entry" || base == "descriptor" || name.find(".Lubsan_data") != std::string_view::npos ||
         name.find("__UNIQUE_ID_ddebug") != std::string_view::npos;
}

bool is_per_cpu(std::string_view section) {
  constexpr std::string_view name = ".data..percpu";
  return section == name || (section.starts_with(name) && section.substr(name.size()).starts_with(".."));
}

std::string_view memory_of(std::string_view section) {
  std::string_view memory;
  for (const std::string_view prefix : {".data..", ".bss.."})
    if (section.starts_with(prefix)) memory = section.substr(prefix.size());
  // Their place is another, to be near what is used with them or apart from it; what can be done with them is not.
  constexpr auto places = std::to_array<std::string_view>(
      {"read_mostly", "cacheline_aligned", "shared_aligned", "page_aligned", "once", "hot"});
  const bool unnamed = memory.starts_with("L");  // clang's, of what has no name
  if (unnamed || std::find(places.begin(), places.end(), memory) != places.end()) return {};
  constexpr std::string_view per_cpu = "percpu..";
  if (memory.starts_with(per_cpu) &&
      std::find(places.begin(), places.end(), memory.substr(per_cpu.size())) != places.end())
    return per_cpu.substr(0, per_cpu.size() - 2);
  return memory;
}

bool is_local_label(std::string_view name) {
  return name.starts_with(".L") || name == "$x" || name == "$d" || name.starts_with("$x.") || name.starts_with("$d.") ||
         (name.starts_with("L") && name.find_first_of("\001\002") != std::string_view::npos);
}

bool is_prefix_symbol(std::string_view name) { return name.starts_with("__pfx_") || name.starts_with("__cfi_"); }

bool is_static_local(std::string_view name) {
  return !last_component(name).empty() && !is_local_label(name) && !is_special_static(name);
}

std::string symbol_stem(std::string_view name) {
  std::string stem;
  // Components behind the first, one after the other; the order of suffixes matters to the compiler, so it is kept.
  size_t dot = name.size() > 1 ? name.find('.', 1) : std::string_view::npos;
  std::string_view head = name.substr(0, dot);
  constexpr std::string_view unique = "__UNIQUE_ID_";
  auto without_unique_digits = [&](std::string_view text) {
    std::string out{text};
    if (text.find(unique) != std::string_view::npos || text.starts_with("__initcall__kmod_") ||
        text.starts_with("__addressable_") || text.starts_with("__BTF_ID__"))
      while (!out.empty() && std::isdigit(static_cast<unsigned char>(out.back()))) out.pop_back();
    return out;
  };
  stem = without_unique_digits(head);
  while (dot != std::string_view::npos) {
    const size_t next = name.find('.', dot + 1);
    const std::string_view component = name.substr(dot + 1, next == std::string_view::npos ? next : next - dot - 1);
    if (all_digits(component) && name.find(".str") == std::string_view::npos) {
      // a clone's or a static local's number: gone
    } else if (stem.ends_with(".llvm")) {
      // the hash behind .llvm.
    } else {
      stem += '.';
      stem += without_unique_digits(component);
    }
    dot = next;
  }
  return stem;
}

bool is_mangled(std::string_view name) { return symbol_stem(name) != name; }

std::optional<std::string_view> part_parent(std::string_view name) {
  // The last .cold or .part, with or without its number.
  std::string_view rest = name;
  if (const std::string_view last = last_component(rest); all_digits(last)) rest.remove_suffix(last.size() + 1);
  for (std::string_view suffix : {std::string_view{".cold"}, std::string_view{".part"}})
    if (rest.ends_with(suffix) && rest.size() > suffix.size()) return rest.substr(0, rest.size() - suffix.size());
  return std::nullopt;
}

std::string outermost_name(std::string_view name) { return std::string{name.substr(0, name.find('.', 1))}; }

bool is_cold_part(std::string_view name) {
  std::string_view rest = name;
  if (const std::string_view last = last_component(rest); all_digits(last)) rest.remove_suffix(last.size() + 1);
  return rest.ends_with(".cold");
}

bool section_belongs_to(std::string_view section, std::string_view symbol, bool function) {
  constexpr auto text_prefixes =
      std::to_array<std::string_view>({".text.unlikely.", ".text.hot.", ".text.startup.", ".text.exit.", ".text."});
  constexpr auto data_prefixes =
      std::to_array<std::string_view>({".data.rel.ro.local.", ".data.rel.ro.", ".data.rel.local.", ".data.rel.",
                                       ".data.", ".rodata.", ".bss.", ".sdata.", ".sbss."});
  auto matches = [&](std::string_view prefix) {
    if (!section.starts_with(prefix)) return false;
    const std::string_view rest = section.substr(prefix.size());
    if (rest == symbol) return true;
    // The section of a cold part has its parent's name, which begins the symbol's: .text.unlikely.f holds f.cold
    return function && part_parent(symbol) && symbol.starts_with(rest) && symbol.size() > rest.size() &&
           symbol[rest.size()] == '.';
  };
  if (function) return std::any_of(text_prefixes.begin(), text_prefixes.end(), matches);
  return std::any_of(data_prefixes.begin(), data_prefixes.end(), matches);
}

std::string source_name(std::string_view symbol) {
  if (!is_static_local(symbol)) return std::string{symbol};
  const size_t dot = symbol.rfind('.');
  const bool numbered = symbol.find_first_not_of("0123456789", dot + 1) == std::string_view::npos;
  return std::string{numbered ? symbol.substr(0, dot) : symbol.substr(dot + 1)};
}

}  // namespace kpatch

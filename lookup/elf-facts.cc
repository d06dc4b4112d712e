// What the tables of a shipped binary tell about its functions.
//
// Ftrace sites. A function can be replaced only if the kernel can redirect it, which it does at the call or NOP that
// the compiler left at the function's start and whose address is in __mcount_loc:
//
//   ffffffff814d7a10 <meminfo_proc_show>:
//   ffffffff814d7a10:  f3 0f 1e fa      endbr64
//   ffffffff814d7a14:  e8 ...           call __fentry__        <- __mcount_loc has ffffffff814d7a14
//
// so the entry lies at the start or a little behind: x86 +4 after ENDBR64; arm64 +4 and +8 after BTI and the saved link
// register (or 8 before the start, with pre-function NOPs); ppc64le +8, after the TOC set-up, or +12. vmlinux no longer
// has the section, but the symbols __start_mcount_loc and __stop_mcount_loc enclose its entries, of 8 bytes each. A
// position-independent vmlinux (arm64, s390) may hold zeros there and the addresses in .rela.dyn. Modules and objects
// have the section with relocations. x86's __patchable_function_entries names the padding before the function, also
// that of notrace functions: it never counts. Other architectures have their sites there.
//
// ENDBR. Under IBT an indirect branch must land on ENDBR64 (f3 0f 1e fa). The kernel overwrites those that objtool
// found to be never taken by address, listed in .ibt_endbr_seal: 32-bit PC-relative entries, relocated ones in a
// module.
#include <elf.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "lookup/binary-data.h"

namespace kpatch {

namespace {

// A place in code: section and offset in a relocatable file, 0 and address in vmlinux.
struct SectionOffset {
  uint32_t section;
  uint64_t offset;
  auto operator<=>(const SectionOffset&) const = default;
};

template <typename T>
T get(std::span<const std::byte> bytes, size_t at, bool big_endian) {
  std::array<uint8_t, sizeof(T)> raw;
  std::memcpy(raw.data(), bytes.data() + at, sizeof(T));
  T value = 0;
  for (size_t i = 0; i < sizeof(T); ++i) value = value << 8 | raw[big_endian ? i : sizeof(T) - 1 - i];
  return value;
}

class CodeFacts {
 public:
  CodeFacts(BinaryData& data, std::span<const BinaryRelocation> relocations) : data_(data), relocations_(relocations) {}

  void run() {
    std::vector<SectionOffset> sites;
    std::vector<SectionOffset> seals;
    if (data_.relocatable) {
      sites = relocated({"__mcount_loc", data_.machine == EM_X86_64 ? "" : "__patchable_function_entries"});
      seals = relocated({".ibt_endbr_seal", ""});
    } else {
      sites = vmlinux_sites();
      seals = vmlinux_seals();
    }
    std::sort(sites.begin(), sites.end());
    std::sort(seals.begin(), seals.end());
    for (BinarySymbol& symbol : data_.symbols) {
      if (symbol.type != SymbolType::function && symbol.type != SymbolType::ifunc && symbol.type != SymbolType::none)
        continue;
      if (symbol.section == 0 || symbol.section >= data_.sections.size()) continue;
      if ((data_.sections[symbol.section].flags & SHF_EXECINSTR) == 0) continue;
      SectionOffset start{data_.relocatable ? symbol.section : 0, symbol.value};
      if (symbol.type != SymbolType::none) symbol.has_ftrace_site = has_site(symbol, start, sites);
      symbol.starts_with_endbr = data_.machine == EM_X86_64 && has_endbr(symbol);
      symbol.endbr_sealed = symbol.starts_with_endbr && std::binary_search(seals.begin(), seals.end(), start);
    }
  }

 private:
  // Where the relocations of the named tables point. Any type will do: entries are absolute or relative to themselves.
  std::vector<SectionOffset> relocated(std::array<std::string_view, 2> tables) const {
    std::vector<SectionOffset> places;
    for (const BinaryRelocation& relocation : relocations_) {
      if (relocation.section >= data_.sections.size() || relocation.symbol == 0) continue;
      std::string_view name = data_.sections[relocation.section].name;
      if (name.empty() || (name != tables[0] && name != tables[1])) continue;
      const BinarySymbol& target = data_.symbols[relocation.symbol];
      places.push_back({target.section, target.value + relocation.addend});
    }
    return places;
  }

  std::vector<SectionOffset> vmlinux_sites() const {
    uint64_t start = 0;
    uint64_t stop = 0;
    uint32_t index = 0;
    for (const BinarySymbol& symbol : data_.symbols) {
      if (!symbol.name.ends_with("_mcount_loc")) continue;
      if (symbol.name == "__start_mcount_loc") start = symbol.value, index = symbol.section;
      if (symbol.name == "__stop_mcount_loc") stop = symbol.value;
    }
    std::vector<SectionOffset> places;
    if (index == 0 || index >= data_.sections.size()) return places;
    const BinarySection& section = data_.sections[index];
    if (start < section.address || stop < start || stop - section.address > section.bytes.size()) return places;
    for (uint64_t at = start; at + 8 <= stop; at += 8)
      if (uint64_t site = get<uint64_t>(section.bytes, at - section.address, data_.big_endian))
        places.push_back({0, site});
    for (const BinaryRelocation& relocation : relocations_)
      if (relocation.offset >= start && relocation.offset < stop)
        places.push_back({0, static_cast<uint64_t>(relocation.addend)});
    return places;
  }

  std::vector<SectionOffset> vmlinux_seals() const {
    std::vector<SectionOffset> places;
    for (const BinarySection& section : data_.sections) {
      if (section.name != ".ibt_endbr_seal") continue;
      for (size_t at = 0; at + 4 <= section.bytes.size(); at += 4) {
        auto distance = static_cast<int32_t>(get<uint32_t>(section.bytes, at, data_.big_endian));
        places.push_back({0, section.address + at + static_cast<int64_t>(distance)});
      }
    }
    return places;
  }

  bool has_site(const BinarySymbol& symbol, const SectionOffset& start, const std::vector<SectionOffset>& sites) const {
    auto within = [&](uint64_t first, uint64_t last) {
      auto site = std::lower_bound(sites.begin(), sites.end(), SectionOffset{start.section, start.offset + first});
      if (site == sites.end() || site->section != start.section) return false;
      uint64_t distance = site->offset - start.offset;
      return distance <= last && (distance == 0 || distance < symbol.size);
    };
    switch (data_.machine) {
      case EM_X86_64:
        return within(0, 0) || within(4, 4);
      case EM_AARCH64:
        return within(0, 8) ||
               (start.offset >= 8 &&
                std::binary_search(sites.begin(), sites.end(), SectionOffset{start.section, start.offset - 8}));
      case EM_PPC64:
        return within(0, 12);
      default:
        return within(0, 8);
    }
  }

  bool has_endbr(const BinarySymbol& symbol) const {
    static constexpr std::array<std::byte, 4> endbr64 = {std::byte{0xf3}, std::byte{0x0f}, std::byte{0x1e},
                                                         std::byte{0xfa}};
    const BinarySection& section = data_.sections[symbol.section];
    uint64_t offset = data_.relocatable ? symbol.value : symbol.value - section.address;
    return offset <= section.bytes.size() && section.bytes.size() - offset >= endbr64.size() &&
           std::equal(endbr64.begin(), endbr64.end(), section.bytes.begin() + offset);
  }

  BinaryData& data_;
  std::span<const BinaryRelocation> relocations_;
};

}  // namespace

bool has_code_facts(const BinaryData& data, std::string_view section) {
  return section == "__mcount_loc" || section == ".ibt_endbr_seal" ||
         (data.machine != EM_X86_64 && section == "__patchable_function_entries");
}

void set_code_facts(BinaryData& data, std::span<const BinaryRelocation> relocations) {
  CodeFacts(data, relocations).run();
}

}  // namespace kpatch

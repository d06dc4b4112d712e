// What the tables of a shipped binary tell about its functions.
//
// Ftrace sites. A function can be replaced only if the kernel can redirect it, which it does at the call or NOP that
// the compiler left at the function's start and whose address is in __mcount_loc:
//
//   ffffffff814d7a10 <meminfo_proc_show>:
//   ffffffff814d7a10:  f3 0f 1e fa      endbr64
//   ffffffff814d7a14:  e8 ...           call __fentry__        <- __mcount_loc has ffffffff814d7a14
//
// so the entry lies at the start or a little behind, or a little before (FtraceFacts::sites). vmlinux no longer has the
// section, but the symbols __start_mcount_loc and __stop_mcount_loc enclose its entries, of 8 bytes each. A
// position-independent vmlinux (arm64, s390) may hold zeros there and the addresses in .rela.dyn. Modules and objects
// have the section with relocations. Other architectures than x86 may have their sites in
// __patchable_function_entries; x86's names the padding before the function, also that of notrace functions: it never
// counts.
//
// Landing pads (x86: under IBT an indirect branch must land on ENDBR64). The kernel overwrites those that objtool found
// to be never taken by address, listed in a section (.ibt_endbr_seal): 32-bit PC-relative entries, relocated ones in a
// module.
#include <elf.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "arch/arch.h"
#include "lookup/binary-data.h"
#include "support/bytes.h"

namespace kpatch {

namespace {

// A place in code: section and offset in a relocatable file, 0 and address in vmlinux.
struct SectionOffset {
  uint32_t section;
  uint64_t offset;
  auto operator<=>(const SectionOffset&) const = default;
};

class FactsReader {
 public:
  FactsReader(BinaryData& data, const Arch& arch, std::span<const BinaryRelocation> relocations)
      : data_(data), arch_(arch), pad_(arch.code.landing_pad), relocations_(relocations) {}

  void run() {
    std::vector<SectionOffset> sites;
    std::vector<SectionOffset> seals;
    if (data_.relocatable) {
      sites = relocated([&](std::string_view table) { return arch_.ftrace.lists_sites(table); });
      seals = relocated([&](std::string_view table) { return pad_ != nullptr && table == pad_->seals; });
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
      symbol.has_landing_pad = pad_ != nullptr && begins_with_pad(symbol);
      symbol.landing_pad_sealed = symbol.has_landing_pad && std::binary_search(seals.begin(), seals.end(), start);
    }
  }

 private:
  // Where the relocations of tables point. Any type will do: entries are absolute or relative to themselves.
  template <typename IsTable>
  std::vector<SectionOffset> relocated(IsTable is_table) const {
    std::vector<SectionOffset> places;
    for (const BinaryRelocation& relocation : relocations_) {
      if (relocation.section >= data_.sections.size() || relocation.symbol == 0) continue;
      if (!is_table(data_.sections[relocation.section].name)) continue;
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
      if (uint64_t site = number_of(section.bytes.subspan(at - section.address, 8), data_.big_endian))
        places.push_back({0, site});
    for (const BinaryRelocation& relocation : relocations_)
      if (relocation.offset >= start && relocation.offset < stop)
        places.push_back({0, static_cast<uint64_t>(relocation.addend)});
    return places;
  }

  std::vector<SectionOffset> vmlinux_seals() const {
    std::vector<SectionOffset> places;
    if (pad_ == nullptr) return places;
    for (const BinarySection& section : data_.sections) {
      if (section.name != pad_->seals) continue;
      for (size_t at = 0; at + 4 <= section.bytes.size(); at += 4) {
        auto distance = static_cast<int32_t>(number_of(section.bytes.subspan(at, 4), data_.big_endian));
        places.push_back({0, section.address + at + static_cast<int64_t>(distance)});
      }
    }
    return places;
  }

  bool has_site(const BinarySymbol& symbol, const SectionOffset& start, const std::vector<SectionOffset>& sites) const {
    return std::any_of(arch_.ftrace.sites.begin(), arch_.ftrace.sites.end(), [&](const SiteRange& range) {
      if (range.first < 0 && start.offset < static_cast<uint64_t>(-range.first)) return false;
      const SectionOffset first{start.section, start.offset + static_cast<uint64_t>(range.first)};
      const auto site = std::lower_bound(sites.begin(), sites.end(), first);
      if (site == sites.end() || site->section != start.section) return false;
      const auto distance = static_cast<int64_t>(site->offset - start.offset);
      return distance <= range.last && (distance <= 0 || static_cast<uint64_t>(distance) < symbol.size);
    });
  }

  bool begins_with_pad(const BinarySymbol& symbol) const {
    const BinarySection& section = data_.sections[symbol.section];
    const uint64_t offset = data_.relocatable ? symbol.value : symbol.value - section.address;
    return offset <= section.bytes.size() && pad_->begins(section.bytes.subspan(offset));
  }

  BinaryData& data_;
  const Arch& arch_;
  const LandingPad* pad_;  // nullptr: the architecture has none
  std::span<const BinaryRelocation> relocations_;
};

}  // namespace

bool has_code_facts(const BinaryData& data, std::string_view section) {
  const Arch* arch = find_arch(data.machine);
  if (arch == nullptr) return false;
  const LandingPad* pad = arch->code.landing_pad;
  return arch->ftrace.lists_sites(section) || (pad != nullptr && section == pad->seals);
}

void set_code_facts(BinaryData& data, std::span<const BinaryRelocation> relocations) {
  if (const Arch* arch = find_arch(data.machine)) FactsReader(data, *arch, relocations).run();
}

}  // namespace kpatch

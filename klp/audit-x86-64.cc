// Would the code of the module run and unwind? On x86-64 that hangs on tables that objtool makes from the linked
// code, with exit status 0 whether or not it understood it:
//
//   .text.show:  10: endbr64                      .ibt_endbr_seal must not list it if the address is taken
//                14: call __fentry__              __mcount_loc must list 14, or the call stays live
//                1e: call __SCT__tick             .static_call_sites must list 1e, with the key __SCK__tick
//                35: jmp  __x86_return_thunk      .return_sites must list 35 ("Unpatched return thunk in use")
//                10 … 42                          .orc_unwind_ip must have an entry for it, that knows the stack
//
// Code is found by its relocations: a call or jump has its relocation one byte behind its start, two with a prefix or
// a condition. So no instruction is decoded, with one exception: taking the address of a function relative to the
// instruction pointer is `lea` (8d, mod 00 rm 101); all other PC-relative relocations against code are branches.
//
// Under IBT an indirect branch to a function without ENDBR64 panics. A function of the module whose address appears
// anywhere but in tables that nobody calls through must begin with one; a function of the kernel must have one in the
// shipped file that isn't sealed at boot. Machines without IBT never show the mistake, so it is looked for here.
#include <algorithm>
#include <array>
#include <cstring>

#include <fmt/format.h>

#include "klp/audit-parts.h"

namespace kpatch {

namespace {

// Sections whose references to code are not branched through, or that the kernel reads as positions only.
bool holds_positions(std::string_view section) {
  static constexpr auto prefixes =
      std::to_array<std::string_view>({".orc_",           "__mcount_loc", "__patchable_function_entries",
                                       ".return_sites",   ".call_sites",  ".retpoline_sites",
                                       ".ibt_endbr_seal", ".cfi_sites",   ".static_call_sites",
                                       "__bug_table",     "__ex_table",   "__jump_table",
                                       ".altinstr",       ".smp_locks",   ".parainstructions",
                                       ".kpatch.funcs",   ".init.data",   ".exit.data",
                                       ".printk_index",   ".kcfi_traps"});
  return std::any_of(prefixes.begin(), prefixes.end(), [&](auto prefix) { return section.starts_with(prefix); });
}

using Places = std::vector<KlpPlace>;

bool contains(const Places& places, KlpPlace place) { return std::binary_search(places.begin(), places.end(), place); }

// A branch whose relocation is here begins one byte before it, or two.
bool contains_branch(const Places& places, KlpPlace field) {
  return contains(places, {field.section, field.offset - 1}) || contains(places, {field.section, field.offset - 2});
}

class X86Audit {
 public:
  explicit X86Audit(AuditContext& context) : c_(context), elf_(context.elf) {}

  void run() {
    mcount_ = targets("__mcount_loc", 8);
    returns_ = targets(".return_sites", 4);
    retpolines_ = targets(".retpoline_sites", 4);
    seals_ = targets(".ibt_endbr_seal", 4);
    read_static_calls();
    static_calls_inline_ = c_.kernel_has("__start_static_call_sites");
    for (uint32_t i = 1; i < elf_.sections.size(); ++i)
      if (is_code(i)) check_code(i);
    check_ftrace_sites();
    check_jump_table();
    if (c_.kernel_has("__start_orc_unwind_ip")) check_orc();
    if (c_.kernel_has("__ibt_endbr_seal")) check_landing_pads();
  }

 private:
  bool is_code(uint32_t section) const {
    const KlpSection& s = elf_.sections[section];
    return s.allocated() && (s.header.sh_flags & SHF_EXECINSTR) != 0;
  }

  std::optional<KlpPlace> target(const AuditedRelocation& relocation) const {
    return elf_.place_of(relocation.raw.symbol, relocation.raw.addend);
  }

  // Where the entries of a table of positions point, sorted.
  Places targets(std::string_view table, uint64_t size) {
    Places places;
    auto index = elf_.find_section(table);
    if (!index) return places;
    uint64_t length = elf_.sections[*index].bytes.size();
    if (length % size != 0) c_.find(fmt::format("{}: no whole number of entries", table));
    for (uint64_t at = 0; at + size <= length; at += size) {
      const AuditedRelocation* relocation = c_.relocation_at({*index, at});
      auto place = relocation == nullptr ? std::nullopt : target(*relocation);
      if (place && place->section < elf_.sections.size() && is_code(place->section))
        places.push_back(*place);
      else
        c_.find_at({*index, at}, "points at no code");
    }
    std::sort(places.begin(), places.end());
    return places;
  }

  // kernel: struct static_call_site { s32 addr; s32 key; }
  void read_static_calls() {
    auto index = elf_.find_section(".static_call_sites");
    if (!index) return;
    constexpr uint64_t size = 8;
    uint64_t length = elf_.sections[*index].bytes.size();
    if (length % size != 0) c_.find(".static_call_sites: no whole number of entries");
    for (uint64_t at = 0; at + size <= length; at += size) {
      const AuditedRelocation* site = c_.relocation_at({*index, at});
      auto place = site == nullptr ? std::nullopt : target(*site);
      if (place && is_code(place->section))
        static_calls_.push_back(*place);
      else
        c_.find_at({*index, at}, "points at no code");
      const AuditedRelocation* key = c_.relocation_at({*index, at + 4});
      std::string_view name = key == nullptr ? "" : c_.kernel_name(key->raw.symbol);
      // A trampoline stands for its key only where the kernel exports that one alone.
      bool exported = key != nullptr && !key->livepatch && name.starts_with("__SCT__") &&
                      c_.input.symvers->find("__SCK__" + std::string(name.substr(7))) == nullptr;
      if (!name.starts_with("__SCK__") && !exported)
        c_.find_at({*index, at + 4}, fmt::format("the key of a static call is '{}'", name));
    }
    std::sort(static_calls_.begin(), static_calls_.end());
  }

  // static_call_update() and the like take a trampoline's address.
  bool is_branch(const AuditedRelocation& relocation) const {
    bool relative = relocation.raw.type == R_X86_64_PC32 || relocation.raw.type == R_X86_64_PLT32;
    return relative && !is_lea(elf_.sections[relocation.place.section], relocation.place.offset);
  }

  // A module's trampoline is called like any other function: it is too late for it to be patched in place.
  bool is_of_module(const AuditedRelocation& relocation) const {
    const KlpSymbol& symbol = elf_.symbols[relocation.raw.symbol];
    auto klp = symbol.entry.st_shndx == shn_livepatch ? parse_klp_symbol(symbol.name) : std::nullopt;
    return klp && klp->owner != "vmlinux";
  }

  void check_code(uint32_t section) {
    if (elf_.sections[section].name.starts_with(".altinstr")) return;
    for (const AuditedRelocation& relocation : c_.relocations(section)) {
      std::string_view name = c_.kernel_name(relocation.raw.symbol);
      std::string_view missing;
      if (name == "__x86_return_thunk" && !contains_branch(returns_, relocation.place)) missing = ".return_sites";
      if (name.starts_with("__x86_indirect_thunk_") && !contains_branch(retpolines_, relocation.place))
        missing = ".retpoline_sites";
      if (name.starts_with("__SCT__") && static_calls_inline_ && is_branch(relocation) && !is_of_module(relocation) &&
          !contains_branch(static_calls_, relocation.place))
        missing = ".static_call_sites";
      if (name == "__fentry__" && !contains(mcount_, {section, relocation.place.offset - 1})) missing = "__mcount_loc";
      if (!missing.empty()) c_.find_at(relocation.place, fmt::format("{} has no entry in {}", name, missing));
    }
  }

  // The kernel writes a NOP to each, so it must be the call.
  void check_ftrace_sites() {
    for (const KlpPlace& site : mcount_) {
      const AuditedRelocation* call = c_.relocation_at({site.section, site.offset + 1});
      if (call == nullptr || c_.kernel_name(call->raw.symbol) != "__fentry__")
        c_.find_at(site, "__mcount_loc lists it, but there is no call of __fentry__");
    }
  }

  // kernel: struct jump_entry { s32 code; s32 target; long key; }
  void check_jump_table() {
    auto index = elf_.find_section("__jump_table");
    if (!index) return;
    constexpr uint64_t size = 16;
    uint64_t length = elf_.sections[*index].bytes.size();
    if (length % size != 0) c_.find("__jump_table: no whole number of entries");
    for (uint64_t at = 0; at + size <= length; at += size) {
      for (uint64_t field : {at, at + 4}) {
        const AuditedRelocation* relocation = c_.relocation_at({*index, field});
        auto place = relocation == nullptr ? std::nullopt : target(*relocation);
        if (!place || !is_code(place->section)) c_.find_at({*index, field}, "points at no code");
      }
      check_key({*index, at + 8});
    }
  }

  void check_key(KlpPlace field) {
    const AuditedRelocation* relocation = c_.relocation_at(field);
    if (relocation == nullptr) return c_.find_at(field, "the jump label has no key");
    const KlpSymbol& key = elf_.symbols[relocation->raw.symbol];
    if (key.in_section()) return;
    std::string_view name = c_.kernel_name(relocation->raw.symbol);
    const Binary& kernel = *c_.input.vmlinux;
    if (kernel.seals_ro_after_init_keys()) return;
    for (uint32_t symbol : kernel.named(name))
      if (kernel.in_ro_after_init(kernel.symbols()[symbol]))
        c_.find_at(field, fmt::format("the key {} is read-only after boot, and this kernel writes to it when the "
                                      "module is loaded",
                                      name));
  }

  // --- ORC ---

  struct OrcEntry {
    KlpPlace place;
    bool undefined = false;  // nothing is known about the stack from here on
  };

  // kernel: .orc_unwind_ip holds positions, .orc_unwind 6 bytes for each. The last two hold the stack register in the
  // low bits and the type; all zero says "undefined" in every layout so far.
  std::vector<OrcEntry> read_orc() {
    std::vector<OrcEntry> entries;
    auto ips = elf_.find_section(".orc_unwind_ip");
    auto facts = elf_.find_section(".orc_unwind");
    if (!ips || !facts) {
      c_.find("it has no .orc_unwind_ip and .orc_unwind: its functions can't be unwound");
      return entries;
    }
    constexpr uint64_t fact_size = 6;
    uint64_t count = elf_.sections[*ips].bytes.size() / 4;
    const std::vector<std::byte>& bytes = elf_.sections[*facts].bytes;
    if (elf_.sections[*ips].bytes.size() % 4 != 0 || bytes.size() != count * fact_size) {
      c_.find(".orc_unwind_ip and .orc_unwind differ in their number of entries");
      return entries;
    }
    for (uint64_t i = 0; i < count; ++i) {
      const AuditedRelocation* relocation = c_.relocation_at({*ips, i * 4});
      auto place = relocation == nullptr ? std::nullopt : target(*relocation);
      if (place)
        entries.push_back(
            {*place, bytes[i * fact_size + 4] == std::byte{0} && bytes[i * fact_size + 5] == std::byte{0}});
      else
        c_.find_at({*ips, i * 4}, "points at no code");
    }
    // Where one object's code ends and another's begins both have an entry; the kernel sorts the end first.
    std::sort(entries.begin(), entries.end(),
              [](auto& a, auto& b) { return std::pair(a.place, !a.undefined) < std::pair(b.place, !b.undefined); });
    return entries;
  }

  bool has_functions() const {
    for (uint32_t i = 1; i < elf_.sections.size(); ++i)
      if (is_code(i) && !c_.functions(i).empty()) return true;
    return false;
  }

  void check_orc() {
    if (!has_functions()) return;
    std::vector<OrcEntry> entries = read_orc();
    if (entries.empty()) return;
    for (uint32_t section = 1; section < elf_.sections.size(); ++section) {
      if (!is_code(section)) continue;
      for (const KlpSymbol* function : c_.functions(section)) {
        KlpPlace start{section, function->entry.st_value};
        auto next = std::upper_bound(entries.begin(), entries.end(), start,
                                     [](const KlpPlace& p, const OrcEntry& e) { return p < e.place; });
        bool covered = next != entries.begin() && (next - 1)->place.section == section && !(next - 1)->undefined;
        if (!covered) c_.find_at(start, "no ORC entry tells how to unwind it");
      }
    }
  }

  // --- ENDBR ---

  bool takes_address(const AuditedRelocation& relocation) const {
    const KlpSection& section = elf_.sections[relocation.place.section];
    if (!section.allocated() || holds_positions(section.name)) return false;
    switch (relocation.raw.type) {
      case R_X86_64_64:
      case R_X86_64_32:
      case R_X86_64_32S:
        return true;
      case R_X86_64_PC32:
        return (section.header.sh_flags & SHF_EXECINSTR) == 0 || is_lea(section, relocation.place.offset);
      default:
        return false;
    }
  }

  static bool is_lea(const KlpSection& section, uint64_t field) {
    if (field < 2 || field > section.bytes.size()) return false;
    return section.bytes[field - 2] == std::byte{0x8d} && (section.bytes[field - 1] & std::byte{0xc7}) == std::byte{5};
  }

  void check_landing_pads() {
    for (uint32_t section = 1; section < elf_.sections.size(); ++section)
      for (const AuditedRelocation& relocation : c_.relocations(section))
        if (takes_address(relocation)) check_landing_pad(relocation);
  }

  void check_landing_pad(const AuditedRelocation& relocation) {
    auto place = target(relocation);
    if (!place) return check_kernel_landing_pad(relocation);
    if (relocation.raw.type == R_X86_64_PC32 && is_code(relocation.place.section)) place->offset += 4;
    if (place->section >= elf_.sections.size() || !is_code(place->section) || !c_.function_starts_at(*place)) return;
    const std::string& name = c_.function_at(*place)->name;
    if (name.starts_with("__SCT__")) return;  // a place to patch; nobody branches through a pointer to it
    static constexpr std::array<uint8_t, 4> endbr = {0xf3, 0x0f, 0x1e, 0xfa};
    const std::vector<std::byte>& code = elf_.sections[place->section].bytes;
    if (place->offset + endbr.size() > code.size() ||
        std::memcmp(code.data() + place->offset, endbr.data(), endbr.size()) != 0)
      c_.find_at(relocation.place, fmt::format("takes the address of {}, which has no ENDBR", name));
    else if (contains(seals_, *place))
      c_.find_at(relocation.place, fmt::format("takes the address of {}, whose ENDBR is sealed", name));
  }

  void check_kernel_landing_pad(const AuditedRelocation& relocation) {
    const KlpSymbol& symbol = elf_.symbols[relocation.raw.symbol];
    if (c_.kernel_name(relocation.raw.symbol).starts_with("__SCT__")) return;
    auto klp = symbol.entry.st_shndx == shn_livepatch ? parse_klp_symbol(symbol.name) : std::nullopt;
    if (symbol.entry.st_shndx != SHN_UNDEF && !klp) return;
    const Binary* object = c_.object(klp ? klp->owner : "vmlinux");
    if (object == nullptr) return;
    auto found = object->named(klp ? klp->name : symbol.name);
    for (size_t i = 0; i < found.size(); ++i) {
      const BinarySymbol& s = object->symbols()[found[i]];
      bool meant = klp ? klp->sympos == 0 || klp->sympos == i + 1 : s.binding != SymbolBinding::local;
      if (meant && s.type == SymbolType::function && (!s.starts_with_endbr || s.endbr_sealed))
        c_.find_at(relocation.place,
                   fmt::format("takes the address of {}, which has no ENDBR in the running kernel", s.name));
    }
  }

  AuditContext& c_;
  const KlpElf& elf_;
  Places mcount_;
  Places returns_;
  Places retpolines_;
  Places static_calls_;
  bool static_calls_inline_ = false;
  Places seals_;
};

}  // namespace

void audit_code_tables(AuditContext& context) {
  if (context.elf.header.e_machine == EM_X86_64)
    X86Audit(context).run();
  else
    context.find("the code tables of this machine can't be audited yet");
}

}  // namespace kpatch

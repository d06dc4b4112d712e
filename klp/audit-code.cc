// Would the code of the module run and unwind? That hangs on tables that objtool makes from the linked code, with exit
// status 0 whether or not it understood it. On x86-64 (which calls, which tables: AuditFacts of the architecture):
//
//   .text.show:  10: endbr64                      .ibt_endbr_seal must not list it if the address is taken
//                14: call __fentry__              __mcount_loc must list 14, or the call stays live
//                1e: call __SCT__tick             .static_call_sites must list 1e, with the key __SCK__tick
//                35: jmp  __x86_return_thunk      .return_sites must list 35 ("Unpatched return thunk in use")
//                10 … 42                          .orc_unwind_ip must have an entry for it, that knows the stack
//
// Code is found by its relocations: a call or jump has its relocation one byte behind its start, two with a prefix or
// a condition. So no instruction is decoded, with one exception: taking the address of a function relative to the
// instruction pointer is `lea`; all other PC-relative relocations against code are branches.
//
// Where landing pads are demanded (x86, IBT), an indirect branch to a function without one panics. A function of the
// module whose address appears anywhere but in tables that nobody calls through must begin with one; a function of the
// kernel must have one in the shipped file that isn't sealed at boot. Machines without IBT never show the mistake, so
// it is looked for here.
#include <algorithm>

#include <fmt/format.h>

#include "klp/audit-parts.h"

namespace kpatch {

namespace {

using Places = std::vector<KlpPlace>;

bool contains(const Places& places, KlpPlace place) { return std::binary_search(places.begin(), places.end(), place); }

// Whether an instruction with its relocated field here is listed: it begins 1 to `most_before` bytes before the field.
bool lists_instruction(const Places& places, KlpPlace field, uint64_t most_before) {
  for (uint64_t before = 1; before <= most_before; ++before)
    if (contains(places, {field.section, field.offset - before})) return true;
  return false;
}

// Sections whose references to code are not branched through: the kernel reads them as positions.
bool holds_positions(std::string_view section) { return section_row(section).positions; }

class CodeAudit {
 public:
  explicit CodeAudit(AuditContext& context)
      : c_(context), elf_(context.elf), facts_(*context.arch->audit), pad_(context.arch->code.landing_pad) {}

  void run() {
    for (const ListedCall& call : facts_.calls) listed_.push_back(targets(call.table, call.entry_size));
    if (pad_ != nullptr) seals_ = targets(pad_->seals, 4);
    read_static_calls();
    static_calls_inline_ = c_.kernel_has("__start_static_call_sites");
    for (uint32_t i = 1; i < elf_.sections.size(); ++i)
      if (is_code(i)) check_code(i);
    check_written_places();
    check_jump_table();
    if (facts_.unwind_table != nullptr && c_.kernel_has(facts_.unwind_table->kernels_sign)) check_unwind_table();
    if (pad_ != nullptr && c_.kernel_has(pad_->seals_symbol)) check_landing_pads();
  }

 private:
  bool is_code(uint32_t section) const {
    const KlpSection& s = elf_.sections[section];
    return s.allocated() && (s.header.sh_flags & SHF_EXECINSTR) != 0;
  }

  std::optional<KlpPlace> target(const AuditedRelocation& relocation) const {
    return elf_.place_of(relocation.raw.symbol, relocation.raw.addend);
  }

  // Where the entries of a table of positions point, sorted. Here and below: what an entry lacks, audit-loader.cc finds.
  Places targets(std::string_view table, uint64_t size) {
    Places places;
    auto index = elf_.find_section(table);
    if (!index) return places;
    uint64_t length = elf_.sections[*index].bytes.size();
    for (uint64_t at = 0; at + size <= length; at += size) {
      const AuditedRelocation* relocation = c_.relocation_at({*index, at});
      auto place = relocation == nullptr ? std::nullopt : target(*relocation);
      if (place && place->section < elf_.sections.size() && is_code(place->section)) places.push_back(*place);
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
    for (uint64_t at = 0; at + size <= length; at += size) {
      const AuditedRelocation* site = c_.relocation_at({*index, at});
      auto place = site == nullptr ? std::nullopt : target(*site);
      if (place && is_code(place->section)) static_calls_.push_back(*place);
      const AuditedRelocation* key = c_.relocation_at({*index, at + 4});
      if (key == nullptr) continue;
      std::string_view name = c_.kernel_name(key->raw.symbol);
      // A trampoline stands for its key only where the kernel exports that one alone.
      bool exported =
          !key->livepatch && name.starts_with("__SCT__") &&
          (c_.input.symvers == nullptr || c_.input.symvers->find("__SCK__" + std::string(name.substr(7))) == nullptr);
      if (!name.starts_with("__SCK__") && !exported)
        c_.find_at("static-call", {*index, at + 4}, fmt::format("the key of a static call is '{}'", name));
      else if (place && is_code(place->section))
        check_static_call_key(*key, name, *place);
    }
    std::sort(static_calls_.begin(), static_calls_.end());
  }

  // The kernel writes to the site whatever the key's function is, as a jump where the low bit of the key says so
  // (include/linux/static_call_types.h, STATIC_CALL_SITE_TAIL; tools/objtool/check.c, create_static_call_sections).
  void check_static_call_key(const AuditedRelocation& key, std::string_view name, KlpPlace site) {
    const AuditedRelocation* branch = nullptr;
    for (uint64_t before = 1; before <= facts_.branch_before && branch == nullptr; ++before) {
      branch = c_.relocation_at({site.section, site.offset + before});
      if (branch != nullptr && !c_.kernel_name(branch->raw.symbol).starts_with("__SCT__")) branch = nullptr;
    }
    if (branch == nullptr) {
      c_.find_at("static-call", key.place, "lists a place where no static call is");
      return;
    }
    const std::string_view callee = c_.kernel_name(branch->raw.symbol);
    if (callee.substr(7) != name.substr(7))
      c_.find_at("static-call", key.place, fmt::format("the key of a call of {} is {}", callee, name));
    const std::span<const std::byte> code = elf_.sections[site.section].bytes;
    const int64_t tail = facts_.is_direct_call(code, site.offset) ? 0 : 1;
    if (key.raw.addend != tail)
      c_.find_at(
          "static-call", key.place,
          fmt::format("the key of a {} of {} has flags {}", tail == 0 ? "call" : "jump", callee, key.raw.addend));
  }

  // static_call_update() takes a trampoline's address, and the code that patches the kernel's own (BPF's compiler,
  // apply_returns()) that of the thunks: there is no call.
  bool is_branch(const AuditedRelocation& relocation) const {
    return facts_.is_branch(elf_.sections[relocation.place.section].bytes, relocation.raw.type,
                            relocation.place.offset);
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
      if (!is_branch(relocation)) continue;
      for (size_t i = 0; i < listed_.size(); ++i) {
        const ListedCall& call = facts_.calls[i];
        if (call.prefix ? !name.starts_with(call.callee) : name != call.callee) continue;
        if (!lists_instruction(listed_[i], relocation.place, call.most_before)) missing = call.table;
      }
      if (name.starts_with("__SCT__") && static_calls_inline_ && !is_of_module(relocation) &&
          !lists_instruction(static_calls_, relocation.place, facts_.branch_before))
        missing = ".static_call_sites";
      if (!missing.empty())
        c_.find_at("code-table", relocation.place, fmt::format("{} has no entry in {}", name, missing));
    }
  }

  // The kernel writes a NOP to each ftrace site, so it must be the call.
  void check_written_places() {
    for (size_t i = 0; i < listed_.size(); ++i) {
      const ListedCall& facts = facts_.calls[i];
      if (!facts.written) continue;
      for (const KlpPlace& site : listed_[i]) {
        const AuditedRelocation* call = c_.relocation_at({site.section, site.offset + facts.most_before});
        if (call == nullptr || c_.kernel_name(call->raw.symbol) != facts.callee)
          c_.find_at("ftrace-site", site,
                     fmt::format("{} lists it, but there is no call of {}", facts.table, facts.callee));
      }
    }
  }

  // kernel: struct jump_entry { s32 code; s32 target; long key; }
  void check_jump_table() {
    auto index = elf_.find_section("__jump_table");
    if (!index) return;
    constexpr uint64_t size = 16;
    uint64_t length = elf_.sections[*index].bytes.size();
    for (uint64_t at = 0; at + size <= length; at += size) check_key({*index, at + 8});
  }

  void check_key(KlpPlace field) {
    const AuditedRelocation* relocation = c_.relocation_at(field);
    if (relocation == nullptr) return;
    const KlpSymbol& key = elf_.symbols[relocation->raw.symbol];
    if (key.in_section()) return;
    std::string_view name = c_.kernel_name(relocation->raw.symbol);
    if (c_.input.vmlinux == nullptr) return;
    const Binary& kernel = *c_.input.vmlinux;
    if (kernel.seals_ro_after_init_keys()) return;
    for (uint32_t symbol : kernel.named(name))
      if (kernel.in_ro_after_init(kernel.symbols()[symbol]))
        c_.find_at("jump-label", field,
                   fmt::format("the key {} is read-only after boot, and this kernel writes to it when the "
                               "module is loaded",
                               name));
  }

  // --- unwinding ---

  struct UnwindEntry {
    KlpPlace place;
    bool undefined = false;  // nothing is known about the stack from here on
  };

  std::vector<UnwindEntry> read_unwind_table(const UnwindTable& table) {
    std::vector<UnwindEntry> entries;
    auto ips = elf_.find_section(table.places);
    auto facts = elf_.find_section(table.entries);
    if (!ips || !facts) {
      c_.find("unwind",
              fmt::format("it has no {} and {}: its functions can't be unwound", table.places, table.entries));
      return entries;
    }
    uint64_t count = elf_.sections[*ips].bytes.size() / 4;
    const std::vector<std::byte>& bytes = elf_.sections[*facts].bytes;
    if (elf_.sections[*ips].bytes.size() % 4 != 0 || bytes.size() != count * table.entry_size) {
      c_.find("unwind", fmt::format("{} and {} differ in their number of entries", table.places, table.entries));
      return entries;
    }
    for (uint64_t i = 0; i < count; ++i) {
      const AuditedRelocation* relocation = c_.relocation_at({*ips, i * 4});
      auto place = relocation == nullptr ? std::nullopt : target(*relocation);
      if (place)
        entries.push_back({*place, table.undefined(std::span(bytes).subspan(i * table.entry_size, table.entry_size))});
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

  void check_unwind_table() {
    if (!has_functions()) return;
    const UnwindTable& table = *facts_.unwind_table;
    std::vector<UnwindEntry> entries = read_unwind_table(table);
    if (entries.empty()) return;
    const auto known_at = [&](KlpPlace place) {
      auto next = std::upper_bound(entries.begin(), entries.end(), place,
                                   [](const KlpPlace& p, const UnwindEntry& e) { return p < e.place; });
      return next != entries.begin() && (next - 1)->place.section == place.section && !(next - 1)->undefined;
    };
    for (uint32_t section = 1; section < elf_.sections.size(); ++section) {
      if (!is_code(section)) continue;
      for (const KlpSymbol* function : c_.functions(section)) {
        const KlpPlace start{section, function->entry.st_value};
        if (!known_at(start))
          c_.find_at("unwind", start, fmt::format("no {} entry tells how to unwind it", table.name));
        else
          check_calls_unwind(section, *function, known_at);
      }
    }
  }

  // What objtool did not reach has entries that know nothing. Where such code calls, the stack ends there for the
  // unwinder.
  template <typename KnownAt>
  void check_calls_unwind(uint32_t section, const KlpSymbol& function, KnownAt known_at) {
    if (facts_.is_direct_call == nullptr) return;
    const uint64_t begin = function.entry.st_value, end = begin + function.entry.st_size;
    for (const AuditedRelocation& relocation : c_.relocations(section)) {
      const KlpPlace field = relocation.place;
      if (field.offset <= begin || field.offset >= end || !is_branch(relocation)) continue;
      const KlpPlace call{section, field.offset - 1};
      if (facts_.is_direct_call(elf_.sections[section].bytes, call.offset) && !known_at(call))
        c_.find_at("unwind", call, fmt::format("no {} entry tells how to unwind this call", facts_.unwind_table->name));
    }
  }

  // --- landing pads ---

  // How far behind symbol + addend the address lies that the relocation takes; nothing when it takes none.
  std::optional<int64_t> takes_address(const AuditedRelocation& relocation) const {
    const KlpSection& section = elf_.sections[relocation.place.section];
    if (!section.allocated() || holds_positions(section.name) || c_.new_functions.contains(relocation.place))
      return std::nullopt;
    const bool executable = (section.header.sh_flags & SHF_EXECINSTR) != 0;
    return facts_.address_taken({section.bytes, executable}, relocation.raw.type, relocation.place.offset);
  }

  void check_landing_pads() {
    for (uint32_t section = 1; section < elf_.sections.size(); ++section)
      for (const AuditedRelocation& relocation : c_.relocations(section))
        if (const auto behind = takes_address(relocation)) check_landing_pad(relocation, *behind);
  }

  void check_landing_pad(const AuditedRelocation& relocation, int64_t behind) {
    auto place = target(relocation);
    if (!place) return check_kernel_landing_pad(relocation);
    place->offset += static_cast<uint64_t>(behind);
    if (place->section >= elf_.sections.size() || !is_code(place->section) || !c_.function_starts_at(*place)) return;
    const std::string& name = c_.function_at(*place)->name;
    if (name.starts_with("__SCT__")) return;  // a place to patch; nobody branches through a pointer to it
    const std::span<const std::byte> code = elf_.sections[place->section].bytes;
    if (!pad_->begins(code.subspan(std::min<uint64_t>(place->offset, code.size()))))
      c_.find_at("landing-pad", relocation.place,
                 fmt::format("takes the address of {}, which has no {}", name, pad_->name));
    else if (contains(seals_, *place))
      c_.find_at("landing-pad", relocation.place,
                 fmt::format("takes the address of {}, whose {} is sealed", name, pad_->name));
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
      if (meant && s.type == SymbolType::function && (!s.has_landing_pad || s.landing_pad_sealed))
        c_.find_at("landing-pad", relocation.place,
                   fmt::format("takes the address of {}, which has no {} in the running kernel", s.name, pad_->name));
    }
  }

  AuditContext& c_;
  const KlpElf& elf_;
  const AuditFacts& facts_;
  const LandingPad* pad_;       // nullptr: the architecture has none
  std::vector<Places> listed_;  // by facts_.calls
  Places static_calls_;
  bool static_calls_inline_ = false;
  Places seals_;
};

}  // namespace

void audit_code_tables(AuditContext& context) {
  if (context.arch != nullptr && context.arch->audit != nullptr)
    CodeAudit(context).run();
  else
    context.find("code-table", missing_parts(context.elf.header.e_machine));
}

}  // namespace kpatch

// Does each relocation fill its field, and with an address that can be meant? The loader doesn't ask:
//
//   .rela.kpatch.funcs       0  NONE   .text.show + 10      writes nothing: klp_enable_patch gets a null pointer
//   .rela.text.show         1f  PC32   .rodata.names - 4    and .rodata.names isn't SHF_ALLOC: it is freed after loading
//   .rela.text.show         28  32S    limits + 2^40        "overflow in relocation type": ENOEXEC
//   .klp.rela.vmlinux..text 33  PC32   jiffies + 16777212   16 MiB behind a variable of 8 bytes
//   .rela.data.ops           0  32     show + 0             addresses of the kernel aren't below 4 GiB: ENOEXEC
//
// Addresses outside of what is meant do occur, where an index corrects them: `names[i - 200]` refers to names - 1600. In
// kernels of four series none lies further away than 5 KiB. What lies further than a megabyte is a mistake.
//
// objtool writes relocations of type NONE where it made a call a NOP (--mnop, KCOV in noinstr code), and linkers leave
// them behind for what they dropped: one in a NOP, or beside another one of the same field, harms nobody.
#include <algorithm>

#include <fmt/format.h>

#include "klp/audit-parts.h"

namespace kpatch {

namespace {

constexpr int64_t most_bias = 1 << 20;             // bytes outside of data, where its size is known …
constexpr int64_t most_addend = int64_t{1} << 31;  // … and where it isn't: no kernel, nor module, is larger
constexpr int64_t most_before = 8;                 // PC-relative addends hold the distance to the instruction's end
constexpr uint32_t no_relocation = 0;              // R_*_NONE of every architecture

// Where symbol + addend may lie, relative to what the addend counts from; both included.
struct Reach {
  int64_t first = 0, last = 0;
};

class FieldAudit {
 public:
  explicit FieldAudit(AuditContext& context) : c_(context), elf_(context.elf) {}

  void run() {
    for (uint32_t i = 1; i < elf_.sections.size(); ++i)
      if (elf_.sections[i].allocated())
        for (const AuditedRelocation& relocation : c_.relocations(i)) check(relocation);
  }

 private:
  void check(const AuditedRelocation& r) {
    if (r.raw.type == no_relocation) return check_nothing(r);
    const KlpSymbol& symbol = elf_.symbols[r.raw.symbol];
    if (symbol.in_section() && !elf_.sections[symbol.entry.st_shndx].allocated())
      find(r, fmt::format("{} is in a section that isn't kept in memory", target(r)));
    else if (symbol.in_section() && is_too_narrow(r.raw.type) && !is_per_cpu(symbol))
      find(r, fmt::format("{}: a field of this type holds no address of the kernel, which refuses it", target(r)));
    else if (const Reach reach = reach_of(r); !is_in(reach, r.raw.addend) && !is_physical(r, reach))
      find(r, fmt::format("{}{:+} lies far from {}", target(r), r.raw.addend, target(r)));
  }

  static bool is_in(Reach reach, int64_t addend) { return addend >= reach.first && addend <= reach.last; }

  // __pa(empty_zero_page): the address without that of the kernel's mapping, which is 2 GiB below the end of all.
  bool is_physical(const AuditedRelocation& r, Reach reach) const {
    return c_.arch != nullptr && r.raw.type == c_.arch->elf.absolute_64 && r.raw.addend >= most_addend &&
           is_in(reach, r.raw.addend - most_addend);
  }

  void find(const AuditedRelocation& r, std::string message) {
    c_.find_at(r.livepatch ? "klp-relocation" : "relocation", r.place, std::move(message));
  }
  std::string target(const AuditedRelocation& r) const { return c_.target_name(r.raw.symbol); }

  void check_nothing(const AuditedRelocation& r) {
    const bool code = (elf_.sections[r.place.section].header.sh_flags & SHF_EXECINSTR) != 0;
    if ((code && is_in_nop(r.place)) || is_filled(r.place)) return;
    find(r, fmt::format("a relocation against {} of a type that writes nothing", target(r)));
  }

  bool is_filled(KlpPlace place) const {
    const auto& all = c_.relocations(place.section);
    return std::any_of(all.begin(), all.end(),
                       [&](const auto& r) { return r.place == place && r.raw.type != no_relocation; });
  }

  // The field may begin some bytes behind the instruction's start.
  bool is_in_nop(KlpPlace place) const {
    if (c_.arch == nullptr || c_.arch->audit == nullptr || c_.arch->audit->padding == nullptr) return true;
    const std::vector<std::byte>& code = elf_.sections[place.section].bytes;
    for (uint64_t before = 0; before <= std::min(c_.arch->audit->branch_before, place.offset); ++before)
      if (c_.arch->audit->padding(code, place.offset - before) > before) return true;
    return false;
  }

  bool is_too_narrow(uint32_t type) const {
    return c_.arch != nullptr && std::ranges::count(c_.arch->klp.too_narrow, type) != 0;
  }
  bool is_per_cpu(const KlpSymbol& symbol) const {
    return elf_.sections[symbol.entry.st_shndx].name.starts_with(".data..percpu");
  }

  Reach reach_of(const AuditedRelocation& r) {
    const KlpSymbol& symbol = elf_.symbols[r.raw.symbol];
    if (symbol.in_section()) return reach_in(elf_.sections[symbol.entry.st_shndx], symbol);
    const BinarySymbol* found = kernels(symbol);
    if (found == nullptr || found->size == 0) return {-most_addend, most_addend};
    const auto size = static_cast<int64_t>(std::min<uint64_t>(found->size, most_addend));
    if (found->type == SymbolType::function) return {-most_before, size};
    return {-most_bias, size + most_bias};
  }

  // For code audit-klp.cc asks more.
  static Reach reach_in(const KlpSection& home, const KlpSymbol& symbol) {
    const auto at = static_cast<int64_t>(symbol.entry.st_value);
    const auto size = static_cast<int64_t>(std::min<uint64_t>(home.header.sh_size, INT64_MAX / 4));
    // Nobody corrects the address of a text by an index.
    if ((home.header.sh_flags & SHF_STRINGS) != 0) return {-at - most_before, size - at};
    return {-at - most_bias, size - at + most_bias};
  }

  // What the symbol means outside of the module; nullptr where that can't be told.
  const BinarySymbol* kernels(const KlpSymbol& symbol) {
    KlpName name{"vmlinux", symbol.name, 0};
    if (symbol.entry.st_shndx == shn_livepatch)
      name = parse_klp_symbol(symbol.name, c_.loader.max_symbol_name()).value_or(KlpName{});
    else if (symbol.entry.st_shndx != SHN_UNDEF)
      return nullptr;
    if (name.name.empty() || c_.input.vmlinux == nullptr) return nullptr;
    const Binary* object = c_.object(name.owner);
    if (object == nullptr) return nullptr;
    const auto found = object->named(name.name);
    const size_t rank = name.sympos == 0 ? 0 : name.sympos - 1;
    if (rank >= found.size() || (name.sympos == 0 && found.size() != 1)) return nullptr;
    return &object->symbols()[found[rank]];
  }

  AuditContext& c_;
  const KlpElf& elf_;
};

}  // namespace

void audit_fields(AuditContext& context) { FieldAudit(context).run(); }

}  // namespace kpatch

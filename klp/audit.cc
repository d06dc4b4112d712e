// A livepatch that is wrong in a small way often loads without a word and fails later: a call that jumps into padding,
// a stack that can't be unwound so that the transition never ends, an indirect call that panics on machines with IBT
// which no test machine has. So the finished file is read once more, by code that shares nothing with what made it
// but the ELF reader, and compared with what the shipped kernel holds:
//
//   $ readelf -rW livepatch-fix.ko
//   .klp.rela.vmlinux..text.show   1f PLT32 .klp.sym.vmlinux.seq_show,2 - 4   vmlinux has a second seq_show
//   .rela.text.show                36 PLT32 __x86_return_thunk - 4            .return_sites lists 35
//   .rela.kpatch.funcs              0 64 .text.show + 10                      a function starts there
//
// Each rule asks one question, and reports every place where the answer is no. The parts:
//   audit-module.cc   would the loader take it: modinfo, symbols exported with the right CRCs
//   audit-loader.cc   would each section be read, and as it was meant: doc/loader.md
//   audit-klp.cc      would the livepatch core: tables of functions, klp symbols and relocations, their time
//   audit-fields.cc   would each relocation fill its field, with an address that can be meant
//   audit-code.cc     would the code run: unwinding, return thunks, static calls, jump labels, landing pads, ftrace
//
// The relations are checked in the direction in which a miss does harm: from code to table entry, and from entry to
// code where the kernel writes to what the entry names.
#include "klp/audit.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "elf/elf.h"
#include "klp/audit-parts.h"
#include "support/error.h"
#include "support/text.h"

namespace kpatch {

std::optional<KlpName> parse_klp_symbol(std::string_view symbol, size_t max_name) {
  constexpr std::string_view prefix = ".klp.sym.";
  if (!symbol.starts_with(prefix)) return std::nullopt;
  symbol.remove_prefix(prefix.size());
  size_t dot = symbol.find('.');
  size_t comma = symbol.find(',');
  if (dot == std::string_view::npos || comma == std::string_view::npos || dot == 0 || comma <= dot + 1)
    return std::nullopt;
  KlpName name{symbol.substr(0, dot), symbol.substr(dot + 1, comma - dot - 1)};
  if (name.owner.size() > max_object_name || name.name.size() > max_name) return std::nullopt;
  const char* end = symbol.data() + symbol.size();
  auto [stop, problem] = std::from_chars(symbol.data() + comma + 1, end, name.sympos);
  if (problem != std::errc() || stop != end) return std::nullopt;
  return name;
}

AuditContext::AuditContext(const AuditInput& in, const KlpElf& e)
    : input(in),
      elf(e),
      arch(find_arch(e.header.e_machine)),
      loader(in.release, in.vmlinux, arch),
      relocations_(e.sections.size()),
      functions_(e.sections.size()) {
  for (const KlpSection& section : elf.sections) {
    if (section.header.sh_type != SHT_RELA) continue;
    bool livepatch = (section.header.sh_flags & shf_rela_livepatch) != 0;
    bool late = livepatch && !section.name.starts_with(".klp.rela.vmlinux.");
    for (const KlpRelocation& relocation : section.relocations)
      relocations_[section.header.sh_info].push_back(
          {{section.header.sh_info, relocation.offset}, relocation, livepatch, late});
  }
  for (auto& list : relocations_)
    std::stable_sort(list.begin(), list.end(), [](const auto& a, const auto& b) { return a.place < b.place; });
  for (const KlpSymbol& symbol : elf.symbols)
    if (symbol.type() == STT_FUNC && symbol.in_section() && !symbol.name.starts_with("__pfx_") &&
        !symbol.name.starts_with("__cfi_"))
      functions_[symbol.entry.st_shndx].push_back(&symbol);
  for (auto& list : functions_)
    std::stable_sort(list.begin(), list.end(),
                     [](const auto* a, const auto* b) { return a->entry.st_value < b->entry.st_value; });
}

const AuditedRelocation* AuditContext::relocation_at(KlpPlace place) const {
  if (place.section >= relocations_.size()) return nullptr;
  const auto& list = relocations_[place.section];
  auto found = std::lower_bound(list.begin(), list.end(), place, [](const auto& r, auto& p) { return r.place < p; });
  return found != list.end() && found->place == place ? &*found : nullptr;
}

std::optional<KlpPlace> AuditContext::refers(KlpPlace field) const {
  const AuditedRelocation* relocation = relocation_at(field);
  if (relocation == nullptr || relocation->livepatch) return std::nullopt;
  if (arch != nullptr && arch->audit != nullptr && relocation->raw.type != arch->elf.absolute_64) return std::nullopt;
  return elf.place_of(relocation->raw.symbol, relocation->raw.addend);
}

std::string_view AuditContext::kernel_name(uint32_t symbol) const {
  const KlpSymbol& s = elf.symbols[symbol];
  if (s.entry.st_shndx != shn_livepatch) return s.name;
  auto name = parse_klp_symbol(s.name);
  return name ? name->name : s.name;
}

std::string AuditContext::target_name(uint32_t symbol) const {
  const KlpSymbol& s = elf.symbols[symbol];
  if (s.type() == STT_SECTION && s.in_section()) return elf.sections[s.entry.st_shndx].name;
  return std::string(kernel_name(symbol));
}

const KlpSymbol* AuditContext::function_at(KlpPlace place) const {
  if (place.section >= functions_.size()) return nullptr;
  const auto& list = functions_[place.section];
  auto next = std::upper_bound(list.begin(), list.end(), place.offset,
                               [](uint64_t offset, const KlpSymbol* f) { return offset < f->entry.st_value; });
  if (next == list.begin()) return nullptr;
  const KlpSymbol* function = *(next - 1);
  return place.offset - function->entry.st_value < std::max<uint64_t>(function->entry.st_size, 1) ? function : nullptr;
}

bool AuditContext::function_starts_at(KlpPlace place) const {
  const KlpSymbol* function = function_at(place);
  return function != nullptr && function->entry.st_value == place.offset;
}

Location AuditContext::location_of(KlpPlace place) const {
  const KlpSymbol* function = function_at(place);
  return {.function = function == nullptr ? std::string{} : function->name,
          .section = place.section < elf.sections.size() ? elf.sections[place.section].name : "?",
          .offset = place.offset};
}

const Binary* AuditContext::object(std::string_view name) {
  if (name == "vmlinux" || input.vmlinux == nullptr) return input.vmlinux;
  auto [entry, is_new] = objects_.try_emplace(std::string(name), nullptr);
  if (!is_new) return entry->second;
  if (input.open_module) entry->second = input.open_module(name);
  if (entry->second == nullptr) find("module", fmt::format("module {} is not among the shipped modules", name));
  return entry->second;
}

std::vector<Finding> audit(const AuditInput& input) {
  KPATCH_ASSERT(!input.ours || (input.vmlinux != nullptr && input.symvers != nullptr));
  KlpElf elf = KlpElf::read(input.module);
  // The livepatch core looks up new functions by name and klp symbols by index; nothing below can be asked either.
  if (elf.symtab == 0 || elf.symbols.size() <= 1)
    return {{"symbols", Severity::error, {}, "it has no symbol table: a livepatch must not be stripped", {}}};
  AuditContext context(input, elf);
  audit_module(context);
  audit_loader(context);
  audit_tables(context);
  audit_klp(context);
  audit_fields(context);
  audit_code_tables(context);
  context.require_unchanged();
  return context.take();
}

}  // namespace kpatch

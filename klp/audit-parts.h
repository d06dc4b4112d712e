// What the audit's parts share; for audit*.cc alone.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "arch/arch.h"
#include "elf/elf.h"
#include "klp/audit.h"
#include "klp/loader-facts.h"
#include "klp/loader-model.h"
#include "klp/patch-tables.h"
#include "support/finding.h"

namespace kpatch {

// A relocation with what it needs to be judged by itself.
struct AuditedRelocation {
  KlpPlace place;
  KlpRelocation raw;
  bool livepatch = false;  // of a .klp.rela section
  bool late = false;       // … that is applied when a module comes
};

struct KlpName {
  std::string_view owner;
  std::string_view name;
  unsigned long sympos = 0;
};

// ".klp.sym.OWNER.NAME,SYMPOS"; nothing when the kernel would not read it so. max_name: LoaderModel::max_symbol_name().
std::optional<KlpName> parse_klp_symbol(std::string_view symbol, size_t max_name = max_symbol_name);

class AuditContext {
 public:
  AuditContext(const AuditInput& input, const KlpElf& elf);

  const AuditInput& input;
  const KlpElf& elf;
  const Arch* arch;    // of the module; nullptr when it is none that is known
  LoaderModel loader;  // of the kernel that will load it
  // Filled by audit_tables(): objects, and fields of its tables that hold new functions. ftrace returns to those, it
  // doesn't branch (kernel/livepatch/patch.c, klp_ftrace_handler).
  std::set<std::string, std::less<>> patched_objects;
  std::set<KlpPlace> new_functions;

  // Of the module as a whole; of a place in it.
  void find(std::string_view rule, std::string message) { find_in(rule, {}, std::move(message)); }
  void find_in(std::string_view rule, Location location, std::string message) {
    findings_.push_back({std::string(rule), Severity::error, std::move(location), std::move(message), {}});
  }
  void find_at(std::string_view rule, KlpPlace place, std::string message) {
    find_in(rule, location_of(place), std::move(message));
  }
  // What no module of ours may have, and the kernel takes.
  void object_to(std::string_view rule, Location location, std::string message) {
    find_in(rule, std::move(location), std::move(message));
    if (!input.ours) findings_.back().severity = Severity::warning;
  }
  std::vector<Finding> take() { return std::move(findings_); }

  // Of a section, by offset; empty for sections without.
  const std::vector<AuditedRelocation>& relocations(uint32_t section) const { return relocations_[section]; }
  const AuditedRelocation* relocation_at(KlpPlace place) const;  // nullptr when none

  // What a symbol is called in the kernel: klp symbols by their NAME, others by their own.
  std::string_view kernel_name(uint32_t symbol) const;
  // kernel_name, or the section's for section symbols.
  std::string target_name(uint32_t symbol) const;

  // The function that contains the place; nullptr when none does.
  const KlpSymbol* function_at(KlpPlace place) const;
  // Every function of a section, by offset; without __pfx_ and __cfi_ symbols.
  const std::vector<const KlpSymbol*>& functions(uint32_t section) const { return functions_[section]; }
  bool function_starts_at(KlpPlace place) const;

  // Section, offset, and the function that is there.
  Location location_of(KlpPlace place) const;

  // Where a field points, by an ordinary relocation.
  std::optional<KlpPlace> refers(KlpPlace field) const;

  // "vmlinux" or a module; nullptr (after a finding, once an object) when it isn't known. Without a vmlinux nothing is.
  const Binary* object(std::string_view name);
  // Throws Error when one of them was written to meanwhile.
  void require_unchanged() const {
    if (input.vmlinux != nullptr) input.vmlinux->require_unchanged();
    for (const auto& [name, object] : objects_)
      if (object != nullptr) object->require_unchanged();
  }
  bool kernel_has(std::string_view symbol) const {
    return input.vmlinux != nullptr && !input.vmlinux->named(symbol).empty();
  }

 private:
  std::vector<Finding> findings_;
  std::vector<std::vector<AuditedRelocation>> relocations_;
  std::vector<std::vector<const KlpSymbol*>> functions_;
  std::map<std::string, const Binary*, std::less<>> objects_;
};

void audit_module(AuditContext& context);       // modinfo, exports and CRCs (audit-module.cc)
void audit_loader(AuditContext& context);       // sections, and the entries of tables (audit-loader.cc)
void audit_tables(AuditContext& context);       // what is replaced by what (audit-klp.cc)
void audit_klp(AuditContext& context);          // klp symbols and relocations (audit-klp.cc)
void audit_fields(AuditContext& context);       // what relocations write (audit-fields.cc)
void audit_code_tables(AuditContext& context);  // what objtool and the compiler left (audit-code.cc)

}  // namespace kpatch

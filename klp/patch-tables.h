// Where a livepatch says what it replaces: the tables of those who make livepatches, read into one form.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "elf/elf.h"

namespace kpatch {

// Who wrote the tables; patch-tables.cc shows each.
enum class PatchForm : uint8_t {
  none,          // none that is known, though it may make them when it is loaded
  kpatch_build,  // ours
  dynup,         // .kpatch.funcs of kpatch before it was this one
  klp_build,     // mainline's scripts/livepatch
  klp_patch      // struct klp_patch in C: samples/livepatch, SUSE's
};
std::string_view name_of(PatchForm form);

// Places of fields; those without a value are pointers that relocations fill.
struct PatchedFunction {
  KlpPlace entry;  // for messages
  KlpPlace new_function;
  KlpPlace name;
  std::optional<KlpPlace> object;  // nothing: NULL, which is vmlinux
  uint64_t sympos = 0;
};

struct PatchCallback {
  KlpPlace entry;
  KlpPlace function;
  std::optional<KlpPlace> object;
  std::string kind;  // "pre_patch"
};

// An object that is named, with functions or without.
struct PatchedObjectName {
  KlpPlace entry;
  std::optional<KlpPlace> object;
};

struct PatchTables {
  PatchForm form = PatchForm::none;
  std::vector<PatchedFunction> functions{};
  std::vector<PatchCallback> callbacks{};
  std::vector<PatchedObjectName> objects{};
  bool has_states = false;            // struct klp_state, of a livepatch in C
  std::vector<std::string> uneven{};  // sections that are no whole number of entries
};

PatchTables read_patch_tables(const KlpElf& elf);

// A row of them in words; empty: points at nothing that has a name.
struct Replacement {
  std::string object, name;
  uint64_t sympos = 0;
  std::string by;  // the module's function

  auto operator<=>(const Replacement&) const = default;
};
std::vector<Replacement> replacements_of(const KlpElf& elf, const PatchTables& tables);  // sorted

// Likewise a callback of an object.
struct NamedCallback {
  std::string object, kind;
};
std::vector<NamedCallback> callbacks_of(const KlpElf& elf, const PatchTables& tables);

}  // namespace kpatch

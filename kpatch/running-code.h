// Whether the code that runs is the one that a livepatch was made for.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kpatch/hooks.h"
#include "kpatch/module-file.h"
#include "kpatch/system.h"

namespace kpatch {

struct OriginalFunction {
  HookedFunction function;
  std::string section;   // of a module; empty in vmlinux
  uint64_t address = 0;  // in that section; of vmlinux as it was linked
  std::string code;
  std::vector<bool> compared;   // of each byte of the code
  std::vector<uint64_t> calls;  // offsets of 32-bit distances that may be a bit less
};

struct OriginalCode {
  std::string build_id;  // of vmlinux, hex
  std::vector<OriginalFunction> functions;
};

// What the module's note says (doc/formats.md, .note.kpatch.code); nothing where it is damaged.
std::optional<OriginalCode> original_code_of(std::string_view note);

// Compares it with /proc/kcore: what differs is against a livepatch, what can't be compared isn't known. Of modules that
// aren't loaded nothing is said. Waits for two seconds at most where something differs, which a probe that comes or goes
// may have written.
std::vector<Hook> foreign_code(System& system, const ModuleFile& module);

}  // namespace kpatch

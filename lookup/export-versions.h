// Versions of exported symbols (CONFIG_MODVERSIONS): a CRC over the declaration of each and all types that it leads to, as
// the kernel's own generator gives them (scripts/genksyms; scripts/gendwarfksyms with CONFIG_GENDWARFKSYMS, since 6.14).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "lookup/symvers.h"

namespace kpatch {

// Of one object.
struct ExportVersions {
  std::map<std::string, uint32_t, std::less<>> crcs;
  // What the CRCs are of: "s#mutex" -> "struct mutex { t#atomic_long_t owner ; … }", and exports by their own names.
  // s, u, e, t: struct, union, enum, typedef; E: an enumerator.
  std::map<std::string, std::string, std::less<>> types;
};

// output: lines "#SYMVER pipe_lock 0xb4178db6" (since 5.18), before "__crc_pipe_lock = 0xb4178db6;"; what else stands
// there is skipped. types: a line each (genksyms -T, gendwarfksyms --symtypes). Throws Error when a CRC isn't one.
ExportVersions read_export_versions(std::string_view output, std::string_view types);

// An export whose version the patch changes.
struct ExportChange {
  std::string name;
  uint32_t before = 0, after = 0;
  std::vector<std::string> causes;  // keys of `types` that differ, the nearest first; the export's own name among them

  bool operator==(const ExportChange&) const = default;
};

// Sorted by name. What only one side exports is not among them, nor what changes because a struct that was opaque to this
// file is known to it now (or no longer): a new #include does that.
std::vector<ExportChange> export_changes(const ExportVersions& before, const ExportVersions& after);

// The exports of `original` that the shipped kernel has with another version; owner: as Symvers has it. Those that it
// doesn't export, or without versions, are not among them.
std::vector<std::string> other_than_shipped(const ExportVersions& original, const Symvers& shipped,
                                            std::string_view owner);

// As lines, for create-diff-object: name, both CRCs and the causes, with tabs between.
std::string text_of(const std::vector<ExportChange>& changes);
// The reverse. Throws Error where a line is none.
std::vector<ExportChange> read_export_changes(std::string_view text);

}  // namespace kpatch

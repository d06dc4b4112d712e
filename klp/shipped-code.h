// What the machine needs that will run a livepatch, to tell whether its kernel's code is the one that was shipped.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "klp/loader-model.h"
#include "lookup/lookup.h"

namespace kpatch {

struct RewrittenCode;
struct RunningFacts;

// The shipped code of a function, and which of it must be in memory as it is in the file.
struct ShippedFunction {
  std::string object, name;  // "vmlinux", or a module as the kernel calls it
  std::string section;       // of a module; empty in vmlinux
  uint64_t address = 0;      // in that section; of vmlinux as it was linked
  std::vector<std::byte> code;
  std::vector<bool> compared;   // of each byte
  std::vector<uint64_t> calls;  // offsets of 32-bit distances that may be a bit less
};

// Of one shipped file: its functions, with what the kernel writes over them taken out.
class ShippedCode {
 public:
  // shipped: as ELF; it must outlive this. object: what the kernel calls it. model: of its kernel, for the tables' entries.
  // Throws Error when a table is damaged.
  ShippedCode(const Binary& shipped, std::string object, const LoaderModel& model);

  // Nothing where the architecture's code isn't known so far, or the symbol has no code in the file.
  std::optional<ShippedFunction> function(uint32_t symbol) const;

 private:
  struct Place {
    uint32_t section = 0;         // 0 in vmlinux
    uint64_t at = 0, length = 0;  // length 0: the instruction's
    bool call = false;
  };
  void read(const RewrittenCode& table, uint64_t entry_size);
  void add(const RewrittenCode& table, std::span<const std::byte> entry, uint32_t section, uint64_t at);
  void skip(ShippedFunction& function, const Place& place, uint64_t begin) const;

  const Binary& shipped_;
  std::string object_;
  const Arch* arch_;
  const RunningFacts* running_;
  std::vector<Place> places_;  // sorted
  CodeRange image_;
};

// Writes a note into the module, which isn't loaded with it (doc/formats.md, .note.kpatch.code), with what it says of the
// functions that it replaces: vmlinux is the ELF file, open_module gives a shipped module by the kernel's name or nullptr.
// Functions that can't be found are left out; without any the module stays as it is. Throws Error when a file is damaged.
void add_shipped_code(const std::filesystem::path& module, const Binary& vmlinux, const LoaderModel& model,
                      const std::function<const Binary*(std::string_view)>& open_module);

// The same for functions that are given.
void write_shipped_code(const std::filesystem::path& module, std::string_view build_id,
                        std::span<const ShippedFunction> functions);

}  // namespace kpatch

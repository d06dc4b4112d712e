// Functions as their source defines them: where, and what they return.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace kpatch {

enum class ReturnKind : uint8_t { nothing, boolean, integer, pointer, enumeration, other };

struct ReturnType {
  ReturnKind kind = ReturnKind::nothing;
  std::string name{};  // "int", "struct page *", of `other` what it is: "struct timespec64"
  uint64_t bytes = 0;
  bool is_signed = false;
  std::vector<std::pair<std::string, int64_t>> enumerators{};

  auto operator<=>(const ReturnType&) const = default;
};

struct DefinedFunction {
  std::string name;
  std::string file;  // as the compiler was told, normalised; relative or not
  int line = 0;      // of the function's name
  ReturnType type{};
  bool never_returns = false;  // __noreturn

  auto operator<=>(const DefinedFunction&) const = default;
};

// Those of that name that an ELF file's DWARF defines, sorted; one that is in a header once, however many units have it.
// Inlined ones too. Throws Error when the file can't be read. 0.5 s for a vmlinux.
std::vector<DefinedFunction> defined_functions(const std::filesystem::path& file, const std::string& name);

}  // namespace kpatch

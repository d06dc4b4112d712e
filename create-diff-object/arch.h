// What differs from one architecture to the next: one constant an architecture, found by find_arch() alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

namespace kpatch {

class Object;
struct Relocation;
struct Section;

// A special section: a table whose entries refer to code by their first relocation.
struct TableFacts {
  std::string_view section;
  std::string_view struct_name{};  // entry size: sizeof of this kernel struct …
  uint32_t fixed_size = 0;         // … or this many bytes …
  // … or, where both are unset, the distance between the entries' first relocations.
  // Bytes of an entry that hold a line number, which no comparison looks at.
  uint32_t line_offset = 0, line_size = 0;
  bool compared = true;  // false: tables that the tool chain rebuilds (rule: never count as change)
  // The kernel reads it before it applies klp relocations of modules (kernel/module/main.c, post_relocation and
  // the notifiers): such a relocation there would come too late.
  bool early = false;
};

// How a relocation uses its target.
enum class Use : uint8_t { call, address };

struct Arch {
  uint16_t machine = 0;
  std::string_view name;
  uint32_t absolute_64 = 0;  // the relocation type for a plain 64-bit address
  std::span<const TableFacts> tables;
  std::span<const std::string_view> ftrace_symbols;  // undefined symbols that a traced function calls at its start
  uint64_t max_function_offset = 0;                  // bytes that may stand before the function in a section of its own
  // Fills Relocation::target_offset of all relocations of a section.
  void (*find_targets)(const Object& object, const Section& section, std::span<Relocation> relocations) = nullptr;
  // What the instruction at the relocation does with the target.
  Use (*use_of)(const Object& object, const Section& section, const Relocation& relocation) = nullptr;
  bool (*known_relocation)(uint32_t type) = nullptr;
  // Whether two functions of equal size differ in nothing but line numbers that are arguments of a warning helper.
  bool (*line_numbers_only)(std::span<const std::byte> orig, std::span<const std::byte> patched,
                            const std::function<bool(uint64_t offset)>& warns_behind) = nullptr;
  // Whether branches without a relocation leave [begin, end) of the section.
  bool (*escapes)(std::span<const std::byte> code, uint64_t begin, uint64_t end) = nullptr;
  bool rejects_sibling_calls = false;
  // Whether the code at a function's start is an instruction that allows indirect branches (x86 ENDBR64).
  bool (*starts_with_landing_pad)(std::span<const std::byte> code) = nullptr;

  const TableFacts* table(std::string_view section) const;
};

// nullptr when the machine (ELF e_machine) is not supported.
const Arch* find_arch(uint16_t machine);

extern const Arch arch_x86_64;

}  // namespace kpatch

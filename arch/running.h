// What of a kernel's code differs in memory from the file, lawfully. Beside arch.h, for the few who ask for it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "arch/arch.h"

namespace kpatch {

// Code that the kernel writes over while it boots or later, and that its own table lists.
struct RewrittenCode {
  enum class Length : uint8_t {
    fixed,        // `length` bytes
    instruction,  // the one that is there
    told,         // the entry has it, in one byte at `length`; at `length_of_larger` where entries have `larger` bytes
  };
  std::string_view table{};          // the section in modules, and in vmlinux …
  bool prefix = false;               // all sections that begin so
  std::string_view start{}, stop{};  // … but for those that lie between two symbols there
  uint64_t entry_size = 0;           // 0: as LoaderModel has it
  unsigned width = 4;  // of the reference at an entry's start: 4 bytes relative to itself, or an address of 8
  Length kind = Length::instruction;
  uint64_t length = 0, larger = 0, length_of_larger = 0;
  bool calls = false;  // only what is called may change, and to a place just before it
};

// What of a function's shipped bytes the kernel that runs has as well.
struct RunningFacts {
  std::span<const RewrittenCode> rewritten{};
  // Files with this section have more code rewritten than their tables list: nothing of it is compared.
  std::string_view not_with{};
  uint64_t most_before = 0;  // bytes by which RewrittenCode::calls may call an earlier place
  // Adds the fields of the code at `address` that are other ones when the image lies elsewhere than it was linked for:
  // addresses in the image, and distances to what doesn't move with it.
  void (*moving_fields)(std::span<const std::byte> code, uint64_t address, CodeRange image,
                        std::vector<CodeRange>& fields) = nullptr;
};

// nullptr: nobody has written it yet.
const RunningFacts* find_running_facts(uint16_t machine);

extern const RunningFacts running_x86_64;

}  // namespace kpatch

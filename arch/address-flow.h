// Where the address of a constant goes that a function makes.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

namespace kpatch {

// What becomes of an address that is handed to a function.
enum class Handling : uint8_t {
  unknown,   // it may be kept
  read,      // what lies there is read, and nothing refers to it afterwards
  returned,  // the same, but that the function may return an address of it
};

// What the code alone doesn't tell. All places are counted from the section's start.
struct FlowFacts {
  // The name of what the relocation at `field` refers to, nothing where there is none.
  std::function<std::optional<std::string_view>(uint64_t field)> target;
  // What the function of that name does with an address that is its `argument` (0: the first).
  std::function<Handling(std::string_view name, unsigned argument)> handling;
  // Whether the relocation at `field` refers to the place behind the constant's end.
  std::function<bool(uint64_t field)> is_end;
  // Where the instruction in [begin, end) may lead to beside what it says (a static branch, a fault); nothing where that
  // can't be told, or where the kernel may replace it.
  std::function<std::optional<std::vector<uint64_t>>(uint64_t begin, uint64_t end)> ways;
  // The constant holds addresses that may not be kept either: code may hand its own on, and not look into it.
  bool holds_addresses = false;
};

}  // namespace kpatch

// Patches by which functions return at once.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kpatch {

struct EarlyReturn {
  std::string file;  // relative to the source
  std::string
      function;  // the word that its definition begins with, or a macro's: "meminfo_proc_show", "SYSCALL_DEFINE1"
  int line = 0;  // on which that word stands
  std::string statement;  // "return -1;"
};

// The line on which the function's body begins, from 1: the one with its brace. Nothing when the word isn't on that line,
// or no body follows it.
std::optional<size_t> body_of(const EarlyReturn& what, std::string_view source);

// A unified diff of one file, for functions that body_of() finds. What was there stays, in a block of its own that nobody
// reaches, so that nothing becomes unused and no declaration stands behind a statement.
std::string early_return_patch(const std::string& file, const std::vector<EarlyReturn>& functions,
                               std::string_view source);

}  // namespace kpatch

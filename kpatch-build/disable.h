// --disable: before there is a fix, functions that return at once.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kpatch-build/stages.h"
#include "lookup/lookup.h"

namespace kpatch {

// "FILE:FUNC=VALUE"
struct Disabled {
  std::string place{};  // a source of the kernel, or a module; empty: any
  std::string function{};
  std::optional<std::string> value{};
};
// Throws Error when it isn't written so.
Disabled parse_disabled(const std::string& text);

// The statement by which a function of that type returns the value. Throws Error, saying what fits, for a value that
// doesn't; subject: for its message.
std::string return_statement(const ReturnType& type, const std::optional<std::string>& value,
                             const std::string& subject);

// The patch for all of --disable. Findings: what can't be disabled so. Throws Error when a function isn't there, or may be
// one of several.
Result<PatchText> disabling_patch(const Build& build, const Base& base);

}  // namespace kpatch

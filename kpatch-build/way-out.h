// What a refused change can be written as instead: a text that its author goes on with.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "support/finding.h"

namespace kpatch {

// A file of the patch, changed so that the finding goes away, or is where the author has to go on: places to be filled in
// hold the word EDIT. For rules "static-key" (the key's state is asked for by static_key_enabled()), "data-init" (the old
// initialiser, and a callback that sets what the patch sets), "data-layout" (the old struct, and a shadow variable with the
// new members) and "no-ftrace" (a copy of the function for its callers in the file). Nothing where there is no such
// way, or the finding's subject isn't in the text. original, patched: the file's texts; original may be empty.
std::optional<std::string> way_out(const Finding& finding, std::string_view original, std::string_view patched);

}  // namespace kpatch

// Static branches on keys of modules.
#pragma once

#include <filesystem>
#include <set>
#include <span>
#include <string>
#include <string_view>

#include "kbuild/kbuild.h"
#include "kpatch-build/diff-pairs.h"

namespace kpatch {

// The keys of modules on which the patched code of a pair has static branches, which no livepatch can have: what rule
// "static-key" refuses of it. Empty when one of them can't be asked for by its name.
std::set<std::string> refused_module_keys(const PairReport& report);

// Writes DIRECTORY/linux/jump_label.h, which stands before the kernel's own: static_branch_likely() and the like are
// tests of the key's state where the key is one of these, and what they always are for all others.
void write_key_header(const std::filesystem::path& directory, const std::set<std::string>& keys);

// Whether the pair compiled with such a header says what the first one said: each function that changed still does, and
// none of the keys is refused.
bool stands_for(const PairReport& with_tests, const PairReport& first);

}  // namespace kpatch

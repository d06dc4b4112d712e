// Copies of changed inline functions that the livepatch leaves as they are.
#pragma once

#include <filesystem>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "kbuild/mentions.h"
#include "support/finding.h"

namespace kpatch {

// Warnings ("inlined-copy"), one for each function of the headers that changes and that vmlinux's DWARF has inlined in
// units of other sources than `compiled` (relative to the source tree). None without DWARF, and of modules none: theirs
// isn't read. Throws Error when vmlinux can't be read.
std::vector<Finding> inlined_copies(const std::filesystem::path& vmlinux, std::span<const HeaderChange> changes,
                                    const std::set<std::string>& compiled);

}  // namespace kpatch

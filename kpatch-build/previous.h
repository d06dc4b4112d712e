// Cumulative releases: whether a livepatch still does all that the one before it did.
#pragma once

#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "klp/klp.h"
#include "patch/patch.h"
#include "support/finding.h"

namespace kpatch {

// What patches say by their texts: places and ids of shadow variables. exists: whether the source has a file, before
// all patches. Throws Error as parse_patch() and resolve_paths() do.
LivepatchContent content_of_patches(std::span<const PatchText> patches,
                                    const std::function<bool(const std::string&)>& exists);

// A module (ELF, of ours, of kpatch or of klp-build), a report (.json), or else a patch. Throws Error when it is none of
// them; exists: as above.
LivepatchContent read_previous(const std::filesystem::path& file,
                               const std::function<bool(const std::string&)>& exists);

// What the earlier one has and the new one hasn't: refusals ("dropped-function", "dropped-hunk", "dropped-callback",
// "dropped-shadow", "dropped-state", "dropped-fix"), warnings where they are acknowledged; and notices of what is new, of
// what is another, and of what the earlier one doesn't say ("previous").
std::vector<Finding> compare_with_previous(const LivepatchContent& previous, const std::filesystem::path& name,
                                           const LivepatchContent& now, std::span<const std::string> acknowledged);

}  // namespace kpatch

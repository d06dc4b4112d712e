// Which folder is a cache of ours, and what may be in it.
#pragma once

#include <filesystem>
#include <string_view>

namespace kpatch {

// Folders of a cache whose entries are made once and found by digest.
bool is_entry_kind(std::string_view name);  // "base", "packages", "toolchain", …
// The names that are ours within a folder of the cache; nothing else is ever removed from it.
bool is_entry_name(std::string_view name);    // a digest
bool is_scratch_name(std::string_view name);  // in scratch/
bool is_digest_name(std::string_view name);   // in digests/
bool is_log_name(std::string_view name);      // in logs/

// Makes the root if it is missing, marks it as ours (`kpatch-cache`, CACHEDIR.TAG), and gives its canonical path. A folder without
// the mark is taken when it is empty or holds exactly what a cache does. Throws Error, and has written nothing, when it
// holds other things, when it or one of its folders belongs to another user or may be written by others, or when its path
// can't be used by kbuild.
std::filesystem::path prepare_cache_root(const std::filesystem::path& root);

// Throws Error when another user than ours and root owns the folder, or may write to it: what is in it would run as ours.
void require_our_own(const std::filesystem::path& folder);

}  // namespace kpatch

// Paths of this machine in compiled objects.
#pragma once

#include <filesystem>
#include <span>

namespace kpatch {

// In the object's string sections, TREE/fs/proc/array.c becomes fs/proc/array.c, for each of the trees (absolute). A file
// that is no ELF object stays as it is. Throws Error as ElfFile does, and when the object can't be written.
void shorten_source_paths(const std::filesystem::path& object, std::span<const std::filesystem::path> trees);

}  // namespace kpatch

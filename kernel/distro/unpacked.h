// What a package's unpacker has written.
#pragma once

#include <filesystem>
#include <string>

#include "support/executor.h"

namespace kpatch {

// No file of a kernel's packages is nearly as large; an unpacker that goes beyond it is ended.
inline constexpr uint64_t largest_unpacked_file = uint64_t{16} << 30;

enum class Links { inside, anywhere };

// Makes an unpacked tree ours: the owner, no setuid and the like, nobody else may write. package: for messages. Throws
// Error when it holds devices, pipes or sockets; with Links::inside also when a symbolic link leads out of it.
void clean_unpacked(const std::filesystem::path& tree, const std::string& package, Links links);

// Moves what is below `from` to `to`, where folders may be already. Throws Error, naming the package, when anything
// else is there by that name, and when `from` holds other things than folders itself.
void merge_unpacked(const std::filesystem::path& from, const std::filesystem::path& to, const std::string& package);

// Throws Error when links lead from the file (of the package, below the folder) out of the folder.
void require_inside(const std::filesystem::path& file, const std::filesystem::path& folder, const std::string& package);

// Makes the folder `relative` below `top`, which is there. Throws Error when a part of it is there and is no folder: a link
// in the package would lead elsewhere.
void make_folders(const std::filesystem::path& top, const std::filesystem::path& relative, const std::string& package);

// tar, of an archive that holds a tree in one folder, into a folder that is there.
Command unpack_tree_command(const std::filesystem::path& archive, const std::filesystem::path& folder);

}  // namespace kpatch

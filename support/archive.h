// Compressed bytes and archives, through libarchive. What something is compressed with is told by its first bytes,
// never by its name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace kpatch {

// xz, gzip or zstd, by the magic number.
bool is_compressed(std::span<const std::byte> bytes);

// What compressed bytes unpack to. name: for messages. Throws Error when they are damaged or cut off, or when they
// unpack to nothing or to more than `most` bytes: a few kilobytes can stand for terabytes.
std::vector<std::byte> decompressed(std::span<const std::byte> bytes, const std::string& name,
                                    uint64_t most = uint64_t{4} << 30);

// Unpacks an .rpm, or a cpio archive (also compressed), below a folder that is there. Owners are ours, time stamps and
// modes the archive's. Throws Error when it is damaged or cut off, is no archive, or wants to write outside of the folder.
void extract(const std::filesystem::path& archive, const std::filesystem::path& folder);

}  // namespace kpatch

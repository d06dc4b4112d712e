// Compressed bytes and archives, through libarchive. What something is compressed with is told by its first bytes,
// never by its name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kpatch {

// xz, gzip or zstd, by the magic number.
bool is_compressed(std::span<const std::byte> bytes);

// What so many compressed bytes may unpack to, and no more than `most`: a few kilobytes can stand for terabytes.
// Executables and sources shrink to a third or a tenth, debug information to a thirtieth.
inline constexpr uint64_t times_its_size = 200, always_allowed = uint64_t{64} << 20;
uint64_t unpacked_limit(uint64_t compressed, uint64_t most);

// What compressed bytes unpack to. name: for messages. Throws Error when they are damaged or cut off, or when they
// unpack to nothing or to more than unpacked_limit().
std::vector<std::byte> decompressed(std::span<const std::byte> bytes, const std::string& name,
                                    uint64_t most = uint64_t{2} << 30);

// Unpacks an .rpm, or an archive of cpio or tar (also compressed), below a folder that is there. Owners are ours, time stamps and
// modes the archive's, but for setuid and the like. Throws Error when it is damaged or cut off, is no archive, wants to
// write outside of the folder, holds other things than files, folders and symbolic links, or when its files are larger
// together than unpacked_limit().
// wanted (may be empty: all): which of its files, by their paths as they stand in the archive.
void extract(const std::filesystem::path& archive, const std::filesystem::path& folder,
             const std::function<bool(std::string_view path)>& wanted = {}, uint64_t most = uint64_t{16} << 30);

}  // namespace kpatch

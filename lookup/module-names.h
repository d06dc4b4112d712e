// What a module is called, by the path of its file.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

namespace kpatch {

// How the file of a module may end: as built, and as make modules_install compresses it (kernel: MODULE_COMPRESS_XZ,
// _GZIP, and _ZSTD since 5.13).
inline constexpr std::array<std::string_view, 4> module_endings = {".ko", ".ko.xz", ".ko.gz", ".ko.zst"};

// "net/netfilter/xt-comment.ko.xz" -> "net/netfilter/xt-comment", as kbuild and Module.symvers name it; empty for the
// path of anything else.
std::optional<std::string_view> module_path_of(std::string_view file);

// "net/netfilter/xt-comment.ko.xz", or the same without an ending -> "xt_comment", the name that the running kernel
// knows it by.
std::string module_name_of(std::string_view path);

}  // namespace kpatch

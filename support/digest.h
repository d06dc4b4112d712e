// XXH3-128, 32 hex digits. It tells things apart that nobody made on purpose to look alike.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace kpatch {

std::string digest_of(std::string_view bytes);
// Of a file's contents. Throws Error when it can't be read.
std::string digest_of_file(const std::filesystem::path& path);

}  // namespace kpatch

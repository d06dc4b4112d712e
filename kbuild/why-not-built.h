// Why the configuration does not build a file.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace kpatch {

// The option of the first Makefile line on the way from the file to the top that the config has switched off, as
// "CONFIG_JFS_FS"; empty when no line tells.
std::optional<std::string> missing_option(const std::filesystem::path& source, const std::filesystem::path& config,
                                          std::string_view file);

// Whether the Makefile beside the file builds a program of it that runs on the machine that compiles (hostprogs).
bool is_host_program(const std::filesystem::path& source, std::string_view file);

}  // namespace kpatch

// What kbuild records beside each file that it makes: "dir/.file.o.cmd".
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace kpatch {

struct BuildRecord {
  std::string command;                      // the line of shell that made the file, as kbuild gave it to sh
  std::string source{};                     // what was compiled; empty for what isn't compiled
  std::vector<std::string> dependencies{};  // all that was read
};

// Nothing when there is no record, or it holds no command. scripts/Kbuild.include, make-cmd: "cmd_FILE := …", since 6.2
// "savedcmd_FILE := …", with $ and # escaped for make; scripts/basic/fixdep.c: "source_FILE := …", "deps_FILE := \".
std::optional<BuildRecord> read_record(const std::filesystem::path& file);

// Writes the record of a file, for what reads those (modpost's source version does). Throws Error.
void write_record(const std::filesystem::path& file, const BuildRecord& record);

}  // namespace kpatch

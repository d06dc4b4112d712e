// A command: what it is started with, and what came of it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace kpatch {

struct Command {
  std::vector<std::string> argv;                                 // argv[0] is looked up in PATH; no shell
  std::filesystem::path directory;                               // where it runs; empty: here
  std::vector<std::pair<std::string, std::string>> environment;  // added to ours (LC_ALL=C is always set)
  bool outside = false;                                          // isn't confined: see Executor::confine
  bool ours = false;                                             // a program of this machine: see Executor::enter_root
  uint64_t largest_file = 0;                                     // that it may write, in bytes; 0: any
};

struct CommandResult {
  int status = 0;      // exit status; 128 + signal when killed
  std::string output;  // stdout and stderr as they came, in one
  bool ok() const { return status == 0; }
};

// Our environment without what steers make, kbuild or the compiler, with LC_ALL=C and the command's own: "NAME=value".
std::vector<std::string> environment_of(const Command& command);

// As a shell would take it, in one line: "cd /a && X=y make -j2".
std::string command_line(const Command& command);

// Where PATH leads to; a name with a slash is taken as it is. Empty: there is no such program.
std::optional<std::filesystem::path> find_program(const std::string& name);

}  // namespace kpatch

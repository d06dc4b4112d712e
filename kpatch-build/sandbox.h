// What a build's commands may touch.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "support/executor.h"

namespace kpatch {

// The words in front of a command that make it see the whole file system, read-only but for these folders, and no
// network. They are bubblewrap's (bwrap, 0.4 or later).
std::vector<std::string> sandbox_words(const std::vector<std::filesystem::path>& writable);

// The same, in which the system is that of a root: its programs, libraries and configuration, nothing of this machine but
// what is writable or readable.
std::vector<std::string> root_words(const std::filesystem::path& root,
                                    const std::vector<std::filesystem::path>& writable,
                                    const std::vector<std::filesystem::path>& readable);

// The folders of a cache that commands may write to: the root, and where links in it lead.
std::vector<std::filesystem::path> writable_folders(const std::filesystem::path& cache_root);

struct NoSandbox {
  std::string why;     // the same on all machines: it goes into the module
  std::string advice;  // what bwrap said, or what to install
};

// Confines what executor starts from now on to a sandbox in which only `writable` can be written to; TMPDIR is made in
// scratch. Gives why that can't be had here, and then changes nothing; empty: it is done.
std::optional<NoSandbox> enter_sandbox(Executor& executor, const std::vector<std::filesystem::path>& writable,
                                       const std::filesystem::path& scratch);

// Commands that aren't of this machine run in the root from now on; readable: folders of this machine that are to be seen
// there. Throws Error when that can't be had here.
void enter_root(Executor& executor, const std::filesystem::path& root,
                const std::vector<std::filesystem::path>& writable, const std::vector<std::filesystem::path>& readable,
                const std::filesystem::path& scratch);

}  // namespace kpatch

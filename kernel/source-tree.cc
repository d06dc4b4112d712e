// A private copy of a user's kernel source.
//
// The user's tree can be built in place (kbuild then refuses O=), be read-only, lie under a path with spaces (which
// kbuild can't handle), and be edited while a build runs. All four go away with a copy in the cache, made once per
// state of the tree. What belongs to it:
//
//     git tree     tracked files as they are on disk, and untracked ones that are not ignored
//     plain tree   all files, but for what a build leaves: *.o, *.ko, .*.cmd, .config, include/config, …
//
// and `make mrproper` on the copy when a plain tree had been configured, for what no pattern catches
// (scripts/kconfig/conf, generated parsers).
//
// Has the tree changed since? One stat pass tells: path, size, mtime, ctime and inode of each file are compared with
// the manifest of the last copy. Different numbers may still be the same source (a build in place touches much, a
// checkout of another branch and back changes all times), so a copy is known by the digest of what it holds, not by the
// manifest: the base of an own kernel, minutes of compiling, hangs on it.
//
// A link that leads out of the tree (`drivers/mine -> /home/me/driver`) is followed: what it leads to is copied in its
// place, and counts like a file of the tree. A link copied as a link would give a base that doesn't change with the file behind
// it, and whoever writes to the copy would write to the user's file.
//
// A tree of the cache itself (`-s` with the unpacked source of a package) is what a copy would be: clean, complete, and
// written to by nobody. It is taken where it lies.
#include "kernel/source-tree.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "support/digest.h"
#include "support/error.h"
#include "support/files.h"
#include "support/signals.h"
#include "support/text.h"

namespace kpatch {

namespace fs = std::filesystem;

namespace {

bool is_kernel_source(const fs::path& tree) {
  std::error_code ignored;
  return fs::exists(tree / "Makefile", ignored) && fs::exists(tree / "Kbuild", ignored) &&
         fs::is_directory(tree / "kernel", ignored);
}

// Folders that only a build makes.
bool is_product_folder(std::string_view path) {
  return path == ".git" || path == "include/config" || path == "include/generated" || path == ".tmp_versions" ||
         path == ".tmp_objdiff" || (path.starts_with("arch/") && path.ends_with("/include/generated"));
}

bool is_product(std::string_view path) {
  std::string_view name = path.substr(path.rfind('/') + 1);
  bool top = name.size() == path.size();
  for (std::string_view ending : {".o", ".ko", ".a", ".cmd", ".mod", ".mod.c", ".order", ".lto", ".so", ".so.dbg",
                                  ".dtb", ".dtbo", ".orig", ".rej"})
    if (name.ends_with(ending)) return true;
  if (name.starts_with(".tmp_") || name == "Module.symvers" || name == ".missing-syscalls.d") return true;
  if (!top) return false;
  for (std::string_view file : {".config", ".config.old", "vmlinux", "vmlinux.unstripped", "System.map", "vmlinux.map",
                                "modules.builtin", "modules.builtin.modinfo", "modules.nsdeps", "vmlinux.symvers",
                                ".version", "compile_commands.json", "cscope.out", "tags", "TAGS"})
    if (name == file) return true;
  return false;
}

std::vector<std::string> list_plain(const fs::path& tree) {
  std::vector<std::string> paths;
  size_t skip = tree.string().size() + 1;
  walk(tree, [&](const fs::directory_entry& entry) {
    std::string path = entry.path().string().substr(skip);
    if (paths.size() % 4096 == 0) check_interrupted();
    if (entry.is_symlink()) {
      if (!(path == "source" || path == "build")) paths.push_back(path);
      return false;
    }
    if (entry.is_directory()) return !is_product_folder(path);
    if (entry.is_regular_file() && !is_product(path)) paths.push_back(path);
    return false;
  });
  return paths;
}

// Empty when git doesn't know the tree, or isn't there.
std::vector<std::string> list_git(const fs::path& tree, Executor& executor) {
  std::error_code ignored;
  if (!fs::exists(tree / ".git", ignored)) return {};
  static constexpr auto script =
      "exec git -c safe.directory='*' -c core.fsmonitor=false -C \"$1\" ls-files -z --cached --others "
      "--exclude-standard 2>/dev/null";
  CommandResult result;
  try {
    result = executor.run({.argv = {"sh", "-c", script, "sh", tree.string()},
                           .directory = {},
                           .environment = {{"GIT_OPTIONAL_LOCKS", "0"}},
                           .ours = true});
  } catch (const Error&) {
    return {};
  }
  if (!result.ok()) return {};
  std::vector<std::string> paths;
  for (std::string_view path : fields_of(result.output, '\0'))
    if (!path.empty()) paths.emplace_back(path);
  return paths;
}

// What a symbolic link leads to when that lies outside of the tree; empty else, also when it leads to nothing.
fs::path outside(const fs::path& tree, const fs::path& link) {
  std::error_code error;
  if (!fs::is_symlink(link, error)) return {};
  const fs::path target = fs::canonical(link, error);
  if (error) return {};
  const fs::path relative = target.lexically_relative(tree);
  const bool inside = !relative.empty() && *relative.begin() != "..";
  return inside ? fs::path() : target;
}

// The paths with each link out of the tree replaced by what it leads to: itself as a file, or the files of the folder.
// Throws Error when one leads to a folder that holds the tree, or again to a folder that it lies in.
std::vector<std::string> with_outside(const fs::path& tree, const std::vector<std::string>& paths,
                                      const std::vector<fs::path>& within = {}) {
  std::vector<std::string> result;
  for (const std::string& path : paths) {
    const fs::path target = outside(tree, tree / path);
    std::error_code error;
    if (target.empty() || !fs::is_directory(target, error)) {
      result.push_back(path);
      continue;
    }
    const auto holds = [&](const fs::path& folder) {
      const fs::path relative = folder.lexically_relative(target);
      return !relative.empty() && *relative.begin() != "..";
    };
    if (holds(tree) || std::ranges::any_of(within, holds))
      throw Error(fmt::format("{} is a link to {}, which it lies in itself", (tree / path).string(), target.string()));
    std::vector<fs::path> inner_within = within;
    inner_within.push_back(target);
    std::vector<std::string> inner = list_plain(target);
    for (std::string& name : inner) name = path + "/" + name;
    for (std::string& name : with_outside(tree, inner, inner_within)) result.push_back(std::move(name));
  }
  return result;
}

// Copies one file or link; data through copy_file_range, which shares the blocks where the file system can.
void copy_one(const fs::path& tree, const fs::path& from, const fs::path& to) {
  auto fail = [&](const char* what, const fs::path& path) {
    throw Error(fmt::format("can't {} {}: {}", what, path.string(), std::strerror(errno)));
  };
  struct stat info;
  if (lstat(from.c_str(), &info) != 0) fail("read", from);
  if (S_ISLNK(info.st_mode) && outside(tree, from).empty()) {
    std::error_code error;
    fs::create_symlink(fs::read_symlink(from), to, error);
    if (error) throw Error(fmt::format("can't write {}: {}", to.string(), error.message()));
    return;
  }
  if (stat(from.c_str(), &info) != 0) fail("read", from);
  if (!S_ISREG(info.st_mode)) throw Error(fmt::format("{} is no file, but a device or a pipe", from.string()));
  int in = open(from.c_str(), O_RDONLY | O_CLOEXEC | O_NOATIME);
  if (in < 0) in = open(from.c_str(), O_RDONLY | O_CLOEXEC);  // O_NOATIME is for owners
  if (in < 0) fail("read", from);
  int out = open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, (info.st_mode & 0111) ? 0777 : 0666);
  if (out < 0) {
    close(in);
    fail("write", to);
  }
  bool failed = false;
  std::array<char, 65536> buffer;
  for (bool in_kernel = true;;) {
    ssize_t got =
        in_kernel ? copy_file_range(in, nullptr, out, nullptr, 1 << 30, 0) : read(in, buffer.data(), buffer.size());
    if (got == 0) break;
    if (got < 0 && in_kernel && errno != ENOSPC && errno != EIO) {
      in_kernel = false;  // another file system, or an old kernel
      continue;
    }
    if (got < 0 || (!in_kernel && write(out, buffer.data(), size_t(got)) != got)) {
      failed = true;
      break;
    }
  }
  int error = errno;
  close(in);
  if (close(out) != 0 && !failed) {
    failed = true;
    error = errno;
  }
  errno = error;
  if (failed) fail("write", to);
}

void copy_files(const fs::path& from, const fs::path& to, const std::vector<SourceFile>& files, Console::Stage& stage) {
  std::string last;
  for (size_t i = 0; i < files.size(); i++) {
    std::string folder = fs::path(files[i].path).parent_path().string();
    if (folder != last || i == 0) {
      std::error_code error;
      fs::create_directories(to / folder, error);
      if (error) throw Error(fmt::format("can't make {}: {}", (to / folder).string(), error.message()));
      last = folder;
    }
    copy_one(from, from / files[i].path, to / files[i].path);
    if (i % 512 != 0) continue;
    check_interrupted();
    stage.progress(i, files.size());
  }
}

// Digest of names, kinds, modes and contents of everything in a tree.
std::string content_digest(const fs::path& tree) {
  std::vector<std::string> paths = list_plain(tree);
  std::ranges::sort(paths);
  std::string text;
  for (size_t i = 0; i < paths.size(); i++) {
    fs::path path = tree / paths[i];
    struct stat info;
    if (lstat(path.c_str(), &info) != 0)
      throw Error(fmt::format("can't read {}: {}", path.string(), std::strerror(errno)));
    std::string digest = S_ISLNK(info.st_mode) ? "link " + fs::read_symlink(path).string() : digest_of_file(path);
    text += fmt::format("{}{}{} {}{}", paths[i], '\0', (info.st_mode & 0111) ? 'x' : '-', digest, '\0');
    if (i % 512 == 0) check_interrupted();
  }
  return digest_of(text);
}

// The tree itself when it is one of the cache's, with the identity that its maker gave it.
std::optional<SourceTree> cached_tree(const fs::path& tree, const Cache& cache) {
  for (const Cache::Entry& entry : cache.entries("source")) {
    std::error_code error;
    if (fs::canonical(entry.directory / "tree", error) != tree || error || !cache.hold(entry.directory)) continue;
    if (auto copy = CacheKey::field(entry.key, "source tree")) return SourceTree{tree, *copy};
    auto package = CacheKey::field(entry.key, "source package"), version = CacheKey::field(entry.key, "version");
    return SourceTree{tree, package && version ? fmt::format("{} {}", *package, *version) : entry.key};
  }
  return std::nullopt;
}

}  // namespace

std::vector<SourceFile> list_source(const fs::path& tree, Executor& executor) {
  if (!is_kernel_source(tree))
    throw Error(fmt::format("{} is no kernel source: it has no Makefile and Kbuild", tree.string()));
  std::vector<std::string> paths = list_git(tree, executor);
  bool git = std::ranges::find(paths, "Makefile") != paths.end();
  if (!git) paths = list_plain(tree);
  std::error_code unknown;
  const fs::path real = fs::canonical(tree, unknown);
  paths = with_outside(unknown ? tree : real, paths);
  std::ranges::sort(paths);
  paths.erase(std::unique(paths.begin(), paths.end()), paths.end());
  std::vector<SourceFile> files;
  files.reserve(paths.size());
  int top = open(tree.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (top < 0) throw Error(fmt::format("can't read the source {}: {}", tree.string(), std::strerror(errno)));
  for (auto& path : paths) {
    struct stat info;
    // A tracked file that was deleted is no part of the source.
    if (fstatat(top, path.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0 || S_ISDIR(info.st_mode)) continue;
    if (S_ISLNK(info.st_mode) && !outside(real, real / path).empty() && fstatat(top, path.c_str(), &info, 0) != 0)
      throw Error(fmt::format("can't read {}: {}", (tree / path).string(), std::strerror(errno)));
    auto nanoseconds = [](const timespec& t) { return int64_t(t.tv_sec) * 1'000'000'000 + t.tv_nsec; };
    files.push_back({std::move(path), uint64_t(info.st_size), nanoseconds(info.st_mtim), nanoseconds(info.st_ctim),
                     uint64_t(info.st_ino)});
  }
  close(top);
  return files;
}

std::string format_manifest(const std::vector<SourceFile>& files) {
  std::string text;
  for (auto& f : files)  // NUL behind the path: it may hold anything else
    text += fmt::format("{} {} {} {} {}{}", f.size, f.mtime_ns, f.ctime_ns, f.inode, f.path, '\0');
  return text;
}

std::optional<std::vector<SourceFile>> parse_manifest(std::string_view text) {
  std::vector<SourceFile> files;
  while (!text.empty()) {
    size_t end = text.find('\0');
    if (end == std::string_view::npos) return std::nullopt;
    SourceFile file;
    const char *at = text.data(), *last = text.data() + end;
    auto number = [&](auto& value) {
      auto [next, error] = std::from_chars(at, last, value);
      if (error != std::errc() || next == last || *next != ' ') return false;
      at = next + 1;
      return true;
    };
    if (!number(file.size) || !number(file.mtime_ns) || !number(file.ctime_ns) || !number(file.inode) || at == last)
      return std::nullopt;
    file.path.assign(at, last);
    files.push_back(std::move(file));
    text.remove_prefix(end + 1);
  }
  return files;
}

std::string kernel_version(const fs::path& tree) {
  std::string text = read_file(tree / "Makefile");
  auto field = [&](std::string_view name) {
    for (std::string_view line : lines_of(text)) {
      if (!line.starts_with(name) || !line.substr(name.size()).starts_with(" =")) continue;
      return std::string(trimmed(line.substr(name.size() + 2)));
    }
    return std::string();
  };
  std::string version = field("VERSION"), patch = field("PATCHLEVEL");
  if (version.empty() || patch.empty())
    throw Error(fmt::format("{} is no kernel source: its Makefile has no VERSION", tree.string()));
  std::string sub = field("SUBLEVEL"), extra = field("EXTRAVERSION");
  // Distributions use EXTRAVERSION for their own numbering; only a release candidate is another version.
  return fmt::format("{}.{}.{}{}", version, patch, sub.empty() ? "0" : sub, extra.starts_with("-rc") ? extra : "");
}

SourceTree private_copy(const fs::path& tree, Cache& cache, Executor& executor, Console& console) {
  std::error_code error;
  fs::path user_tree = fs::canonical(tree, error);
  if (error) throw Error(fmt::format("can't read the source {}: {}", tree.string(), error.message()));
  if (auto ours = cached_tree(user_tree, cache)) return *ours;
  auto locate = [&](const std::string& identity) { return CacheKey().add("source tree", identity); };
  fs::path memo = cache.root() / "digests" / ("tree-" + digest_of(user_tree.string()));

  Console::Stage stage(console, "the source");
  std::vector<SourceFile> files = list_source(user_tree, executor);
  std::string manifest = format_manifest(files);
  if (fs::exists(memo, error)) {
    std::string text = read_file(memo);
    size_t line = text.find('\n');
    if (line != std::string::npos && std::string_view(text).substr(line + 1) == manifest)
      if (auto made = cache.find("source", locate(text.substr(0, line)))) {
        stage.note("unchanged");
        return {*made / "tree", text.substr(0, line)};
      }
  }
  stage.note(fmt::format("copied, {} files", files.size()));
  ScratchDirectory scratch = cache.scratch();
  fs::path copy = scratch.path() / "tree";
  copy_files(user_tree, copy, files, stage);
  if (fs::exists(user_tree / ".config", error) || fs::exists(user_tree / "include/config", error)) {
    CommandResult result = executor.run({{"make", "-C", copy.string(), "mrproper"}, {}, {}});
    if (!result.ok()) executor.fail("the copy of the source can't be cleaned (make mrproper)", result);
  }
  SourceTree result;
  result.identity = content_digest(copy);
  // Nothing has recorded the copy's path yet, so it may still be moved.
  result.path = cache.entry("source", locate(result.identity), "the copy of the source",
                            [&](const fs::path& directory) { fs::rename(copy, directory / "tree"); }) /
                "tree";
  fs::create_directories(memo.parent_path(), error);
  write_file(memo, result.identity + "\n" + manifest);
  return result;
}

}  // namespace kpatch

// Whose folder is it?
//
// A cache removes things by itself: what killed runs left, what is old. `KPATCH_CACHE=$HOME` must not make a home folder
// one. So a cache has a mark, a file `kpatch-cache`, and without it nothing is written, let alone removed:
//
//     empty, or not there                  it becomes one
//     base/ source/ logs/ …, all as known  a cache from before there was a mark: it gets one
//     anything else                        refused
//
// Within a marked root, too, only names of the cache's own making are removed (a digest, a scratch folder's number).
#include "kernel/cache-root.h"

#include <fmt/format.h>
#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string>

#include "support/error.h"
#include "support/files.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;
using std::string_view;

constexpr string_view mark = "kpatch-cache";
constexpr string_view tag = "CACHEDIR.TAG";  // https://bford.info/cachedir/: backups leave it out
constexpr string_view elsewhere = "KPATCH_CACHE names another place";
constexpr size_t longest_path = 1024;  // some of the kernel's host programs have buffers of 4096 for what lies below

constexpr std::array<string_view, 7> entry_kinds = {"archive", "base",      "full",   "packages",
                                                    "source",  "toolchain", "vmlinux"};

bool all_of(string_view text, string_view allowed) {
  return !text.empty() && text.find_first_not_of(allowed) == string_view::npos;
}

constexpr string_view hex = "0123456789abcdef";
constexpr string_view digits = "0123456789";

bool is_temporary(string_view name) { return name.starts_with(".kpatch-") && name.ends_with(".tmp"); }

// "DIGEST.lock", "DIGEST.users.lock", "DIGEST.use.lock"
bool is_lock_of(string_view name, bool (*is_name)(string_view)) {
  if (!name.ends_with(".lock")) return false;
  name.remove_suffix(5);
  for (string_view part : {".users", ".use"})
    if (name.ends_with(part)) name.remove_suffix(part.size());
  return is_name(name);
}

bool is_kind(string_view name) {
  return is_entry_kind(name) || name == "scratch" || name == "digests" || name == "logs";
}

// The first name in the folder that a cache doesn't have there; empty when there is none.
std::string stranger_in(const fs::path& folder, string_view kind) {
  for (const auto& entry : entries_of(folder)) {
    const std::string name = entry.path().filename().string();
    bool known = is_temporary(name);
    if (is_entry_kind(kind))
      known |= is_entry_name(name) || is_lock_of(name, is_entry_name);
    else if (kind == "scratch")
      known |= is_scratch_name(name) || is_lock_of(name, is_scratch_name);
    else if (kind == "digests")
      known |= is_digest_name(name);
    else
      known |= is_log_name(name);
    if (!known) return (fs::path(kind) / name).string();
  }
  return {};
}

std::string stranger_in_root(const fs::path& root) {
  for (const auto& entry : entries_of(root)) {
    const std::string name = entry.path().filename().string();
    // A cache that has a file system of its own has what fsck keeps there, too.
    if (is_temporary(name) || name == tag || name == "lost+found") continue;
    if (!is_kind(name) || !entry.is_directory()) return name;
    if (std::string inner = stranger_in(entry.path(), name); !inner.empty()) return inner;
  }
  return {};
}

// kbuild, and the shells that it starts, take these as they are; everything else has a meaning for one of them.
void check_path(const fs::path& path) {
  const std::string& text = path.native();
  for (const char c : text) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    const bool beyond_ascii = static_cast<unsigned char>(c) >= 0x80;
    if (letter || beyond_ascii || string_view("/._-+@").find(c) != string_view::npos) continue;
    throw Error(fmt::format("the cache can't lie in '{}': the kernel's build can't handle '{}' in a path ({})", text, c,
                            elsewhere));
  }
  if (text.size() > longest_path)
    throw Error(fmt::format("the cache can't lie in a path of {} characters, {} are the most ({}): {}…", text.size(),
                            longest_path, elsewhere, text.substr(0, 80)));
}

// Who else may write to what has these rights; empty: nobody. A group of which nobody else is a member is each user's own
// on many systems, and so is what he makes.
std::string others_who_write(const struct stat& info) {
  if ((info.st_mode & S_IWOTH) != 0) return "everybody";
  if ((info.st_mode & S_IWGRP) == 0 || info.st_gid == 0) return {};
  const struct group* group = getgrgid(info.st_gid);
  const bool private_one = info.st_gid == getegid() && (group == nullptr || group->gr_mem[0] == nullptr);
  return private_one ? std::string() : fmt::format("the members of a group (number {})", info.st_gid);
}

}  // namespace

bool is_entry_kind(string_view name) { return std::ranges::find(entry_kinds, name) != entry_kinds.end(); }
bool is_entry_name(string_view name) { return name.size() == 32 && all_of(name, hex); }

bool is_scratch_name(string_view name) {
  const size_t dash = name.find('-');  // PID-N of earlier versions
  if (dash != string_view::npos) return all_of(name.substr(0, dash), digits) && all_of(name.substr(dash + 1), digits);
  return name.size() == 16 && all_of(name, hex);
}

bool is_digest_name(string_view name) {
  if (name.starts_with("tree-")) name.remove_prefix(5);
  return is_entry_name(name);
}

bool is_log_name(string_view name) {
  return name.ends_with(".log") && name.size() > 22 && all_of(name.substr(0, 17), "0123456789-");
}

void require_our_own(const fs::path& folder) {
  struct stat info {};
  if (stat(folder.c_str(), &info) != 0)
    throw Error(fmt::format("can't read {}: {}", folder.string(), std::strerror(errno)));
  if (info.st_uid != geteuid() && info.st_uid != 0)
    throw Error(
        fmt::format("{} belongs to another user (number {}), and what is in a cache runs as whoever builds with it; "
                    "make it yours, or let KPATCH_CACHE name another place",
                    folder.string(), info.st_uid));
  if (const std::string writers = others_who_write(info); !writers.empty())
    throw Error(
        fmt::format("{} may be written by {}, and what is in a cache runs as whoever builds with it; take that back "
                    "if you trust what is there (chmod -R go-w), or let KPATCH_CACHE name another place",
                    folder.string(), writers));
}

namespace {

void require_own_kinds(const fs::path& root) {
  for (const auto& entry : entries_of(root))
    if (is_kind(entry.path().filename().string()) && entry.is_directory()) require_our_own(entry.path());
}

}  // namespace

fs::path prepare_cache_root(const fs::path& given) {
  fs::path root = fs::absolute(given).lexically_normal();
  if (!root.has_filename() && root.has_relative_path()) root = root.parent_path();
  check_path(root);
  std::error_code error;
  // kbuild and the compiler record real paths; ours must be the same where ~ or the cache lies behind a link.
  root = fs::weakly_canonical(root, error);
  if (error)
    throw Error(fmt::format("can't use the cache folder {}: {} ({})", given.string(), error.message(), elsewhere));
  check_path(root);
  fs::create_directories(root, error);
  if (error)
    throw Error(fmt::format("can't make the cache folder {}: {} ({})", root.string(), error.message(), elsewhere));
  require_our_own(root);
  if (access(root.c_str(), W_OK | X_OK) != 0)
    throw Error(
        fmt::format("can't write to the cache folder {}: {} ({})", root.string(), std::strerror(errno), elsewhere));
  if (fs::exists(root / mark, error)) {
    require_own_kinds(root);
    return root;
  }
  if (const std::string stranger = stranger_in_root(root); !stranger.empty() && !fs::exists(root / mark, error))
    throw Error(
        fmt::format("{} is no cache of kpatch-build: it holds '{}'; nothing was written there. KPATCH_CACHE shall "
                    "name a folder that is empty or not there",
                    root.string(), stranger));
  require_own_kinds(root);
  write_file(root / tag,
             "Signature: 8a477f597d28d172789f06886806bc55\n"
             "# What kpatch-build keeps; it can be made again. See https://bford.info/cachedir/\n");
  write_file(root / mark, "kpatch-build may remove what it has put into this folder: kpatch-build --cache list\n");
  return root;
}

}  // namespace kpatch

// Packages come from the user, or over the network: their unpackers keep within the folder (tar takes leading slashes off,
// refuses `..`, and makes links that lead out last of all), and yet
//
//     ./usr/lib            → /etc              a link in one package, through which another one then writes
//     ./complete                               what the cache marks a whole entry with
//     ./dev/mem   c 1 1                        made, for root
//     ./usr/bin/x -rwsr-xr-x 1000              kept, for root; and what another user owns he can change later
//
// So each package is unpacked into a folder of its own, looked through, and only then moved to the others: a link is
// moved as a link, and nothing goes through one.
#include "kernel/distro/unpacked.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "support/error.h"
#include "support/files.h"

namespace kpatch {

namespace fs = std::filesystem;

namespace {

[[noreturn]] void refuse(const std::string& package, std::string_view what) {
  throw Error(fmt::format("can't unpack {}: it holds {}", package, what));
}

// Does a link at `relative`, below a tree, name something outside of it? By names alone.
bool leads_out(const fs::path& relative, const fs::path& target) {
  if (target.is_absolute()) return true;
  const fs::path there = (relative.parent_path() / target).lexically_normal();
  return !there.empty() && *there.begin() == "..";
}

void clean(const fs::path& path) {
  struct stat info {};
  if (lstat(path.c_str(), &info) != 0)
    throw Error(fmt::format("can't read {}: {}", path.string(), std::strerror(errno)));
  if (info.st_uid != geteuid() && lchown(path.c_str(), geteuid(), getegid()) != 0)
    throw Error(fmt::format("can't make {} ours: {}", path.string(), std::strerror(errno)));
  if (S_ISLNK(info.st_mode)) return;
  const mode_t mode = (info.st_mode & 0755) | (S_ISDIR(info.st_mode) ? 0700 : 0600);
  if (mode != (info.st_mode & 07777) && chmod(path.c_str(), mode) != 0)
    throw Error(fmt::format("can't make {} ours: {}", path.string(), std::strerror(errno)));
}

void merge(const fs::path& from, const fs::path& to, const std::string& package, const fs::path& below) {
  for (const fs::directory_entry& entry : entries_of(from)) {
    const fs::path target = to / entry.path().filename(), name = below / entry.path().filename();
    const bool folder = !entry.is_symlink() && entry.is_directory();
    if (below.empty() && !folder) refuse(package, fmt::format("{}, which is no folder", name.string()));
    std::error_code error;
    const fs::file_status there = fs::symlink_status(target, error);
    if (folder && fs::is_directory(there)) {
      merge(entry.path(), target, package, name);
      continue;
    }
    if (fs::exists(there)) refuse(package, fmt::format("{}, which is there already", name.string()));
    fs::rename(entry.path(), target, error);
    if (error) throw Error(fmt::format("can't write {}: {}", target.string(), error.message()));
  }
}

}  // namespace

void clean_unpacked(const fs::path& tree, const std::string& package, Links links) {
  clean(tree);
  walk(tree, [&](const fs::directory_entry& entry) {
    const fs::path relative = entry.path().lexically_relative(tree);
    const bool link = entry.is_symlink();
    if (!link && !entry.is_directory() && !entry.is_regular_file())
      refuse(package, fmt::format("{}, a device or a pipe", relative.string()));
    if (link && links == Links::inside && leads_out(relative, fs::read_symlink(entry.path())))
      refuse(package,
             fmt::format("{}, a link out of it to {}", relative.string(), fs::read_symlink(entry.path()).string()));
    clean(entry.path());
    return true;
  });
}

void merge_unpacked(const fs::path& from, const fs::path& to, const std::string& package) {
  merge(from, to, package, {});
}

void require_inside(const fs::path& file, const fs::path& folder, const std::string& package) {
  std::error_code error;
  const fs::path real = fs::canonical(file, error), top = fs::canonical(folder, error);
  const fs::path relative = real.lexically_relative(top);
  if (error || relative.empty() || *relative.begin() == "..")
    refuse(package, fmt::format("{}, a link out of it", file.lexically_relative(folder).string()));
}

void make_folders(const fs::path& top, const fs::path& relative, const std::string& package) {
  fs::path folder = top;
  for (const fs::path& part : relative) {
    KPATCH_ASSERT(part != ".." && !part.is_absolute());
    folder /= part;
    std::error_code error;
    const fs::file_status there = fs::symlink_status(folder, error);
    if (fs::exists(there) && !fs::is_directory(there))
      refuse(package, fmt::format("{}, which is no folder", folder.lexically_relative(top).string()));
    fs::create_directory(folder, error);
    if (error) throw Error(fmt::format("can't make {}: {}", folder.string(), error.message()));
  }
}

Command unpack_tree_command(const fs::path& archive, const fs::path& folder) {
  // For root, tar keeps owners and rights if it isn't told otherwise.
  return {.argv = {"tar", "-xf", archive.string(), "--strip-components=1", "--no-same-owner", "--no-same-permissions",
                   "-C", folder.string()},
          .directory = {},
          .environment = {{"XZ_OPT", "-T0"}},  // on all processors
          .ours = true,
          .largest_file = largest_unpacked_file};
}

}  // namespace kpatch

// Files and folders: read and written as a whole, listed as a whole, or an Error.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace kpatch {

// The whole file. Throws Error naming it.
std::string read_file(const std::filesystem::path& path);
// The same; empty when it can't be read.
std::string read_file_if_any(const std::filesystem::path& path);

// 16 random hex digits: process ids collide between containers that share a folder, these don't.
std::string random_name();

enum class Flush { no, yes };

// Written whole or not at all: a temporary file beside the target, flushed, and renamed over it by commit(). Whoever
// looks sees the old file or the new one, and a full disk shows before the old one is gone. The destructor removes what
// was not committed. A target that is no file (/dev/null, a pipe) is written to where it is.
class AtomicFile {
 public:
  // Throws Error when the folder can't be written to. Flushing takes 10 ms on a disk; what doesn't outlive the run (a
  // crash of the machine ends that as well) can do without.
  explicit AtomicFile(std::filesystem::path target, Flush flush = Flush::yes);
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile();

  int fd() const { return fd_; }      // open for reading and writing, for libraries that write themselves
  void write(std::string_view text);  // appends; throws Error
  void commit();                      // throws Error; nothing may be written afterwards

 private:
  [[noreturn]] void fail(int error) const;

  std::filesystem::path target_;
  std::filesystem::path temporary_;  // empty: none, or gone
  Flush flush_;
  int fd_ = -1;
};

// A whole file through an AtomicFile. Throws Error.
void write_file(const std::filesystem::path& path, std::string_view contents, Flush flush = Flush::yes);

// The entries of a folder, sorted by name. Throws Error when it can't be read to its end: half a folder is never taken
// for the whole.
std::vector<std::filesystem::directory_entry> entries_of(const std::filesystem::path& folder);
// The same; none when there is no such folder. Anything else (no permission, a loop of links) still throws.
std::vector<std::filesystem::directory_entry> entries_if_any(const std::filesystem::path& folder);

// Everything below a folder, a folder before what it holds, each folder sorted by name; symbolic links are shown, and
// not followed. visit: false for a folder keeps out of it. Throws Error as entries_of does.
void walk(const std::filesystem::path& top, const std::function<bool(const std::filesystem::directory_entry&)>& visit);

// Bytes that a user may still write to the file system of a path; the most there are when it can't be told.
uint64_t free_bytes(const std::filesystem::path& path);

// Removes a file or folder with all below it, also what its owner may not write to. Never throws: what can't be removed
// stays.
void remove_tree(const std::filesystem::path& path);

}  // namespace kpatch

// An initramfs, as the kernel unpacks it: a cpio archive (newc).
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>

struct archive;

namespace kpatch {

class Initramfs {
 public:
  // Throws Error when the file can't be written; so do the others.
  explicit Initramfs(const std::filesystem::path& file);
  ~Initramfs();
  Initramfs(const Initramfs&) = delete;
  Initramfs& operator=(const Initramfs&) = delete;

  // path: without a slash at its beginning. Everything is root's, may be run, and has no time; folders come by themselves.
  void add(const std::string& path, std::string_view contents);
  // The rest of the archive is another one, which may be compressed.
  void finish(const std::filesystem::path& behind);

 private:
  void add_entry(const std::string& path, unsigned type, std::string_view contents);

  std::filesystem::path file_;
  archive* archive_;
  std::set<std::string> folders_;
};

// Throws Error where a file is no archive that a kernel unpacks: cpio (newc, crc), plain or compressed. It is told by its
// first bytes.
void require_initramfs(const std::filesystem::path& file);

}  // namespace kpatch

// Files that are dear to make and cheap to keep: what a command made of an input that can't change, by a key of that
// input.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace kpatch {

// A folder of files by key, each beside its digest. It is never needed: a file that is missing, torn or changed is one
// that wasn't kept, and what can't be written (a full disk, another user's folder) is left out without a word.
class KeptFiles {
 public:
  // folder: made when the first file is kept. limit: bytes of all files together; beyond it those go first whose last
  // use is longest ago.
  explicit KeptFiles(std::filesystem::path folder, uint64_t limit = uint64_t{1} << 30);

  // Puts a copy at `to`, where no file may be. False when there is none with this key (32 hex digits), or it isn't the
  // one that was kept.
  bool fetch(const std::string& key, const std::filesystem::path& to) const;

  // Keeps a copy. Two runs may keep the same at once.
  void keep(const std::string& key, const std::filesystem::path& file) const;

 private:
  void stay_within_limit() const;

  std::filesystem::path folder_;
  uint64_t limit_;
};

}  // namespace kpatch

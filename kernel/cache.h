// The cache of what is slow to make: unpacked packages, copies of source trees, bases. Shared by concurrent runs.
//
// An entry is a folder ROOT/KIND/DIGEST. It is made at its final path (kbuild records absolute paths, so nothing may
// be moved afterwards) under an exclusive lock of ROOT/KIND/DIGEST.lock, and counts only once its file `complete` is
// there. What a killed run left behind is wiped at the next start, when its lock is free. Who uses an entry holds
// ROOT/KIND/DIGEST.users.lock, shared, to its end; only what nobody holds is pruned.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/console.h"
#include "support/lock.h"

namespace kpatch {

// What an entry is of: named fields, one a line, newlines and backslashes escaped, so that two different lists of
// fields never give the same text. The text is kept in the entry's key.txt; the digest is XXH3-128 of it.
class CacheKey {
 public:
  CacheKey& add(std::string_view name, std::string_view value);
  const std::string& text() const { return text_; }
  std::string digest() const;  // 32 hex digits

  // The value of a field of a key.txt, unescaped.
  static std::optional<std::string> field(std::string_view text, std::string_view name);

 private:
  std::string text_;
};

// A folder for one run, removed by the destructor; what a killed run leaves goes at the next start.
class ScratchDirectory {
 public:
  ScratchDirectory(std::filesystem::path path, FileLock lock) : path_(std::move(path)), lock_(std::move(lock)) {}
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;
  ScratchDirectory(ScratchDirectory&& other) noexcept;
  ~ScratchDirectory();
  const std::filesystem::path& path() const { return path_; }
  void keep() { keep_ = true; }  // --skip-cleanup: the destructor leaves it (the next start of any run removes it)

 private:
  std::filesystem::path path_;
  FileLock lock_;
  bool keep_ = false;
};

// What a cache may hold. Empty: without a limit.
struct CacheLimits {
  std::optional<std::chrono::seconds> age{};  // since its last use
  std::optional<uint64_t> size{};             // bytes on disk, of everything together
};
// "90s", "12h", "30d", "2w"; "500M", "20G", "0". Throw Error for anything else; what: the option that has it.
std::chrono::seconds parse_age(std::string_view text, std::string_view what);
uint64_t parse_size(std::string_view text, std::string_view what);

// Where entries are that others made. Neither throws but Interrupted: nobody needs it. Either may be empty.
struct EntryStore {
  // Fills the entry's folder, which has its key.txt alone. False: it couldn't. scratch: an empty folder for it.
  std::function<bool(std::string_view kind, const CacheKey& key, const std::filesystem::path& directory,
                     const std::filesystem::path& scratch)>
      fetch{};
  // An entry that was made here.
  std::function<void(std::string_view kind, const CacheKey& key, const std::filesystem::path& directory,
                     const std::filesystem::path& scratch)>
      keep{};
};

class Cache {
 public:
  struct Entry {
    std::filesystem::path directory;
    std::string key;  // the text of its key.txt
  };

  // Makes the root if it is missing, and wipes what killed runs left. Throws Error as prepare_cache_root() does.
  Cache(const std::filesystem::path& root, Console& console);
  // From now on entries are fetched from there before they are made, and kept there after.
  void use(EntryStore store) { store_ = std::move(store); }
  // ${KPATCH_CACHE:-${XDG_CACHE_HOME:-~/.cache}/kpatch}
  static std::filesystem::path default_root();

  // The entry's folder, held until this object is gone; made by fill (which gets the final, empty folder) when it isn't complete yet. Waits, and says
  // so, while another run makes it. what: for messages, "the base of 6.1.0-9-cloud-amd64". When fill throws,
  // nothing is left behind; a full disk becomes one Error that says so. whole (may be empty): whether one that was fetched is
  // what fill would make.
  std::filesystem::path entry(std::string_view kind, const CacheKey& key, std::string_view what,
                              const std::function<void(const std::filesystem::path&)>& fill,
                              const std::function<bool(const std::filesystem::path&)>& whole = {});
  // The same if it is complete already; never waits, never makes. Both throw Error when the entry is another user's.
  std::optional<std::filesystem::path> find(std::string_view kind, const CacheKey& key) const;
  // Why that entry isn't there: the names of the fields in which it differs from the nearest complete entry of its kind,
  // in the key's order. Empty: there is none of the kind, or it is there.
  std::vector<std::string> why_missing(std::string_view kind, const CacheKey& key) const;
  // All complete entries of a kind, sorted by digest.
  std::vector<Entry> entries(std::string_view kind) const;
  // Holds an entry that entries() gave. False when it is gone meanwhile.
  bool hold(const std::filesystem::path& directory) const;

  // An entry as people see it.
  struct Item {
    std::string kind;
    std::filesystem::path directory;
    std::string what;  // the fields of its key that tell it apart, "release 6.12.117+deb12-cloud-amd64"
    uint64_t size = 0;
    std::chrono::system_clock::time_point used{};
    bool held = false;
  };
  std::vector<Item> items() const;  // the one that was used last first
  uint64_t size() const;            // of everything in it, bytes on disk; a file of several names counts once

  struct Pruned {
    size_t removed = 0, held = 0;  // entries; held: would have gone, but somebody uses them
    uint64_t size = 0;             // of what was removed
  };
  // Removes what is older than the limit, then what was used longest ago until the rest fits. Never waits.
  Pruned prune(const CacheLimits& limits);
  Pruned drop();  // everything that nobody holds
  // Removes an entry that entries() gave. False when somebody holds it.
  bool discard(const std::filesystem::path& directory);

  // Removes what killed runs left, as the constructor does: what their last children still held by then. Never throws.
  void tidy() noexcept;

  // A new empty folder below the root (so that hard links to entries work): the first name that no other run has. A run
  // alone always has the same, so that compiles of the same patch have the same command lines: --launcher ccache.
  ScratchDirectory scratch();

  // Digest of a file's contents, remembered by (path, size, mtime, ctime, inode): a second look is one stat.
  std::string file_digest(const std::filesystem::path& path);

  const std::filesystem::path& root() const { return root_; }

  // Waits, and says so, until no other run holds the lock. what: "the two full builds of R".
  FileLock lock(const std::filesystem::path& path, std::string_view what);

 private:
  void wipe_leftovers();
  bool fetch(std::string_view kind, const CacheKey& key, const std::filesystem::path& directory,
             const std::function<bool(const std::filesystem::path&)>& whole);

  std::filesystem::path root_;
  Console& console_;
  EntryStore store_;
  mutable std::map<std::filesystem::path, FileLock> held_;
};

}  // namespace kpatch

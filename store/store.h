// Files that a team shares: lists that are signed, and the files that they name by digest.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "kernel/kernel.h"
#include "support/console.h"

namespace kpatch {

struct StorePlace {
  std::string where;                    // a folder, or a URL; empty: no store
  bool read_only = false;               // a URL always is
  std::string key{};                    // what is kept is signed with it
  std::filesystem::path certificate{};  // only what is signed by its owner is taken
  unsigned patience = 20;               // seconds without an answer; what takes longer isn't waited for
};
// Throws Error: a URL without a certificate, a key without its own.
void require_sound(const StorePlace& place);

// Its answers are waited for as long as StorePlace says, and a second for each MiB. After one that didn't come it isn't asked
// again: it has nothing then, and takes nothing.
class TeamStore {
 public:
  explicit TeamStore(StorePlace place) : place_(std::move(place)) {}
  const StorePlace& place() const { return place_; }
  bool any() const { return !place_.where.empty(); }
  bool takes() const;
  bool away() const { return away_; }

  // The list KIND/KEY: an object with "key" and "files", from names to digests; null: it has none. Throws Error when it is torn,
  // another's, or not of its signer, and when the store doesn't answer.
  nlohmann::json list(const std::string& kind, const std::string& key);
  // A file of a list, which goes to a path of this machine. Throws Error when it is another, also where the store has none.
  void fetch(const nlohmann::json& list, const std::string& name, const std::filesystem::path& to);
  // It was of use now, for pruning. Never throws.
  void touch(const std::string& kind, const std::string& key);
  // about: what the list says besides. Throws Error.
  void keep(const std::string& kind, const std::string& key, nlohmann::json about,
            const std::vector<std::filesystem::path>& files);

 private:
  template <typename T>
  T within(uint64_t size, std::function<T()> work);
  std::string get(const std::string& name, size_t most);
  void download(const std::string& name, uint64_t size, int to);
  StorePlace place_;
  bool away_ = false;
};

// Removes what was used last before so many seconds, and files that nothing names any more. Gives their number.
size_t prune_store(const std::filesystem::path& store, long long seconds);

// For Cache::use(): bases of stock kernels, toolchain roots and indexes, which others made, and for others. Only what its owner
// signed is taken, since programs are in it. What is wrong with an entry is a warning.
EntryStore shared_entries(StorePlace place, Console& console);
// What an entry is called there: equal for all workers that could use the same. Empty: it isn't shared.
std::string shared_name(std::string_view kind, std::string_view key);
// In the texts and links below a folder each path of `moves` becomes the other one; time stamps stay.
void move_paths(const std::filesystem::path& folder, const std::map<std::string, std::string>& moves);

}  // namespace kpatch

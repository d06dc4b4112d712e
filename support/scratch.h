#pragma once

#include <filesystem>

namespace kpatch {

// A new folder among the system's temporary ones, for this user alone; it goes with the object. Throws Error when it can't
// be made.
class Scratch {
 public:
  Scratch();
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace kpatch

// What making a package needs for itself.
#pragma once

#include <filesystem>
#include <string>

namespace kpatch {

// A folder that goes with it.
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

// For a message: a colon and the last lines of a command's output, each indented; empty when there is none.
std::string last_lines(const std::string& output);

}  // namespace kpatch

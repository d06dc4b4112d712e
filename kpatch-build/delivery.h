// The folder the module goes to, and the log of the build.
#pragma once

#include <filesystem>
#include <string>

namespace kpatch {

// The output directory: made now if it is missing, so that a build doesn't fail at its end. Unless something was
// delivered, the destructor removes what was made.
class Delivery {
 public:
  // Throws Error when it is no directory, can't be made, or can't be written to.
  explicit Delivery(std::filesystem::path directory);
  ~Delivery();
  Delivery(const Delivery&) = delete;
  Delivery& operator=(const Delivery&) = delete;

  // Copies the file whole or not at all, under `name`; an older one is replaced. Returns its path. Throws Error,
  // naming the path, when the disk is full.
  std::filesystem::path deliver(const std::filesystem::path& file, const std::string& name);
  // The same with the bytes of the file.
  std::filesystem::path deliver_text(const std::string& text, const std::string& name);

 private:
  std::filesystem::path directory_;
  std::filesystem::path made_;  // the topmost folder that was made; empty: none
  bool delivered_ = false;
};

// A new log file below `folder`, in which the newest 20 are kept. Throws Error.
std::filesystem::path new_log(const std::filesystem::path& folder);

}  // namespace kpatch

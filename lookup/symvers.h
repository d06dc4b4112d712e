// Module.symvers: what vmlinux and its modules export (kernel: Documentation/kbuild/modules.rst, "Symbol versions").
// Tab-separated: CRC, symbol, owner, type, namespace (since 5.4; may be empty).
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace kpatch {

struct Export {
  std::string name;
  std::string owner;  // "vmlinux", or the module's path without .ko: "net/netfilter/x_tables"
  uint32_t crc = 0;   // 0 without MODVERSIONS
  bool gpl = false;
  std::string name_space;  // empty when none
};

class Symvers {
 public:
  Symvers() = default;
  // Throws Error naming file and line when a line is cut off or is no symvers line. An empty file has no exports.
  static Symvers read(const std::filesystem::path& path);
  const Export* find(std::string_view name) const;  // nullptr when nobody exports it
  size_t size() const { return exports_.size(); }

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view s) const { return std::hash<std::string_view>{}(s); }
  };
  std::unordered_map<std::string, Export, Hash, std::equal_to<>> exports_;
};

// The lines of one owner, as they are. Throws Error as Symvers::read does.
std::string symvers_lines_of(const std::filesystem::path& path, std::string_view owner);

}  // namespace kpatch

// What an archive of .deb packages has, and fetching from it: apt and dpkg.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "support/console.h"
#include "support/executor.h"

namespace kpatch {

// A package of the archive.
struct AptPackage {
  std::string version;
  uint64_t size = 0;  // of the .deb
  std::string
      source{};  // the name of the source package that it is made of; that has the same version, but of signed ones
};

// Answers are kept where they are asked for more than once. All functions throw Error when apt or dpkg isn't there.
class AptArchive {
 public:
  // config: of an apt that isn't this machine's (apt.conf); empty: this machine's.
  AptArchive(Executor& executor, Console& console, std::filesystem::path config = {})
      : executor_(executor), console_(console), config_(std::move(config)) {}

  // dpkg's name of this machine, "amd64".
  const std::string& architecture();
  // Releases that have a debug package, sorted by name. Lists that are empty are fetched first (by root).
  std::vector<std::string> releases();
  // All versions of a package; empty when apt doesn't know it.
  std::vector<AptPackage> versions(const std::string& name);
  // The versions of many packages, in one look; those that apt doesn't know aren't there.
  std::map<std::string, std::vector<std::string>> versions_of(std::vector<std::string> names);
  bool newer(const std::string& a, const std::string& b);
  // The newest version; packages must not be empty.
  AptPackage newest(const std::vector<AptPackage>& packages);
  // Fetches NAME=VERSION into the folder. Tries once more after `apt-get update` when the lists are out of date.
  void download(const std::string& name, const AptPackage& package, const std::filesystem::path& directory);
  // Fetches the files of a source package into the folder; the lists must be those of sources.
  void download_source(const std::string& name, const std::string& version, const std::filesystem::path& directory);

 private:
  std::vector<std::pair<std::string, std::string>> environment() const;
  std::vector<std::string> index_options() const;
  CommandResult ask(std::vector<std::string> question);  // of apt-cache
  CommandResult run(std::vector<std::string> argv);
  std::vector<std::string> read_releases();
  void update(const std::string& why);

  Executor& executor_;
  Console& console_;
  std::filesystem::path config_;
  std::string architecture_;
  std::optional<std::vector<std::string>> releases_;
};

// Files in a package that are wanted without the rest of it.
struct DebFiles {
  std::filesystem::path package;
  std::vector<std::string> patterns;  // as tar takes them, "./usr/lib/debug/boot/vmlinux-R"; each the first that fits
};

// Unpacks all .deb files of the folder into it, several at a time, and removes them; but of `part` those files alone, and
// that package stays. what: for the console.
void unpack_debs(const std::filesystem::path& directory, const std::string& what, Executor& executor, Console& console,
                 const std::optional<DebFiles>& part = {});

// The command that unpacks the files into a folder that is there, and reads the package no further than to the last of
// them. It fails, once it has read all of it, when there is none for a pattern.
Command unpack_files_command(const DebFiles& files, const std::filesystem::path& folder);

// The package (.deb or .rpm) that was kept in a folder; empty when there is none.
std::filesystem::path package_in(const std::filesystem::path& directory);

}  // namespace kpatch

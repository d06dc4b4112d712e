// A Debian package of livepatches, by dpkg-deb.
#pragma once

#include <filesystem>
#include <string>

#include "package/contents.h"

namespace kpatch {

struct DebBuild {
  std::string maintainer;  // "Name <address>"
  long long epoch = 0;     // seconds since 1970: the time of all files
  std::filesystem::path output = ".";
};

// "kpatch-module-livepatch-test"; capitals and _ aren't Debian's.
std::string deb_package_name(const Package& package);
// "NAME_1-1_amd64.deb"
std::string deb_name(const Package& package);
std::string deb_control(const Package& package, const std::string& maintainer, unsigned long kibibytes);
// Its path. All modules are ready ones. Throws Error with dpkg-deb's message when it fails.
std::filesystem::path build_deb(const Package& package, const DebBuild& build);

}  // namespace kpatch

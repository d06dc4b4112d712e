// The suites of a Debian archive, those too that this machine's apt isn't set up with.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/distro/apt.h"
#include "kernel/distro/distro.h"

namespace kpatch {

// Suites that a system lists together: "trixie", and "trixie-backports" with those of trixie.
struct SuiteGroup {
  std::string name;  // its first suite: the one that has to be there
  std::vector<std::string> suites;
};

// In which to look for a release, the likeliest first: by "+deb13" or ".deb11." in its name, by the series where it has
// none (6.1.0-56 is of Debian 12); all of them, the oldest first, where neither is known.
std::vector<SuiteGroup> groups_of_release(std::string_view release);
std::vector<SuiteGroup> all_groups();
// "trixie": it, and trixie-backports. Throws Error, with all that there are, when it is none of them.
std::vector<SuiteGroup> groups_of_suite(std::string_view suite);

// What a group's lists are of.
enum class PackageKind { binary, source };

// apt for a group alone: its lists are fetched into the cache, once a day. Throws Error when the archive can't be
// reached, is signed by nobody we know, or doesn't have the group's first suite.
struct SuiteArchive {
  std::filesystem::path config;      // for AptArchive
  std::vector<std::string> sources;  // its lines of sources.list, as mmdebstrap takes them: those that are there
};
SuiteArchive open_suites(const SuiteGroup& group, const DistroTools& tools, PackageKind kind = PackageKind::binary);

}  // namespace kpatch

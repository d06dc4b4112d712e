// Where fixes come from: a patch or commit that is named, a security tracker, the kernel's CVE records, a stable git tree.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "klp-build/catalogue.h"
#include "klp-build/settings.h"
#include "patch/patch.h"
#include "support/executor.h"

namespace kpatch {

// The patch that takes it back. Throws Error where files come or go.
std::string reverse_of(const PatchFile& patch);

// "2022-1048", "CVE-2022-1048" -> "CVE-2022-1048". Throws Error for anything else.
std::string cve_name(std::string_view text);

// What a tracker's JSON says of a CVE in a suite: the version that has the fix ("0": never affected); nothing when it says
// none. text: package -> CVE -> releases -> suite -> {status, fixed_version}. Throws Error when it isn't such JSON.
std::optional<std::string> fixed_version_of(const std::string& text, const std::string& file, const std::string& cve,
                                            const std::string& suite);

// One of the kernel's CVE records.
struct CveRecord {
  std::vector<std::string> files;            // that its fix is about
  std::vector<std::string> commits;          // that fix it, one a branch
  std::map<std::string, std::string> fixed;  // "6.12": "6.12.44", the first version of a series that has it
};
CveRecord parse_cve_record(const std::string& text, const std::string& file);
// The record's file below a folder, a tree of those of all years too. Nothing when there is none.
std::optional<std::filesystem::path> cve_record_file(const std::filesystem::path& folder, const std::string& cve);
// Whether a kernel of that version ("6.12.117") has the fix by the record; nothing when it doesn't say.
std::optional<bool> fixed_by_record(const CveRecord& record, std::string_view version);

// Commits of all branches of a git tree whose message names this one as the upstream commit: its backports.
std::vector<std::string> backports_of(const std::filesystem::path& git, const std::string& commit, Executor& executor);
// Whether the tree has a commit of that name.
bool has_commit(const std::filesystem::path& git, const std::string& commit, Executor& executor);
// A patch of a commit of a git tree. Throws Error when the tree doesn't have it.
std::string patch_of_commit(const std::filesystem::path& git, const std::string& commit, Executor& executor);

// What a tree of patches over kernels has for a CVE.
struct SeriesFix {
  bool known = false;                                        // it has a branch for the codestream
  std::vector<std::pair<std::string, std::string>> patches;  // name and text, in their order; none: not affected
  bool released = false;                                     // the codestream's own kernel has all of them
};
SeriesFix series_fix_of(const std::filesystem::path& git, const Codestream& codestream, const std::string& cve,
                        Executor& executor);

}  // namespace kpatch

// Fixes out of a tree of patches over kernels, as SUSE's kernel-source is one
//
//     branch SLE15-SP5    series.conf                     patches.suse/a.patch        in the order in which they are applied
//                         patches.suse/a.patch            References: bsc#1197597 CVE-2022-1048
//     tag rpm-RELEASE     the same of one kernel that was released
//
// A base whose branch has no patch for the CVE never had the bug, or nobody has fixed it there; a kernel whose tag has all
// of them has the fix.
#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "klp-build/fixes.h"
#include "support/error.h"
#include "support/text.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;
using std::string;
using std::string_view;

// "15.5rt" -> SLE15-SP5-RT, SLE15-SP5.
std::vector<string> branches_of(const Codestream& codestream) {
  std::vector<string> branches;
  if (!codestream.project.empty()) branches.push_back(codestream.project);
  string base = codestream.base();
  const bool rt = base.ends_with("rt");
  if (rt) base.resize(base.size() - 2);
  const size_t dot = base.find('.');
  if (dot == string::npos) return branches;
  const string branch = fmt::format("SLE{}-SP{}", base.substr(0, dot), base.substr(dot + 1));
  if (rt) branches.push_back(branch + "-RT");
  branches.push_back(branch);
  return branches;
}

// rpm-6.4.0-150600.21 of 6.4.0-150600.21-default.
std::vector<string> tags_of(const Codestream& codestream) {
  const string& kernel = codestream.kernel;
  return {"rpm-" + kernel, "rpm-" + kernel.substr(0, kernel.rfind('-'))};
}

class Tree {
 public:
  Tree(const fs::path& git, Executor& executor) : git_(git), executor_(executor) {}

  std::optional<string> first_of(string_view below, const std::vector<string>& names) const {
    for (const string& name : names) {
      string ref = fmt::format("{}{}", below, name);
      if (run({"rev-parse", "--quiet", "--verify", "--end-of-options", ref + "^{commit}"}).ok()) return ref;
    }
    return std::nullopt;
  }

  std::optional<string> branch_of(const Codestream& codestream) const {
    const std::vector<string> names = branches_of(codestream);
    for (const char* below : {"refs/heads/", "refs/remotes/origin/"})
      if (auto branch = first_of(below, names)) return branch;
    return std::nullopt;
  }

  // In the order of series.conf; those that aren't in it aren't applied.
  std::vector<string> patches_for(const string& ref, const string& cve) const {
    const CommandResult found =
        run({"grep", "-l", "-E", fmt::format("^References:.*{}([^0-9]|$)", cve), ref, "--", "patches.*"});
    if (found.status > 1) throw Error(fmt::format("{}: can't be searched: {}", git_.string(), trimmed(found.output)));
    std::set<string, std::less<>> named;
    for (const string_view line : lines_of(found.output)) named.emplace(line.substr(ref.size() + 1));
    std::vector<string> patches;
    if (named.empty()) return patches;
    const string series = text_of(ref, "series.conf");
    for (const string_view line : lines_of(series)) {
      const std::vector<string_view> words = words_of(line.substr(0, line.find('#')));
      if (!words.empty() && named.contains(words.back())) patches.emplace_back(words.back());
    }
    return patches;
  }

  string text_of(const string& ref, const string& path) const {
    CommandResult shown = run({"show", fmt::format("{}:{}", ref, path)});
    if (!shown.ok()) throw Error(fmt::format("{}: {} has no {}", git_.string(), ref, path));
    return std::move(shown.output);
  }

 private:
  CommandResult run(std::vector<string> words) const {
    words.insert(words.begin(), {"git", "-C", git_.string()});
    return executor_.run({std::move(words), {}, {}});
  }

  const fs::path& git_;
  Executor& executor_;
};

}  // namespace

SeriesFix series_fix_of(const fs::path& git, const Codestream& codestream, const string& cve, Executor& executor) {
  const Tree tree(git, executor);
  SeriesFix fix;
  const std::optional<string> branch = tree.branch_of(codestream);
  if (!branch) return fix;
  fix.known = true;
  const std::vector<string> patches = tree.patches_for(*branch, cve);
  for (const string& path : patches)
    fix.patches.emplace_back(fs::path(path).filename().string(), tree.text_of(*branch, path));
  const std::optional<string> tag = tree.first_of("refs/tags/", tags_of(codestream));
  if (patches.empty() || !tag) return fix;
  const std::vector<string> released = tree.patches_for(*tag, cve);
  fix.released = std::ranges::all_of(
      patches, [&](const string& path) { return std::ranges::find(released, path) != released.end(); });
  return fix;
}

}  // namespace kpatch

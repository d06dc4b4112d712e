// The sources in a git repository: a branch NAME_GROUP for each group of codestreams with equal ones
//
//     bsc1197597_6.12.117+deb12-cloud-amd64         NAME/livepatch_….c, …
//
// Each is one commit on top of the repository's HEAD. They are made in a worktree beside it: what is checked out there
// stays as it is.
#include <fmt/core.h>

#include <algorithm>

#include "klp-build/commands.h"
#include "support/error.h"
#include "support/files.h"
#include "support/text.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;
using std::string;

class Repository {
 public:
  explicit Repository(KlpContext& context) : context_(context), path_(context.settings.kgr_patches_dir) {
    if (path_.empty()) throw Error("kgr_patches_dir isn't set in the configuration: which git repository?");
  }

  void make_if_absent() const {
    if (fs::exists(path_ / ".git") || fs::exists(path_ / "HEAD")) return;
    if (fs::exists(path_) && !fs::is_empty(path_))
      throw Error(fmt::format("kgr_patches_dir: {} is no git repository", path_.string()));
    fs::create_directories(path_);
    git({"init", "-q"});
    git({"commit", "-q", "--allow-empty", "-m", "Livepatches"});
  }

  string git(std::vector<string> words) const { return git_in(path_, std::move(words)); }
  string git_in(const fs::path& folder, std::vector<string> words) const {
    words.insert(words.begin(), {"git", "-C", folder.string()});
    const CommandResult result = context_.executor.run({std::move(words), {}, {}});
    if (!result.ok()) throw Error(fmt::format("{}: git: {}", folder.string(), trimmed(result.output)));
    return result.output;
  }
  bool has(const string& branch) const {
    return context_.executor
        .run({{"git", "-C", path_.string(), "rev-parse", "-q", "--verify", "refs/heads/" + branch}, {}, {}})
        .ok();
  }
  const fs::path& path() const { return path_; }

 private:
  KlpContext& context_;
  const fs::path& path_;
};

string branch_of(const Project& project, const std::vector<string>& group) {
  string name = project.name + "_" + group_name(group, project.names());
  std::ranges::replace(name, ' ', '_');
  return name;
}

void commit_group(const Repository& repository, const Project& project, const std::vector<string>& group) {
  const fs::path tree = project.folder / (".worktree." + random_name());
  repository.git({"worktree", "add", "-q", "-b", branch_of(project, group), tree.string(), "HEAD"});
  try {
    const fs::path folder = tree / project.name;
    remove_tree(folder);
    fs::create_directories(folder);
    fs::copy(project.folder / "ccp" / group.front() / "lp", folder, fs::copy_options::recursive);
    repository.git_in(tree, {"add", "-A"});
    repository.git_in(tree, {"commit", "-q", "-F", (project.folder / "commit.msg").string()});
  } catch (const Error&) {
    repository.git({"worktree", "remove", "--force", tree.string()});
    repository.git({"branch", "-q", "-D", branch_of(project, group)});
    throw;
  }
  repository.git({"worktree", "remove", "--force", tree.string()});
}

// Of kgr_patches_tests_dir, where that is a git tree: the last commit of the project's test.
string commit_of_test(const KlpContext& context, const Project& project) {
  const fs::path& folder = context.settings.tests_dir;
  const fs::path test = kept_test_of(folder, project.name);
  if (test.empty()) return {};
  const CommandResult found =
      context.executor.run({{"git", "-C", folder.string(), "log", "-1", "--format=%H", "--", test.string()}, {}, {}});
  return found.ok() ? string(trimmed(found.output)) : string();
}

// For the cover letter.
string functions_of(const Project& project, const string& name) {
  string text;
  for (const ProjectCodestream& codestream : project.codestreams)
    for (const PatchedFile& file : codestream.files)
      if (codestream.is.name == name)
        text += fmt::format("        {}, {}: {}\n", file.path, file.module, joined(file.klpp_symbols, " "));
  return text;
}

}  // namespace

int commit_branches(KlpContext& context) {
  const Project project = read_project(context.settings.work_dir, context.line.name);
  const std::vector<std::vector<string>> groups = groups_of(project);
  if (groups.empty()) throw Error(fmt::format("{}: has no sources yet, klp-build extract makes them", project.name));
  const Repository repository(context);
  repository.make_if_absent();
  std::vector<string> there;
  for (const std::vector<string>& group : groups)
    if (repository.has(branch_of(project, group))) there.push_back(branch_of(project, group));
  if (!there.empty() && !context.line.force)
    throw Error(
        fmt::format("{}: is there already: {}; --force replaces it", repository.path().string(), joined(there, ", ")));
  for (const string& branch : there) repository.git({"branch", "-q", "-D", branch});
  for (const std::vector<string>& group : groups) {
    commit_group(repository, project, group);
    context.console.info(branch_of(project, group));
  }
  return exit_ok;
}

void push_branches(KlpContext& context, const Project& project) {
  const Repository repository(context);
  std::vector<string> words = {"push", "-q", context.line.push_to.string()};
  for (const std::vector<string>& group : groups_of(project)) {
    const string branch = branch_of(project, group);
    if (!repository.has(branch)) throw Error(fmt::format("there is no branch {}: klp-build commit makes it", branch));
    words.push_back(fmt::format("{}refs/heads/{}", context.line.force ? "+" : "", branch));
  }
  repository.git(std::move(words));
}

int format_patches(KlpContext& context) {
  const Project project = read_project(context.settings.work_dir, context.line.name);
  const Repository repository(context);
  const fs::path folder = project.folder / "patches";
  remove_tree(folder);
  fs::create_directories(folder);
  const std::vector<std::vector<string>> groups = groups_of(project);
  if (groups.empty()) context.console.warning(fmt::format("{}: has no groups of sources", project.name));
  string list;
  unsigned number = 0;
  const string test = context.line.no_test ? string() : commit_of_test(context, project);
  const size_t all = groups.size() + (test.empty() ? 0 : 1);
  const auto format = [&](const fs::path& tree, const string& what, const string& commit) {
    const string prefix =
        fmt::format("Klp-patches][PATCH v{} {}/{}{}", context.line.patch_version, ++number, all, what);
    repository.git_in(tree, {"format-patch", "-q", "-1", "-N", "--subject-prefix", prefix, "--start-number",
                             std::to_string(number), "-o", folder.string(), commit});
  };
  if (!test.empty()) format(context.settings.tests_dir, {}, test);
  for (const std::vector<string>& group : groups) {
    const string branch = branch_of(project, group);
    if (!repository.has(branch)) throw Error(fmt::format("there is no branch {}: klp-build commit makes it", branch));
    format(repository.path(), fmt::format("] {} [{}", project.name, group_name(group, project.names())), branch);
    list += fmt::format("    {}\n", group_name(group, project.names())) + functions_of(project, group.front());
  }
  std::vector<string> archs;
  for (const ProjectCodestream& codestream : project.codestreams)
    if (std::ranges::find(archs, codestream.is.arch()) == archs.end()) archs.push_back(codestream.is.arch());
  write_file(
      folder / "0000-cover-letter.patch",
      fmt::format("Subject: [Klp-patches][PATCH v{} 0/{}] {}\n\n{}\nArchitectures: {}\nGroups of equal sources:\n{}"
                  "Already patched:\n    {}\n",
                  context.line.patch_version, all, project.name, read_file_if_any(project.folder / "commit.msg"),
                  joined(archs, ", "), list,
                  project.patched_cs.empty() ? "none" : joined(project.patched_cs, "\n    ")));
  context.console.info(folder.string());
  return exit_ok;
}

}  // namespace kpatch

// setup and scan: which codestreams need a fix, and what of them is patched
//
//     --fix                  patches or commits that are named
//     kernel_src_dir         the patches over the kernels of one base, and which of its kernels has them
//     the tracker            which version of the packages has the fix
//     the CVE's record       which version of the kernel has it, and by which commits
//     the stable git tree    the commits themselves, and backports of what is named
//     the source             whether the fix fits, or its reverse does
#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <set>

#include "klp-build/codestream-job.h"
#include "klp-build/commands.h"
#include "klp-build/fixes.h"
#include "support/error.h"
#include "support/files.h"
#include "support/text.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;
using std::string;

constexpr int soon = 30;  // days

class Survey {
 public:
  Survey(KlpContext& context, fs::path folder) : context_(context), line_(context.line), folder_(std::move(folder)) {}

  // False: nothing is to be patched, and that is said.
  bool run() {
    std::vector<Codestream> chosen = of_archs(chosen_codestreams(context_));
    if (!line_.cve.empty()) cve_ = cve_name(line_.cve);
    find_series(chosen);
    collect_fixes();
    std::vector<Job> jobs;
    for (const Codestream& codestream : chosen) {
      if (!codestream.missing.empty()) {
        context_.console.info(fmt::format("Skipping {}: the archive has no {}", codestream.name, codestream.missing));
      } else if (is_unaffected(codestream)) {
        unaffected_.push_back(codestream.name);
      } else if (!line_.no_check && known_fixed(codestream)) {
        patched_.push_back(codestream.name);
      } else {
        warn_of_end(codestream);
        jobs.push_back(job_of(codestream));
      }
    }
    const std::vector<JobResult> results = run_jobs(jobs, context_.settings.workers, line_.verbosity);
    if (show_results(context_, results) > 0) throw Error("the checks found what is named above; nothing is written");
    std::vector<string> without;
    for (size_t i = 0; i < results.size(); ++i) {
      const string& name = results[i].codestream.is.name;
      if (results[i].state == JobState::patched) patched_.push_back(name);
      if (results[i].state == JobState::no_conf) without.push_back(name);
      if (results[i].state != JobState::done) continue;
      affected_.push_back(results[i].codestream);
      if (results[i].candidate >= 0)
        affected_.back().required_patches = jobs[i].candidates[static_cast<size_t>(results[i].candidate)];
    }
    return tell(without);
  }

  // Those of all codestreams; Error when none are known.
  void find_patches() {
    cve_ = cve_name(line_.cve);
    find_series(chosen_codestreams(context_));
    collect_fixes();
  }

  const std::vector<ProjectCodestream>& affected() const { return affected_; }
  const std::vector<string>& patched() const { return patched_; }
  const string& cve() const { return cve_; }

 private:
  std::vector<Codestream> of_archs(std::vector<Codestream> all) const {
    if (line_.archs.empty()) return all;
    for (const string& arch : line_.archs)
      if (std::ranges::none_of(all, [&](const Codestream& c) { return c.arch() == arch; }))
        context_.console.warning(fmt::format("none of the codestreams is for {}", arch));
    std::erase_if(all,
                  [&](const Codestream& c) { return std::ranges::find(line_.archs, c.arch()) == line_.archs.end(); });
    if (all.empty()) throw Error("no codestream is left: none is for an architecture of --archs");
    return all;
  }

  // --- fixes ---

  string kept(const string& where, const string& name, const string& text) const {
    const string file = fmt::format("{}/{}", where, name);
    fs::create_directories((folder_ / file).parent_path());
    parse_patch(name, text);  // a damaged one is told now
    write_file(folder_ / file, text);
    return file;
  }

  string kept_commit(const string& commit) const {
    const fs::path& git = context_.settings.stable_git;
    if (git.empty())
      throw Error(fmt::format("{}: is no file; for a commit, stable_git has to be set in the configuration", commit));
    constexpr size_t shown = 12;
    return kept("upstream", commit.substr(0, shown) + ".patch", patch_of_commit(git, commit, context_.executor));
  }

  void collect_fixes() {
    std::vector<string> added, given;
    for (const string& file : line_.add_patches) added.push_back(kept_file("all", added.size(), file));
    for (const string& fix : line_.fixes) {
      const size_t equals = fix.find('=');
      if (equals != string::npos && !fs::exists(fix)) {
        const string base = fix.substr(0, equals);
        by_base_[base].push_back(kept_file(base, by_base_[base].size(), fix.substr(equals + 1)));
      } else if (fs::exists(fix)) {
        given.push_back(kept_file("all", added.size() + given.size(), fix));
      } else {
        for (const string& backport : backports_of_commit(fix)) common_.push_back({kept_commit(backport)});
      }
    }
    if (!given.empty()) common_.insert(common_.begin(), given);
    read_records();
    for (std::vector<string>& candidate : common_) candidate.insert(candidate.begin(), added.begin(), added.end());
    for (auto& [base, candidate] : by_base_) candidate.insert(candidate.begin(), added.begin(), added.end());
    for (auto& [name, patches] : series_) patches.insert(patches.begin(), added.begin(), added.end());
    if (common_.empty() && by_base_.empty() && series_.empty() && line_.files.empty())
      throw Error(cve_.empty() ? string("neither --fix, --cve nor --file-funcs says what is to be patched")
                               : fmt::format("no patch for {} is known: give it by --fix, or set cve_records and "
                                             "stable_git in the configuration",
                                             cve_));
  }

  std::vector<string> backports_of_commit(const string& commit) const {
    const fs::path& git = context_.settings.stable_git;
    if (git.empty()) return {commit};
    std::vector<string> commits = backports_of(git, commit, context_.executor);
    // A tree of stable branches alone has no other.
    if (has_commit(git, commit, context_.executor)) commits.push_back(commit);
    if (commits.empty())
      throw Error(fmt::format("--fix {}: is no file, and {} has neither that commit nor a backport of it", commit,
                              git.string()));
    return commits;
  }

  string kept_file(const string& base, size_t number, const string& file) const {
    return kept("fixes/" + base, fmt::format("{:02}-{}", number + 1, fs::path(file).filename().string()),
                read_file(file));
  }

  void read_records() {
    if (cve_.empty()) return;
    const KlpSettings& settings = context_.settings;
    if (!settings.tracker.empty()) tracker_ = read_file(settings.tracker);
    if (settings.cve_records.empty()) return;
    const auto file = cve_record_file(settings.cve_records, cve_);
    if (!file) return context_.console.info(fmt::format("{}: the kernel's CVE records don't have it", cve_));
    record_ = parse_cve_record(read_file(*file), file->string());
    if (settings.stable_git.empty() || !line_.fixes.empty()) return;
    for (const string& commit : record_.commits) {
      try {
        common_.push_back({kept_commit(commit)});
      } catch (const Error& error) {
        context_.console.warning(error.what());
      }
    }
  }

  // In trees where no codestream's branch has a patch nothing is known of the CVE.
  void find_series(const std::vector<Codestream>& chosen) {
    const fs::path& git = context_.settings.kernel_src_dir;
    if (git.empty() || cve_.empty() || !line_.fixes.empty()) return;
    for (const Codestream& codestream : chosen) {
      const SeriesFix fix = series_fix_of(git, codestream, cve_, context_.executor);
      if (!fix.known) continue;
      if (fix.released) released_.insert(codestream.name);
      std::vector<string>& patches = series_[codestream.name];
      for (const auto& [name, text] : fix.patches)
        patches.push_back(kept("fixes/" + codestream.base(), fmt::format("{:02}-{}", patches.size() + 1, name), text));
    }
    if (std::ranges::all_of(series_, [](const auto& entry) { return entry.second.empty(); })) series_.clear();
  }

  bool is_unaffected(const Codestream& codestream) const {
    const auto known = series_.find(codestream.name);
    return !line_.no_check && known != series_.end() && known->second.size() == line_.add_patches.size();
  }

  void warn_of_end(const Codestream& codestream) const {
    if (const auto days = days_until(codestream.eol); days && *days <= soon)
      context_.console.warning(
          fmt::format("{}: its support {} on {}", codestream.name, *days < 0 ? "ended" : "ends", codestream.eol));
  }

  // By its version.
  bool known_fixed(const Codestream& codestream) {
    if (released_.contains(codestream.name)) return true;
    if (!tracker_.empty() && !codestream.suite.empty() && !codestream.version.empty()) {
      const auto fixed = fixed_version_of(tracker_, context_.settings.tracker.string(), cve_, codestream.suite);
      if (fixed) {
        const CommandResult compared =
            context_.executor.run({{"dpkg", "--compare-versions", codestream.version, "ge", *fixed}, {}, {}});
        if (compared.status > 1) throw Error("dpkg can't compare versions: " + compared.output);
        return compared.ok();
      }
    }
    const string version = codestream.version.empty() ? codestream.kernel : codestream.version;
    return fixed_by_record(record_, version.substr(0, version.find_first_of("-+"))).value_or(false);
  }

  Job job_of(const Codestream& codestream) const {
    Job job;
    job.project = folder_;
    job.name = line_.name;
    job.codestream.is = codestream;
    job.look_for_fix = !line_.no_check;
    for (const FileFunctions& file : line_.files)
      job.codestream.files.push_back({file.file, file.module, file.conf, file.functions, {}, {}});
    job.candidates = common_;
    for (const auto& [base, patches] : by_base_)
      if (codestream.base() == base || codestream.name.starts_with(base)) job.candidates = {patches};
    if (const auto own = series_.find(codestream.name); own != series_.end() && !own->second.empty())
      job.candidates = {own->second};
    return job;
  }

  // --- what is said ---

  bool tell(const std::vector<string>& without) {
    Console& console = context_.console;
    std::ranges::sort(patched_);
    std::vector<string> all;
    std::map<string, std::vector<string>> groups;  // by what is patched
    for (const ProjectCodestream& codestream : affected_) {
      all.push_back(codestream.is.name);
      string what;
      for (const PatchedFile& file : codestream.files)
        what += fmt::format("\n    {}, {}, {}, {}", file.path, file.conf.empty() ? "-" : file.conf, file.module,
                            joined(file.symbols, " "));
      groups[what].push_back(codestream.is.name);
    }
    const auto list = [&](const char* title, const std::vector<string>& names) {
      if (!names.empty()) console.info(fmt::format("{}:\n    {}", title, joined(names, "\n    ")));
    };
    for (const auto& [what, names] : groups) console.info(fmt::format("{}:{}", group_name(names, all), what));
    list("Skipping already patched", patched_);
    list("Skipping unaffected (missing backports)", unaffected_);
    if (!without.empty())
      list(line_.conf.empty() ? "Skipping codestreams without the option set"
                              : fmt::format("Skipping codestreams without {} set", line_.conf).c_str(),
           without);
    if (!affected_.empty()) return list("All affected codestreams", all), true;
    if (patched_.empty() && unaffected_.empty())
      throw Error(line_.conf.empty() ? string("no codestream is left")
                                     : fmt::format("{} isn't set in any of the codestreams", line_.conf));
    console.info(patched_.empty() ? "No codestream is affected." : "All supported codestreams are already patched.");
    return false;
  }

  KlpContext& context_;
  const KlpCommandLine& line_;
  fs::path folder_;
  string cve_, tracker_;
  CveRecord record_;
  std::vector<std::vector<string>> common_;  // each a list of patches, of which one fits
  std::map<string, std::vector<string>> by_base_;
  std::vector<ProjectCodestream> affected_;
  std::vector<string> patched_, unaffected_;
  std::map<string, std::vector<string>> series_;  // patches of kernel_src_dir, by codestream
  std::set<string> released_;                     // that have them
};

// A project's folder grows as a whole, or not at all.
class NewFolder {
 public:
  explicit NewFolder(const fs::path& beside) : path_(beside / (".new." + random_name())) {
    fs::create_directories(path_);
  }
  ~NewFolder() { remove_tree(path_); }
  NewFolder(const NewFolder&) = delete;
  NewFolder& operator=(const NewFolder&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

string author(KlpContext& context) {
  const auto ask = [&](const char* key) {
    const CommandResult result = context.executor.run({{"git", "config", "--get", key}, {}, {}});
    return result.ok() ? string(trimmed(result.output)) : string();
  };
  const string name = ask("user.name"), mail = ask("user.email");
  return name.empty() || mail.empty() ? "" : fmt::format("\nSigned-off-by: {} <{}>\n", name, mail);
}

string commit_message(const Project& project, KlpContext& context) {
  string message = fmt::format("{}: livepatch\n\n", project.name);
  if (!project.cve.empty()) message = fmt::format("Fix for {}\n\nLive patch for {}.\n\n", project.cve, project.cve);
  std::vector<string> upstream;
  for (const auto& entry : entries_if_any(project.folder / "upstream"))
    upstream.push_back("    " + entry.path().stem().string());
  message += "Upstream commit(s):\n" + (upstream.empty() ? string("    none") : joined(upstream, "\n")) +
             "\n\nKLP: " + project.name + "\n";
  if (!project.cve.empty()) message += "References: " + project.cve + "\n";
  return message + author(context);
}

}  // namespace

int setup_project(KlpContext& context) {
  const KlpCommandLine& line = context.line;
  require_project_name(line.name);
  const fs::path folder = context.settings.work_dir / line.name;
  const bool before = fs::exists(folder / "codestreams.json");
  Project project;
  if (before) project = read_project(context.settings.work_dir, line.name);
  if (line.data_dir.empty() && !project.data_dir.empty()) context.settings.data_dir = project.data_dir;
  const NewFolder fresh(context.settings.work_dir);
  Survey survey(context, fresh.path());
  if (!survey.run()) return exit_ok;
  fs::create_directories(folder);
  for (const char* part : {"fixes", "upstream"})
    if (fs::exists(fresh.path() / part))
      fs::copy(fresh.path() / part, folder / part, fs::copy_options::recursive | fs::copy_options::overwrite_existing);
  project.folder = folder;
  project.name = line.name;
  if (!survey.cve().empty()) project.cve = survey.cve();
  if (!line.data_dir.empty()) project.data_dir = line.data_dir;
  project.archs = line.archs;
  for (const ProjectCodestream& codestream : survey.affected()) {
    std::erase_if(project.codestreams, [&](const ProjectCodestream& c) { return c.is.name == codestream.is.name; });
    project.codestreams.push_back(codestream);
  }
  std::ranges::sort(project.codestreams, {}, [](const ProjectCodestream& c) { return c.is.name; });
  for (const string& name : survey.patched())
    if (std::ranges::find(project.patched_cs, name) == project.patched_cs.end()) project.patched_cs.push_back(name);
  if (!fs::exists(folder / "commit.msg")) write_file(folder / "commit.msg", commit_message(project, context));
  write_project(project);
  context.console.info("Done. Setup finished.");
  return exit_ok;
}

int get_patches(KlpContext& context) {
  require_project_name(context.line.name);
  const NewFolder fresh(context.settings.work_dir);
  Survey(context, fresh.path()).find_patches();
  const fs::path folder = context.settings.work_dir / context.line.name;
  for (const char* part : {"fixes", "upstream"}) {
    if (!fs::exists(fresh.path() / part)) continue;
    fs::create_directories(folder);
    fs::copy(fresh.path() / part, folder / part, fs::copy_options::recursive | fs::copy_options::overwrite_existing);
    walk(fresh.path() / part, [&](const fs::directory_entry& entry) {
      if (entry.is_regular_file())
        context.console.info((folder / entry.path().lexically_relative(fresh.path())).string());
      return true;
    });
  }
  return exit_ok;
}

int scan_codestreams(KlpContext& context) {
  if (context.line.cve.empty() && context.line.fixes.empty())
    throw Error("scan: --cve or --fix says what is looked for");
  const NewFolder folder(context.settings.work_dir);
  Survey(context, folder.path()).run();
  return exit_ok;
}

}  // namespace kpatch

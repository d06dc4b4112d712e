#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "kernel/kernel.h"
#include "klp-build/codestream-job.h"
#include "klp-build/commands.h"
#include "kpatch-build/kpatch-build.h"
#include "support/error.h"
#include "support/files.h"
#include "support/text.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;
using std::string;
using std::string_view;

bool is_kernel_folder(const fs::path& folder) {
  return fs::exists(folder / "Makefile") && fs::exists(folder / "vmlinux") && fs::exists(folder / ".config");
}

// What the archive has of the suites that the settings name, or of that which this machine runs.
std::vector<Codestream> ask_archive(KlpContext& context) {
  const Distro* distro = running_distro();
  if (distro == nullptr || distro->list == nullptr)
    throw Error(
        "archives of this system's kind aren't read yet: name codestreams by a CSV, codestreams = FILE in the "
        "configuration");
  std::vector<string> suites = context.settings.suites;
  const string system = read_file_if_any("/etc/os-release");
  for (const string_view line : lines_of(system))
    if (line.starts_with("VERSION_CODENAME=") && suites.empty())
      suites.emplace_back(trimmed(line.substr(line.find('=') + 1), "\""));
  Cache cache(Cache::default_root(), context.console);
  Executor executor(new_log(cache.root() / "logs"), [&](string_view line) { context.console.command(line); });
  std::vector<Codestream> codestreams;
  const auto take = [&](const std::vector<StockKernel>& kernels, const string& problem) {
    if (!problem.empty()) context.console.warning(problem);
    for (const StockKernel& kernel : kernels)
      codestreams.push_back({kernel.release, kernel.release, kernel.version, kernel.suite, {}, {}, kernel.missing});
  };
  for (const string& suite : suites) distro->list({cache, executor, context.console, {}, {}, suite}, take);
  std::ranges::stable_sort(codestreams, {}, &Codestream::name);
  // A release that several suites have is the newest one's.
  const auto same = [](const Codestream& a, const Codestream& b) { return a.name == b.name; };
  codestreams.erase(std::unique(codestreams.begin(), codestreams.end(), same), codestreams.end());
  if (codestreams.empty()) throw Error("the archive has no kernel");
  return codestreams;
}

constexpr const char* kernels_file = "kernels";

// A line for each kernel that is or was a codestream: so that data --cleanup-obsolete leaves alone what others have in
// the cache.
std::vector<Codestream> remembered(const fs::path& data, std::vector<Codestream> codestreams) {
  const string before = read_file_if_any(data / kernels_file);
  std::set<string> kernels;
  for (const string_view line : lines_of(before)) kernels.emplace(line);
  for (const Codestream& codestream : codestreams) kernels.insert(codestream.kernel);
  string text;
  for (const string& kernel : kernels) text += kernel + "\n";
  if (text != before) write_file(data / kernels_file, text);
  return codestreams;
}

std::vector<Job> jobs_of(const KlpContext& context, const Project& project,
                         const std::vector<ProjectCodestream>& codestreams, JobAction action) {
  std::vector<Job> jobs;
  for (const ProjectCodestream& codestream : codestreams) {
    Job job;
    job.action = action;
    job.project = project.folder;
    job.name = project.name;
    job.module = project.module();
    job.codestream = codestream;
    job.avoid_ext = context.line.avoid_ext;
    if (context.line.no_patches) job.codestream.required_patches.clear();
    jobs.push_back(std::move(job));
  }
  return jobs;
}

Project project_of(const KlpContext& context) { return read_project(context.settings.work_dir, context.line.name); }

string build_state(const Project& project, const ProjectCodestream& codestream) {
  if (fs::exists(project.built(codestream) / (project.module() + ".ko"))) return "succeeded";
  if (fs::exists(project.ccp(codestream) / "build.log")) return "failed";
  return fs::exists(project.lp(codestream)) ? "not built" : "not extracted";
}

// "/* from include/linux/types.h:35 */" without its line.
string without_places(const string& source) {
  string text;
  for (const string_view line : whole_lines(source)) {
    const size_t colon = line.rfind(':');
    const bool place = line.starts_with("/* from ") && line.ends_with(" */\n") && colon != string_view::npos;
    text += place ? string(line.substr(0, colon)) + " */\n" : string(line);
  }
  return text;
}

std::map<string, string> sources_in(const fs::path& folder) {
  std::map<string, string> sources;
  for (const auto& entry : entries_if_any(folder))
    sources[entry.path().filename().string()] = normalised(read_file(entry.path()));
  return sources;
}

}  // namespace

std::vector<Codestream> all_codestreams(KlpContext& context, bool ask_anew) {
  const fs::path& given = context.line.data_dir;
  if (!given.empty() && is_kernel_folder(given)) {
    const string release{trimmed(read_file(given / "include/config/kernel.release"))};
    return {{release, given.string(), {}, {}, {}, {}, {}}};
  }
  if (!given.empty() && !fs::is_directory(given))
    throw Error(fmt::format("--data-dir {}: is no folder", given.string()));
  const fs::path data = given.empty() ? context.settings.data_dir : given;
  for (const fs::path& csv : {context.settings.codestreams, data / "codestreams.csv"})
    if (!csv.empty() && fs::exists(csv)) return remembered(data, parse_codestreams(read_file(csv), csv.string()));
  if (fs::exists(data / "codestreams.json") && !ask_anew)
    return remembered(data, read_catalogue(data / "codestreams.json"));
  std::vector<Codestream> codestreams = ask_archive(context);
  write_catalogue(data / "codestreams.json", codestreams);
  return remembered(data, std::move(codestreams));
}

std::vector<string> former_kernels(const fs::path& data, const std::vector<Codestream>& now) {
  std::vector<string> former;
  const string text = read_file_if_any(data / kernels_file);
  for (const string_view line : lines_of(text))
    if (std::ranges::find(now, line, &Codestream::kernel) == now.end()) former.emplace_back(line);
  return former;
}

std::vector<Codestream> chosen_codestreams(KlpContext& context) {
  std::vector<Codestream> all = all_codestreams(context, context.line.update);
  std::vector<string> names;
  for (const Codestream& codestream : all) names.push_back(codestream.name);
  const auto meant = filter_of(context.line.filter, names), skipped = filter_of(context.line.skips, names);
  const bool skips = !context.line.skips.empty();
  std::erase_if(all, [&](const Codestream& c) { return !meant(c.name) || (skips && skipped(c.name)); });
  if (all.empty())
    throw Error(fmt::format("no codestream matches '{}'{}; known: {}", context.line.filter,
                            skips ? fmt::format(" without '{}'", context.line.skips) : "", joined(names, ", ")));
  return all;
}

std::vector<ProjectCodestream> chosen_of(const KlpContext& context, const Project& project) {
  std::vector<ProjectCodestream> chosen = project.codestreams;
  if (!context.line.codestreams.empty()) {
    const std::vector<string> names = project.names();
    for (const string& name : context.line.codestreams)
      if (std::ranges::find(names, name) == names.end())
        throw Error(fmt::format("--cs {}: the project has {}", name, joined(names, ", ")));
    std::erase_if(chosen, [&](const ProjectCodestream& c) {
      return std::ranges::find(context.line.codestreams, c.is.name) == context.line.codestreams.end();
    });
    return chosen;
  }
  const auto meant = filter_of(context.line.filter, project.names());
  std::erase_if(chosen, [&](const ProjectCodestream& c) { return !meant(c.is.name); });
  if (chosen.empty())
    throw Error(fmt::format("no codestream of {} matches '{}'; it has {}", project.name, context.line.filter,
                            joined(project.names(), ", ")));
  return chosen;
}

size_t show_results(KlpContext& context, const std::vector<JobResult>& results) {
  size_t failed = 0;
  for (const JobResult& result : results) {
    for (const string& warning : result.warnings)
      context.console.warning(fmt::format("{}: {}", result.codestream.is.name, warning));
    for (const string& error : result.errors)
      context.console.error(fmt::format("{}: {}", result.codestream.is.name, error));
    failed += result.state == JobState::failed ? 1 : 0;
  }
  return failed;
}

int extract_project(KlpContext& context) {
  Project project = project_of(context);
  const std::vector<ProjectCodestream> chosen = chosen_of(context, project);
  const std::vector<JobResult> results =
      run_jobs(jobs_of(context, project, chosen, JobAction::extract), context.settings.workers, context.line.verbosity);
  const size_t failed = show_results(context, results);
  for (const JobResult& result : results) {
    if (result.state == JobState::failed) continue;
    for (ProjectCodestream& codestream : project.codestreams)
      if (codestream.is.name == result.codestream.is.name) codestream.files = result.codestream.files;
    context.console.info((project.lp(result.codestream) / (project.module() + ".c")).string());
  }
  write_project(project);
  string groups;
  for (const std::vector<string>& group : groups_of(project)) groups += group_name(group, project.names()) + "\n";
  fs::create_directories(project.folder / "ccp");
  write_file(project.folder / "ccp/groups", groups);
  context.console.info("Groups of equal sources:\n" + groups.substr(0, groups.empty() ? 0 : groups.size() - 1));
  const bool some = failed < results.size() && context.line.ignore_errors;
  return failed == 0 || some ? exit_ok : exit_error;
}

int check_inline(KlpContext& context) {
  const std::vector<Codestream> chosen = chosen_codestreams(context);
  if (chosen.size() > 1 && context.line.filter.empty())
    throw Error("check-inline: --codestream says in which codestreams");
  std::vector<Job> jobs;
  const FileFunctions& file = context.line.files.front();
  for (const Codestream& codestream : chosen) {
    Job job;
    job.action = JobAction::inlined;
    job.project = context.settings.data_dir;
    job.codestream.is = codestream;
    job.codestream.files.push_back({file.file, file.module, {}, file.functions, {}, {}});
    jobs.push_back(std::move(job));
  }
  const std::vector<JobResult> results = run_jobs(jobs, context.settings.workers, context.line.verbosity);
  for (const JobResult& result : results)
    for (const string& line : result.told) context.console.info(fmt::format("{}: {}", result.codestream.is.name, line));
  return show_results(context, results) == 0 ? exit_ok : exit_error;
}

string normalised(const string& given) {
  const string source = without_places(given);
  static constexpr std::array<string_view, 3> numbered = {"__compiletime_assert_", "__UNIQUE_ID_", "_addressable_"};
  string text;
  size_t at = 0;
  while (at < source.size()) {
    size_t next = string::npos, length = 0;
    for (const string_view word : numbered) {
      const size_t found = source.find(word, at);
      if (found < next) next = found, length = word.size();
    }
    if (next == string::npos) break;
    size_t end = next + length;
    while (end < source.size() && (std::isalnum(static_cast<unsigned char>(source[end])) != 0 || source[end] == '_'))
      ++end;
    string_view word = string_view(source).substr(next, end - next);
    word = word.substr(0, word.find_last_not_of("0123456789") + 1);
    text.append(source, at, next - at);
    text += word;
    at = end;
  }
  return text + source.substr(std::min(at, source.size()));
}

std::vector<std::vector<string>> groups_of(const Project& project) {
  std::vector<std::pair<std::map<string, string>, std::vector<string>>> groups;
  for (const ProjectCodestream& codestream : project.codestreams) {
    std::map<string, string> sources = sources_in(project.lp(codestream));
    if (sources.empty()) continue;
    const auto same = std::ranges::find(groups, sources, [](const auto& group) { return group.first; });
    if (same == groups.end())
      groups.emplace_back(std::move(sources), std::vector<string>{codestream.is.name});
    else
      same->second.push_back(codestream.is.name);
  }
  std::vector<std::vector<string>> names;
  for (auto& [sources, group] : groups) names.push_back(std::move(group));
  return names;
}

int diff_codestreams(KlpContext& context) {
  const Project project = project_of(context);
  const std::vector<ProjectCodestream> two = chosen_of(context, project);
  if (two.size() != 2)
    throw Error(
        fmt::format("cs-diff: exactly two codestreams are compared, and {} are meant; --cs names them", two.size()));
  const std::map<string, string> left = sources_in(project.lp(two[0])), right = sources_in(project.lp(two[1]));
  for (size_t i = 0; i < 2; ++i)
    if ((i == 0 ? left : right).empty())
      throw Error(fmt::format("{}: has no sources yet, klp-build extract makes them", two[i].is.name));
  std::set<string> names;
  for (const auto* side : {&left, &right})
    for (const auto& [name, text] : *side) names.insert(name);
  const fs::path folder = project.folder / ("ccp/.diff." + random_name());
  fs::create_directories(folder);
  bool differ = false;
  for (const string& name : names) {
    std::vector<string> words = {"diff", "-u"};
    // What one side lacks is an empty file there.
    for (size_t i = 0; i < 2; ++i) {
      const auto& side = i == 0 ? left : right;
      const auto found = side.find(name);
      write_file(folder / std::to_string(i), found == side.end() ? string() : found->second, Flush::no);
      words.insert(words.end(), {"--label", found == side.end() ? "/dev/null" : two[i].is.name + " " + name});
    }
    words.insert(words.end(), {(folder / "0").string(), (folder / "1").string()});
    const CommandResult result = context.executor.run({words, {}, {}});
    if (result.status > 1) throw Error("diff: " + result.output);
    fmt::print("{}", result.output);
    differ |= result.status == 1;
  }
  remove_tree(folder);
  return context.line.exit_code && differ ? exit_error : exit_ok;
}

int build_project(KlpContext& context) {
  const Project project = project_of(context);
  std::vector<ProjectCodestream> chosen = chosen_of(context, project);
  if (context.line.fast) {
    std::set<string> bases;
    std::erase_if(chosen, [&](const ProjectCodestream& c) { return !bases.insert(c.is.base()).second; });
  }
  const std::vector<JobResult> results =
      run_jobs(jobs_of(context, project, chosen, JobAction::build), context.settings.workers, context.line.verbosity);
  const size_t failed = show_results(context, results);
  for (const JobResult& result : results)
    if (result.state == JobState::done)
      context.console.info((project.built(result.codestream) / (project.module() + ".ko")).string());
  if (failed == 0 && !context.line.push_to.empty()) push_branches(context, project);
  return failed == 0 ? exit_ok : exit_error;
}

int show_status(KlpContext& context) {
  const Project project = project_of(context);
  bool failed = false;
  for (const ProjectCodestream& codestream : chosen_of(context, project)) {
    const string state = build_state(project, codestream);
    failed |= state == "failed";
    context.console.info(fmt::format("{:<36} {:<12} {}", codestream.is.name, codestream.is.arch(), state));
  }
  return failed ? exit_error : exit_ok;
}

int show_log(KlpContext& context) {
  const Project project = project_of(context);
  const std::vector<ProjectCodestream> one = chosen_of(context, project);
  if (one.size() != 1) {
    std::vector<string> names;
    for (const ProjectCodestream& codestream : one) names.push_back(codestream.is.name);
    throw Error(fmt::format("log: of one codestream, and these are meant: {}", joined(names, ", ")));
  }
  if (!context.line.arch.empty() && context.line.arch != one.front().is.arch())
    throw Error(fmt::format("--arch {}: {} is for {}", context.line.arch, one.front().is.name, one.front().is.arch()));
  const fs::path log = project.ccp(one.front()) / "build.log";
  if (!fs::exists(log)) throw Error(fmt::format("{}: isn't built yet, klp-build push does it", one.front().is.name));
  fmt::print("{}", read_file(log));
  return exit_ok;
}

int clean_project(KlpContext& context) {
  const Project project = project_of(context);
  for (const ProjectCodestream& codestream : chosen_of(context, project)) {
    remove_tree(project.ccp(codestream) / codestream.is.arch());
    std::error_code absent;
    fs::remove(project.ccp(codestream) / "build.log", absent);
  }
  return exit_ok;
}

}  // namespace kpatch

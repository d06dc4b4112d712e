// Kernels and compilers of suites that this machine's apt doesn't know.
//
//     6.12.118+deb13-cloud-amd64      trixie, its updates and security; then trixie-backports too
//     gcc-14 (Debian 14.2.0-19)       the same suite's
//
// An apt of its own does that, as any user: its configuration, its lists and its caches lie in the cache, its sources
// are written from what the machine's apt is set up with (the same archive, other suites), signatures are verified
// against Debian's keyring. Lists of a group are fetched once a day.
#include "kernel/distro/debian-suites.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <set>

#include "support/error.h"
#include "support/files.h"
#include "support/text.h"

namespace kpatch {

namespace fs = std::filesystem;

namespace {

struct Debian {
  unsigned number;
  std::string_view name;
  std::string_view kernel;  // the series it came with
  bool released;            // has updates, security and backports
};

constexpr std::array debians = {
    Debian{11, "bullseye", "5.10", true},
    Debian{12, "bookworm", "6.1", true},
    Debian{13, "trixie", "6.12", true},
    Debian{14, "forky", "", false},
};

void add_groups(const Debian& debian, std::vector<SuiteGroup>& groups) {
  const std::string name(debian.name);
  if (!debian.released) {
    groups.push_back({name, {name}});
    return;
  }
  const std::vector<std::string> suites = {name, name + "-updates", name + "-security"};
  groups.push_back({name, suites});
  groups.push_back({name + "-backports", {name + "-backports", name, name + "-updates", name + "-security"}});
}

// Where a suite is fetched from.
struct Archive {
  std::string main, security;
  std::string key;
};

constexpr const char* keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";

// "…/debian-security" beside "…/debian"; also beside "…/debian/20260101T000000Z", a snapshot's.
std::string security_beside(std::string main) {
  while (main.ends_with('/')) main.pop_back();
  const size_t at = main.rfind("/debian");
  return at == std::string::npos ? main + "-security" : main.insert(at + 7, "-security");
}

// The archive that apt fetches Debian from.
Archive archive_of_apt(const DistroTools& tools) {
  CommandResult result;
  try {
    result = tools.executor.run(
        {{"apt-get", "indextargets", "--format", "$(CREATED_BY) $(LABEL) $(REPO_URI)"}, {}, {}, true});
  } catch (const Error&) {
    return {};  // no apt
  }
  Archive archive;
  for (const std::string_view line : lines_of(result.output)) {
    const auto words = words_of(line);
    if (words.size() != 3 || words[0] != "Packages") continue;
    if (words[1] == "Debian" && archive.main.empty()) archive.main = words[2];
    if (words[1] == "Debian-Security" && archive.security.empty()) archive.security = words[2];
  }
  if (archive.security.empty() && !archive.main.empty()) archive.security = security_beside(archive.main);
  return archive;
}

Archive archive_of(const DistroTools& tools) {
  Archive archive;
  if (tools.archive.empty()) {
    archive = archive_of_apt(tools);
    if (archive.main.empty())
      throw Error("apt isn't set up with an archive of Debian here; name one with --archive URL");
  } else {
    archive = {tools.archive, security_beside(tools.archive), {}};
  }
  archive.key = tools.archive_key.empty() ? keyring : fs::absolute(tools.archive_key).string();
  if (std::error_code ignored; !fs::exists(archive.key, ignored))
    throw Error(fmt::format("{} is missing, with which signatures of the archive are verified{}", archive.key,
                            tools.archive_key.empty() ? " (install debian-archive-keyring)" : ""));
  return archive;
}

std::string source_line(const Archive& archive, const std::string& suite, PackageKind kind) {
  return fmt::format("{} [signed-by={}] {} {} main", kind == PackageKind::source ? "deb-src" : "deb", archive.key,
                     suite.ends_with("-security") ? archive.security : archive.main, suite);
}

std::string today() {
  const std::time_t now = std::time(nullptr);
  return fmt::format("{:%Y-%m-%d}", fmt::gmtime(now));
}

void write_configuration(const fs::path& folder) {
  for (const char* name : {"lists/partial", "archives/partial", "no-preferences", "no-sources"})
    fs::create_directories(folder / name);
  write_file(folder / "status", "");
  const std::string at = folder.string();
  // A snapshot is valid as long as it stands; what is signed there is what was signed then.
  write_file(folder / "apt.conf", fmt::format(R"(Dir::State "{0}";
Dir::State::status "{0}/status";
Dir::State::lists "{0}/lists";
Dir::Cache "{0}";
Dir::Etc::sourcelist "{0}/sources.list";
Dir::Etc::sourceparts "{0}/no-sources";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "{0}/no-preferences";
Acquire::Languages "none";
Acquire::Retries "3";
APT::Sandbox::User "";
)",
                                              at));
}

// Those of the wanted suites whose lists are there.
std::set<std::string> fetched_suites(const fs::path& config, PackageKind kind, Executor& executor) {
  const CommandResult result = executor.run({{"apt-get", "indextargets", "--format", "$(CREATED_BY) $(RELEASE)"},
                                             {},
                                             {{"APT_CONFIG", config.string()}},
                                             true});
  std::set<std::string> suites;
  for (const std::string_view line : lines_of(result.output))
    if (const auto words = words_of(line);
        words.size() == 2 && words[0] == (kind == PackageKind::source ? "Sources" : "Packages"))
      suites.emplace(words[1]);
  return suites;
}

// "E: The repository 'URL SUITE Release' does not have a Release file."
bool is_absent(const std::string& suite, std::string_view output) {
  return output.find(" " + suite + " Release' does not have a Release file") != std::string_view::npos;
}

// apt's own words on what went wrong.
std::string complaints(std::string_view output) {
  std::string all;
  for (const std::string_view line : lines_of(output))
    if (line.starts_with("E: ") || line.starts_with("W: ") || line.starts_with("Err:"))
      all += fmt::format("\n>>> {}", line);
  return all;
}

}  // namespace

std::vector<SuiteGroup> all_groups() {
  std::vector<SuiteGroup> groups;
  for (const Debian& debian : debians) add_groups(debian, groups);
  groups.push_back({"sid", {"sid"}});
  return groups;
}

std::vector<SuiteGroup> groups_of_suite(std::string_view suite) {
  std::vector<SuiteGroup> groups;
  std::string names;
  for (SuiteGroup& group : all_groups()) {
    names += (names.empty() ? "" : ", ") + group.name;
    if (group.name.starts_with(suite) && !suite.empty() &&
        (group.name.size() == suite.size() || group.name[suite.size()] == '-'))
      groups.push_back(std::move(group));
  }
  if (groups.empty()) throw Error(fmt::format("'{}' is no suite of Debian that is known: {}", suite, names));
  return groups;
}

std::vector<SuiteGroup> groups_of_release(std::string_view release) {
  std::vector<SuiteGroup> groups;
  for (const Debian& debian : debians) {
    const std::string mark = fmt::format("deb{}", debian.number);
    const size_t at = release.find(mark);
    const std::string_view behind = at == std::string_view::npos ? "" : release.substr(at + mark.size());
    const bool named = at != std::string_view::npos && at > 0 && behind.find_first_of("0123456789") != 0;
    const bool first_series = release.find("deb") == std::string_view::npos && !debian.kernel.empty() &&
                              release.starts_with(std::string(debian.kernel) + ".0-");
    if (!named && !first_series) continue;
    add_groups(debian, groups);
    if (!debian.released) groups.push_back({"sid", {"sid"}});
  }
  return groups.empty() ? all_groups() : groups;
}

SuiteArchive open_suites(const SuiteGroup& group, const DistroTools& tools, PackageKind kind) {
  const Archive archive = archive_of(tools);
  CacheKey key;
  key.add("archive", archive.main).add("security", archive.security).add("signed by", archive.key);
  key.add("suites", joined(group.suites, " ")).add("day", today());
  if (kind == PackageKind::source) key.add("of", "sources");
  const std::string what =
      (kind == PackageKind::source ? "the lists of sources of " : "the package lists of ") + group.name;
  bool made = false;
  const fs::path folder = tools.cache.entry("archive", key, what, [&](const fs::path& directory) {
    Console::Stage stage(tools.console, what.substr(4));
    made = true;
    write_configuration(directory);
    std::string all;
    for (const std::string& suite : group.suites) all += source_line(archive, suite, kind) + '\n';
    write_file(directory / "sources.list", all);
    const fs::path config = directory / "apt.conf";
    std::vector<std::string> update = {"apt-get", "-q", "update"};
    if (!tools.archive.empty()) update.insert(update.end(), {"-o", "Acquire::Check-Valid-Until=false"});
    const CommandResult result = tools.executor.run({update, {}, {{"APT_CONFIG", config.string()}}, true});
    const std::set<std::string> there = fetched_suites(config, kind, tools.executor);
    // A suite may not be there (backports of old ones); one that could not be fetched would be missing for a day.
    for (const std::string& suite : group.suites)
      if (!there.contains(suite) && (suite == group.suites[0] || !is_absent(suite, result.output)))
        throw Error(fmt::format("the archive doesn't give the suite {}{}", suite, complaints(result.output)));
    std::string sources;
    for (const std::string& suite : group.suites)
      if (there.contains(suite)) sources += source_line(archive, suite, kind) + '\n';
    write_file(directory / "sources.list", sources);
  });
  if (made)
    for (const Cache::Entry& entry : tools.cache.entries("archive"))
      if (entry.directory != folder && CacheKey::field(entry.key, "suites") == joined(group.suites, " ") &&
          CacheKey::field(entry.key, "archive") == archive.main &&
          CacheKey::field(entry.key, "of").has_value() == (kind == PackageKind::source))
        tools.cache.discard(entry.directory);
  SuiteArchive opened{folder / "apt.conf", {}};
  const std::string text = read_file(folder / "sources.list");
  for (const std::string_view line : lines_of(text)) opened.sources.emplace_back(line);
  return opened;
}

}  // namespace kpatch

// data and clean-sources: what the cache holds of codestreams
//
//     packages    of a release, in the codestream's version       there, or missing
//     base        of a release, made of its packages and source   clean-sources removes it
//     source      of several releases                             and it, where no base is left that was made of it
//
// Sources and bases of kernels that are no codestream (built from a source of one's own) are nobody's business here.
#include <fmt/core.h>

#include <algorithm>
#include <optional>
#include <set>

#include "kernel/kernel.h"
#include "klp-build/codestream-job.h"
#include "klp-build/commands.h"
#include "lookup/lookup.h"
#include "support/error.h"
#include "support/files.h"
#include "support/text.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;
using std::string;

string field(const Cache::Entry& entry, std::string_view name) { return CacheKey::field(entry.key, name).value_or(""); }

bool is_release(const Codestream& codestream) { return codestream.kernel.find('/') == string::npos; }

class Data {
 public:
  explicit Data(KlpContext& context)
      : context_(context), cache_(Cache::default_root(), context.console), chosen_(chosen_codestreams(context)) {}

  int care() {
    if (context_.line.cleanup_obsolete) remove_obsolete();
    std::vector<Job> jobs;
    for (const Codestream& codestream : chosen_) {
      std::optional<Cache::Entry> entry = entry_of(codestream);
      string state = is_release(codestream) ? "missing" : "in a folder";
      if (!codestream.missing.empty()) state = "the archive has no " + codestream.missing;
      if (entry) state = context_.line.verify_all ? verified(codestream, entry) : "there";
      context_.console.info(fmt::format("{:<36} {:<24} {}", codestream.name, codestream.version, state));
      if (context_.line.download && wants(codestream, entry)) jobs.push_back(fetching(codestream));
    }
    const std::vector<JobResult> results = run_jobs(jobs, context_.settings.workers, context_.line.verbosity);
    const size_t failed = show_results(context_, results);
    for (const JobResult& result : results)
      if (result.state == JobState::done) context_.console.info(fmt::format("{}: fetched", result.codestream.is.name));
    return failed == 0 && !damaged_ ? exit_ok : exit_error;
  }

  int clean() {
    std::set<fs::path> used;
    for (const Cache::Entry& base : cache_.entries("base")) {
      const auto codestream = std::ranges::find(chosen_, field(base, "release"), &Codestream::kernel);
      const bool stock = field(base, "base").starts_with("stock");
      if (!stock || codestream == chosen_.end() || !discard(base, codestream->name + ": what was prepared of it"))
        used.insert(fs::path(field(base, "source path")).parent_path());
    }
    for (const Cache::Entry& source : cache_.entries("source")) {
      const string version = field(source, "version");
      const bool known = std::ranges::any_of(versions_, [&](const auto& release) { return release.second == version; });
      if (known && !used.contains(source.directory)) discard(source, field(source, "source package") + " " + version);
    }
    context_.console.info(fmt::format("{} removed, {} in use", removed_, held_));
    return exit_ok;
  }

  // The versions of the packages that the cache has of the chosen releases, and those that the catalogue says.
  void find_versions() {
    for (const Codestream& codestream : chosen_)
      if (!codestream.version.empty()) versions_.emplace(codestream.kernel, codestream.version);
    for (const Cache::Entry& entry : cache_.entries("packages"))
      if (std::ranges::find(chosen_, field(entry, "release"), &Codestream::kernel) != chosen_.end())
        versions_.emplace(field(entry, "release"), field(entry, "version"));
  }

 private:
  // Packages of another version are of another build.
  std::optional<Cache::Entry> entry_of(const Codestream& codestream) const {
    for (Cache::Entry& entry : cache_.entries("packages"))
      if (field(entry, "release") == codestream.kernel &&
          (codestream.version.empty() || field(entry, "version") == codestream.version))
        return std::move(entry);
    return std::nullopt;
  }

  // Removes it, and forgets it, when it is damaged.
  string verified(const Codestream& codestream, std::optional<Cache::Entry>& entry) {
    const fs::path vmlinux = files_of_kept(entry->directory, codestream.kernel).vmlinux;
    string damage = vmlinux.empty() ? string("vmlinux is missing") : string();
    try {
      if (damage.empty()) static_cast<void>(Binary::open(vmlinux));
    } catch (const Error& error) {
      damage = error.what();
    }
    if (damage.empty()) damage = damage_of_kept(entry->directory, {cache_, context_.executor, context_.console});
    if (damage.empty()) return "there, and as it was packed";
    damaged_ = true;
    if (!cache_.discard(entry->directory)) return fmt::format("damaged, and in use: {}", damage);
    entry.reset();
    return fmt::format("damaged, and removed: {}", damage);
  }

  // With --force also what is there: that goes first.
  bool wants(const Codestream& codestream, const std::optional<Cache::Entry>& entry) {
    if (!is_release(codestream) || !codestream.missing.empty()) return false;
    if (!entry) return true;
    if (!context_.line.force) return false;
    if (cache_.discard(entry->directory)) return true;
    context_.console.warning(fmt::format("{}: is in use, and not fetched again", codestream.name));
    return false;
  }

  Job fetching(const Codestream& codestream) const {
    Job job;
    job.action = JobAction::fetch;
    job.project = context_.settings.data_dir;
    job.codestream.is = codestream;
    return job;
  }

  void remove_obsolete() {
    const std::vector<Codestream> all = all_codestreams(context_, false);
    const fs::path& data = context_.line.data_dir.empty() ? context_.settings.data_dir : context_.line.data_dir;
    const std::vector<string> former = former_kernels(data, all);
    for (const Cache::Entry& entry : cache_.entries("packages")) {
      const string release = field(entry, "release"), version = field(entry, "version");
      const bool gone = std::ranges::find(former, release) != former.end();
      const bool replaced = std::ranges::any_of(
          all, [&](const Codestream& c) { return c.kernel == release && !c.version.empty() && c.version != version; });
      if (gone || replaced) discard(entry, fmt::format("{} {}", release, version));
    }
  }

  bool discard(const Cache::Entry& entry, const string& what) {
    const bool gone = cache_.discard(entry.directory);
    (gone ? removed_ : held_) += 1;
    context_.console.info(fmt::format("{}: {}", what, gone ? "removed" : "in use"));
    return gone;
  }

  KlpContext& context_;
  Cache cache_;
  std::vector<Codestream> chosen_;
  std::set<std::pair<string, string>> versions_;  // release, version
  bool damaged_ = false;
  size_t removed_ = 0, held_ = 0;
};

}  // namespace

int care_for_data(KlpContext& context) { return Data(context).care(); }

int clean_sources(KlpContext& context) {
  Data data(context);
  data.find_versions();
  return data.clean();
}

}  // namespace kpatch

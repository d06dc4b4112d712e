// A run of a plan: triage of every cell, then a build of those that the patches apply to, then what it comes to.
//
// The triage comes first and as a whole, since it takes seconds and tells people what they have to do, while the builds are
// under way. Whoever starts the same plan again gets what is there, and what is missing is made.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "fleet/fleet.h"
#include "support/error.h"
#include "support/files.h"
#include "support/lock.h"
#include "support/sha256.h"
#include "support/text.h"

namespace kpatch {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

struct Cell {
  CellJob job;
  json outcome;  // state, message, seconds …
};

class Run {
 public:
  Run(const Plan& plan, Console& console)
      : plan_(plan), console_(console), workshop_{fs::absolute(plan.output) / ".fleet"}, lock_(lock()) {
    remove_tree(workshop_.root / "drafts");
    for (const char* folder : {"jobs", "cells", "failed", "drafts", "inputs"})
      fs::create_directories(workshop_.root / folder);
    if (plan_.jobs == 0) plan_.jobs = std::max(1U, std::thread::hardware_concurrency());
  }

  json run() {
    const json before = json::parse(read_file_if_any(plan_.output / "results.json"), nullptr, false);
    kernels_ = kernels_of(plan_, console_);
    console_.info(fmt::format("{} kernels, {} fixes", kernels_.size(), plan_.fixes.size()));
    triage();
    if (!plan_.triage_only) build();
    json results = collect();
    results["changes"] = changes_between(before, results);
    write_file(plan_.output / "results.json", results.dump(2, ' ', false, json::error_handler_t::replace) + "\n");
    write_file(plan_.output / "index.html", page_of(results));
    return results;
  }

 private:
  FileLock lock() const {
    fs::create_directories(workshop_.root);
    auto lock = FileLock::try_lock(workshop_.root / "lock");
    if (!lock) throw Error(fmt::format("another run writes to {}", plan_.output.string()));
    return std::move(*lock);
  }

  // A copy that stays what it is while the run lasts, by its digest.
  void take_input(CellJob& job, const fs::path& patch) const {
    const std::string text = read_file(patch), digest = sha256_of(text);
    const fs::path copy = workshop_.root / "inputs" / digest / patch.filename();
    if (read_file_if_any(copy) != text) {
      fs::create_directories(copy.parent_path());
      write_file(copy, text);
    }
    job.patches.push_back(copy);
    job.digests.push_back(digest);
  }

  CellJob job_of(const FleetKernel& kernel, const Fix& fix) const {
    CellJob job;
    job.kind = "triage";
    job.kernel = kernel;
    job.fix = fix.name;
    for (const fs::path& patch : patches_of(plan_, fix, kernel.release)) take_input(job, patch);
    job.store = plan_.store;
    job.archive = plan_.archive;
    job.archive_key = plan_.archive_key;
    return job;
  }

  json outcome_of(const CellJob& job) const {
    const std::string key = job.key();
    if (auto result = result_of(workshop_.cell(key))) return *result;
    const json failure = json::parse(read_file_if_any(workshop_.failure(key)), nullptr, false);
    if (failure.is_object()) return {{"state", "failed"}, {"message", failure.value("message", "")}};
    return {{"state", "lost"}, {"message", "its worker died, each time that it was tried"}};
  }

  void triage() {
    std::map<std::string, CellJob> jobs;  // kernels of equal source share one
    for (const Fix& fix : plan_.fixes)
      for (const FleetKernel& kernel : kernels_) {
        Cell cell{job_of(kernel, fix), {}};
        if (!kernel.problem.empty())
          cell.outcome = {{"state", kernel.version.empty() ? "no such kernel" : "no source"},
                          {"message", kernel.problem}};
        else
          jobs.emplace(cell.job.key(), cell.job);
        cells_.push_back(std::move(cell));
      }
    std::vector<CellJob> all;
    for (const Cell& cell : cells_)
      if (const auto it = jobs.find(cell.job.key()); it != jobs.end()) {
        all.push_back(it->second);
        jobs.erase(it);
      }
    triaged_ = all.size();
    run_jobs(all, "triage", plan_, workshop_, console_);
    for (Cell& cell : cells_)
      if (cell.outcome.is_null()) cell.outcome = outcome_of(cell.job);
  }

  // Of the triaged one: with the patches that the release lacks, and all that shapes a module.
  CellJob build_job(const Cell& cell) const {
    CellJob job = cell.job;
    job.kind = "build";
    job.module = "livepatch-" + job.fix;
    std::ranges::replace(job.module, '.', '-');
    job.patches.clear();
    job.digests.clear();
    for (const json& number : cell.outcome.at("needed")) {
      job.patches.push_back(cell.job.patches.at(number.get<size_t>()));
      job.digests.push_back(cell.job.digests.at(number.get<size_t>()));
    }
    job.jobs = std::max(1U, std::thread::hardware_concurrency() / plan_.jobs);
    job.compiler_launcher = plan_.compiler_launcher;
    job.sign_key = plan_.sign_key;
    job.certificate = plan_.certificate;
    job.package = plan_.package;
    job.try_it = plan_.try_it;
    return job;
  }

  void build() {
    std::vector<CellJob> jobs;
    std::vector<Cell*> built;
    for (Cell& cell : cells_)
      if (cell.outcome.at("state").get<std::string>().starts_with("applies")) {
        cell.outcome["triage"] = cell.outcome["state"];
        jobs.push_back(build_job(cell));
        built.push_back(&cell);
      }
    run_jobs(jobs, "build", plan_, workshop_, console_);
    for (size_t i = 0; i < jobs.size(); ++i) {
      const json triage = built[i]->outcome["state"];
      built[i]->job = jobs[i];
      built[i]->outcome = outcome_of(jobs[i]);
      built[i]->outcome["triage"] = triage;
    }
  }

  // OUTPUT/RELEASE/FIX has what was built, and isn't there when nothing was.
  void deliver(const Cell& cell) const {
    const fs::path folder = plan_.output / cell.job.kernel.release / cell.job.fix,
                   from = workshop_.cell(cell.job.key());
    const bool built = cell.outcome.at("state") == "built";
    for (const auto& entry : entries_if_any(folder))
      if (!built || !fs::exists(from / entry.path().filename())) remove_tree(entry.path());
    std::error_code ignored;
    if (!built) {
      fs::remove(folder, ignored);
      fs::remove(folder.parent_path(), ignored);
      return;
    }
    fs::create_directories(folder);
    for (const auto& entry : entries_of(from)) {
      const fs::path to = folder / entry.path().filename();
      if (const std::string text = read_file(entry.path()); read_file_if_any(to) != text) write_file(to, text);
    }
  }

  json collect() const {
    json cells = json::array(), kernels = json::array(), fixes = json::array(), groups = json::array();
    std::map<std::pair<std::string, std::string>, std::vector<std::string>> needing;
    for (const FleetKernel& kernel : kernels_)
      kernels.push_back({{"release", kernel.release}, {"version", kernel.version}});
    for (const Fix& fix : plan_.fixes) fixes.push_back(fix.name);
    for (const Cell& cell : cells_) {
      deliver(cell);
      json one = cell.outcome;
      one.erase("needed");
      one["release"] = cell.job.kernel.release;
      one["version"] = cell.job.kernel.version;
      one["fix"] = cell.job.fix;
      one["key"] = cell.job.key();
      if (one["state"] == "needs a backport")
        needing[{cell.job.fix, cell.job.kernel.version}].push_back(cell.job.kernel.release);
      cells.push_back(std::move(one));
    }
    for (const auto& [group, releases] : needing)
      groups.push_back(
          {{"fix", group.first}, {"version", group.second}, {"state", "needs a backport"}, {"releases", releases}});
    return {{"tool", "kpatch-fleet " KPATCH_VERSION},
            {"kernels", kernels},
            {"fixes", fixes},
            {"cells", cells},
            {"groups", groups},
            {"triages", triaged_}};
  }

  Plan plan_;
  Console& console_;
  FleetWorkshop workshop_;
  FileLock lock_;
  std::vector<FleetKernel> kernels_;
  std::vector<Cell> cells_;
  size_t triaged_ = 0;
};

}  // namespace

json run_plan(const Plan& plan, Console& console) { return Run(plan, console).run(); }

}  // namespace kpatch

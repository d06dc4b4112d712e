// One fix, every kernel: a plan, its cells, and what became of them.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/store.h"
#include "support/console.h"

namespace kpatch {

// --- the plan ----------------------------------------------------------------------------------------------------------

// Patches in place of a fix's own, for the kernels that a pattern names: a backport.
struct Backport {
  std::string kernels;
  std::vector<std::filesystem::path> patches;
};

struct Fix {
  std::string name;
  std::vector<std::filesystem::path> patches;
  std::string follows{};  // another fix, whose patches come first
  std::vector<Backport> backports{};
};

struct Plan {
  std::vector<std::string> kernels;  // RELEASE, PATTERN or SUITE:PATTERN
  std::vector<Fix> fixes;
  std::filesystem::path output;
  unsigned jobs = 0;                   // at a time, of each launcher; 0: as many as there are processors
  std::vector<std::string> launchers;  // shell words in front of a cell's command; none: it runs here
  std::vector<std::string> hosts;      // the same by ssh
  unsigned retries = 2;                // rounds for cells whose worker died
  StorePlace store;
  std::string compiler_launcher;  // in front of the compiler of patched objects: "ccache"
  std::string sign_key;
  std::filesystem::path certificate;
  std::string package;  // deb, rpm, or empty
  bool try_it = false;
  bool triage_only = false;
  std::string archive;
  std::filesystem::path archive_key;
};

// Throws Error with file and line: a key that isn't known or is there twice, a fix that follows none or itself.
Plan read_plan(const std::filesystem::path& file);
// Throws Error for what no plan may hold: no kernel, no fix, two of one name, a file that isn't there.
void require_sound(const Plan& plan);
// For a release: those that it follows first, a backport in place of the fix's own.
std::vector<std::filesystem::path> patches_of(const Plan& plan, const Fix& fix, std::string_view release);

// --- kernels -----------------------------------------------------------------------------------------------------------

struct FleetKernel {
  std::string release;
  std::string version{};  // of its packages
  std::string problem{};  // why nothing can be built for it; empty: it can
};
// What the plan's words stand for, each release once, in the order of the words. A release that no archive has is there with its problem.
std::vector<FleetKernel> kernels_of(const Plan& plan, Console& console);

// --- cells -------------------------------------------------------------------------------------------------------------

// The unit of work: everything that a worker needs to know, in a file of its own. Inputs are named with their digests.
struct CellJob {
  std::string kind;  // "triage" or "build"
  FleetKernel kernel;
  std::string fix;
  std::string module;  // its name
  std::vector<std::filesystem::path> patches;
  std::vector<std::string> digests;  // SHA-256 of each
  unsigned jobs = 1;
  StorePlace store;
  std::string compiler_launcher;
  std::string sign_key;
  std::filesystem::path certificate;
  std::string package;
  bool try_it = false;
  std::string archive;
  std::filesystem::path archive_key;
  // Of all that shapes the result, and nothing else: 64 hex digits.
  std::string key() const;
};
void to_json(nlohmann::json& to, const CellJob& job);
void from_json(const nlohmann::json& from, CellJob& job);

// Of the programs that make results, and of what they compile into each module: one that was mended makes them anew, though
// its version is as before. Throws Error when our files aren't there.
std::string digest_of_our_programs();

// Where a run keeps what isn't for people: OUTPUT/.fleet.
struct FleetWorkshop {
  std::filesystem::path root;
  std::filesystem::path job(const std::string& key) const { return root / "jobs" / (key + ".json"); }
  std::filesystem::path cell(const std::string& key) const { return root / "cells" / key; }
  // There once a worker waited for the store in vain: the others of that round don't.
  std::filesystem::path store_away() const { return root / "store-away"; }
  std::filesystem::path failure(const std::string& key) const { return root / "failed" / (key + ".json"); }
};

// What became of a cell: its result.json, if that is whole and each file has the digest that it tells. Never throws.
std::optional<nlohmann::json> result_of(const std::filesystem::path& cell);

// `kpatch-fleet cell FILE`: does the work, and puts the result in its place in one step. Gives the exit code.
int run_cell(const std::filesystem::path& file);

// Runs the jobs that have no result, through ninja. Those whose worker died are run again.
void run_jobs(const std::vector<CellJob>& jobs, const std::string& phase, const Plan& plan,
              const FleetWorkshop& workshop, Console& console);

// --- the store ---------------------------------------------------------------------------------------------------------

class ResultStore {
 public:
  explicit ResultStore(StorePlace place) : store_(std::move(place)) {}
  // Puts a result's files into the folder. Empty: done; else why not, which is "" where it simply has none.
  std::optional<std::string> fetch(const std::string& key, const std::filesystem::path& to);
  // Empty: kept, or nobody wants it kept; else why not. Nobody needs a store: a full one is no reason to fail.
  std::optional<std::string> keep(const std::string& key, const std::filesystem::path& from);
  bool any() const { return store_.any(); }
  bool away() const { return store_.away(); }

 private:
  TeamStore store_;
};

// --- what it comes to ----------------------------------------------------------------------------------------------------

// All cells of a run, as results.json has them.
nlohmann::json run_plan(const Plan& plan, Console& console);
std::string table_of(const nlohmann::json& results);
std::string page_of(const nlohmann::json& results);
// What is different since an earlier run, a line each.
std::vector<std::string> changes_between(const nlohmann::json& before, const nlohmann::json& after);
int status_of(const nlohmann::json& results);

}  // namespace kpatch

// What is done for one codestream, in a process of its own: several kernels are worked on at once, each with its own base,
// sandbox and scratch folder.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "klp-build/project.h"

namespace kpatch {

// fetch: the kernel's files are prepared. inlined: where a function's code is
enum class JobAction : uint8_t { check, extract, build, fetch, inlined };

struct Job {
  JobAction action = JobAction::check;
  std::filesystem::path project;  // its folder
  std::string name, module;       // of the project, of the livepatch
  ProjectCodestream codestream;
  // check: fixes of which one is the codestream's, each a list of patches; and whether they are looked for.
  std::vector<std::vector<std::string>> candidates;
  bool look_for_fix = true;
  // extract
  std::vector<std::string> avoid_ext;
};

// patched: the source has the fix. no_conf: an option is off.
enum class JobState : uint8_t { done, patched, unaffected, no_conf, failed };

struct JobResult {
  JobState state = JobState::failed;
  ProjectCodestream codestream;     // with what was learnt of it
  int candidate = -1;               // that fits
  std::vector<std::string> errors;  // state failed
  std::vector<std::string> warnings;
  std::vector<std::string> told;  // inlined
};

nlohmann::json to_json(const Job& job);
nlohmann::json to_json(const JobResult& result);
JobResult job_result_of(const nlohmann::json& json);

// Runs all, at most `workers` at a time, and shows how far it has come; results in the order of the jobs. What the jobs said
// is kept in the project's folder, ccp/NAME/ACTION.log.
std::vector<JobResult> run_jobs(const std::vector<Job>& jobs, unsigned workers, unsigned verbosity);

// The other side: reads a job, does it, writes its result. Gives the exit code.
int run_job(const std::filesystem::path& file);

// Each in its own file. Throw Error, which run_job() makes a failed result of.
class Workshop;
void check_codestream(Workshop& workshop, const Job& job, JobResult& result);
void extract_codestream(Workshop& workshop, const Job& job, JobResult& result);
void build_codestream(Workshop& workshop, const Job& job);
void find_inlined(Workshop& workshop, const Job& job, JobResult& result);

// What is wrong with a module that is to be patched: a name, or a path, below the folder of a kernel's modules. Empty: it is
// there, once.
std::string problem_with_module(const std::filesystem::path& modules, const std::string& module);

}  // namespace kpatch

// A job is a file that a child of ours reads, and its result one that it writes beside it: "klp-build run-job FILE".
#include "klp-build/codestream-job.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "from-source/from-source.h"
#include "kpatch-build/kpatch-build.h"
#include "support/console.h"
#include "support/error.h"
#include "support/executor.h"
#include "support/files.h"
#include "support/signals.h"
#include "support/text.h"

namespace kpatch {

NLOHMANN_JSON_SERIALIZE_ENUM(JobAction, {{JobAction::check, "check"},
                                         {JobAction::extract, "extract"},
                                         {JobAction::build, "build"},
                                         {JobAction::fetch, "fetch"},
                                         {JobAction::inlined, "inlined"}})
NLOHMANN_JSON_SERIALIZE_ENUM(JobState, {{JobState::failed, "failed"},
                                        {JobState::done, "done"},
                                        {JobState::patched, "patched"},
                                        {JobState::unaffected, "unaffected"},
                                        {JobState::no_conf, "no_conf"}})

namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using std::string;

Job job_of(const json& json) {
  Job job;
  job.action = json.at("action");
  job.project = json.at("project").get<string>();
  job.name = json.at("name");
  job.module = json.at("module");
  job.codestream = project_codestream_of(json.at("codestream"));
  job.candidates = json.at("candidates");
  job.look_for_fix = json.at("look_for_fix");
  job.avoid_ext = json.at("avoid_ext");
  return job;
}

// A release's kernel is found by its name, one in a folder by its files.
Options kernel_options(const string& kernel) {
  Options options;
  if (kernel.find('/') == string::npos) {
    options.archversion = kernel;
    return options;
  }
  const fs::path folder = kernel;
  for (const char* needed : {"Makefile", "vmlinux", ".config", "Module.symvers"})
    if (!fs::exists(folder / needed)) throw Error(fmt::format("{}: is no built kernel: it has no {}", kernel, needed));
  options.source = folder;
  options.vmlinux = folder / "vmlinux";
  options.config = folder / ".config";
  options.symvers = folder / "Module.symvers";
  options.modules = folder;
  return options;
}

class Folder {
 public:
  Folder() : path_(fs::temp_directory_path() / ("klp-build." + random_name())) { fs::create_directory(path_); }
  ~Folder() { remove_tree(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

}  // namespace

json to_json(const Job& job) {
  return {{"action", job.action},
          {"project", job.project.string()},
          {"name", job.name},
          {"module", job.module},
          {"codestream", to_json(job.codestream)},
          {"candidates", job.candidates},
          {"look_for_fix", job.look_for_fix},
          {"avoid_ext", job.avoid_ext}};
}

json to_json(const JobResult& result) {
  return {{"state", result.state},         {"codestream", to_json(result.codestream)},
          {"candidate", result.candidate}, {"errors", result.errors},
          {"warnings", result.warnings},   {"told", result.told}};
}

JobResult job_result_of(const json& json) {
  return {json.at("state"),     project_codestream_of(json.at("codestream")),
          json.at("candidate"), json.at("errors"),
          json.at("warnings"),  json.at("told")};
}

std::vector<JobResult> run_jobs(const std::vector<Job>& jobs, unsigned workers, unsigned verbosity) {
  if (jobs.empty()) return {};
  Console console(verbosity);
  const Folder folder;
  Executor executor(folder.path() / "log", [&](std::string_view line) { console.command(line); });
  const string program = fs::read_symlink("/proc/self/exe").string();
  const string what = json(jobs.front().action).get<string>();
  std::vector<Command> commands;
  for (size_t i = 0; i < jobs.size(); ++i) {
    const fs::path file = folder.path() / std::to_string(i);
    write_file(file, to_json(jobs[i]).dump(), Flush::no);
    commands.push_back({{program, "run-job", file.string()}, {}, {}});
  }
  std::vector<CommandResult> ended;
  {
    Console::Stage stage(console, what);
    stage.note(fmt::format("{} codestream{}", jobs.size(), jobs.size() == 1 ? "" : "s"));
    stage.progress(0, jobs.size());
    ended = executor.run_all(commands, workers, [&](size_t done) { stage.progress(done, jobs.size()); });
  }
  std::vector<JobResult> results;
  for (size_t i = 0; i < jobs.size(); ++i) {
    const fs::path log = jobs[i].project / "ccp" / jobs[i].codestream.is.name / (what + ".log");
    fs::create_directories(log.parent_path());
    write_file(log, ended[i].output, Flush::no);
    const string text = read_file_if_any(folder.path() / (std::to_string(i) + ".result"));
    if (!text.empty()) {
      results.push_back(job_result_of(json::parse(text)));
      continue;
    }
    JobResult lost;
    lost.codestream = jobs[i].codestream;
    lost.errors = {fmt::format("the process ended with {}, {} has what it said", ended[i].status, log.string())};
    results.push_back(std::move(lost));
  }
  return results;
}

int run_job(const fs::path& file) {
  const Job job = job_of(json::parse(read_file(file)));
  JobResult result;
  result.codestream = job.codestream;
  try {
    KernelSession kernel(kernel_options(job.codestream.is.kernel), 1);
    Workshop workshop(kernel.base(), kernel.cache(), kernel.executor(), kernel.console(), kernel.scratch());
    result.state = JobState::done;
    switch (job.action) {
      case JobAction::check:
        check_codestream(workshop, job, result);
        break;
      case JobAction::extract:
        extract_codestream(workshop, job, result);
        break;
      case JobAction::build:
        build_codestream(workshop, job);
        break;
      case JobAction::inlined:
        find_inlined(workshop, job, result);
        break;
      case JobAction::fetch:
        break;  // the workshop has them
    }
    if (!result.errors.empty()) result.state = JobState::failed;
  } catch (const Interrupted&) {
    throw;
  } catch (const std::exception& error) {
    result.state = JobState::failed;
    result.errors.emplace_back(error.what());
    fmt::print(stderr, "error: {}\n", error.what());
  }
  write_file(file.string() + ".result", to_json(result).dump(), Flush::no);
  return result.state == JobState::failed ? exit_error : exit_ok;
}

}  // namespace kpatch

// The graph that ninja runs
//
//     pool worker0
//       depth = 2
//     rule cell0
//       command = srun -n1 kpatch-fleet cell OUT/.fleet/jobs/KEY.json
//       description = build 6.12.117+deb12-cloud-amd64 net-1
//       pool = worker0
//     build cells/KEY/result.json: cell0
//
// A cell has no inputs in the graph: its key names them, and a result that is there is right. So no time stamp decides
// anything, and clocks of workers may differ. What has a result isn't in the graph.
//
// A worker that died leaves neither result nor failure; such cells are in the next round's graph, each behind the next
// launcher, so that a host that is gone for good doesn't get them all again.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "fleet/fleet.h"
#include "support/command.h"
#include "support/error.h"
#include "support/executor.h"
#include "support/files.h"
#include "support/signals.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;

// A word for a shell.
std::string shell_word(std::string_view word) {
  std::string text = "'";
  for (const char c : word)
    if (c == '\'')
      text += "'\\''";
    else
      text += c;
  return text + "'";
}

// A value of ninja's language.
std::string value(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (c == '\n') throw Error("a line's end in a name");
    if (c == '$') result += '$';
    result += c;
  }
  return result;
}

// A path in a build line of it.
std::string path_value(std::string_view text) {
  std::string result;
  for (const char c : value(text)) {
    if (c == ' ' || c == ':') result += '$';
    result += c;
  }
  return result;
}

// Each makes a worker's command line of a cell's.
std::vector<std::function<std::string(const std::string&)>> workers_of(const Plan& plan) {
  std::vector<std::function<std::string(const std::string&)>> workers;
  for (const std::string& launcher : plan.launchers)
    workers.emplace_back([launcher](const std::string& command) { return launcher + " " + command; });
  // The remote shell takes the words apart once more.
  for (const std::string& host : plan.hosts)
    workers.emplace_back([host](const std::string& command) {
      return fmt::format("ssh -o BatchMode=yes -o ServerAliveInterval=15 -- {} {}", shell_word(host),
                         shell_word(command));
    });
  if (workers.empty()) workers.emplace_back([](const std::string& command) { return command; });
  return workers;
}

// Caches of workers aren't shared, and a kernel takes a minute to prepare: cells of one go to one worker, as long as there
// are enough kernels for all of them.
size_t turn_of(const std::vector<CellJob>& jobs, size_t job, size_t workers) {
  std::map<std::string, size_t> numbers;
  for (const CellJob& each : jobs) numbers.emplace(each.kernel.release, numbers.size());
  return numbers.size() < workers ? job : numbers.at(jobs[job].kernel.release);
}

std::string graph_of(const std::vector<CellJob>& jobs, size_t round, unsigned depth, const Plan& plan,
                     const FleetWorkshop& workshop) {
  const auto workers = workers_of(plan);
  const std::string self = fs::read_symlink("/proc/self/exe").string();
  std::string text = "ninja_required_version = 1.10\n";
  for (size_t i = 0; i < workers.size(); ++i)
    text += fmt::format(
        "pool worker{0}\n  depth = {1}\nrule cell{0}\n  command = $run\n  description = $what\n  pool = worker{0}\n", i,
        depth);
  for (size_t i = 0; i < jobs.size(); ++i) {
    const std::string key = jobs[i].key();
    const size_t worker = (turn_of(jobs, i, workers.size()) + round) % workers.size();
    const std::string command = fmt::format("{} cell {}", shell_word(self), shell_word(workshop.job(key).string()));
    text += fmt::format("build {}: cell{}\n  run = {}\n  what = {} {} {}\n",
                        path_value((workshop.cell(key) / "result.json").string()), worker,
                        value(workers[worker](command)), jobs[i].kind, value(jobs[i].kernel.release), jobs[i].fix);
  }
  return text;
}

// Of what ninja prints: its own line for each cell that ended, and what the cell says of itself.
void show(std::string_view line, Console& console) {
  if (line.starts_with("[")) console.info(line);
  if (line.starts_with("cell: ")) console.info("  " + std::string(line.substr(6)));
}

void run_round(const std::vector<CellJob>& jobs, const std::string& phase, size_t round, const Plan& plan,
               const FleetWorkshop& workshop, Console& console) {
  const unsigned depth = std::max(1U, plan.jobs);
  remove_tree(workshop.store_away());
  const fs::path graph = workshop.root / (phase + ".ninja");
  write_file(graph, graph_of(jobs, round, depth, plan, workshop));
  if (!find_program("ninja")) throw Error("ninja isn't installed (apt-get install ninja-build)");
  Executor executor(workshop.root / "log");
  const size_t workers = std::max<size_t>(1, plan.launchers.size() + plan.hosts.size());
  executor.run({.argv = {"ninja", "-C", workshop.root.string(), "-f", graph.string(), "-k", "0", "-j",
                         std::to_string(depth * workers)},
                .directory = {},
                .environment = {{"NINJA_STATUS", "[%f/%t %e s] "}},
                .outside = true},
               [&](std::string_view line) { show(line, console); });
}

}  // namespace

void run_jobs(const std::vector<CellJob>& jobs, const std::string& phase, const Plan& plan,
              const FleetWorkshop& workshop, Console& console) {
  std::vector<CellJob> left;
  for (const CellJob& job : jobs) {
    const std::string key = job.key();
    if (result_of(workshop.cell(key))) continue;
    remove_tree(workshop.cell(key));  // torn, if it is there
    remove_tree(workshop.failure(key));
    write_file(workshop.job(key), nlohmann::json(job).dump(2) + "\n");
    left.push_back(job);
  }
  for (size_t round = 0; !left.empty() && round <= plan.retries; ++round) {
    if (round > 0) console.warning(fmt::format("{} of the workers died; their cells are run again", left.size()));
    run_round(left, phase, round, plan, workshop, console);
    check_interrupted();
    std::erase_if(left, [&](const CellJob& job) {
      return fs::exists(workshop.failure(job.key())) || result_of(workshop.cell(job.key())).has_value();
    });
  }
}

}  // namespace kpatch

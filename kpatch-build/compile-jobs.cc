// Running compiles of both trees
//
// A compile of the patched tree may go wrong in two ways that are not the patch's fault:
//
//     it read SRC/include/linux/mm.h, which the patch touches     ".." behind a link led out of the view (patch/view.cc)
//     fatal error: asm/foo.h: No such file or directory           a folder's Makefile makes it, and nobody asked for it
//
// The dependency record proves that a patched compile read no original of a touched file; if it did, the view is made
// complete and the unit compiled again. What is missing and can be generated is, and those that waited for it run again.
#include "kpatch-build/compile-jobs.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>

#include "kpatch-build/source-paths.h"
#include "support/error.h"
#include "support/files.h"
#include "support/text.h"

namespace kpatch {

namespace fs = std::filesystem;

CompileJobs::CompileJobs(const CompileSettings& settings, Executor& executor)
    : settings_(settings),
      executor_(executor),
      generated_(settings.base, executor),
      kept_(settings.base),
      runtime_constants_(has_runtime_constants(settings.base)) {
  fs::create_directories(settings_.directory);
}

CompileJob CompileJobs::job(size_t unit, Variant variant) const {
  constexpr const char* suffixes[] = {"orig.o",  "patched.o",        "plain.o",        "before.i",
                                      "after.i", "exports-before.i", "exports-after.i"};
  const fs::path stem = settings_.directory / fmt::format("{}", unit);
  fs::path output = stem;
  output += fmt::format(".{}", suffixes[static_cast<int>(variant)]);
  fs::path dependencies = output;
  dependencies += ".d";
  return {unit, variant, output, dependencies};
}

std::vector<CommandResult> CompileJobs::run(std::span<const AffectedObject> objects, std::span<const CompileJob> jobs,
                                            const std::function<void(size_t, size_t)>& progress) {
  std::vector<CommandResult> results(jobs.size());
  std::vector<Command> commands;
  std::vector<CompileJob> todo;
  std::vector<size_t> places;
  for (size_t i = 0; i < jobs.size(); ++i) {
    const CompileJob& job = jobs[i];
    const AffectedObject& object = objects[job.unit];
    const bool ours = of_patched_tree(job.variant) || !object.original;
    Command command;
    command.directory = settings_.base.kbuild;
    command.argv = compile_arguments(ours ? object.command : *object.original, job.variant, settings_, job.output,
                                     job.dependencies, runtime_constants_);
    if (launched(job.variant)) {
      command.argv.insert(command.argv.begin(), settings_.launcher.begin(), settings_.launcher.end());
      command.outside = true;  // it has a network, or a cache of its own
    }
    if (kept_.fetch(command, job)) continue;
    commands.push_back(std::move(command));
    todo.push_back(job);
    places.push_back(i);
  }
  std::vector<CommandResult> ran = run_mended(objects, todo, commands, progress);
  const std::array trees = {settings_.base.source, settings_.view.root()};
  for (size_t i = 0; i < todo.size(); ++i) {
    if (ran[i].ok()) {
      shorten_source_paths(todo[i].output, trees);
      kept_.keep(commands[i], todo[i]);
    }
    results[places[i]] = std::move(ran[i]);
  }
  return results;
}

// The units whose patched variant read an original of a touched file, or failed for want of a file.
std::vector<CompileJob> CompileJobs::leaked(std::span<const CompileJob> jobs,
                                            std::span<const CommandResult> results) const {
  std::vector<CompileJob> again;
  for (size_t i = 0; i < jobs.size(); ++i) {
    if (!of_patched_tree(jobs[i].variant)) continue;
    const bool failed = !results[i].ok();
    const bool misses_file = failed && results[i].output.find("No such file or directory") != std::string::npos;
    const std::vector<std::string> files = read_dependencies(read_file_if_any(jobs[i].dependencies));
    if (misses_file || settings_.view.leak(files, settings_.base.kbuild)) again.push_back(jobs[i]);
  }
  return again;
}

std::vector<CommandResult> CompileJobs::run_proven(std::span<const AffectedObject> objects,
                                                   const std::vector<CompileJob>& jobs,
                                                   const std::function<void(size_t, size_t)>& progress) {
  std::vector<CommandResult> results = run(objects, jobs, progress);
  const std::vector<CompileJob> again = leaked(jobs, results);
  if (again.empty() || settings_.view.full()) {
    refuse_leak(again, results, jobs);
    return results;
  }
  settings_.view.make_full();
  const std::vector<CommandResult> second = run(objects, again, {});
  for (size_t i = 0; i < again.size(); ++i) {
    const auto same = [&](const CompileJob& job) { return job.output == again[i].output; };
    results[static_cast<size_t>(std::find_if(jobs.begin(), jobs.end(), same) - jobs.begin())] = second[i];
  }
  refuse_leak(leaked(again, second), second, again);
  return results;
}

// Messages speak of the patch's files, not of where the view lies.
void CompileJobs::fail(const AffectedObject& object, const CompileJob& job, const CommandResult& result) const {
  std::string output = result.output;
  for (const fs::path& root : {settings_.view.root(), settings_.base.source}) {
    const std::string prefix = root.string() + "/";
    for (size_t at = output.find(prefix); at != std::string::npos; at = output.find(prefix, at)) {
      output.erase(at, prefix.size());
    }
  }
  while (!output.empty() && output.back() == '\n') output.pop_back();
  if (output.find("No space left on device") != std::string::npos) {
    throw Error(fmt::format("{}: no space left on the device while compiling {}", settings_.directory.string(),
                            object.command.source));
  }
  const std::string by = launched(job.variant) ? fmt::format(" by --launcher {}", joined(settings_.launcher, " ")) : "";
  if (of_patched_tree(job.variant)) {
    throw Error(fmt::format("the patched {} does not compile{}\n{}\n>>> the whole log is in {}", object.command.source,
                            by, output, executor_.log().string()));
  }
  throw Error(fmt::format("{}: the unpatched source does not compile{}\n{}\n>>> the whole log is in {}",
                          object.command.source, by, output, executor_.log().string()));
}

bool CompileJobs::launched(Variant variant) const { return !settings_.launcher.empty() && !preprocessed(variant); }

std::vector<CommandResult> CompileJobs::run_mended(std::span<const AffectedObject> objects,
                                                   std::span<const CompileJob> jobs, std::span<const Command> commands,
                                                   const std::function<void(size_t, size_t)>& progress) {
  std::vector<CommandResult> results = executor_.run_all(commands, settings_.jobs, [&](size_t done) {
    if (progress) progress(done, commands.size());
  });
  for (std::vector<size_t> mended = mend(objects, jobs, results); !mended.empty();
       mended = mend(objects, jobs, results)) {
    std::vector<Command> again;
    for (const size_t i : mended) again.push_back(commands[i]);
    std::vector<CommandResult> second = executor_.run_all(again, settings_.jobs);
    for (size_t i = 0; i < mended.size(); ++i) results[mended[i]] = std::move(second[i]);
  }
  return results;
}

// The jobs to run again, now that files are there which kbuild generates and the base did not have.
std::vector<size_t> CompileJobs::mend(std::span<const AffectedObject> objects, std::span<const CompileJob> jobs,
                                      std::span<const CommandResult> results) {
  std::vector<size_t> waiting;
  bool made = false;
  for (size_t i = 0; i < jobs.size(); ++i) {
    if (results[i].ok() || missing_files(results[i].output).empty()) continue;
    made |= generated_.mend(results[i].output, objects[jobs[i].unit].command, settings_.view.root());
    waiting.push_back(i);
  }
  if (!made) waiting.clear();
  return waiting;
}

void CompileJobs::refuse_leak(const std::vector<CompileJob>& leaks, std::span<const CommandResult> results,
                              std::span<const CompileJob> jobs) const {
  for (const CompileJob& leak : leaks) {
    const auto same = [&](const CompileJob& job) { return job.output == leak.output; };
    const size_t at = static_cast<size_t>(std::find_if(jobs.begin(), jobs.end(), same) - jobs.begin());
    if (!results[at].ok()) continue;  // it misses a file: the compiler's own message is shown
    throw Error(
        fmt::format("{}: an include leads out of the patched tree to an unpatched file",
                    settings_.view.leak(read_dependencies(read_file_if_any(leak.dependencies)), settings_.base.kbuild)
                        .value_or(leak.output.string())));
  }
}

}  // namespace kpatch

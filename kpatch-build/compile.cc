// Two compiles an object, and one for the proof
//
//     fs/proc/meminfo.c       original, patched      -ffunction-sections -fdata-sections: what the differ reads
//                             as shipped             the kernel's own flags: what the proof compares with vmlinux
//     net/ipv4/tcp.c          text before and after  it only includes a touched header: is there a difference at all?
//
// Equal text is the same object, at a quarter of a compile's cost, and so is text that differs in what isn't used. What
// is left is compiled for both trees at once; pairs with the same bytes are left out.
#include "kpatch-build/compile.h"

#include <fmt/core.h>

#include <utility>

#include "kpatch-build/compile-jobs.h"
#include "support/files.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;

Finding dropped(const CompileCommand& command, std::string why) {
  return {"dropped", Severity::notice, {.source = command.source}, std::move(why), {}};
}

}  // namespace

Result<std::vector<AffectedObject>> drop_equal_texts(std::vector<AffectedObject> objects,
                                                     const CompileSettings& settings, Executor& executor,
                                                     const std::function<void(size_t, size_t)>& progress) {
  CompileJobs compiles(settings, executor);
  std::vector<CompileJob> jobs;
  for (size_t unit = 0; unit < objects.size(); ++unit) {
    if (objects[unit].certain || !objects[unit].original) continue;
    jobs.push_back(compiles.job(unit, Variant::text_before));
    jobs.push_back(compiles.job(unit, Variant::text_after));
  }
  if (jobs.empty()) return {.value = std::move(objects)};
  const std::vector<CommandResult> results = compiles.run_proven(objects, jobs, progress);
  enum class Text { differs, unused, equal };
  std::vector<Text> texts(objects.size(), Text::differs);
  for (size_t i = 0; i < jobs.size(); i += 2) {
    if (!results[i].ok()) compiles.fail(objects[jobs[i].unit], jobs[i], results[i]);
    if (!results[i + 1].ok()) compiles.fail(objects[jobs[i].unit], jobs[i + 1], results[i + 1]);
    const std::string before = read_file_if_any(jobs[i].output), after = read_file_if_any(jobs[i + 1].output);
    if (before == after)
      texts[jobs[i].unit] = Text::equal;
    else if (!code_may_differ(before, after))
      texts[jobs[i].unit] = Text::unused;
    for (const CompileJob& job : {jobs[i], jobs[i + 1]}) fs::remove(job.output);
  }
  Result<std::vector<AffectedObject>> kept{.value = std::vector<AffectedObject>()};
  for (size_t unit = 0; unit < objects.size(); ++unit) {
    if (texts[unit] == Text::equal)
      kept.findings.push_back(dropped(objects[unit].command, "its text is the same after preprocessing"));
    else if (texts[unit] == Text::unused)
      kept.findings.push_back(dropped(objects[unit].command, "it uses nothing of what changes in its text"));
    else
      kept.value->push_back(std::move(objects[unit]));
  }
  return kept;
}

Result<std::vector<ObjectPair>> compile_pairs(std::span<const AffectedObject> objects, bool with_plain,
                                              const CompileSettings& settings, Executor& executor,
                                              const std::function<void(size_t, size_t)>& progress) {
  CompileJobs compiles(settings, executor);
  std::vector<CompileJob> jobs;
  for (size_t unit = 0; unit < objects.size(); ++unit) {
    jobs.push_back(compiles.job(unit, Variant::patched));
    if (!objects[unit].original) continue;
    jobs.push_back(compiles.job(unit, Variant::original));
    if (with_plain && objects[unit].certain) jobs.push_back(compiles.job(unit, Variant::as_shipped));
  }
  const std::vector<CommandResult> results = compiles.run_proven(objects, jobs, progress);
  std::vector<ObjectPair> pairs(objects.size());
  for (size_t i = 0; i < jobs.size(); ++i) {
    const CompileJob& job = jobs[i];
    if (!results[i].ok()) compiles.fail(objects[job.unit], job, results[i]);
    ObjectPair& pair = pairs[job.unit];
    if (job.variant == Variant::patched) pair.patched = job.output;
    if (job.variant == Variant::original) pair.original = job.output;
    if (job.variant == Variant::as_shipped) pair.plain = job.output;
  }
  Result<std::vector<ObjectPair>> different{.value = std::vector<ObjectPair>()};
  for (size_t unit = 0; unit < objects.size(); ++unit) {
    ObjectPair& pair = pairs[unit];
    pair.command = objects[unit].command;
    if (!objects[unit].original) {
      pair.original = "/dev/null";
    } else if (read_file_if_any(pair.original) == read_file_if_any(pair.patched)) {
      different.findings.push_back(dropped(pair.command, "the compiler gives the same bytes"));
      continue;
    }
    different.value->push_back(std::move(pair));
  }
  return different;
}

std::vector<ExportTexts> preprocess_exports(std::span<const ObjectPair* const> pairs, const CompileSettings& settings,
                                            Executor& executor) {
  CompileJobs compiles(settings, executor);
  std::vector<AffectedObject> objects;
  std::vector<CompileJob> jobs;
  for (const ObjectPair* pair : pairs) {
    jobs.push_back(compiles.job(objects.size(), Variant::exports_before));
    jobs.push_back(compiles.job(objects.size(), Variant::exports_after));
    objects.push_back({pair->command, pair->command, true, {}});
  }
  const std::vector<CommandResult> results = compiles.run_proven(objects, jobs, {});
  std::vector<ExportTexts> texts(pairs.size());
  for (size_t i = 0; i < jobs.size(); ++i) {
    if (!results[i].ok()) compiles.fail(objects[jobs[i].unit], jobs[i], results[i]);
    (jobs[i].variant == Variant::exports_before ? texts[jobs[i].unit].before : texts[jobs[i].unit].after) =
        jobs[i].output;
  }
  return texts;
}

void compile_plain(std::span<ObjectPair*> pairs, const CompileSettings& settings, Executor& executor) {
  CompileJobs compiles(settings, executor);
  std::vector<AffectedObject> objects;
  std::vector<CompileJob> jobs;
  for (ObjectPair* pair : pairs) {
    CompileJob job = compiles.job(objects.size(), Variant::as_shipped);
    job.output = settings.directory / fmt::format("late-{}.plain.o", objects.size());
    objects.push_back({pair->command, pair->command, true, {}});
    if (pair->original != "/dev/null" && pair->plain.empty()) jobs.push_back(job);
  }
  const std::vector<CommandResult> results = compiles.run(objects, jobs, {});
  for (size_t i = 0; i < jobs.size(); ++i) {
    if (!results[i].ok()) compiles.fail(objects[jobs[i].unit], jobs[i], results[i]);
    pairs[jobs[i].unit]->plain = jobs[i].output;
  }
}

}  // namespace kpatch

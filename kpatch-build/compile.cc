// Two compiles an object, and one for the proof
//
//     fs/proc/meminfo.c       original, patched      -ffunction-sections -fdata-sections: what the differ reads
//                             as shipped             the kernel's own flags: what the proof compares with vmlinux
//     net/ipv4/tcp.c          text after (before)    it only includes a touched header: is there a difference at all?
//
// Equal text is the same object, at a quarter of a compile's cost, and so is text that differs in what isn't used. The
// patched text alone tells that where inline functions, prototypes and enumerators change, and no macro does. What
// is left is compiled for both trees at once; pairs with the same bytes are left out.
#include "kpatch-build/compile.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "kpatch-build/compile-jobs.h"
#include "support/files.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;

Finding dropped(const CompileCommand& command, std::string why) {
  return {"dropped", Severity::notice, {.source = command.source}, std::move(why), {}};
}

enum class Text { differs, unused, equal };

// What the patch changes in the texts of units.
class TextComparison {
 public:
  TextComparison(std::span<const AffectedObject> objects, const CompileSettings& settings, Executor& executor)
      : objects_(objects), settings_(settings), compiles_(settings, executor) {}

  // Enters what is found for the units. on_done: how many of them are done.
  void run(std::span<const size_t> units, std::vector<Text>& texts, const std::function<void(size_t)>& on_done) {
    std::vector<CompileJob> after, before;
    for (const size_t unit : units) after.push_back(compiles_.job(unit, Variant::text_after));
    preprocess(after, on_done);
    std::vector<CompileJob> both;
    for (const CompileJob& job : after) {
      if (const std::optional<Text> text = by_itself(job)) {
        texts[job.unit] = *text;
        fs::remove(job.output);
      } else {
        before.push_back(compiles_.job(job.unit, Variant::text_before));
        both.push_back(job);
      }
    }
    if (before.empty()) return;
    preprocess(before, {});
    for (size_t i = 0; i < before.size(); ++i) {
      const std::string original = read_file_if_any(before[i].output), patched = read_file_if_any(both[i].output);
      if (original == patched)
        texts[both[i].unit] = Text::equal;
      else if (!code_may_differ(original, patched))
        texts[both[i].unit] = Text::unused;
      for (const CompileJob* job : {&before[i], &both[i]}) fs::remove(job->output);
    }
  }

 private:
  void preprocess(const std::vector<CompileJob>& jobs, const std::function<void(size_t)>& on_done) {
    const std::vector<CommandResult> results = compiles_.run_proven(objects_, jobs, [&](size_t done, size_t) {
      if (on_done) on_done(done);
    });
    for (size_t i = 0; i < jobs.size(); ++i)
      if (!results[i].ok()) compiles_.fail(objects_[jobs[i].unit], jobs[i], results[i]);
  }

  // What the patched text tells without the other one: where all that changes in what the unit reads has names that
  // are still to be seen after preprocessing. A file that is gone would be missing there.
  std::optional<Text> by_itself(const CompileJob& after) {
    if (settings_.view.lacks_files()) return std::nullopt;
    std::vector<std::string> names;
    const std::vector<std::string> read = read_dependencies(read_file_if_any(after.dependencies));
    for (const std::string& path : settings_.view.touched_among(read, settings_.base.kbuild)) {
      const ChangedNames& changed = changes_of(path);
      if (changed.everything || changed.macros) return std::nullopt;
      names.insert(names.end(), changed.names.begin(), changed.names.end());
    }
    return code_uses(read_file_if_any(after.output), names) ? Text::differs : Text::unused;
  }

  const ChangedNames& changes_of(const std::string& path) {
    const auto [known, fresh] = changes_.try_emplace(path);
    if (fresh && !fs::exists(settings_.base.source / path)) known->second.everything = true;
    if (fresh && !known->second.everything)
      known->second =
          changed_names(read_file_if_any(settings_.base.source / path), read_file_if_any(settings_.view.root() / path));
    return known->second;
  }

  std::span<const AffectedObject> objects_;
  const CompileSettings& settings_;
  CompileJobs compiles_;
  std::map<std::string, ChangedNames> changes_;  // of touched files, by their paths
};

}  // namespace

Result<std::vector<AffectedObject>> drop_equal_texts(std::vector<AffectedObject> objects,
                                                     const CompileSettings& settings, Executor& executor,
                                                     const std::function<void(size_t, size_t)>& progress) {
  std::vector<size_t> units;
  for (size_t unit = 0; unit < objects.size(); ++unit)
    if (!objects[unit].certain && objects[unit].original) units.push_back(unit);
  std::vector<Text> texts(objects.size(), Text::differs);
  TextComparison comparison(objects, settings, executor);
  // A few at a time: a text has some megabytes.
  const size_t at_once = std::max<size_t>(16, settings.jobs);
  for (size_t done = 0; done < units.size(); done += at_once) {
    const auto some = std::span(units).subspan(done).first(std::min(at_once, units.size() - done));
    comparison.run(some, texts, [&](size_t n) {
      if (progress) progress(done + n, units.size());
    });
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
  std::vector<size_t> ends;  // of the jobs of each object
  for (size_t unit = 0; unit < objects.size(); ++unit) {
    jobs.push_back(compiles.job(unit, Variant::patched));
    if (objects[unit].original) jobs.push_back(compiles.job(unit, Variant::original));
    if (objects[unit].original && with_plain && objects[unit].certain)
      jobs.push_back(compiles.job(unit, Variant::as_shipped));
    ends.push_back(jobs.size());
  }
  Result<std::vector<ObjectPair>> different{.value = std::vector<ObjectPair>()};
  // Many at a time, and not all: what came out equal takes no space.
  const size_t at_once = std::max<size_t>(64, settings.jobs);
  size_t begin = 0;
  for (size_t first = 0; first < objects.size(); first += at_once) {
    const size_t last = std::min(first + at_once, objects.size());
    const std::vector<CompileJob> some(jobs.begin() + static_cast<std::ptrdiff_t>(begin),
                                       jobs.begin() + static_cast<std::ptrdiff_t>(ends[last - 1]));
    const std::vector<CommandResult> results = compiles.run_proven(objects, some, [&](size_t done, size_t) {
      if (progress) progress(begin + done, jobs.size());
    });
    begin = ends[last - 1];
    std::vector<ObjectPair> pairs(last - first);
    for (size_t i = 0; i < some.size(); ++i) {
      const CompileJob& job = some[i];
      if (!results[i].ok()) compiles.fail(objects[job.unit], job, results[i]);
      ObjectPair& pair = pairs[job.unit - first];
      if (job.variant == Variant::patched) pair.patched = job.output;
      if (job.variant == Variant::original) pair.original = job.output;
      if (job.variant == Variant::as_shipped) pair.plain = job.output;
    }
    for (size_t unit = first; unit < last; ++unit) {
      ObjectPair& pair = pairs[unit - first];
      pair.command = objects[unit].command;
      if (!objects[unit].original) {
        pair.original = "/dev/null";
      } else if (read_file_if_any(pair.original) == read_file_if_any(pair.patched)) {
        different.findings.push_back(dropped(pair.command, "the compiler gives the same bytes"));
        for (const fs::path& file : {pair.original, pair.patched, pair.plain}) fs::remove(file);
        continue;
      }
      different.value->push_back(std::move(pair));
    }
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

bool compile_again(std::span<ObjectPair*> pairs, const CompileSettings& settings, Executor& executor) {
  CompileJobs compiles(settings, executor);
  std::vector<AffectedObject> objects;
  std::vector<CompileJob> jobs;
  std::vector<fs::path*> places;
  for (ObjectPair* pair : pairs) {
    for (const Variant variant : {Variant::original, Variant::patched}) {
      fs::path& place = variant == Variant::original ? pair->original : pair->patched;
      if (place == "/dev/null") continue;
      jobs.push_back(compiles.job(objects.size(), variant));
      jobs.back().output = settings.directory / fmt::format("again-{}.o", jobs.size());
      places.push_back(&place);
    }
    objects.push_back({pair->command, pair->command, true, {}});
  }
  const std::vector<CommandResult> results = compiles.run(objects, jobs, {});
  for (size_t i = 0; i < jobs.size(); ++i) {
    if (!results[i].ok()) return false;
    *places[i] = jobs[i].output;
  }
  return true;
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

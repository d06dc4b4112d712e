// Two compiles an object, and one for the proof
//
// Kbuild's command for fs/proc/meminfo.o is run as it is, in kbuild's own directory, but for five things:
//
//     gcc … -I SRC/include … SRC/fs/proc/meminfo.c       the kernel's
//     gcc … -I VIEW/include … VIEW/fs/proc/meminfo.c     the patched source; -fmacro-prefix-map=SRC/= becomes VIEW/=,
//     so
//                                                        that __FILE__ stays "fs/proc/meminfo.c"
//     -ffunction-sections -fdata-sections                one section a function, the unit of comparing
//     -o, -MD -MF                                        our own files
//     -I KMOD-TEMPLATE                                   the headers for patch authors
//     -include asm-generic/runtime-const.h               (x86 since 6.11, vmlinux's objects only) a runtime constant is
//     an
//         instruction with a placeholder that the kernel fills in once, at boot. In a module nobody would. The generic
//         header has the same include guard and turns the constants into loads of the variables they come from.
//
// The dependency record proves that a patched compile read no original of a touched file; if it did, the view is made
// complete and the unit compiled again. A unit that only includes a touched header is preprocessed first in both trees:
// equal text is the same object, at a quarter of a compile's cost. The original's objects are kept with the base, by
// their command.
#include "kpatch-build/compile.h"

#include <fmt/core.h>

#include <algorithm>

#include "arch/arch.h"
#include "kbuild/kbuild.h"
#include "support/digest.h"
#include "support/error.h"
#include "support/files.h"
#include "support/kept-files.h"
#include "support/text.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;
using std::string_view;

bool of_patched_tree(Variant variant) {
  return variant == Variant::patched || variant == Variant::text_after || variant == Variant::exports_after;
}
bool of_exports(Variant variant) { return variant == Variant::exports_before || variant == Variant::exports_after; }
bool preprocessed(Variant variant) {
  return variant == Variant::text_before || variant == Variant::text_after || of_exports(variant);
}

// The macro of the first #ifndef, an include guard.
std::string guard_of(const fs::path& header) {
  const std::string text = read_file_if_any(header);
  for (const string_view line : lines_of(text)) {
    if (line.starts_with("#ifndef ")) return std::string(line.substr(8));
  }
  return {};
}

// One compile to run, and which unit it belongs to.
struct Job {
  size_t unit = 0;
  Variant variant = Variant::original;
  fs::path output;
  fs::path dependencies;
};

class Compiler {
 public:
  Compiler(const CompileSettings& settings, Executor& executor)
      : settings_(settings),
        executor_(executor),
        generated_(settings.base, executor),
        kept_(settings.base.directory / "objects"),
        runtime_constants_(has_runtime_constants(settings.base)) {
    fs::create_directories(settings_.directory);
  }

  Job job(size_t unit, Variant variant) const {
    constexpr const char* suffixes[] = {"orig.o",  "patched.o",        "plain.o",        "before.i",
                                        "after.i", "exports-before.i", "exports-after.i"};
    const fs::path stem = settings_.directory / fmt::format("{}", unit);
    fs::path output = stem;
    output += fmt::format(".{}", suffixes[static_cast<int>(variant)]);
    fs::path dependencies = output;
    dependencies += ".d";
    return {unit, variant, output, dependencies};
  }

  // Runs the jobs, but for what was kept of an earlier run.
  std::vector<CommandResult> run(std::span<const AffectedObject> objects, std::span<const Job> jobs,
                                 const std::function<void(size_t, size_t)>& progress) {
    std::vector<CommandResult> results(jobs.size());
    std::vector<Command> commands;
    std::vector<Job> todo;
    std::vector<size_t> places;
    for (size_t i = 0; i < jobs.size(); ++i) {
      const Job& job = jobs[i];
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
      if (is_kept(job.variant) && kept_.fetch(kept_key(command, job), job.output)) continue;
      commands.push_back(std::move(command));
      todo.push_back(job);
      places.push_back(i);
    }
    std::vector<CommandResult> ran = run_mended(objects, todo, commands, progress);
    for (size_t i = 0; i < todo.size(); ++i) {
      if (ran[i].ok() && is_kept(todo[i].variant) && read_base_only(commands[i], todo[i]))
        kept_.keep(kept_key(commands[i], todo[i]), todo[i].output);
      results[places[i]] = std::move(ran[i]);
    }
    return results;
  }

  // The units whose patched variant read an original of a touched file, or failed for want of a file.
  std::vector<Job> leaked(std::span<const Job> jobs, std::span<const CommandResult> results) const {
    std::vector<Job> again;
    for (size_t i = 0; i < jobs.size(); ++i) {
      if (!of_patched_tree(jobs[i].variant)) continue;
      const bool failed = !results[i].ok();
      const bool misses_file = failed && results[i].output.find("No such file or directory") != std::string::npos;
      const std::vector<std::string> files = read_dependencies(read_file_if_any(jobs[i].dependencies));
      if (misses_file || settings_.view.leak(files, settings_.base.kbuild)) again.push_back(jobs[i]);
    }
    return again;
  }

  // Compiles, and once more with the complete view what read past it. Results in the order of jobs.
  std::vector<CommandResult> run_proven(std::span<const AffectedObject> objects, const std::vector<Job>& jobs,
                                        const std::function<void(size_t, size_t)>& progress) {
    std::vector<CommandResult> results = run(objects, jobs, progress);
    const std::vector<Job> again = leaked(jobs, results);
    if (again.empty() || settings_.view.full()) {
      refuse_leak(again, results, jobs);
      return results;
    }
    settings_.view.make_full();
    const std::vector<CommandResult> second = run(objects, again, {});
    for (size_t i = 0; i < again.size(); ++i) {
      const auto same = [&](const Job& job) { return job.output == again[i].output; };
      results[static_cast<size_t>(std::find_if(jobs.begin(), jobs.end(), same) - jobs.begin())] = second[i];
    }
    refuse_leak(leaked(again, second), second, again);
    return results;
  }

  // Messages speak of the patch's files, not of where the view lies.
  [[noreturn]] void fail(const AffectedObject& object, const Job& job, const CommandResult& result) const {
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
    const std::string by =
        launched(job.variant) ? fmt::format(" by --launcher {}", joined(settings_.launcher, " ")) : "";
    if (of_patched_tree(job.variant)) {
      throw Error(fmt::format("the patched {} does not compile{}\n{}\n>>> the whole log is in {}",
                              object.command.source, by, output, executor_.log().string()));
    }
    throw Error(fmt::format("{}: the unpatched source does not compile{}\n{}\n>>> the whole log is in {}",
                            object.command.source, by, output, executor_.log().string()));
  }

 private:
  bool launched(Variant variant) const { return !settings_.launcher.empty() && !preprocessed(variant); }

  std::vector<CommandResult> run_mended(std::span<const AffectedObject> objects, std::span<const Job> jobs,
                                        std::span<const Command> commands,
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

  // Of the original nothing changes while the base is the same: what the command says, and who obeys it, is all that
  // matters. The proof relies on it.
  static bool is_kept(Variant variant) {
    return variant == Variant::original || variant == Variant::as_shipped || variant == Variant::exports_before;
  }

  std::string kept_key(const Command& command, const Job& job) const {
    std::string all = settings_.base.code_makers + '\0';
    for (const std::string& argument : command.argv) {
      if (argument != job.output && argument != job.dependencies) all += argument;
      all += '\0';
    }
    return digest_of(all);
  }

  // Nothing but the base's files, and the compiler's own (5.10 takes stdarg.h from it).
  bool read_base_only(const Command& command, const Job& job) const {
    std::vector<fs::path> folders = {settings_.base.source, settings_.base.kbuild};
    for (size_t i = 0; i + 1 < command.argv.size(); ++i)
      if (command.argv[i] == "-isystem") folders.emplace_back(command.argv[i + 1]);
    const std::vector<std::string> files = read_dependencies(read_file_if_any(job.dependencies));
    return !files.empty() && std::ranges::all_of(files, [&](const fs::path& file) {
      const fs::path whole = (settings_.base.kbuild / file).lexically_normal();
      return std::ranges::any_of(folders, [&](const fs::path& folder) {
        return std::mismatch(folder.begin(), folder.end(), whole.begin(), whole.end()).first == folder.end();
      });
    });
  }

  // The jobs to run again, now that files are there which kbuild generates and the base did not have.
  std::vector<size_t> mend(std::span<const AffectedObject> objects, std::span<const Job> jobs,
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

  void refuse_leak(const std::vector<Job>& leaks, std::span<const CommandResult> results,
                   std::span<const Job> jobs) const {
    for (const Job& leak : leaks) {
      const auto same = [&](const Job& job) { return job.output == leak.output; };
      const size_t at = static_cast<size_t>(std::find_if(jobs.begin(), jobs.end(), same) - jobs.begin());
      if (!results[at].ok()) continue;  // it misses a file: the compiler's own message is shown
      throw Error(
          fmt::format("{}: an include leads out of the patched tree to an unpatched file",
                      settings_.view.leak(read_dependencies(read_file_if_any(leak.dependencies)), settings_.base.kbuild)
                          .value_or(leak.output.string())));
    }
  }

  const CompileSettings& settings_;
  Executor& executor_;
  GeneratedFiles generated_;
  KeptFiles kept_;
  bool runtime_constants_;
};

Finding dropped(const CompileCommand& command, std::string why) {
  return {"dropped", Severity::notice, {.source = command.source}, std::move(why), {}};
}

bool drops(string_view argument) {
  return argument.starts_with("-Wp,-MMD,") || argument.starts_with("-Wp,-MD,") || argument == "-c";
}

}  // namespace

std::vector<std::string> compile_arguments(const CompileCommand& command, Variant variant,
                                           const CompileSettings& settings, const fs::path& output,
                                           const fs::path& dependencies, bool plain_runtime_constants) {
  const std::vector<std::string>& theirs = command.arguments;
  KPATCH_ASSERT(theirs.size() >= 3);
  std::vector<std::string> ours;
  bool module = false;
  for (size_t i = 0; i + 1 < theirs.size(); ++i) {
    if (theirs[i] == "-o") {
      ++i;
    } else if (!drops(theirs[i])) {
      module |= theirs[i] == "-DMODULE";
      ours.push_back(theirs[i]);
    }
  }
  const bool sections = variant == Variant::original || variant == Variant::patched;
  if (variant != Variant::as_shipped) {
    if (plain_runtime_constants && !module && !of_exports(variant))
      ours.insert(ours.end(), {"-include", "asm-generic/runtime-const.h"});
    // Before the kernel's folders: linux/livepatch_helpers.h.
    const auto first = std::ranges::find_if(ours, [](const std::string& word) { return word.starts_with("-I"); });
    ours.insert(first, "-I" + settings.author_headers.string());
  }
  if (sections) ours.insert(ours.end(), {"-ffunction-sections", "-fdata-sections"});
  if (variant == Variant::as_shipped) ours.push_back("-g0");  // code is compared, nothing else
  if (preprocessed(variant)) ours.emplace_back("-E");
  // genksyms needs to know the lines' files: what the .c file itself defines is opaque to whoever imports.
  if (preprocessed(variant)) ours.emplace_back(of_exports(variant) ? "-D__GENKSYMS__" : "-P");
  ours.insert(ours.end(), {"-MD", "-MF", dependencies.string()});
  if (!preprocessed(variant)) ours.push_back("-c");
  ours.insert(ours.end(), {"-o", output.string(), theirs.back()});
  if (of_patched_tree(variant)) {
    for (std::string& argument : ours) argument = settings.view.translate(argument);
    // Debug information names the source's files, so that an unchanged object is equal byte by byte.
    const auto source = ours.end() - 1;
    ours.insert(source,
                fmt::format("-fdebug-prefix-map={}={}", settings.view.root().string(), settings.base.source.string()));
  }
  return ours;
}

std::vector<std::string> read_dependencies(string_view text) {
  std::vector<std::string> files;
  const size_t colon = text.find(": ");
  if (colon == string_view::npos) return files;
  text.remove_prefix(colon + 2);
  std::string file;
  for (size_t i = 0; i < text.size(); ++i) {
    const char next = i + 1 < text.size() ? text[i + 1] : '\n';
    if (text[i] == '\\' && (next == ' ' || next == '#')) {
      file += text[++i];
    } else if (text[i] == '$' && next == '$') {
      file += text[++i];
    } else if (text[i] == '\\' && next == '\n') {
      ++i;
      if (!file.empty()) files.push_back(std::exchange(file, {}));
    } else if (text[i] == ' ' || text[i] == '\n') {
      if (!file.empty()) files.push_back(std::exchange(file, {}));
      if (text[i] == '\n') break;
    } else {
      file += text[i];
    }
  }
  if (!file.empty()) files.push_back(std::move(file));
  return files;
}

bool has_runtime_constants(const Base& base) {
  if (base.arch == nullptr) return false;
  const fs::path architecture = base.source / "arch" / base.arch->kbuild.folder;
  const std::string guard = guard_of(architecture / "include/asm/runtime-const.h");
  return !guard.empty() && guard == guard_of(base.source / "include/asm-generic/runtime-const.h");
}

Result<std::vector<AffectedObject>> drop_equal_texts(std::vector<AffectedObject> objects,
                                                     const CompileSettings& settings, Executor& executor,
                                                     const std::function<void(size_t, size_t)>& progress) {
  Compiler compiler(settings, executor);
  std::vector<Job> jobs;
  for (size_t unit = 0; unit < objects.size(); ++unit) {
    if (objects[unit].certain || !objects[unit].original) continue;
    jobs.push_back(compiler.job(unit, Variant::text_before));
    jobs.push_back(compiler.job(unit, Variant::text_after));
  }
  if (jobs.empty()) return {.value = std::move(objects)};
  const std::vector<CommandResult> results = compiler.run_proven(objects, jobs, progress);
  enum class Text { differs, unused, equal };
  std::vector<Text> texts(objects.size(), Text::differs);
  for (size_t i = 0; i < jobs.size(); i += 2) {
    if (!results[i].ok()) compiler.fail(objects[jobs[i].unit], jobs[i], results[i]);
    if (!results[i + 1].ok()) compiler.fail(objects[jobs[i].unit], jobs[i + 1], results[i + 1]);
    const std::string before = read_file_if_any(jobs[i].output), after = read_file_if_any(jobs[i + 1].output);
    if (before == after)
      texts[jobs[i].unit] = Text::equal;
    else if (!code_may_differ(before, after))
      texts[jobs[i].unit] = Text::unused;
    for (const Job& job : {jobs[i], jobs[i + 1]}) fs::remove(job.output);
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
  Compiler compiler(settings, executor);
  std::vector<Job> jobs;
  for (size_t unit = 0; unit < objects.size(); ++unit) {
    jobs.push_back(compiler.job(unit, Variant::patched));
    if (!objects[unit].original) continue;
    jobs.push_back(compiler.job(unit, Variant::original));
    if (with_plain && objects[unit].certain) jobs.push_back(compiler.job(unit, Variant::as_shipped));
  }
  const std::vector<CommandResult> results = compiler.run_proven(objects, jobs, progress);
  std::vector<ObjectPair> pairs(objects.size());
  for (size_t i = 0; i < jobs.size(); ++i) {
    const Job& job = jobs[i];
    if (!results[i].ok()) compiler.fail(objects[job.unit], job, results[i]);
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
  Compiler compiler(settings, executor);
  std::vector<AffectedObject> objects;
  std::vector<Job> jobs;
  for (const ObjectPair* pair : pairs) {
    jobs.push_back(compiler.job(objects.size(), Variant::exports_before));
    jobs.push_back(compiler.job(objects.size(), Variant::exports_after));
    objects.push_back({pair->command, pair->command, true, {}});
  }
  const std::vector<CommandResult> results = compiler.run_proven(objects, jobs, {});
  std::vector<ExportTexts> texts(pairs.size());
  for (size_t i = 0; i < jobs.size(); ++i) {
    if (!results[i].ok()) compiler.fail(objects[jobs[i].unit], jobs[i], results[i]);
    (jobs[i].variant == Variant::exports_before ? texts[jobs[i].unit].before : texts[jobs[i].unit].after) =
        jobs[i].output;
  }
  return texts;
}

void compile_plain(std::span<ObjectPair*> pairs, const CompileSettings& settings, Executor& executor) {
  Compiler compiler(settings, executor);
  std::vector<AffectedObject> objects;
  std::vector<Job> jobs;
  for (ObjectPair* pair : pairs) {
    Job job = compiler.job(objects.size(), Variant::as_shipped);
    job.output = settings.directory / fmt::format("late-{}.plain.o", objects.size());
    objects.push_back({pair->command, pair->command, true, {}});
    if (pair->original != "/dev/null" && pair->plain.empty()) jobs.push_back(job);
  }
  const std::vector<CommandResult> results = compiler.run(objects, jobs, {});
  for (size_t i = 0; i < jobs.size(); ++i) {
    if (!results[i].ok()) compiler.fail(objects[jobs[i].unit], jobs[i], results[i]);
    pairs[jobs[i].unit]->plain = jobs[i].output;
  }
}

}  // namespace kpatch

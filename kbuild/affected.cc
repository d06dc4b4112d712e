// From a patch to objects
//
// A touched .c is an object, or several (virt/kvm/kvm_main.c in a module), or none: kernel/sched/rt.c is included by
// kernel/sched/build_policy.c, fs/jfs/jfs_umount.c is switched off. Kbuild's own lists tell; a single target
// (`make fs/jfs/jfs_umount.o`) would build it and lie. So:
//
//   .c            the objects that kbuild makes of it, and those of .c files nearby that include it;
//                 none: it may be included from anywhere, so it is treated as a header; if no unit includes it, it
//                 isn't built. A fix for several drivers has some of those: the kernel that runs doesn't have them, and
//                 the rest of the fix is right without them
//   .h            every configured unit whose text may depend on it (includes.cc); and whoever else reads it: assembly,
//                 linker scripts, the vDSO, boot code, sources of generated headers (other-readers.cc), which refuse it
//                 when what comes out of them changes
//   Makefile      the folder's command list with the patched tree against the one without: an object that is new has
//                 no original, one whose flags changed is affected, one that vanished can't be undone in a running
//                 kernel
//   Kconfig, top and arch Makefiles, scripts   can change every command: only two full builds tell
//   .S            no compiler output that could be compared function by function: refused
//   Documentation, tools, other architectures …   without influence on a kernel that runs (file-role.cc)
//   tables, grammars, host programs               what is made from them isn't made anew: refused
//   anything else                                 a header if a unit includes it; else refused, since nobody knows
#include "kbuild/affected.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <set>

#include "arch/arch.h"
#include "kbuild/commands.h"
#include "kbuild/file-role.h"
#include "kbuild/includes.h"
#include "kbuild/inlined-copies.h"
#include "kbuild/mentions.h"
#include "kbuild/other-readers.h"
#include "kbuild/rule-inputs.h"
#include "kbuild/why-not-built.h"
#include "kernel/kernel.h"
#include "support/error.h"
#include "support/files.h"
#include "support/text.h"

namespace kpatch {
namespace {

constexpr const char* keep_file =
    "leave the file where it is, under its name and with its line in the Makefile, and change it there";

namespace fs = std::filesystem;
using std::string_view;

bool in_target(const CompileCommand& command, const std::vector<std::string>& targets) {
  if (targets.empty()) return true;
  return std::any_of(targets.begin(), targets.end(), [&](const std::string& target) {
    if (target == "vmlinux") return command.module.empty();
    if (target == "modules") return !command.module.empty();
    if (target.ends_with(".ko")) return command.module + ".ko" == target;
    if (target.ends_with('/')) return command.object.starts_with(target);
    return command.object == target;
  });
}

// ".." in a source argument or include folder must stay within the view, see PatchedView.
void open_paths(const CompileCommand& command, const fs::path& source, PatchedView& view) {
  const std::string root = source.string() + "/";
  for (const std::string& argument : command.arguments) {
    const size_t at = argument.find(root);
    if (at == std::string::npos) continue;
    string_view path = string_view(argument).substr(at + root.size());
    if (path.find("..") != string_view::npos || &argument == &command.arguments.back()) view.make_real(path);
  }
}

bool only_texts_change(const fs::path& source, const fs::path& patched, const std::string& path) {
  if (!fs::path(path).filename().string().starts_with("Kconfig")) return false;
  return same_options(read_file_if_any(source / path), read_file_if_any(patched / path));
}

Finding refused_product(const std::string& path, std::string why, bool built_here) {
  return {"generated",
          Severity::refusal,
          {.source = path},
          std::move(why),
          built_here ? "use --full, which builds the kernel with and without the patch"
                     : "leave it out, and change what it makes in the C code that uses it"};
}

class Finder {
 public:
  Finder(const Base& base, const AppliedPatches& patches, PatchedView& view, const std::vector<std::string>& targets,
         Executor& executor, const fs::path& scratch)
      : base_(base), patches_(patches), view_(view), targets_(targets), executor_(executor), scratch_(scratch) {
    if (base.arch != nullptr) folder_ = base.arch->kbuild.folder;
  }

  Result<std::vector<AffectedObject>> run() {
    for (const std::string& path : patches_.modified) look_at(path);
    for (const std::string& path : patches_.added) look_at(path);
    for (const std::string& path : patches_.removed) look_at(path);
    for (const std::string& folder : makefile_folders_) compare_folder(folder);
    settle_sources();
    settle_included();
    warn_of_inlined_copies();
    std::vector<AffectedObject> objects;
    for (auto& [object, affected] : objects_) {
      open_paths(affected.command, base_.source, view_);
      found_.note("affected", {.source = affected.command.source}, affected.reason);
      objects.push_back(std::move(affected));
    }
    // Nothing is missed by leaving such a file out; but when it is all there is, the patch is for another kernel.
    for (Finding file : not_built_) {
      if (objects.empty() && !left_by_target_) file.severity = Severity::refusal;
      found_.add(std::move(file));
    }
    if (objects.empty() && left_by_target_)
      found_.refuse("target", {},
                    fmt::format("nothing that the patch changes is of --target {}", joined(targets_, " ")),
                    "name what the warnings name, or leave --target out");
    Result<std::vector<AffectedObject>> result;
    result.no_change = "no object of the kernel depends on what the patch touches";
    const bool refused = found_.refused();
    result.findings = sorted(found_.all());
    if (!refused && !objects.empty()) result.value = std::move(objects);
    return result;
  }

 private:
  void look_at(const std::string& path) {
    const FileVerdict verdict = file_verdict(path, folder_);
    if (auto refusal = refused_file(base_.source, patches_.directory, path, folder_, base_.built_here))
      found_.add(std::move(*refusal));
    switch (verdict.role) {
      case FileRole::source:
        sources_.push_back(path);
        break;
      case FileRole::header:
        if (!feeds_a_rule(path)) headers_.push_back(path);
        break;
      case FileRole::unknown:
        unknown_.push_back(path);
        break;
      case FileRole::makefile:
        makefile_folders_.insert(fs::path(path).parent_path().string());
        break;
      case FileRole::build:
        if (only_texts_change(base_.source, patches_.directory, path)) idle(path, "help texts and comments");
        break;
      case FileRole::assembly:
      case FileRole::generator:
        break;
      case FileRole::idle:
        idle(path, verdict.why);
        break;
    }
  }

  // A script of the build makes C of the header's lines as well; refused, and said so, when it would make other.
  bool feeds_a_rule(const std::string& path) {
    if (!rule_inputs_) rule_inputs_ = rule_inputs(base_, memo_file(base_, "rule-inputs"));
    const std::vector<std::string> makefiles = makefiles_that_read(*rule_inputs_, path);
    if (makefiles.empty()) return false;
    if (!lists_something_else(read_file_if_any(base_.source / path), read_file_if_any(patches_.directory / path)))
      return false;
    for (const std::string& makefile : makefiles) {
      const std::string folder = fs::path(makefile).parent_path().string();
      // Those of an architecture make things for all.
      if (!folder.starts_with("arch/") && directory_commands(base_, executor_, folder).empty()) continue;
      refuse_product(path, fmt::format("{} makes C of its lines, which isn't made anew", makefile));
      return true;
    }
    return false;
  }

  void refuse_product(const std::string& path, std::string why) {
    found_.add(refused_product(path, std::move(why), base_.built_here));
  }

  void idle(const std::string& path, string_view why) {
    found_.note("ignored", {.source = path}, fmt::format("is without influence on the kernel that runs: {}", why));
  }

  void refuse(string_view rule, const std::string& path, std::string why, std::string advice = {}) {
    found_.refuse(rule, {.source = path}, std::move(why), std::move(advice));
  }

  void not_built(const std::string& path) {
    if (is_host_program(base_.source, path)) {
      refuse_product(path, "it is a program that the kernel's build runs, and what it makes isn't made anew");
      return;
    }
    const auto option = missing_option(base_.source, base_.config, path);
    const std::string why = "the config does not build this file";
    not_built_.push_back({"not-built",
                          Severity::warning,
                          {.source = path},
                          option ? fmt::format("{} ({} is not set)", why, *option) : why,
                          {}});
  }

  void add(CompileCommand command, std::optional<CompileCommand> original, bool certain, std::string reason) {
    if (!in_target(command, targets_)) {
      found_.warn("target", {.source = command.source},
                  fmt::format("{} is affected, but of no --target: it stays as it is", command.object));
      left_by_target_ = true;
      return;
    }
    if (!command.module.empty() && !module_file(base_, command.module)) {
      refuse(
          "new-module", command.source,
          fmt::format("it is part of {}.ko, which the kernel that runs doesn't have: a livepatch changes what is there",
                      command.module),
          "build the new module by itself, and leave its files out of the patch");
      return;
    }
    for (const std::string& other : command.other_images)
      if (certain)
        found_.warn(
            "other-reader", {.source = command.source},
            fmt::format("{} is compiled of it too, for another image than the kernel's own, which keeps the old code",
                        other),
            "what the patch mends isn't mended there");
    const auto [it, fresh] = objects_.try_emplace(command.object);
    AffectedObject& object = it->second;
    if (fresh) {
      object = {std::move(command), std::move(original), certain, std::move(reason)};
    } else if (object.command.module != command.module) {
      refuse("shared-object", command.source,
             fmt::format("{} is part of two modules, {} and {}, and one livepatch can't hold it twice", command.object,
                         object.command.module, command.module),
             fmt::format("make a livepatch for each: --target {}.ko and --target {}.ko", object.command.module,
                         command.module));
    } else if (certain && !object.certain) {
      object.certain = true;
      object.reason = std::move(reason);
    }
  }

  void warn_of_image_copies(const std::vector<std::string>& compiled) {
    for (const OtherReading& copy : image_copies(base_.source, folder_, compiled))
      for (const std::string& path : copy.files)
        found_.warn("other-reader", {.source = path},
                    fmt::format("{} ({}) includes it, and keeps the old code", copy.reader.path, copy.reader.what),
                    "what the patch mends isn't mended there");
  }

  void settle_sources() {
    std::vector<std::string> compiled;
    const std::set<std::string> removed(patches_.removed.begin(), patches_.removed.end());
    const std::set<std::string> added(patches_.added.begin(), patches_.added.end());
    for (const std::string& path : sources_) {
      if (settled_.contains(path)) continue;
      if (added.contains(path)) {
        headers_.push_back(path);  // no Makefile builds it: included by a touched file, or of no effect
        continue;
      }
      std::vector<CompileCommand> commands = commands_for_source(base_, executor_, path);
      if (commands.empty()) {
        must_be_used_.push_back(path);
        continue;
      }
      if (removed.contains(path)) {
        refuse(
            "removed", path,
            fmt::format("the patch removes it, but {} can't be taken out of a running kernel", commands.front().object),
            keep_file);
        continue;
      }
      for (CompileCommand& command : commands) {
        std::optional<CompileCommand> original = command;
        add(std::move(command), std::move(original), true, "the patch touches it");
      }
      add_includers(path);
      compiled.push_back(path);
    }
    warn_of_image_copies(compiled);
  }

  // A .c that is an object can be included by another one too: fs/compat_binfmt_elf.c is fs/binfmt_elf.c once more.
  void add_includers(const std::string& path) {
    for (const std::string& includer : neighbours_that_include(base_.source, path)) {
      for (CompileCommand& command : commands_for_source(base_, executor_, includer)) {
        std::optional<CompileCommand> original = command;
        add(std::move(command), std::move(original), false, fmt::format("includes {}", path));
      }
    }
  }

  // What the compiler reads besides its units: headers, and sources that no Makefile names, which must at least be
  // reached from a unit; and what others read.
  void settle_included() {
    std::vector<std::string> asked = headers_;
    asked.insert(asked.end(), must_be_used_.begin(), must_be_used_.end());
    asked.insert(asked.end(), unknown_.begin(), unknown_.end());
    if (asked.empty()) return;
    const std::vector<CompileCommand> units = shipped_commands(base_, executor_);
    const IncludeGraph graph(base_.source, base_.kbuild, units, asked);
    const std::set<std::string> elsewhere = settle_other_readers(units, asked);
    for (const std::string& path : must_be_used_) {
      if (graph.is_included(path))
        headers_.push_back(path);
      else if (!elsewhere.contains(path))
        not_built(path);
    }
    for (const std::string& path : unknown_) {
      if (graph.is_included(path))
        headers_.push_back(path);
      else if (!elsewhere.contains(path))
        refuse("unknown-file", path, "nothing that is built includes it, and what else may read it isn't known",
               "leave it out of the patch");
    }
    if (headers_.empty()) return;
    const std::vector<size_t> readers = those_that_differ(graph, units);
    const std::vector<std::vector<std::string>> chains = graph.chains(readers, headers_);
    for (size_t i = 0; i < readers.size(); ++i) {
      const CompileCommand& unit = units[readers[i]];
      add(unit, unit, false, include_reason(chains[i]));
    }
  }

  void warn_of_inlined_copies() {
    const std::vector<HeaderChange> changes = changes_of(headers_);
    if (changes.empty() || base_.vmlinux.empty() || found_.refused()) return;
    std::set<std::string> compiled;
    for (const auto& [object, affected] : objects_) compiled.insert(affected.command.source);
    for (Finding& finding : inlined_copies(base_.vmlinux, changes, compiled)) found_.add(std::move(finding));
  }

  // What changes in the files; nothing when one of them is in one of the trees alone, which makes a difference by that.
  std::vector<HeaderChange> changes_of(const std::vector<std::string>& files) const {
    std::vector<HeaderChange> changes;
    for (const std::string& path : files) {
      if (!std::ranges::binary_search(patches_.modified, path)) return {};
      changes.push_back({path, base_.source / path, patches_.directory / path});
    }
    return changes;
  }

  // The units that may include the headers, without those that mention nothing of what changes in them.
  std::vector<size_t> those_that_differ(const IncludeGraph& graph, const std::vector<CompileCommand>& units) {
    std::vector<size_t> readers = graph.units_that_may_include(headers_);
    // A few are asked themselves at less cost than reading every header of the kernel.
    constexpr size_t few = 40;
    if (readers.size() <= few) return readers;
    const std::vector<HeaderChange> changes = changes_of(headers_);
    if (changes.empty()) return readers;
    const Mentions mentions = units_that_mention(graph, units, changes);
    std::vector<size_t> kept;
    std::ranges::set_intersection(readers, mentions.units, std::back_inserter(kept));
    if (kept.size() < readers.size())
      found_.note("mentions", {.source = headers_.front()},
                  fmt::format("{} of the {} objects that may include what the patch touches mention nothing of what "
                              "changes there ({})",
                              readers.size() - kept.size(), readers.size(), joined(mentions.names, ", ")));
    return kept;
  }

  // Returns those of the files that are read by something that isn't an object of the kernel, changed by them or not.
  std::set<std::string> settle_other_readers(const std::vector<CompileCommand>& units,
                                             const std::vector<std::string>& files) {
    const OtherReadings readings =
        other_readings(base_, view_, units, folder_, files, changes_of(files), executor_, scratch_ / "readers");
    std::map<std::string, std::vector<const OtherReading*>> by_file;
    for (const OtherReading& reading : readings.changed)
      for (const std::string& file : reading.files) by_file[file].push_back(&reading);
    for (const auto& [file, readers] : by_file) refuse_for_readers(file, readers);
    std::map<std::string, std::vector<std::string>> same;
    for (const OtherReading& reading : readings.same)
      for (const std::string& file : reading.files)
        same[file].push_back(fmt::format("{} ({})", reading.reader.path, reading.reader.what));
    for (auto& [file, names] : same)
      found_.add({"other-reader",
                  Severity::notice,
                  {.source = file},
                  "what is no object of the kernel comes out as it was",
                  {},
                  {{"read by", std::move(names)}}});
    return readings.read;
  }

  void refuse_for_readers(const std::string& file, const std::vector<const OtherReading*>& readings) {
    const OtherReader& first = readings.front()->reader;
    const std::string others = readings.size() > 1 ? fmt::format(" and {} more", readings.size() - 1) : "";
    Finding finding{"other-reader",
                    Severity::refusal,
                    {.source = file},
                    first.path == file ? fmt::format("it is {}, which a livepatch doesn't change", first.what)
                                       : fmt::format("it is read by {} ({}){}, which a livepatch doesn't change",
                                                     first.path, first.what, others),
                    "leave the file as it is, and put what C code needs elsewhere"};
    for (const OtherReading* reading : readings)
      if (!reading->values.empty()) finding.lists.push_back({"other values of", reading->values});
    found_.add(std::move(finding));
  }

  void compare_folder(const std::string& folder) {
    const std::vector<CompileCommand> before = directory_commands(base_, executor_, folder);
    Base patched = base_;
    patched.source = view_.root();
    patched.directory = scratch_ / fmt::format("commands-{}", ++queries_);
    fs::create_directories(patched.directory);
    view_.make_real(folder);
    const std::vector<CompileCommand> after = directory_commands(patched, executor_, folder);
    std::map<std::string, const CompileCommand*> old_commands;
    for (const CompileCommand& command : before) old_commands[command.object] = &command;
    for (const CompileCommand& command : after) {
      const auto old = old_commands.find(command.object);
      CompileCommand ours = command;
      for (std::string& argument : ours.arguments) argument = with_source_path(argument);
      if (old == old_commands.end()) {
        settled_.insert(command.source);
        add(std::move(ours), std::nullopt, true, "the patch adds it");
        continue;
      }
      if (ours.module != old->second->module) {
        refuse("moved", command.source, "the patch moves it between vmlinux and modules");
      } else if (ours.arguments != old->second->arguments) {
        add(std::move(ours), *old->second, true,
            fmt::format("the patch changes its flags, in the Makefile of {}", folder));
        settled_.insert(command.source);
      }
      old_commands.erase(old);
    }
    for (const auto& [object, command] : old_commands) {
      refuse("removed", command->source,
             fmt::format("the patch stops building {}, which can't be taken out of a running kernel", object),
             keep_file);
      settled_.insert(command->source);
    }
  }

  std::string with_source_path(const std::string& argument) const {
    const std::string from = view_.root().string();
    std::string result = argument;
    for (size_t at = result.find(from); at != std::string::npos; at = result.find(from, at + 1)) {
      result.replace(at, from.size(), base_.source.string());
    }
    return result;
  }

  const Base& base_;
  const AppliedPatches& patches_;
  PatchedView& view_;
  const std::vector<std::string>& targets_;
  Executor& executor_;
  std::optional<std::vector<RuleInput>> rule_inputs_;  // once it was asked for
  fs::path scratch_;
  Diagnostics found_;
  std::vector<Finding> not_built_;
  std::map<std::string, AffectedObject> objects_;
  std::vector<std::string> sources_;
  std::vector<std::string> headers_;
  std::vector<std::string> must_be_used_;
  std::vector<std::string> unknown_;
  std::string folder_;  // the kernel's, below arch/
  std::set<std::string> makefile_folders_;
  std::set<std::string> settled_;  // sources that a Makefile's comparison has dealt with
  unsigned queries_ = 0;
  bool left_by_target_ = false;  // an object that the patch changes
};

}  // namespace

std::string include_reason(const std::vector<std::string>& chain) {
  if (chain.empty()) return "includes a file whose name only the compiler knows";
  if (chain.size() == 1) return "the patch touches it";
  std::string reason = fmt::format("includes {}", chain.back());
  for (size_t i = 1; i + 1 < chain.size(); ++i) reason += fmt::format("{}{}", i == 1 ? " through " : ", ", chain[i]);
  return reason;
}

std::optional<Finding> refused_file(const fs::path& source, const fs::path& patched, const std::string& path,
                                    std::string_view arch, bool built_here) {
  const auto refuse = [&](const char* rule, std::string why, std::string advice = {}) {
    return Finding{rule, Severity::refusal, {.source = path}, std::move(why), std::move(advice)};
  };
  const FileVerdict verdict = file_verdict(path, arch);
  if (verdict.role == FileRole::assembly)
    return refuse("assembly", "assembly can't be patched live",
                  "patch a C function that calls it instead; new assembly works as asm() in a C file");
  if (verdict.role == FileRole::generator) {
    if (path.ends_with(".rs"))
      return refuse("generated", "it is Rust, which isn't compiled", "leave it out: a livepatch changes C code");
    return refused_product(path, fmt::format("it is {}, and what it makes isn't made anew", verdict.why), built_here);
  }
  if (verdict.role == FileRole::makefile) {
    const std::string line = changed_recipe(read_file_if_any(source / path), read_file_if_any(patched / path));
    if (line.empty()) return std::nullopt;
    return refused_product(path, fmt::format("it changes how the build makes files, which aren't made anew: {}", line),
                           built_here);
  }
  if (verdict.role == FileRole::build && !only_texts_change(source, patched, path)) {
    constexpr const char* why = "it can change how every object is built";
    if (built_here) return refuse("needs-full", why, "use --full, which builds the kernel with and without the patch");
    return refuse("needs-full", fmt::format("{}: that needs a full build, which a stock kernel doesn't have", why));
  }
  return std::nullopt;
}

bool is_without_influence(const fs::path& source, const fs::path& patched, const std::string& path,
                          std::string_view arch) {
  const FileRole role = file_verdict(path, arch).role;
  return role == FileRole::idle || (role == FileRole::build && only_texts_change(source, patched, path));
}

Result<std::vector<AffectedObject>> find_affected(const Base& base, const AppliedPatches& patches, PatchedView& view,
                                                  const std::vector<std::string>& targets, Executor& executor,
                                                  const fs::path& scratch) {
  return Finder(base, patches, view, targets, executor, scratch).run();
}

}  // namespace kpatch

// Whether a codestream needs the fix, and can have it
//
//     the fix         fits: affected.  Its reverse fits: patched already.  None does: an error, with what doesn't fit
//     the option      y or m; off: the codestream is left out
//     the file        is in the source, and the kernel builds it
//     the module      is shipped, once; what is built in is part of vmlinux
//     the functions   have a symbol that can be traced; those that were inlined are named with where they went
#include <fmt/core.h>

#include <algorithm>
#include <optional>

#include "from-source/from-source.h"
#include "kbuild/kbuild.h"
#include "klp-build/codestream-job.h"
#include "klp-build/fixes.h"
#include "patch/patch.h"
#include "support/files.h"
#include "support/text.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;
using std::string;

class Checker {
 public:
  Checker(Workshop& workshop, const Job& job, JobResult& result)
      : workshop_(workshop),
        job_(job),
        result_(result),
        config_(KernelConfig::read(workshop.base().config)),
        arch_(job.codestream.is.arch()) {}

  void run() {
    if (!find_fix()) return;
    if (result_.codestream.files.empty() && applied_) derive_files();
    if (result_.codestream.files.empty() && result_.errors.empty())
      result_.errors.emplace_back("neither a fix nor --file-funcs says what is to be patched");
    if (!check_options()) return;
    for (PatchedFile& file : result_.codestream.files) check_file(file);
  }

 private:
  void wrong(string message) { result_.errors.push_back(std::move(message)); }
  void warn(string message) { result_.warnings.push_back(std::move(message)); }
  const Base& base() const { return workshop_.base(); }

  std::vector<PatchText> texts(const std::vector<string>& files) const {
    std::vector<PatchText> texts;
    for (const string& file : files) texts.push_back(read_patch(job_.project / file));
    return texts;
  }

  // False: nothing is left to be checked.
  bool find_fix() {
    std::vector<string> why;
    for (size_t i = 0; i < job_.candidates.size(); ++i) {
      const std::vector<PatchText> patches = texts(job_.candidates[i]);
      try {
        applied_ = apply_patches(patches, base().source, workshop_.scratch() / fmt::format("fix-{}", i), false);
        keep_line_numbers(*applied_, base().source);
        result_.candidate = static_cast<int>(i);
        return true;
      } catch (const Error& error) {
        why.emplace_back(error.what());
      }
      if (job_.look_for_fix && has(patches, i)) {
        result_.state = JobState::patched;
        return false;
      }
    }
    if (job_.candidates.empty() || !job_.look_for_fix) return true;
    wrong("no patch of the fix applies to the source:\n" + joined(why, "\n"));
    return false;
  }

  bool has(const std::vector<PatchText>& patches, size_t number) const {
    std::vector<PatchText> reversed;
    for (auto patch = patches.rbegin(); patch != patches.rend(); ++patch)
      reversed.push_back({patch->path, reverse_of(parse_patch(patch->path, patch->text))});
    try {
      apply_patches(reversed, base().source, workshop_.scratch() / fmt::format("reversed-{}", number), false);
      return true;
    } catch (const Error&) {
      return false;
    }
  }

  // What the fix changes.
  void derive_files() {
    for (const string& path : applied_->touched()) {
      if (fs::path(path).extension() != ".c") {
        wrong(fmt::format("{}: only changes of .c files can be taken; kpatch-build takes all", path));
        continue;
      }
      if (!std::ranges::binary_search(applied_->modified, path)) {
        wrong(fmt::format("{}: a file that comes or goes can't be taken", path));
        continue;
      }
      PatchedFile file{path, {}, {}, {}, {}, {}};
      // With a configuration of nothing else the nearest option on the way to the top is the one that is missing.
      const fs::path nothing = workshop_.scratch() / "empty.config";
      write_file(nothing, "CONFIG_LIVEPATCH=y\n", Flush::no);
      file.conf = missing_option(base().source, nothing, path).value_or("");
      result_.codestream.files.push_back(std::move(file));
    }
  }

  // False: an option is off.
  bool check_options() {
    for (PatchedFile& file : result_.codestream.files) {
      if (file.conf.empty()) continue;
      const string value{config_.value(file.conf.substr(string("CONFIG_").size()))};
      if (value != "y" && value != "m") {
        result_.state = JobState::no_conf;
        warn(fmt::format("{} isn't set", file.conf));
        return false;
      }
      result_.codestream.configs[file.conf][arch_] = value;
      if (value == "y" && !file.module.empty() && file.module != "vmlinux") {
        warn(fmt::format("{} is built in on {}, patching vmlinux instead of {}", file.conf, arch_, file.module));
        file.module = "vmlinux";
      }
      if (value == "m" && file.module == "vmlinux")
        wrong(fmt::format("{} is a module on {}: name it by --module", file.conf, arch_));
    }
    return true;
  }

  void check_file(PatchedFile& file) {
    if (!fs::exists(base().source / file.path))
      return wrong(fmt::format("File {} not found in {}{}", file.path, base().release, near(file.path)));
    if (file.path.starts_with("drivers/staging/")) warn(fmt::format("{} is a staging driver's", file.path));
    if (!file.module.empty() && file.module != "vmlinux" && !check_module(file.module)) return;
    std::optional<CompileCommand> command;
    try {
      command = workshop_.command_of(file.path, file.module);
    } catch (const ExitError& error) {
      return wrong(error.what());
    }
    file.module = owner_of(*command);
    check_functions(file, *command);
  }

  string near(const string& path) const {
    std::vector<string> names;
    const string stem = fs::path(path).stem().string();
    for (const auto& entry : entries_if_any((base().source / path).parent_path())) {
      const string name = entry.path().filename().string();
      if (entry.path().extension() == ".c" && (name.find(stem) != string::npos || name[0] == stem[0]))
        names.push_back((fs::path(path).parent_path() / name).string());
    }
    return names.empty() ? "" : "; near it are " + some_of(names);
  }

  bool check_module(const string& module) {
    const string problem = problem_with_module(base().modules, module);
    if (!problem.empty()) wrong(problem);
    return problem.empty();
  }

  void check_functions(PatchedFile& file, const CompileCommand& command) {
    const bool asked = !file.symbols.empty();
    AppliedPatches none;
    const SourcePair pair = read_pair(workshop_, command, applied_ ? *applied_ : none);
    const UnitChanges changes = SourceUnit::changes(pair.original, pair.patched);
    for (const Finding& finding : judge_changes(changes, file.path)) wrong(text_of(finding));
    if (!asked)
      for (const Subject& function : changes.functions) file.symbols.push_back(function.name);
    if (file.symbols.empty()) return wrong(fmt::format("{}: the fix changes no function of it", file.path));
    std::set<string> known;
    for (const Subject& function : pair.original.functions()) known.insert(function.name);
    const Binary& shipped = workshop_.running(command.module);
    const ObjectFacts facts(compiled(command));
    for (const string& symbol : file.symbols) {
      if (!known.contains(symbol)) {
        wrong(fmt::format("Symbol {} not found in {}", symbol, file.path));
        continue;
      }
      if (pair.patched.variadic(symbol)) {
        wrong(
            fmt::format("Symbol {} takes a variable number of arguments, which a replacement can't take over: change "
                        "its callers, or what it calls",
                        symbol));
        continue;
      }
      check_symbol(symbol, shipped, facts, asked, owner_of(command));
    }
  }

  fs::path compiled(const CompileCommand& command) {
    const AppliedPatches none;
    PatchedView nothing(base().source, workshop_.scratch() / "plain", none);
    fs::path object = workshop_.scratch() / "plain.o";
    workshop_.compile(workshop_.words(command, Variant::original, nothing), object, command.source);
    remove_tree(workshop_.scratch() / "plain");
    return object;
  }

  void check_symbol(const string& symbol, const Binary& shipped, const ObjectFacts& facts, bool asked,
                    const string& owner) {
    size_t count = 0, traced = 0, gone = 0;
    for (const uint32_t index : shipped.named(symbol)) {
      const BinarySymbol& found = shipped.symbols()[index];
      if (found.type != SymbolType::function) continue;
      ++count;
      traced += found.has_ftrace_site ? 1 : 0;
      gone += shipped.section_name(found.section).starts_with(".init") ? 1 : 0;
    }
    if (count == 0) {
      std::vector<string> above = facts.inlined_into(symbol);
      if (!above.empty())
        return warn(fmt::format("Symbol {} not found in {}: it is inlined into {}, which {} replaced", symbol, owner,
                                joined(above, ", "), above.size() == 1 ? "is" : "are"));
      above = facts.users_of_clones(symbol, true);
      if (!above.empty())
        return warn(
            fmt::format("Symbol {} not found in {}: the compiler has made another function of it, and those "
                        "that call it are replaced: {}",
                        symbol, owner, joined(above, ", ")));
      return warn(fmt::format("Symbol {} not found in {}", symbol, owner));
    }
    if (count > 1) warn(fmt::format("Symbol {} is duplicated: {} has {} of that name", symbol, owner, count));
    if (gone == count)
      return wrong(fmt::format("Symbol {} is init code, which is gone when a livepatch is loaded", symbol));
    if (traced > 0) return;
    const string message = fmt::format("Symbol {} has tracing disabled.", symbol);
    // What the fix alone named climbs to its callers.
    if (asked)
      wrong(message);
    else
      warn(message + " Its callers are replaced");
  }

  Workshop& workshop_;
  const Job& job_;
  JobResult& result_;
  KernelConfig config_;
  string arch_;
  std::optional<AppliedPatches> applied_;
};

}  // namespace

string problem_with_module(const fs::path& modules, const string& module) {
  const string name = module_name_of(fs::path(module).filename().string());
  std::vector<string> all;
  walk(modules, [&](const fs::directory_entry& entry) {
    const string relative = entry.path().lexically_relative(modules).string();
    if (const auto path = module_path_of(relative); path && module_name_of(*path) == name) all.emplace_back(*path);
    return true;
  });
  std::ranges::sort(all);
  std::vector<string> paths = all;
  if (module.find('/') != string::npos)
    std::erase_if(paths, [&](const string& path) { return !path.ends_with(module); });
  if (paths.size() > 1)
    return fmt::format("Module {} is there twice: name one by its path, {}", module, joined(paths, " or "));
  if (!paths.empty()) return {};
  string advice;
  for (const fs::path& list : {modules / "modules.builtin", modules.parent_path() / "modules.builtin"}) {
    const string text = read_file_if_any(list);
    for (const std::string_view line : lines_of(text))
      if (const auto path = module_path_of(line); path && module_name_of(*path) == name) advice = ": it is in vmlinux";
  }
  if (!all.empty()) advice = fmt::format(": there is {}", joined(all, ", "));
  return fmt::format("Module not found: {}{}", module, advice);
}

void find_inlined(Workshop& workshop, const Job& job, JobResult& result) {
  for (const PatchedFile& file : job.codestream.files) {
    const CompileCommand command = workshop.command_of(file.path, file.module);
    const ObjectFacts facts(workshop.original_object(command));
    const Binary& shipped = workshop.running(command.module);
    for (const string& symbol : file.symbols) {
      const auto tell = [&](const string& what) { result.told.push_back(fmt::format("{}: {}", symbol, what)); };
      const bool there = std::ranges::any_of(
          shipped.named(symbol), [&](uint32_t index) { return shipped.symbols()[index].type == SymbolType::function; });
      if (there) tell("has code of its own in " + owner_of(command));
      const std::vector<string> holders = facts.inlined_into(symbol), users = facts.users_of_clones(symbol, false);
      if (!holders.empty()) tell("is inlined into " + joined(holders, ", "));
      if (!users.empty())
        tell("is called as another function, which the compiler made of it, by " + joined(users, ", "));
      if (!there && holders.empty() && users.empty())
        result.errors.push_back(fmt::format("Symbol {} not found in {}", symbol, file.path));
    }
  }
}

void check_codestream(Workshop& workshop, const Job& job, JobResult& result) { Checker(workshop, job, result).run(); }

}  // namespace kpatch

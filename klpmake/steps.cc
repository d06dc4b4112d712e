// From a patch to a module, in three steps between which a person may look and edit
//
//     0    fix.patch                  _klpsrc.conf, meminfo.c            which functions of which file of which module
//     1    klpsrc.conf, meminfo.c     livepatch.c, meminfo.c, Makefile, _klpmake.syms;  the whole file is meminfo.c.patched
//     2    *.c, _klpmake.syms         NAME.ko
//
// The kernel's source is never written to: the patch is applied to copies, and a view shows them in their places.
#include "klpmake/steps.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <set>

#include "klp/klp.h"
#include "klpmake/bindings.h"
#include "klpmake/source.h"
#include "klpmake/syms.h"
#include "support/files.h"
#include "support/text.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;
using std::string;

// Prints what is found; throws Error when something of it ends the run.
void report(Workshop& workshop, std::vector<Finding> findings) {
  size_t refusals = 0;
  for (const Finding& finding : sorted(std::move(findings))) {
    const bool ends = finding.severity == Severity::refusal || finding.severity == Severity::error;
    refusals += ends ? 1 : 0;
    if (ends)
      workshop.console().error(text_of(finding));
    else if (finding.severity == Severity::warning)
      workshop.console().warning(text_of(finding));
    else
      workshop.console().debug(text_of(finding));
  }
  if (refusals > 0)
    throw ExitError(exit_unpatchable,
                    refusals == 1 ? "nothing is made, for this reason" : "nothing is made, for these reasons");
}

AppliedPatches apply_patch(Workshop& workshop, const Folder& folder) {
  const std::vector<PatchText> patches = {read_patch(folder.patch())};
  AppliedPatches applied = apply_patches(patches, workshop.base().source, workshop.scratch() / "patched", false);
  for (const Finding& finding : applied.warnings) workshop.console().warning(text_of(finding));
  for (const string& path : applied.touched())
    if (fs::path(path).extension() != ".c")
      throw Error(fmt::format("{}: only changes of .c files can be taken; kpatch-build takes all", path));
  for (const std::vector<string>* list : {&applied.added, &applied.removed})
    for (const string& path : *list) throw Error(fmt::format("{}: a file that comes or goes can't be taken", path));
  return applied;
}

// The patched copies of the folder, in a folder shaped like the source.
AppliedPatches patched_copies(Workshop& workshop, const Folder& folder, const Conf& conf) {
  const bool all = std::ranges::all_of(conf.sources, [&](const ConfSource& source) {
    return fs::exists(folder.file(conf.stem_of(source) + ".c.patched")) ||
           fs::exists(folder.file(conf.stem_of(source) + ".c"));
  });
  if (!all) return apply_patch(workshop, folder);
  AppliedPatches copies;
  copies.directory = workshop.scratch() / "patched";
  for (const ConfSource& source : conf.sources) {
    fs::path copy = folder.file(conf.stem_of(source) + ".c.patched");
    if (!fs::exists(copy)) copy = folder.file(conf.stem_of(source) + ".c");
    fs::create_directories((copies.directory / source.path).parent_path());
    write_file(copies.directory / source.path, read_file(copy), Flush::no);
    copies.modified.push_back(source.path);
  }
  std::ranges::sort(copies.modified);
  copies.modified.erase(std::unique(copies.modified.begin(), copies.modified.end()), copies.modified.end());
  return copies;
}

string table_of(const std::vector<std::pair<string, LivepatchSource>>& sources, const std::vector<string>& owners) {
  string declarations, rows;
  for (size_t i = 0; i < sources.size(); ++i) {
    string prefix = sources[i].first;
    std::ranges::replace_if(
        prefix, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; }, '_');
    for (const ReplacedFunction& function : sources[i].second.replaced) {
      declarations += fmt::format("extern void klp_{}_{}(void);\n", prefix, function.name);
      rows += fmt::format("\t{{ klp_{}_{}, \"{}\", \"{}\", {} }},\n", prefix, function.name, function.name, owners[i],
                          function.position);
    }
  }
  return fmt::format(
      "// SPDX-License-Identifier: GPL-2.0\n"
      "/*\n"
      " * What this livepatch replaces. klpmake builds a module of this file and the sources\n"
      " * beside it; the module's start and end, and the grouping by object, are klpmake's.\n"
      " */\n"
      "struct kpatch_func {{\n"
      "\tvoid *new_func;\n"
      "\tconst char *old_name;\n"
      "\tconst char *object_name;\t/* \"vmlinux\", or a module's name */\n"
      "\tunsigned long sympos;\t\t/* which of several of that name; 0: there is one */\n"
      "}};\n"
      "\n"
      "{}"
      "\n"
      "static const struct kpatch_func funcs[]\n"
      "__attribute__((used, section(\".kpatch.funcs\"), aligned(8))) = {{\n"
      "{}"
      "}};\n",
      declarations, rows);
}

string makefile_of(const Folder& folder, const std::vector<string>& stems) {
  string objects = "livepatch.o";
  for (const string& stem : stems) objects += " " + stem + ".o";
  return fmt::format(
      "# {0}.ko of {1}; klpmake compiles each as the kernel compiles the file that it was taken from.\n"
      "all: {0}.ko\n"
      "\n"
      "{0}.ko: {2} _klpmake.syms\n"
      "\tklpmake 2\n"
      "\n"
      "clean:\n"
      "\trm -f {0}.ko\n"
      "\n"
      ".PHONY: all clean\n",
      folder.name, objects, [&] {
        string files = "livepatch.c";
        for (const string& stem : stems) files += " " + stem + ".c";
        return files;
      }());
}

}  // namespace

void write_configuration(Workshop& workshop, const Folder& folder, const fs::path& source, const fs::path& debug) {
  AppliedPatches applied = apply_patch(workshop, folder);
  if (applied.modified.empty()) throw Error(fmt::format("{}: changes nothing", folder.patch().string()));
  Conf conf;
  conf.name = folder.name;
  conf.source = source.empty() ? workshop.base().source : fs::absolute(source);
  conf.debug = debug.empty() ? workshop.base().vmlinux.parent_path() : fs::absolute(debug);
  std::vector<CompileCommand> commands;
  for (const string& path : applied.modified) commands.push_back(workshop.command_of(path, {}));
  std::map<string, string> copies;
  for (const string& path : applied.modified) copies.emplace(path, read_file(applied.directory / path));
  keep_line_numbers(applied, workshop.base().source);
  std::vector<Finding> findings;
  for (const CompileCommand& command : commands) {
    const SourcePair pair = read_pair(workshop, command, applied);
    const UnitChanges changes = SourceUnit::changes(pair.original, pair.patched);
    for (Finding& finding : judge_changes(changes, command.source)) findings.push_back(std::move(finding));
    ConfSource entry{pair.owner, command.source, {}, {}, 0};
    for (const Subject& function : changes.functions) entry.functions.push_back(function.name);
    if (entry.functions.empty())
      findings.push_back({"nothing", Severity::refusal, {.source = command.source}, "no function changes", {}});
    conf.sources.push_back(std::move(entry));
  }
  report(workshop, std::move(findings));
  for (const ConfSource& entry : conf.sources) {
    write_file(folder.file(conf.stem_of(entry) + ".c"), copies.at(entry.path));
    std::error_code absent;
    fs::remove(folder.file(conf.stem_of(entry) + ".c.patched"), absent);
  }
  write_file(folder.file("_klpsrc.conf"), format_conf(conf));
}

void write_sources(Workshop& workshop, const Folder& folder, const Conf& conf) {
  AppliedPatches copies = patched_copies(workshop, folder, conf);
  std::map<string, string> texts;
  for (const string& path : copies.modified) texts.emplace(path, read_file(copies.directory / path));
  keep_line_numbers(copies, workshop.base().source);
  std::set<string> taken;
  for (const ConfSource& source : conf.sources) taken.insert(source.functions.begin(), source.functions.end());
  Bindings bindings(taken);
  std::vector<std::pair<string, LivepatchSource>> made;
  std::vector<string> owners, stems;
  std::vector<Finding> findings;
  for (const ConfSource& source : conf.sources) {
    const CompileCommand command = workshop.command_of(source.path, source.module);
    if (!texts.contains(source.path))
      throw Error(fmt::format("klpsrc.conf:{}: src-name {}: the patch doesn't change it", source.line, source.path));
    const SourcePair pair = read_pair(workshop, command, copies);
    stems.push_back(conf.stem_of(source));
    made.emplace_back(stems.back(), make_source(workshop, source, pair, stems.back(), bindings));
    owners.push_back(pair.owner);
    for (const Finding& finding : made.back().second.findings) findings.push_back(finding);
  }
  report(workshop, std::move(findings));
  for (size_t i = 0; i < made.size(); ++i) {
    write_file(folder.file(stems[i] + ".c.patched"), texts.at(conf.sources[i].path));
    write_file(folder.file(stems[i] + ".c"), made[i].second.text);
  }
  write_file(folder.file("livepatch.c"), table_of(made, owners));
  write_file(folder.file("Makefile"), makefile_of(folder, stems));
  std::error_code absent;
  if (bindings.symbols().empty())
    fs::remove(folder.file("_klpmake.syms"), absent);
  else
    write_file(folder.file("_klpmake.syms"), format_syms(bindings.symbols()));
}

namespace {

// What the compiled sources define and leave open.
class Linkage {
 public:
  explicit Linkage(Workshop& workshop) : workshop_(workshop) {}

  void add(const fs::path& object, const string& file, const string& owner) {
    const Binary compiled = Binary::open(object);
    for (const BinarySymbol& symbol : compiled.symbols()) {
      if (symbol.name.empty() || symbol.binding == SymbolBinding::local) continue;
      if (symbol.defined())
        defined_.emplace(symbol.name);
      else
        users_[string(symbol.name)].insert({owner, file});
    }
  }

  // Which object's code uses each placeholder. Throws Error with all names that nobody knows.
  std::map<string, string> settle(const std::vector<LivepatchSymbol>& symbols) {
    std::map<string, string> patched;
    std::vector<string> errors;
    for (const LivepatchSymbol& symbol : symbols) {
      const auto users = users_.find(symbol.placeholder);
      if (users == users_.end()) {
        workshop_.console().warning(
            fmt::format("_klpmake.syms:{}: {} is used by no source", symbol.line, symbol.placeholder));
        continue;
      }
      patched[symbol.placeholder] = users->second.begin()->first;
      if (symbol.owner != "vmlinux" && users->second.begin()->first != users->second.rbegin()->first)
        errors.push_back(
            fmt::format("_klpmake.syms:{}: {} of {} is used for {} and for {}: give the second one a name "
                        "of its own, by a fourth column and asm(\"…\")",
                        symbol.line, symbol.placeholder, symbol.owner, users->second.begin()->first,
                        users->second.rbegin()->first));
    }
    for (const auto& [name, users] : users_) {
      if (patched.contains(name) || defined_.contains(name)) continue;
      if (name == "__this_module" || name == "_GLOBAL_OFFSET_TABLE_") continue;
      const Export* found = workshop_.symvers().find(name);
      if (found != nullptr && found->owner == "vmlinux") {
        if (!found->name_space.empty()) namespaces_.insert(found->name_space);
        continue;
      }
      errors.push_back(fmt::format("{}: {} is neither exported by vmlinux nor listed in _klpmake.syms",
                                   users.begin()->second, name));
    }
    if (!errors.empty()) throw Error(joined(errors, "\n"));
    return patched;
  }
  const std::set<string>& namespaces() const { return namespaces_; }

 private:
  Workshop& workshop_;
  std::set<string> defined_, namespaces_;
  std::map<string, std::set<std::pair<string, string>>> users_;  // by name: the patched object, and the file
};

std::vector<string> table_words(const CompileCommand& command, const fs::path& file) {
  std::vector<string> words = bare_command(command.arguments);
  words.pop_back();
  words.insert(words.end(), {"-DMODULE", "-g0", file.string()});
  return words;
}

std::vector<Finding> audited(Workshop& workshop, const fs::path& module, const string& name) {
  const Binary vmlinux = Binary::open(workshop.base().vmlinux_index);
  AuditInput input;
  input.module = module;
  input.name = name;
  input.release = workshop.base().release;
  input.vmlinux = &vmlinux;
  input.symvers = &workshop.symvers();
  input.open_module = [&](std::string_view other) { return workshop.shipped().named(other); };
  return audit(input);
}

}  // namespace

void make_livepatch(Workshop& workshop, const Folder& folder, const Conf& conf) {
  require_free_name(workshop.base(), folder.name);
  const fs::path scratch = workshop.scratch() / "step2";
  remove_tree(scratch);
  fs::create_directories(scratch);
  ModuleInput input;
  input.name = folder.name;
  input.replace = false;
  Linkage linkage(workshop);
  std::vector<string> objects;
  // The compiler sees copies in one folder: what it writes of their names says nothing of this machine's.
  const auto compile = [&](const string& file, const CompileCommand& command, const string& owner, bool preprocessed) {
    if (!fs::exists(folder.file(file))) throw Error(fmt::format("{} is missing: klpmake 1 writes it", file));
    write_file(scratch / file, read_file(folder.file(file)), Flush::no);
    const fs::path object = scratch / (fs::path(file).stem().string() + ".o");
    workshop.compile(preprocessed ? livepatch_words(command, scratch / file) : table_words(command, scratch / file),
                     object, file);
    linkage.add(object, file, owner);
    input.diff_objects.push_back(object);
  };
  for (const ConfSource& source : conf.sources) {
    const CompileCommand command = workshop.command_of(source.path, source.module);
    if (objects.empty()) compile("livepatch.c", command, "vmlinux", false);
    objects.push_back(owner_of(command));
    compile(conf.stem_of(source) + ".c", command, objects.back(), true);
  }
  std::vector<LivepatchSymbol> symbols;
  if (fs::exists(folder.file("_klpmake.syms")))
    symbols = parse_syms(read_file(folder.file("_klpmake.syms")), "_klpmake.syms");
  const std::map<string, string> patched = linkage.settle(symbols);
  if (!patched.empty() || !linkage.namespaces().empty()) {
    write_side_table(symbols, patched, linkage.namespaces(), *workshop.base().arch, scratch / "symbols.o");
    input.diff_objects.push_back(scratch / "symbols.o");
  }
  std::ranges::sort(objects);
  objects.erase(std::unique(objects.begin(), objects.end()), objects.end());
  input.info = {{"description", fmt::format("Livepatch of {}", joined(objects, ", "))},
                {"klpmake_version", KPATCH_VERSION},
                {"kpatch_release", workshop.base().release}};
  Result<fs::path> module = build_module(input, workshop.base(), scratch / "module", workshop.executor());
  std::vector<Finding> findings = std::move(module.findings);
  if (!module.value) return report(workshop, std::move(findings));
  const fs::path linked = scratch / (folder.name + ".ko");
  post_link(*module.value, linked);
  for (Finding& finding : audited(workshop, linked, folder.name)) findings.push_back(std::move(finding));
  report(workshop, std::move(findings));
  write_file(folder.file(folder.name + ".ko"), read_file(linked));
}

}  // namespace kpatch

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

#include "from-source/from-source.h"
#include "kpatch-build/kpatch-build.h"
#include "support/files.h"
#include "support/text.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;
using std::string;

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
  report(workshop.console(), std::move(findings));
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
  std::vector<TableRow> rows;
  std::vector<string> stems;
  std::vector<Finding> findings;
  for (const ConfSource& source : conf.sources) {
    const CompileCommand command = workshop.command_of(source.path, source.module);
    if (!texts.contains(source.path))
      throw Error(fmt::format("klpsrc.conf:{}: src-name {}: the patch doesn't change it", source.line, source.path));
    const SourcePair pair = read_pair(workshop, command, copies);
    stems.push_back(conf.stem_of(source));
    made.emplace_back(stems.back(), make_source(workshop, pair, source.functions, stems.back(), bindings));
    for (const ReplacedFunction& function : made.back().second.replaced)
      rows.push_back({pair.owner, function.name, replacement_name(stems.back(), function.name), function.position});
    for (const Finding& finding : made.back().second.findings) findings.push_back(finding);
  }
  report(workshop.console(), std::move(findings));
  for (size_t i = 0; i < made.size(); ++i) {
    write_file(folder.file(stems[i] + ".c.patched"), texts.at(conf.sources[i].path));
    write_file(folder.file(stems[i] + ".c"), made[i].second.text);
  }
  write_file(folder.file("livepatch.c"),
             "// SPDX-License-Identifier: GPL-2.0\n"
             "/*\n"
             " * What this livepatch replaces. klpmake builds a module of this file and the sources\n"
             " * beside it; the module's start and end, and the grouping by object, are klpmake's.\n"
             " */\n" +
                 patch_table(rows, true));
  write_file(folder.file("Makefile"), makefile_of(folder, stems));
  std::error_code absent;
  if (bindings.symbols().empty())
    fs::remove(folder.file("_klpmake.syms"), absent);
  else
    write_file(folder.file("_klpmake.syms"), format_syms(bindings.symbols()));
}

void make_livepatch(Workshop& workshop, const Folder& folder, const Conf& conf) {
  ModulePlan plan;
  plan.name = folder.name;
  plan.info = {{"klpmake_version", KPATCH_VERSION}};
  const auto add = [&](const string& file, const CompileCommand& command, const string& owner, bool table) {
    if (!fs::exists(folder.file(file))) throw Error(fmt::format("{} is missing: klpmake 1 writes it", file));
    plan.parts.push_back({folder.file(file), command, owner, table});
  };
  for (const ConfSource& source : conf.sources) {
    const CompileCommand command = workshop.command_of(source.path, source.module);
    if (plan.parts.empty()) add("livepatch.c", command, "vmlinux", true);
    add(conf.stem_of(source) + ".c", command, owner_of(command), false);
  }
  plan.symbols_file = "_klpmake.syms";
  if (fs::exists(folder.file(plan.symbols_file)))
    plan.symbols = parse_syms(read_file(folder.file(plan.symbols_file)), plan.symbols_file);
  require_free_name(workshop.base(), plan.name);
  write_file(folder.file(folder.name + ".ko"), read_file(build_livepatch(workshop, plan)));
}

}  // namespace kpatch

// The module around the differences
//
//     Kbuild:  obj-m := livepatch-fix.o
//              livepatch-fix-y := parts/livepatch-begin.o parts/livepatch-main.o parts/livepatch-info.o parts/diff-0.o …
//                                 parts/livepatch-end.o
//
// The kernel's own build makes the module: it links the parts, runs objtool over the result (which makes ORC, return
// and call site tables anew, see doc/stages.md), and modpost. What it must know:
//
//  - kbuild runs in a folder of links to the base, with a Module.symvers of vmlinux alone. With the whole one modpost
//    would write `depends=` for exports of modules, modprobe would load those before the livepatch, and patching a
//    module that comes later would be lost. It also keeps the base read-only.
//  - modpost may not fail on undefined symbols (KBUILD_MODPOST_WARN): those are the placeholders that post-link turns
//    into klp relocations. What is undefined and no placeholder is found by the audit.
//  - objtool runs once, over the linked object. Kernels that run it per object otherwise (no IBT, no LTO) are told
//    so with delay-objtool=y. Before 5.18 nothing can be told: there the parts are named as none of its concern, and
//    kbuild's own command, with all of its options, is put behind that of the link.
//  - whether the kernel takes back the relocations of a module that goes. Where it doesn't, the template does it
//    (kpatch-clear.h).
//  - objtool's exit status says nothing before 6.15, its messages do (objtool-messages.cc).
//
// What make did for the first module of a base is done without make for the next (module-recipe.cc).
//
// The parts lie in a folder of their own, so that no module name can clash with a part's.
#include "kbuild/build-module.h"

#include <fmt/core.h>

#include <algorithm>
#include <set>
#include <string_view>

#include "arch/arch.h"
#include "elf/elf.h"
#include "kbuild/module-recipe.h"
#include "kbuild/objtool-messages.h"
#include "kernel/kernel.h"
#include "klp/klp.h"
#include "lookup/lookup.h"
#include "support/data.h"
#include "support/error.h"
#include "support/files.h"
#include "support/kept-files.h"
#include "support/text.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;
using std::string_view;

// As a C string literal. Only printable ASCII stays as it is.
std::string c_literal(string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      result += '\\';
      result += c;
    } else if (c >= ' ' && c <= '~') {
      result += c;
    } else {
      result += fmt::format("\\{:03o}", static_cast<unsigned char>(c));
    }
  }
  return result + "\"";
}

void make_base_view(const Base& base, const fs::path& view) {
  fs::create_directories(view);
  for (const auto& entry : entries_of(base.kbuild)) {
    const fs::path name = entry.path().filename();
    if (name != "Module.symvers" && name != "Makefile") fs::create_symlink(entry.path(), view / name);
  }
  // Since 6.13 it names the folder, which would lead past the view.
  std::string makefile = read_file(base.kbuild / "Makefile");
  if (const size_t at = makefile.find(base.kbuild.string() + "\n"); at != std::string::npos)
    makefile.replace(at, base.kbuild.string().size(), view.string());
  write_file(view / "Makefile", makefile, Flush::no);
  write_file(view / "Module.symvers", symvers_lines_of(base.symvers, "vmlinux"), Flush::no);
}

// The function by which the template takes back late relocations; empty: the kernel does, or none has to.
string_view clears_relocations_by(const Base& base) {
  const Binary vmlinux = Binary::open(base.vmlinux_index);
  // kernel/livepatch/core.c, klp_clear_object_relocs, since 6.3
  if (!vmlinux.named("clear_relocate_add").empty()) return {};
  for (const string_view name : base.arch->klp.takes_back_by)
    if (!vmlinux.named(name).empty()) return name;
  return {};
}

// KPATCH_ATTEMPT() stands in its code (kmod-template/kpatch-attempts.h).
bool counts_attempts(const fs::path& diff_object) {
  return KlpElf::read(diff_object).find_section(attempts_section).has_value();
}

// Gives the objects that are linked, in their order.
std::vector<std::string> write_sources(const ModuleInput& input, const Base& base, const fs::path& directory) {
  const fs::path parts = directory / "parts";
  fs::create_directories(parts);
  const fs::path kmod_template = data_file("kmod-template");
  for (const auto& entry : entries_of(kmod_template)) {
    const fs::path extension = entry.path().extension();
    if (extension == ".c" || extension == ".h") fs::copy_file(entry.path(), parts / entry.path().filename());
  }
  std::string config = fmt::format("#define KPATCH_REPLACE {}\n", input.replace ? 1 : 0);
  if (const string_view by = clears_relocations_by(base); !by.empty())
    config += fmt::format("#define KPATCH_CLEAR_RELOCATIONS 1\n#define KPATCH_CLEAR_BY_{} 1\n", by);
  if (std::ranges::any_of(input.diff_objects, counts_attempts)) config += "#define KPATCH_COUNTS_ATTEMPTS 1\n";
  write_file(parts / "kpatch-config.h", config, Flush::no);
  std::string info;
  for (const auto& [tag, value] : input.info) info += fmt::format("KPATCH_INFO({}, {})\n", tag, c_literal(value));
  if (!input.fixes.empty()) {
    info += "#define KPATCH_FIXES";
    for (const std::string& fix : input.fixes)
      info += fmt::format(" {}", c_literal(fmt::format(".asciz \"{}\";", fix)));
    info += "\n";
  }
  write_file(parts / "kpatch-info.h", info, Flush::no);

  std::vector<std::string> linked = {"parts/livepatch-begin.o", "parts/livepatch-main.o", "parts/livepatch-info.o"};
  std::string rules;
  for (size_t i = 0; i < input.diff_objects.size(); ++i) {
    const std::string name = fmt::format("diff-{}.o", i);
    fs::copy_file(input.diff_objects[i], parts / name);
    write_file(parts / fmt::format(".{}.cmd", name), "", Flush::no);
    linked.push_back("parts/" + name);
    rules += fmt::format("$(obj)/parts/{}: ;\n", name);
  }
  linked.emplace_back("parts/livepatch-end.o");
  if (objtool_sees_single_files(KernelConfig::read(base.config), base.source)) rules += objtool_behind_link(input.name);
  write_file(directory / "Kbuild",
             fmt::format("obj-m := {0}.o\n{0}-y := {1}\n{2}", input.name, joined(linked, " "), rules), Flush::no);
  return linked;
}

// kbuild's and modpost's own messages that a person must know.
std::vector<std::string> other_messages(string_view output) {
  std::vector<std::string> messages;
  std::set<string_view> seen;
  for (const string_view line : lines_of(output)) {
    const auto has = [&](string_view words) { return line.find(words) != string_view::npos; };
    if (has("objtool:") || !(has("warning:") || has("WARNING:") || has("error:"))) continue;
    // Placeholders are undefined until post-link. Compilers were compared before, by their versions alone.
    const bool undefined = has("modpost:") && (line.ends_with("undefined!") || has("unresolved symbol warnings"));
    if (undefined || has("the compiler differs from the one used")) continue;
    if (seen.insert(line).second) messages.emplace_back(line);
  }
  return messages;
}

// By the commands that make used for an earlier module of this base; by make where there are none, or one fails.
CommandResult make_module(const ModuleInput& input, const ModuleBuild& build, const Base& base, Executor& executor) {
  std::vector<std::string> arguments = {"KBUILD_MODPOST_WARN=1", "KCFLAGS=-g0", "modules"};
  const KernelConfig config = KernelConfig::read(base.config);
  const bool whole_objects = config.enabled(base.arch->kbuild.whole_objects_option) || config.enabled("LTO_CLANG") ||
                             objtool_sees_single_files(config, base.source);
  if (!whole_objects) arguments.insert(arguments.begin(), "delay-objtool=y");

  const fs::path recipe_file = base.directory / "module" / "recipe.json";
  const KeptFiles kept(base.directory / "module" / "kept", uint64_t{64} << 20);
  const std::string key = fmt::format("{} {}", KPATCH_VERSION, joined(arguments, " "));
  if (const auto recipe = ModuleRecipe::read(recipe_file, key)) {
    CommandResult result = recipe->run(build, kept, input.jobs, executor);
    if (result.ok()) return result;
    remove_tree(build.folder);
    write_sources(input, base, build.folder);
  }
  arguments.insert(arguments.begin(), "M=" + build.folder.string());
  Base in_view = base;
  in_view.kbuild = build.base;
  CommandResult result = executor.run(kbuild_make(in_view, arguments));
  if (!result.ok()) executor.fail("kbuild could not make the module", result);
  if (const auto recipe = ModuleRecipe::learn(build)) {
    recipe->keep(build, kept);
    recipe->write(recipe_file, key);
  }
  return result;
}

}  // namespace

// Deferred until after kbuild has read its own rules, which define these variables. Such an objtool takes the trap behind a
// call that doesn't return (CodeFacts::trap_behind) for code that nobody reaches, since no function holds it; whether all
// code was reached that the unwinder must know is for the audit to say.
std::string objtool_behind_link(string_view module) {
  return fmt::format(
      "OBJECT_FILES_NON_STANDARD := y\n"
      "OBJECT_FILES_NON_STANDARD_{0}.o := n\n"
      "$(obj)/{0}.o: private part-of-module := y\n"
      "$(obj)/{0}.o: private objtool_args += --no-unreachable\n"
      "$(obj)/{0}.o: private cmd_link_multi-m += ; $(cmd_objtool)\n",
      module);
}

Result<fs::path> build_module(const ModuleInput& input, const Base& base, const fs::path& directory,
                              Executor& executor) {
  ModuleBuild build{directory / "module", directory / "base", input.name, {}, base.code_makers};
  make_base_view(base, build.base);
  build.parts = write_sources(input, base, build.folder);
  const CommandResult result = make_module(input, build, base, executor);

  Result<fs::path> built;
  for (std::string& message : other_messages(result.output))
    built.findings.push_back({"kbuild", Severity::warning, {}, std::move(message), {}});
  const ObjtoolRun run{build.folder / (input.name + ".o"), build.base, input.patched_objects, directory / "objtool"};
  const Severity severity = input.accept_objtool ? Severity::warning : Severity::error;
  bool understood = true;
  for (const std::string& problem : objtool_problems(objtool_messages(result.output), run, executor)) {
    built.findings.push_back({"objtool",
                              severity,
                              {},
                              fmt::format("{}: code that objtool does not understand can't be unwound", problem),
                              fmt::format("the whole log is in {}", executor.log().string())});
    understood = false;
  }
  if (!understood && !input.accept_objtool) return built;
  const fs::path file = build.folder / (input.name + ".ko");
  if (!fs::exists(file)) executor.fail("kbuild made no module", result);
  built.value = file;
  return built;
}

void finish_module(const fs::path& built, const fs::path& linked, const Base& base, ShippedBinaries& shipped) {
  post_link(built, linked);
  const Binary index = Binary::open(base.vmlinux_index);
  add_shipped_code(linked, shipped.object(""), LoaderModel(base.release, &index, base.arch),
                   [&](string_view name) { return shipped.named(name); });
}

}  // namespace kpatch

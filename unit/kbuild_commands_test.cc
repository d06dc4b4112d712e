// Asking kbuild, with a kernel of seven files whose Makefile.build does what the real one does.
#include "kbuild/commands.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <set>
#include <string>

#include "kbuild/affected.h"
#include "kbuild/full-build.h"
#include "kbuild/shipped-objects.h"
#include "lookup/binary.h"
#include "patch/patch.h"
#include "support/error.h"
#include "support/files.h"
#include "support/text.h"
#include "unit/temporary_folder.h"

namespace kpatch {
namespace {

constexpr const char* makefile_build = R"sh(
include $(srctree)/$(obj)/Kbuild
.PHONY: all $(subdirs)
all: $(addprefix $(obj)/,$(obj-y) $(obj-m)) $(subdirs)
$(addprefix $(obj)/,$(obj-y) $(obj-m)): $(obj)/%.o: $(srctree)/$(obj)/%.c
	set -e; mkdir -p $(dir $@); echo '  CC $@'; gcc -D__KERNEL__ $(KCFLAGS) $(if $(filter $*.o,$(obj-m)),,$(CFLAGS_KERNEL)) $(flags) $(if $(filter $*.o,$(obj-m)),-DMODULE) -DKBUILD_MODNAME='"$(or $(name-$*),$(notdir $*))"' -c -o $@ $< ; : fixdep 'gcc -c'
$(subdirs):
	$(MAKE) -f $(srctree)/scripts/Makefile.build obj=$(if $(filter .,$(obj)),,$(obj)/)$@
)sh";

class Kbuild : public testing::Test {
 protected:
  Kbuild() : executor_(folder_.path() / "log") {
    source("Makefile", "export srctree := $(abs_srctree)\nbuild-dir := .\nolddefconfig modules_prepare:\n");
    source("scripts/Makefile.build", makefile_build);
    source("Kbuild", "subdirs := init fs net\n");
    source("init/Kbuild", "obj-y := main.o\n");
    source("fs/Kbuild", "obj-y := a.o gone.o\nexport flags := -DHANDED_DOWN\nsubdirs := sub\n");
    source("fs/sub/Kbuild", "obj-m := b.o\nname-b := b_mod\n");
    source("net/Kbuild", "obj-m := m.o off.o ../virt/k.o\nname-../virt/k := k\n");
    for (const char* file :
         {"init/main.c", "fs/a.c", "fs/gone.c", "fs/included.c", "fs/sub/b.c", "net/m.c", "net/off.c", "virt/k.c"})
      source(file, std::string(file) == "init/main.c" ? "int main_symbol(void) { return 1; }" : "int x;");
    source("fs/a.c", "int a_symbol(void) { return 2; }");
    for (const char* module : {"fs/sub/b-mod.ko.xz", "net/m.ko", "net/k.ko"})
      folder_.write("modules/" + std::string(module), "");
    base_.release = "6.1.0-test";
    base_.source = folder_.path() / "src";
    base_.kbuild = folder_.path() / "kbuild";
    base_.directory = folder_.path() / "base";
    base_.modules = folder_.path() / "modules";
    base_.vmlinux_index = folder_.path() / "index";
    base_.compiler = {"gcc"};
    std::filesystem::create_directories(base_.kbuild);
    std::string top = base_.source.string();
    std::string vmlinux = (folder_.path() / "vmlinux").string();
    CommandResult made = executor_.run({{"gcc", "-g", "-nostdlib", "-static", "-Wl,-e,main_symbol", "-o", vmlinux,
                                         top + "/init/main.c", top + "/fs/a.c"},
                                        {},
                                        {}});
    EXPECT_TRUE(made.ok()) << made.output;
    Binary::open(vmlinux).write_index(base_.vmlinux_index);
  }
  void source(const std::string& name, const std::string& text) { folder_.write("src/" + name, text); }
  std::vector<std::string> objects(const char* source) {
    std::vector<std::string> result;
    for (auto& command : commands_for_source(base_, executor_, source))
      result.push_back(command.object + "[" + command.module + "]");
    return result;
  }

  TemporaryFolder folder_;
  Executor executor_;
  Base base_;
};

using Names = std::vector<std::string>;

TEST_F(Kbuild, FindsWhatWasShipped) {
  EXPECT_EQ(objects("fs/a.c"), Names{"fs/a.o[]"});
  EXPECT_EQ(objects("net/m.c"), Names{"net/m.o[net/m]"});
  EXPECT_EQ(objects("fs/sub/b.c"), Names{"fs/sub/b.o[fs/sub/b-mod]"});
  EXPECT_EQ(objects("virt/k.c"), Names{"net/../virt/k.o[net/k]"});
}

// As arch/x86/purgatory/Makefile has lib/crypto/sha256.c.
TEST_F(Kbuild, AnotherImageOfTheSameSourceIsNamed) {
  const std::vector<CompileCommand> commands = BuiltIntoKernel(base_).filter(
      {{"fs/a.o", "fs/a.c", "", {}}, {"other/a.o", "fs/a.c", "", {}}, {"init/main.o", "init/main.c", "", {}}});
  ASSERT_EQ(commands.size(), 2U);
  EXPECT_EQ(commands[0].object, "fs/a.o");
  EXPECT_EQ(commands[0].other_images, Names{"other/a.o"});
  EXPECT_EQ(commands[1].other_images, Names{});
}

TEST_F(Kbuild, WhatIsListedButNotShippedIsNotBuilt) {
  EXPECT_EQ(objects("fs/gone.c"), Names{});
  EXPECT_EQ(objects("net/off.c"), Names{});
  EXPECT_EQ(objects("fs/included.c"), Names{});
}

TEST_F(Kbuild, ListsTheWholeKernelTheSameWay) {
  EXPECT_EQ(all_commands(base_, executor_).size(), 7U);
  auto shipped = shipped_commands(base_, executor_);
  Names names;
  for (auto& command : shipped) names.push_back(command.object);
  EXPECT_EQ(names, (Names{"fs/a.o", "fs/sub/b.o", "init/main.o", "net/../virt/k.o", "net/m.o"}));
  EXPECT_EQ(objects("fs/a.c"), Names{"fs/a.o[]"});
}

TEST_F(Kbuild, FlagsThatAParentHandsDownAreThere) {
  auto commands = directory_commands(base_, executor_, "fs/sub");
  ASSERT_EQ(commands.size(), 1U);
  EXPECT_NE(std::find(commands[0].arguments.begin(), commands[0].arguments.end(), "-DHANDED_DOWN"),
            commands[0].arguments.end());
  EXPECT_TRUE(directory_commands(base_, executor_, "virt").empty());
}

// As drivers/accel/habanalabs/common/Makefile, which names others from the folder above it.
TEST_F(Kbuild, AMakefileThatIsAPartOfAnotherIsAskedThere) {
  source("net/Kbuild", "include $(srctree)/$(obj)/part/Kbuild\nobj-m += m.o\n");
  source("net/part/Kbuild", "include $(srctree)/$(obj)/part/more/Kbuild\nobj-m := part/p.o\nname-part/p := m\n");
  source("net/part/more/Kbuild", "obj-m := m.o\n");
  source("net/part/p.c", "int x;");
  EXPECT_EQ(objects("net/part/p.c"), Names{"net/part/p.o[net/m]"});
  const auto commands = directory_commands(base_, executor_, "net/part");
  ASSERT_EQ(commands.size(), 1U);
  EXPECT_EQ(commands[0].object, "net/part/p.o");
  // One that is missing for all is an error.
  source("net/Kbuild", "include $(srctree)/$(obj)/gone/Kbuild\nobj-m += m.o\n");
  std::filesystem::remove_all(base_.directory);
  EXPECT_NE(message_of<Error>([&] { directory_commands(base_, executor_, "net"); }).find("could not list"),
            std::string::npos);
}

TEST_F(Kbuild, IsAskedOnce) {
  objects("fs/a.c");
  std::string log = folder_.path() / "log";
  auto size = std::filesystem::file_size(log);
  objects("fs/a.c");
  EXPECT_EQ(std::filesystem::file_size(log), size);
}

// scripts/Makefile.compiler tests what the compiler can do in $(TMPOUT), which is .tmp_PID: in sandboxes with process ids
// of their own two makes of one base have the same, and the one removes what the other tests with.
TEST_F(Kbuild, TestsOfTheCompilerHaveAPlaceOfTheirOwn) {
  const std::string file = folder_.path() / "places";
  source("net/Kbuild", "TMPOUT = .tmp_$$$$\n$(shell echo $(TMPOUT) >>" + file + ")\nobj-m := m.o\n");
  for (int run = 0; run < 2; ++run) {
    std::filesystem::remove_all(base_.directory);
    directory_commands(base_, executor_, "net");
  }
  const std::string text = read_file(file);
  std::set<std::string> runs;
  for (const std::string_view line : lines_of(text)) {
    const size_t end = line.rfind('_');
    ASSERT_TRUE(line.starts_with(".tmp_") && end > 5) << line;
    EXPECT_NE(std::strtol(std::string(line.substr(end + 1)).c_str(), nullptr, 10), 0) << line;
    runs.emplace(line.substr(0, end));
  }
  EXPECT_EQ(runs.size(), 2U) << text;
}

// What a make that was stopped half-way had listed by then isn't taken for all, nor kept.
TEST_F(Kbuild, AListIsKeptOnlyWhenItIsWhole) {
  const std::string good = "obj-m := m.o off.o ../virt/k.o\nname-../virt/k := k\n";
  for (const char* end : {"$(shell kill -KILL $$PPID)", "$(shell kill -TERM $$PPID)", "$(error out of memory)"}) {
    source("net/Kbuild", good + end + "\n");
    for (const char* folder : {".", "net"})
      EXPECT_NE(message_of<Error>([&] { directory_commands(base_, executor_, folder); }).find("could not list"),
                std::string::npos)
          << end;
    for (const auto& memo : entries_if_any(base_.directory / "commands"))
      ADD_FAILURE() << memo.path() << " after " << end;
  }
  source("net/Kbuild", good);
  EXPECT_EQ(all_commands(base_, executor_).size(), 7U);
  EXPECT_EQ(directory_commands(base_, executor_, "net").size(), 3U);
}

TEST_F(Kbuild, AFileThatCannotBeMadeEndsNoList) {
  source("Kbuild", "subdirs := init fs net\nall: not-there.h\n");
  EXPECT_EQ(all_commands(base_, executor_).size(), 7U);
}

TEST_F(Kbuild, AListThatIsCutOffIsAskedForAgain) {
  ASSERT_EQ(all_commands(base_, executor_).size(), 7U);
  const std::filesystem::path memo = base_.directory / "commands/all";
  const std::string whole = read_file(memo);
  for (size_t length = 0; length < whole.size(); length += 101) {
    write_file(memo, whole.substr(0, length), Flush::no);
    ASSERT_EQ(all_commands(base_, executor_).size(), 7U) << length;
  }
  EXPECT_EQ(read_file(memo), whole);
}

TEST_F(Kbuild, AListThatHoldsNoCommandIsAskedForAgain) {
  const std::string head("kpatch commands 2\0fs/a.o\0fs/a.c\0\0", 33);
  for (const std::string& end : {std::string("0"), std::string("1\0gcc", 5), std::string("9\0gcc\0-c", 8)}) {
    folder_.write("base/commands/in!fs", head + end);
    EXPECT_EQ(objects("fs/a.c"), Names{"fs/a.o[]"});
  }
}

TEST_F(Kbuild, AFolderThatCannotBeReadIsAnError) {
  source("Makefile", "$(error no kernel here)\n");
  EXPECT_NE(message_of<Error>([&] { all_commands(base_, executor_); }).find("no kernel here"), std::string::npos);
}

// Every object that a patch reaches has a reason, and so has every one that is left out.
TEST_F(Kbuild, FilesThatNobodyKnowsAreRefused) {
  base_.config = folder_.write("config", "CONFIG_MODULES=y\n");
  source("fs/table.inc", "");
  source("net/m.c", "#include \"read.inc\"\nint x;");
  source("net/read.inc", "");
  AppliedPatches patches;
  patches.directory = folder_.write("patched/fs/a.c", "int a;").parent_path().parent_path();
  folder_.write("patched/fs/table.inc", "1");
  folder_.write("patched/net/read.inc", "int y;");
  patches.modified = {"fs/a.c", "fs/table.inc", "net/read.inc"};
  PatchedView view(base_.source, folder_.path() / "view", patches);
  const auto all = find_affected(base_, patches, view, {}, executor_, folder_.path());
  EXPECT_FALSE(all.value);
  Names refused;
  for (const Finding& finding : all.findings)
    if (finding.severity == Severity::refusal) refused.push_back(finding.rule + " " + finding.location.source);
  EXPECT_EQ(refused, Names{"unknown-file fs/table.inc"});
}

TEST_F(Kbuild, AffectedObjectsHaveReasons) {
  base_.config = folder_.write("config", "CONFIG_MODULES=y\n");
  source("include/x.h", "");
  source("net/m.c", "#include \"../include/x.h\"\nint x;");
  AppliedPatches patches;
  patches.directory = folder_.write("patched/include/x.h", "int y;").parent_path().parent_path();
  folder_.write("patched/Documentation/a.rst", "");
  folder_.write("patched/fs/a.c", "int a;");
  folder_.write("patched/fs/gone.c", "int a;");
  patches.modified = {"Documentation/a.rst", "fs/a.c", "fs/gone.c", "include/x.h"};
  PatchedView view(base_.source, folder_.path() / "view", patches);
  const auto find = [&](const Names& targets) {
    return find_affected(base_, patches, view, targets, executor_, folder_.path());
  };
  const auto texts = [](const std::vector<Finding>& findings) {
    Names list;
    for (const Finding& finding : findings) list.push_back(text_of(finding));
    return list;
  };
  auto all = find({});
  ASSERT_EQ(all.value.value().size(), 2U);
  EXPECT_EQ(texts(all.findings),
            (Names{"Documentation/a.rst: note: is without influence on the kernel that runs: documentation [ignored]",
                   "fs/a.c: note: the patch touches it [affected]", "net/m.c: note: includes include/x.h [affected]",
                   "fs/gone.c: warning: the config does not build this file [not-built]"}));
  all = find({"modules"});
  ASSERT_EQ(all.value.value().size(), 1U);
  Names left_out = texts(all.findings);
  std::erase_if(left_out, [](const std::string& text) { return text.find("[target]") == std::string::npos; });
  EXPECT_EQ(left_out, Names{"fs/a.c: warning: fs/a.o is affected, but of no --target: it stays as it is [target]"});
  // A wrong name isn't a patch that changes nothing.
  all = find({"nosuch.ko"});
  EXPECT_FALSE(all.value);
  EXPECT_EQ(std::ranges::count(texts(all.findings),
                               "error: nothing that the patch changes is of --target nosuch.ko [target]\n"
                               ">>> name what the warnings name, or leave --target out"),
            1);
  // Nothing else is left: then the patch is for another kernel.
  patches.modified = {"fs/gone.c"};
  all = find({});
  EXPECT_FALSE(all.value);
  EXPECT_EQ(texts(all.findings), Names{"fs/gone.c: error: the config does not build this file [not-built]"});
  patches.modified = {"arch/x86/entry.S", "fs/a.c"};
  all = find({});
  EXPECT_FALSE(all.value);
  EXPECT_EQ(texts(all.findings).back(),
            "arch/x86/entry.S: error: assembly can't be patched live [assembly]\n"
            ">>> patch a C function that calls it instead; new assembly works as asm() in a C file");
}

TEST_F(Kbuild, AnObjectOfTwoModulesIsRefusedByName) {
  base_.config = folder_.write("config", "CONFIG_MODULES=y\n");
  source("net/Kbuild", "obj-m := m.o off.o ../virt/k.o\nname-../virt/k := k:off\n");
  folder_.write("modules/net/off.ko", "");
  AppliedPatches patches;
  patches.directory = folder_.write("patched/virt/k.c", "int a;").parent_path().parent_path();
  patches.modified = {"virt/k.c"};
  PatchedView view(base_.source, folder_.path() / "view", patches);
  const auto both = find_affected(base_, patches, view, {}, executor_, folder_.path());
  EXPECT_FALSE(both.value);
  ASSERT_FALSE(both.findings.empty());
  EXPECT_EQ(both.findings.back().rule, "shared-object");
  EXPECT_NE(both.findings.back().message.find("two modules, net/k and net/off"), std::string::npos);
  const auto one = find_affected(base_, patches, view, {"net/off.ko"}, executor_, folder_.path());
  ASSERT_EQ(one.value.value().size(), 1U);
  EXPECT_EQ(one.value->front().command.module, "net/off");
}

// What a script or a program of the build makes of it lies in the base as it was.
TEST_F(Kbuild, WhatTheBuildMakesFilesOfIsRefused) {
  base_.config = folder_.write("config", "CONFIG_MODULES=y\n");
  source("net/Kbuild",
         "obj-m := m.o off.o\nhostprogs := maketab\nifdef NEVER\n$(obj)/names.h: $(srctree)/include/x.h\n"
         "\t$(call cmd,names)\nendif\n");
  source("net/maketab.c", "int main(void) { return 0; }");
  source("include/x.h", "#define AF_ONE 1\nint old;\n");
  source("net/m.c", "#include \"../include/x.h\"\nint x;");
  AppliedPatches patches;
  patches.directory = folder_.path() / "patched";
  const auto rules_of = [&](const std::string& file, const std::string& text) {
    std::filesystem::remove_all(patches.directory);
    folder_.write("patched/" + file, text);
    patches.modified = {file};
    std::filesystem::remove_all(folder_.path() / "view");
    PatchedView view(base_.source, folder_.path() / "view", patches);
    Names rules;
    for (const Finding& finding : find_affected(base_, patches, view, {}, executor_, folder_.path()).findings)
      if (finding.severity == Severity::refusal) rules.push_back(finding.rule + " " + finding.location.source);
    return rules;
  };
  EXPECT_EQ(rules_of("include/x.h", "#define AF_ONE 1\n#define AF_TWO 2\nint old;\n"), Names{"generated include/x.h"});
  EXPECT_EQ(rules_of("include/x.h", "#define AF_ONE 1\nint old, fresh;\n"), Names{});
  EXPECT_EQ(rules_of("net/maketab.c", "int main(void) { return 1; }"), Names{"generated net/maketab.c"});
  EXPECT_EQ(rules_of("net/Kbuild",
                     "obj-m := m.o off.o\nhostprogs := maketab\nifdef NEVER\n$(obj)/names.h: $(srctree)/include/x.h\n"
                     "\t$(call cmd,others)\nendif\n"),
            Names{"generated net/Kbuild"});
}

TEST_F(Kbuild, FullBuildsPairWhatDiffers) {
  folder_.write("kbuild/.config", "CONFIG_X=y\n");
  Console console(0);
  Cache cache(folder_.path() / "cache", console);
  std::filesystem::path view = folder_.path() / "view";
  std::filesystem::copy(base_.source, view, std::filesystem::copy_options::recursive);
  unsigned run = 0;
  auto full = [&](const std::vector<std::string>& changed) {
    Names names;
    for (auto& pair :
         build_full(base_, view, changed, cache, executor_, console, 2,
                    folder_.path() / ("scratch" + std::to_string(run++)), {{"-DFOR_ALL"}, {"-DBUILT_IN"}})) {
      names.push_back((pair.original.empty() ? "+" : pair.patched.empty() ? "-" : "") + pair.command.object);
      for (auto& file : {pair.original, pair.patched}) EXPECT_TRUE(file.empty() || std::filesystem::exists(file));
      EXPECT_EQ(pair.command.arguments.back(), (base_.source / pair.command.source).string());
    }
    return names;
  };
  EXPECT_EQ(full({}), Names{});
  folder_.write("view/fs/a.c", "int a_symbol(void) { return 3; }");
  folder_.write("view/net/Kbuild", "obj-m := m.o off.o new.o ../virt/k.o\nname-../virt/k := k\n");
  folder_.write("view/net/new.c", "#ifdef BUILT_IN\n#error a module\n#endif\nint all = FOR_ALL;");
  EXPECT_EQ(full({"fs/a.c", "net/Kbuild", "net/new.c"}), (Names{"fs/a.o", "+net/new.o"}));
  EXPECT_EQ(full({}), Names{});  // all is as it was
  EXPECT_EQ(read_file(base_.source / "fs/a.c"), "int a_symbol(void) { return 2; }");
  folder_.write("view/fs/a.c", "not C");
  EXPECT_NE(message_of<Error>([&] { full({"fs/a.c"}); }).find("a.c:1:1: error"), std::string::npos);
  EXPECT_EQ(full({}), Names{});
  folder_.write("kbuild/.config", "CONFIG_RANDSTRUCT=y\n");
  EXPECT_NE(message_of<Error>([&] { full({}); }).find("RANDSTRUCT"), std::string::npos);
}

// The lines of what only moved are the original's in objects, and those of the patched file in messages.
TEST_F(Kbuild, FullBuildsNameThePatchedFilesLines) {
  const std::string original =
      "int f(void)\n{\n\treturn 1;\n}\nint a_symbol(void)\n{\n\treturn 2;\n}\nint line = __LINE__;\n";
  source("fs/a.c", original);
  folder_.write("kbuild/.config", "CONFIG_X=y\n");
  Console console(0);
  Cache cache(folder_.path() / "cache", console);
  const auto full = [&](const std::string& patched) {
    folder_.write("view/fs/a.c", with_original_lines(original, patched));
    return build_full(base_, folder_.path() / "view", {"fs/a.c"}, cache, executor_, console, 2, folder_.path() / "s");
  };
  std::string moved = original;
  moved.insert(moved.find("\treturn 1;"), "\t/*\n\t *\n\t */\n");
  EXPECT_EQ(full(moved).size(), 0U);
  std::string wrong = moved;
  wrong.replace(wrong.find("return 2"), 8, "return two");
  const std::string message = message_of<Error>([&] { full(wrong); });
  EXPECT_NE(message.find("\n>>> fs/a.c:10:16: error: "), std::string::npos) << message;
  EXPECT_EQ(full(moved).size(), 0U);  // the marks are there again
}

}  // namespace
}  // namespace kpatch

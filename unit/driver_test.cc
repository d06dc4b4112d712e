// The driver's smaller parts: the patched view, compile commands, what a path is, delivery, objtool's messages.
#include <fmt/core.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "kbuild/affected.h"
#include "kbuild/build-module.h"
#include "kbuild/compile-arguments.h"
#include "kbuild/objtool-messages.h"
#include "kbuild/why-not-built.h"
#include "kernel/shipped-binaries.h"
#include "kpatch-build/build-report.h"
#include "kpatch-build/compile.h"
#include "kpatch-build/delivery.h"
#include "kpatch-build/diff-pairs.h"
#include "patch/view.h"
#include "support/error.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;

class Driver : public testing::Test {
 protected:
  Driver() : root_(fs::path(testing::TempDir()) / fmt::format("driver-test-{}", getpid())) {
    fs::remove_all(root_);
    fs::create_directories(root_);
  }
  ~Driver() override { fs::remove_all(root_); }

  fs::path write(const std::string& name, std::string_view text) {
    fs::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name, std::ios::binary) << text;
    return root_ / name;
  }

  static std::string read(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  // A source with two folders, fs/a.c patched.
  PatchedView make_view(std::vector<std::string> added = {}) {
    write("source/fs/a.c", "old\n");
    write("source/fs/b.c", "b\n");
    write("source/include/x.h", "x\n");
    write("source/net/core/n.c", "#include \"../../fs/a.c\"\n");
    write("patched/fs/a.c", "new\n");
    AppliedPatches patches;
    patches.directory = root_ / "patched";
    patches.modified = {"fs/a.c"};
    for (const std::string& path : added) write("patched/" + path, "added\n");
    patches.added = std::move(added);
    return PatchedView(root_ / "source", root_ / "view", patches);
  }

  fs::path root_;
};

TEST_F(Driver, ViewShowsThePatchedTree) {
  const PatchedView view = make_view({"fs/new.c"});
  EXPECT_EQ(read(root_ / "view/fs/a.c"), "new\n");
  EXPECT_EQ(read(root_ / "view/fs/b.c"), "b\n");
  EXPECT_EQ(read(root_ / "view/fs/new.c"), "added\n");
  EXPECT_EQ(read(root_ / "view/include/x.h"), "x\n");
  EXPECT_EQ(read(root_ / "source/fs/a.c"), "old\n");
  EXPECT_TRUE(fs::is_symlink(root_ / "view/include"));
  EXPECT_FALSE(view.full());
}

TEST_F(Driver, ViewFindsLeaksAndClosesThem) {
  PatchedView view = make_view();
  const std::vector<std::string> dependencies = {(root_ / "view/net/core/../../fs/a.c").string()};
  EXPECT_EQ(read(dependencies[0]), "old\n");  // ".." behind a link to a folder
  EXPECT_EQ(view.leak(dependencies, root_), dependencies[0]);
  view.make_full();
  EXPECT_EQ(read(dependencies[0]), "new\n");
  EXPECT_EQ(view.leak(dependencies, root_), std::nullopt);
  EXPECT_EQ(read(root_ / "view/fs/b.c"), "b\n");
}

TEST_F(Driver, ViewTellsWhatWasReadOfThePatch) {
  const PatchedView view = make_view({"fs/new.c"});
  const std::vector<std::string> read = {(root_ / "view/fs/new.c").string(), "view/fs/../fs/a.c", "view/fs/b.c",
                                         "none"};
  EXPECT_EQ(view.touched_among(read, root_), (std::vector<std::string>{"fs/a.c", "fs/new.c"}));
  EXPECT_EQ(view.touched_among(std::span(read).subspan(2), root_), std::vector<std::string>{});
  EXPECT_FALSE(view.lacks_files());
}

TEST_F(Driver, ViewOpensAPathWithDots) {
  PatchedView view = make_view();
  view.make_real("net/core/../../fs/a.c");
  EXPECT_EQ(read(root_ / "view/net/core/../../fs/a.c"), "new\n");
  EXPECT_FALSE(view.full());
}

// Behind a link and ".." the other one would be found.
TEST_F(Driver, ViewIsCompleteWhenThePatchAddsAHeaderOfAKnownName) {
  EXPECT_TRUE(make_view({"fs/x.h"}).full());  // include/x.h
  fs::remove_all(root_ / "view");
  const PatchedView view = make_view({"include/new.h"});
  EXPECT_FALSE(view.full());
  EXPECT_EQ(read(root_ / "view/include/new.h"), "added\n");
}

TEST_F(Driver, ViewTranslatesArguments) {
  const PatchedView view = make_view();
  const std::string source = (root_ / "source").string();
  const std::string there = (root_ / "view").string();
  EXPECT_EQ(view.translate("-I" + source + "/include"), "-I" + there + "/include");
  EXPECT_EQ(view.translate("-fmacro-prefix-map=" + source + "/="), "-fmacro-prefix-map=" + there + "/=");
  EXPECT_EQ(view.translate(source), there);
  EXPECT_EQ(view.translate(source + "-2/x"), source + "-2/x");
}

TEST_F(Driver, CompilesWithTheKernelsOwnCommand) {
  PatchedView view = make_view();
  Base base;
  base.source = root_ / "source";
  base.kbuild = root_;
  const std::string source = base.source.string();
  const CompileSettings settings{base, view, root_ / "objects", "/macros", 1};
  CompileCommand command{
      "fs/a.o",
      "fs/a.c",
      "",
      {"gcc", "-Wp,-MMD,fs/.a.o.d", "-I" + source + "/include", "-O2", "-c", "-o", "fs/a.o", source + "/fs/a.c"}};
  using Words = std::vector<std::string>;
  const auto arguments = [&](Variant variant, bool constants) {
    return compile_arguments(command, variant, settings, "x.o", "x.d", constants);
  };
  const std::string in_view = (root_ / "view").string();
  EXPECT_EQ(arguments(Variant::original, false),
            (Words{"gcc", "-I/macros", "-I" + source + "/include", "-O2", "-ffunction-sections", "-fdata-sections",
                   "-MD", "-MF", "x.d", "-c", "-o", "x.o", source + "/fs/a.c"}));
  EXPECT_EQ(arguments(Variant::patched, true),
            (Words{"gcc", "-I/macros", "-I" + in_view + "/include", "-O2", "-include", "asm-generic/runtime-const.h",
                   "-ffunction-sections", "-fdata-sections", "-MD", "-MF", "x.d", "-c", "-o", "x.o",
                   "-fdebug-prefix-map=" + in_view + "=" + source, in_view + "/fs/a.c"}));
  EXPECT_EQ(arguments(Variant::as_shipped, true), (Words{"gcc", "-I" + source + "/include", "-O2", "-g0", "-MD", "-MF",
                                                         "x.d", "-c", "-o", "x.o", source + "/fs/a.c"}));
  // The architecture's header refuses to be read by modules, which never use it.
  command.arguments.insert(command.arguments.begin() + 1, "-DMODULE");
  const Words module = arguments(Variant::patched, true);
  EXPECT_EQ(std::find(module.begin(), module.end(), "-include"), module.end());
}

TEST(Compile, ReadsDependencies) {
  EXPECT_EQ(read_dependencies("x.o: a.c b.h \\\n c\\ d.h $$e.h\n\nb.h:\n"),
            (std::vector<std::string>{"a.c", "b.h", "c d.h", "$e.h"}));
  EXPECT_TRUE(read_dependencies("").empty());
}

// Two files of a module with a static `ops` each.
TEST_F(Driver, TakesADebugModuleThatMatches) {
  const auto run = [&](const std::string& command) {
    ASSERT_EQ(std::system(fmt::format("cd {} && {}", root_.string(), command).c_str()), 0) << command;
  };
  write("a.c", "static int ops = 1; int *a(void) { return &ops; }");
  write("b.c", "static int ops = 2; int *b(void) { return &ops; }");
  write("shipped/drivers/.keep", "");
  write("debug/drivers/.keep", "");
  run("gcc -c a.c b.c && ld -r -o debug/drivers/x.ko a.o b.o && strip -g -o shipped/drivers/x.ko debug/drivers/x.ko");
  Base base;
  base.modules = root_ / "shipped";
  EXPECT_EQ(parent_of_module(base, "drivers/x"), base.modules / "drivers/x.ko");
  base.debug_modules = root_ / "debug";
  EXPECT_EQ(parent_of_module(base, "drivers/x"), base.debug_modules / "drivers/x.ko");
  // Linked in another order: its ranks aren't those of the module that runs.
  run("ld -r -o debug/drivers/x.ko b.o a.o");
  EXPECT_EQ(parent_of_module(base, "drivers/x"), base.modules / "drivers/x.ko");
  EXPECT_THROW(parent_of_module(base, "drivers/y"), Error);
}

TEST_F(Driver, NamesTheOptionThatIsOff) {
  write("source/Makefile", "");
  write("source/fs/Makefile", "obj-$(CONFIG_PROC_FS) += proc/\nobj-$(CONFIG_JFS_FS)\t\t+= jfs/\n");
  write("source/fs/jfs/Makefile",
        "obj-$(CONFIG_JFS_FS) += jfs.o\njfs-y := super.o \\\n\tjfs_umount.o\n"
        "jfs-$(CONFIG_JFS_POSIX_ACL) += acl.o\n");
  write("source/fs/jfs/jfs_umount.c", "");
  const fs::path off = write("off", "CONFIG_PROC_FS=y\n# CONFIG_JFS_FS is not set\n");
  const fs::path on = write("on", "CONFIG_PROC_FS=y\nCONFIG_JFS_FS=m\n");
  EXPECT_EQ(missing_option(root_ / "source", off, "fs/jfs/jfs_umount.c"), "CONFIG_JFS_FS");
  EXPECT_EQ(missing_option(root_ / "source", on, "fs/jfs/jfs_umount.c"), std::nullopt);
  EXPECT_EQ(missing_option(root_ / "source", on, "fs/jfs/acl.c"), "CONFIG_JFS_POSIX_ACL");
  EXPECT_EQ(missing_option(root_ / "source", on, "fs/jfs/unknown.c"), std::nullopt);
}

TEST_F(Driver, DeliversWholeFiles) {
  const fs::path module = write("x.ko", "module");
  {
    Delivery delivery(root_ / "new/out");
    EXPECT_EQ(delivery.deliver(module, "a.ko"), root_ / "new/out/a.ko");
  }
  EXPECT_EQ(read(root_ / "new/out/a.ko"), "module");
  EXPECT_EQ(std::distance(fs::directory_iterator(root_ / "new/out"), {}), 1);
}

TEST_F(Driver, RemovesTheFolderThatItMadeForNothing) {
  { Delivery delivery(root_ / "new/out"); }
  EXPECT_FALSE(fs::exists(root_ / "new"));
  fs::create_directories(root_ / "there");
  { Delivery delivery(root_ / "there/out/"); }
  EXPECT_TRUE(fs::exists(root_ / "there"));
  EXPECT_FALSE(fs::exists(root_ / "there/out"));
}

TEST_F(Driver, RefusesAnOutputThatIsNoDirectory) {
  EXPECT_THROW(Delivery delivery(write("file", "")), Error);
  EXPECT_THROW(Delivery delivery("/proc/none"), Error);
}

TEST_F(Driver, KeepsTwentyLogs) {
  for (int i = 0; i < 30; ++i) write(fmt::format("logs/2000-01-{:02}.log", i), "");
  write("logs/other.txt", "");
  const fs::path log = new_log(root_ / "logs");
  EXPECT_FALSE(fs::exists(log));
  EXPECT_EQ(std::distance(fs::directory_iterator(root_ / "logs"), {}), 20);  // 19 logs and the text
  EXPECT_TRUE(fs::exists(root_ / "logs/2000-01-29.log"));
}

TEST(Objtool, ReadsMessagesOnce) {
  const auto messages = objtool_messages(
      "  LD [M]  x.o\nx.o: warning: objtool: a: unexpected end of section\n"
      "x.o: warning: objtool: a: unexpected end of section\nWARNING: modpost: y\n");
  EXPECT_EQ(messages, std::vector<std::string>{"objtool: a: unexpected end of section"});
}

// kbuild reads the Kbuild first, and sets these variables after it: as in scripts/Makefile.build of 5.10.
TEST_F(Driver, PutsObjtoolBehindTheLinkAlone) {
  write("Kbuild", objtool_behind_link("livepatch-fix"));
  write("Makefile",
        "obj := .\n"
        "include Kbuild\n"
        "basetarget = $(basename $(notdir $@))\n"
        "objtool_args = orc generate $(if $(part-of-module),--module,) --no-fp\n"
        "cmd_objtool = $(if $(patsubst y%,, \\\n"
        "\t$(OBJECT_FILES_NON_STANDARD_$(basetarget).o)$(OBJECT_FILES_NON_STANDARD)n), \\\n"
        "\tobjtool $(objtool_args) $@)\n"
        "cmd_link_multi-m = ld -r -o $@ $^\n"
        "$(obj)/livepatch-fix.o: parts/main.o ; @echo '$(strip $(cmd_link_multi-m))'\n"
        "parts/main.o: ; @echo 'cc -o $@ $(strip $(part-of-module) $(cmd_objtool))'\n");
  Executor executor(root_ / "log");
  const CommandResult made = executor.run({{"make", "-s", "./livepatch-fix.o"}, root_, {}});
  EXPECT_EQ(made.output,
            "cc -o parts/main.o \n"
            "ld -r -o livepatch-fix.o parts/main.o ; objtool orc generate --module --no-fp --no-unreachable "
            "livepatch-fix.o\n");
}

TEST_F(Driver, JudgesObjtoolsMessages) {
  Executor executor(root_ / "log");
  const std::string end = "objtool: .text.f: unexpected end of section";
  const std::vector<std::string> messages = {"objtool: .kpatch.funcs+0x60: data relocation to !ENDBR: mem_rw+0x0",
                                             "objtool: .data+0x60: data relocation to !ENDBR: mem_rw+0x0", end};
  // Stands in for objtool: says what the object holds.
  const fs::path tool = write("objtool/objtool", "#!/bin/sh\ncat \"$2\"\n");
  fs::permissions(tool, fs::perms::owner_all);
  write(".m.o.cmd", fmt::format("savedcmd_m.o := ld -r -o m.o @m.mod ; {} --orc m.o\n\nm.o: x\n", tool.string()));
  const fs::path linked = root_ / "m.o";
  const std::vector<fs::path> clean = {write("clean.o", "\n")};
  const std::vector<fs::path> same = {write("same.o", "same.o: warning: " + end + "\n")};
  EXPECT_EQ(objtool_problems(messages, {linked, root_, clean, root_ / "t"}, executor),
            std::vector<std::string>{messages[1]});
  EXPECT_EQ(objtool_problems(messages, {linked, root_, same, root_ / "t"}, executor),
            (std::vector<std::string>{messages[1], end}));
  EXPECT_EQ(objtool_problems(messages, {root_ / "none", root_, clean, root_ / "t"}, executor),
            (std::vector<std::string>{messages[1], end}));
}

TEST(Report, NamesObjectsAsTheKernelDoes) {
  EXPECT_EQ(object_name(""), "vmlinux");
  EXPECT_EQ(object_name("net/netfilter/xt_comment"), "xt_comment");
  EXPECT_EQ(object_name("drivers/usb/host/xhci-hcd"), "xhci_hcd");
}

TEST(Report, ListsPatchedFunctionsByObject) {
  PairReport module;
  module.object = "xt_comment";
  module.changed = {{"comment_mt", ""}};
  PairReport vmlinux;
  vmlinux.object = "vmlinux";
  vmlinux.changed = {{"show", ""}, {"b", ""}};
  PairReport hooks;
  hooks.object = "tun";
  hooks.callbacks = {"pre_patch"};
  const PairReport reports[] = {module, vmlinux, hooks};
  EXPECT_EQ(patched_functions(reports), "  vmlinux: b, show\n  tun: callbacks only\n  xt_comment: comment_mt\n");
}

}  // namespace
}  // namespace kpatch

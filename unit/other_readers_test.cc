// Who reads a touched file besides the kernel's own objects, and whether it matters to them.

#include "kbuild/other-readers.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "unit/temporary_folder.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;
using Names = std::vector<std::string>;

class OtherReadersTest : public testing::Test {
 protected:
  void SetUp() override {
    source("arch/x86/entry/entry.S", "#include \"calling.h\"\n#ifdef ON\nmov $SIZE, %eax\n#endif\n");
    source("arch/x86/entry/calling.h", "#define SIZE 1\n#define UNUSED 1\n");
    source("arch/x86/kernel/vmlinux.lds.S", "#include <linux/order.h>\nSECTIONS { . = ORDER; }\n");
    source("include/linux/order.h", "#define ORDER 0\n");
    source("arch/x86/boot/main.c", "#include <linux/list.h>\nint boot(int x) { return add(x); }\n");
    source("arch/x86/boot/tools/build.c", "#include <linux/list.h>\n");
    source("include/linux/list.h", "static inline int add(int x) { return x + 1; }\n");
    source("kernel/bounds.c", "#include <linux/bits.h>\nvoid f(void) { asm(\"-> %0\" : : \"i\"(BITS)); }\n");
    source("include/linux/bits.h", "#define BITS 5\n");
    source("drivers/firmware/efi/libstub/arm-stub.c", "#include <linux/list.h>\n");
    source("arch/arm/Makefile", "");
    fs::create_directories(folder_.path() / "kbuild");
    base_.source = folder_.path() / "source";
    base_.kbuild = folder_.path() / "kbuild";
  }

  void source(const std::string& path, const std::string& text) { folder_.write("source/" + path, text); }

  // What is told of a patch that gives a file other contents: "FILE: READER (WHAT)".
  Names changed(const std::string& file, const std::string& text) {
    AppliedPatches patches;
    patches.directory = folder_.path() / "patched";
    folder_.write("patched/" + file, text);
    patches.modified = {file};
    PatchedView view(base_.source, folder_.path() / ("view" + std::to_string(++runs_)), patches);
    CompileCommand like;
    like.source = "init/main.c";
    like.arguments = {"gcc",         "-I" + (base_.source / "include").string(),
                      "-DON",        "-D__KERNEL__",
                      "-O2",         "-fsanitize=bounds",
                      "-c",          "-o",
                      "init/main.o", (base_.source / "init/main.c").string()};
    Executor executor(folder_.path() / "log");
    const Names files{file};
    std::vector<CompileCommand> kernel{like};
    for (const std::string& path : kernel_) kernel.emplace_back(like).source = path;
    readings_ = other_readings(base_, view, kernel, "x86", files, changes_, executor,
                               folder_.path() / ("out" + std::to_string(runs_)));
    Names list;
    for (const OtherReading& reading : readings_.changed)
      for (const std::string& read : reading.files)
        list.push_back(read + ": " + reading.reader.path + " (" + reading.reader.what + ")");
    return list;
  }

  const TemporaryFolder folder_;
  Base base_;
  OtherReadings readings_;
  std::vector<HeaderChange> changes_;  // none: every reader is run
  Names kernel_;                       // sources of the kernel's own objects
  int runs_ = 0;
};

TEST_F(OtherReadersTest, AreKnownByTheirPlace) {
  Names list;
  for (const OtherReader& reader : other_readers(base_.source, "x86")) list.push_back(reader.path + ": " + reader.what);
  EXPECT_EQ(list, (Names{"arch/x86/boot/main.c: the boot code", "arch/x86/entry/entry.S: assembly",
                         "arch/x86/kernel/vmlinux.lds.S: a linker script",
                         "kernel/bounds.c: the source of a generated header"}));
}

// kvm's, hyperv's and the scheduler's numbers. "posted_intr.h" is found beside the source, not beside vmx.h.
TEST_F(OtherReadersTest, GenerateHeadersOfOneFolder) {
  source("arch/x86/kvm/kvm-asm-offsets.c",
         "#include \"vmx/vmx.h\"\nvoid f(void) { asm(\"-> %0\" : : \"i\"(sizeof(struct v))); }\n");
  source("arch/x86/kvm/vmx/vmx.h", "#include \"posted_intr.h\"\nstruct v { struct p p; };\n");
  source("arch/x86/kvm/posted_intr.h", "struct p { int x; };\n");
  source("arch/x86/um/asm-offsets.c", "#include \"vmx/vmx.h\"\n");
  source("kernel/sched/rq-offsets.c", "#include \"sched.h\"\nvoid f(void) { asm(\"-> %0\" : : \"i\"(RQ)); }\n");
  source("kernel/sched/sched.h", "#define RQ 1\n");
  const std::string told = " (the source of a generated header)";
  EXPECT_EQ(changed("arch/x86/kvm/posted_intr.h", "struct p { long x; };\n"),
            Names{"arch/x86/kvm/posted_intr.h: arch/x86/kvm/kvm-asm-offsets.c" + told});
  EXPECT_EQ(changed("kernel/sched/sched.h", "#define RQ 2\n"),
            Names{"kernel/sched/sched.h: kernel/sched/rq-offsets.c" + told});
  EXPECT_EQ(changed("kernel/sched/sched.h", "#define RQ 1\n#define OTHER\n"), Names{});
}

TEST_F(OtherReadersTest, ReadHeadersOfAssembly) {
  EXPECT_EQ(changed("arch/x86/entry/calling.h", "#define SIZE 2\n#define UNUSED 1\n"),
            Names{"arch/x86/entry/calling.h: arch/x86/entry/entry.S (assembly)"});
  EXPECT_EQ(changed("arch/x86/entry/calling.h", "#define SIZE 1\n#define UNUSED 2\n"), Names{});
  EXPECT_TRUE(readings_.read.contains("arch/x86/entry/calling.h"));
}

TEST_F(OtherReadersTest, ReadHeadersOfLinkerScripts) {
  EXPECT_EQ(changed("include/linux/order.h", "#define ORDER 1\n"),
            Names{"include/linux/order.h: arch/x86/kernel/vmlinux.lds.S (a linker script)"});
}

// A new function that nobody there calls is another text and the same code.
TEST_F(OtherReadersTest, OfCAreComparedByWhatTheyAreCompiledTo) {
  EXPECT_EQ(changed("include/linux/list.h", "static inline int add(int x) { return x + 2; }\n"),
            Names{"include/linux/list.h: arch/x86/boot/main.c (the boot code)"});
  EXPECT_EQ(changed("include/linux/list.h",
                    "static inline int add(int x) { return x + 1; }\n"
                    "static inline int sub(int x) { return x - 1; }\n"),
            Names{});
}

// What changes is known by name, and whoever doesn't mention it isn't run: boot code, which can't be compiled by another
// folder's flags, would count as changed.
TEST_F(OtherReadersTest, ThatMentionNothingOfItAreNotRun) {
  source("arch/x86/boot/main.c", "#include <linux/list.h>\nint boot(int x) { return add(x) + not_declared; }\n");
  const std::string list = "static inline int add(int x) { return x + 1; }\n";
  const std::string path = "include/linux/list.h";
  const std::string told = path + ": arch/x86/boot/main.c (the boot code)";
  EXPECT_EQ(changed(path, list + "static inline int sub(int x) { return x; }\n"), Names{told});
  changes_ = {{path, base_.source / path, folder_.path() / "patched" / path}};
  EXPECT_EQ(changed(path, list + "static inline int sub(int x) { return x; }\n"), Names{});
  EXPECT_TRUE(readings_.read.contains(path));
  EXPECT_EQ(changed(path, "static inline int add(int x) { return x; }\n"), Names{told});
}

// The vDSO's code is found from the top of the source, and beside the folder of its words: x86 since 7.0.
TEST_F(OtherReadersTest, OfTheVdsoIncludeCodeByItsWholePath) {
  const std::string code = "#include <linux/list.h>\nstatic int time(int x) { return add(x); }\n";
  source("lib/vdso/gettimeofday.c", code);
  source("arch/x86/entry/vdso/common/vclock_gettime.c",
         "#include \"lib/vdso/gettimeofday.c\"\nint call(int x) { return time(x); }\n");
  source("arch/x86/entry/vdso/vdso64/vclock_gettime.c", "#include \"common/vclock_gettime.c\"\n");
  for (const auto& [file, text] :
       {std::pair("lib/vdso/gettimeofday.c", "static int time(int x) { return x; }\n"),
        std::pair("include/linux/list.h", "static inline int add(int x) { return x + 2; }\n")}) {
    Names told = changed(file, text);
    std::erase(told, "include/linux/list.h: arch/x86/boot/main.c (the boot code)");
    const std::string begin = std::string(file) + ": arch/x86/entry/vdso/";
    EXPECT_EQ(told,
              (Names{begin + "common/vclock_gettime.c (the vDSO)", begin + "vdso64/vclock_gettime.c (the vDSO)"}));
  }
  EXPECT_EQ(changed("lib/vdso/gettimeofday.c", code + "static int unused;\n"), Names{});
}

// Of other architectures the Makefile includes it.
TEST_F(OtherReadersTest, OfTheVdsoAreGivenItsCode) {
  const std::string code = "#include <linux/list.h>\nstatic int time(int x) { return add(x); }\n";
  source("lib/vdso/gettimeofday.c", code);
  source("arch/x86/kernel/vdso/vgettimeofday.c", "int call(int x) { return time(x); }\n");
  source("arch/x86/kernel/vdso/note.c", "int note;\n");
  EXPECT_EQ(changed("lib/vdso/gettimeofday.c", "static int time(int x) { return x; }\n"),
            Names{"lib/vdso/gettimeofday.c: arch/x86/kernel/vdso/vgettimeofday.c (the vDSO)"});
  EXPECT_EQ(changed("lib/vdso/gettimeofday.c", code + "static int unused;\n"), Names{});
}

// Its functions are static: compiled by itself it is nothing, whatever changes.
TEST_F(OtherReadersTest, CodeForOthersThatNobodyIncludesIsComparedAsText) {
  source("lib/vdso/getrandom.c", "static int random(int x) { return x; }\n");
  EXPECT_EQ(changed("lib/vdso/getrandom.c", "static int random(int x) { return x + 1; }\n"),
            Names{"lib/vdso/getrandom.c: lib/vdso/getrandom.c (the vDSO)"});
  EXPECT_EQ(changed("lib/vdso/getrandom.c", "static int random(int x) { return x; } // as it was\n"), Names{});
}

// What the build of an image generates isn't there.
TEST_F(OtherReadersTest, ThatReadWhatABuildGenerates) {
  source("arch/x86/boot/compressed/kaslr.c",
         "#include <linux/list.h>\n#include <generated/compile.h>\n#include <generated/utsversion.h>\n"
         "#include \"../voffset.h\"\n"
         "const char text[] = LINUX_COMPILE_BY UTS_VERSION;\nlong f(void) { return VO__end - VO__text; }\n");
  const std::string list = "static inline int add(int x) { return x + 1; }\n";
  EXPECT_EQ(changed("include/linux/list.h", list + "struct rcu_head { int x; };\n"), Names{});
  source("arch/x86/boot/compressed/kaslr.c", "#include <linux/list.h>\n#include <generated/other.h>\n");
  EXPECT_EQ(changed("include/linux/list.h", list + "struct rcu_head { int x; };\n"),
            Names{"include/linux/list.h: arch/x86/boot/compressed/kaslr.c (the boot code)"});
}

// Sanitizers write the paths of sources into the object, which images are built without.
TEST_F(OtherReadersTest, AreComparedWithoutSanitizers) {
  source("arch/x86/boot/main.c", "#include <linux/list.h>\nint t[4];\nint boot(int x) { return t[x] + add(x); }\n");
  EXPECT_EQ(
      changed("include/linux/list.h", "static inline int add(int x) { return x + 1; }\nstruct rcu_head { int x; };\n"),
      Names{});
}

// The folder of an image has objects of the kernel, too.
TEST_F(OtherReadersTest, AreNoObjectsOfTheKernel) {
  source("arch/x86/entry/vdso/vma.c", "#include <linux/list.h>\nint map(int x) { return add(x); }\n");
  const std::string list = "static inline int add(int x) { return x + 2; }\n";
  EXPECT_EQ(changed("include/linux/list.h", list),
            (Names{"include/linux/list.h: arch/x86/boot/main.c (the boot code)",
                   "include/linux/list.h: arch/x86/entry/vdso/vma.c (the vDSO)"}));
  kernel_ = {"arch/x86/entry/vdso/vma.c"};
  EXPECT_EQ(changed("include/linux/list.h", list), Names{"include/linux/list.h: arch/x86/boot/main.c (the boot code)"});
}

TEST_F(OtherReadersTest, MakeGeneratedHeaders) {
  EXPECT_EQ(changed("include/linux/bits.h", "#define BITS 6\n"),
            Names{"include/linux/bits.h: kernel/bounds.c (the source of a generated header)"});
  EXPECT_EQ(
      changed("kernel/bounds.c", "#include <linux/bits.h>\nvoid f(void) { asm(\"-> %0\" : : \"i\"(BITS + 1)); }\n"),
      Names{"kernel/bounds.c: kernel/bounds.c (the source of a generated header)"});
  EXPECT_EQ(changed("kernel/bounds.c", "#include <linux/bits.h>\n\nvoid f(void) { asm(\"-> %0\" : : \"i\"(BITS)); }\n"),
            Names{});
}

// Names what is other; asm-offsets_64.c can't be compiled by itself, and is read as a part of asm-offsets.c.
TEST_F(OtherReadersTest, OfGeneratedHeadersAreComparedByTheirValues) {
  source("arch/x86/kernel/asm-offsets.c", "#include <linux/task.h>\n#define PART\n#include \"asm-offsets_64.c\"\n");
  source("arch/x86/kernel/asm-offsets_64.c",
         "#ifndef PART\n#error a part\n#endif\n#include <linux/task.h>\n#define OFFSET(name, member) asm "
         "volatile(\".ascii \\\"->\" #name \" %0 "
         "x\\\"\" : : \"i\"(__builtin_offsetof(struct task, member)))\n"
         "void f(void) { OFFSET(TASK_a, a); OFFSET(TASK_c, c); }\n");
  const std::string path = "include/linux/task.h";
  source(path, "#pragma once\nstruct task { int a, b, c; };\n");
  EXPECT_EQ(changed(path, "#pragma once\nstruct task { int a, n, b, c; };\n"),
            Names{path + ": arch/x86/kernel/asm-offsets.c (the source of a generated header)"});
  EXPECT_EQ(readings_.changed.at(0).values, Names{"TASK_c"});
  EXPECT_TRUE(readings_.same.empty());
  EXPECT_EQ(changed(path, "#pragma once\nstruct task { int a, b, c, n; };\n"), Names{});
  ASSERT_EQ(readings_.same.size(), 1U);
  EXPECT_EQ(readings_.same.front().reader.path, "arch/x86/kernel/asm-offsets.c");
}

// What doesn't compile by the flags of vmlinux is compiled by its folder's, and isn't read where it isn't built.
TEST_F(OtherReadersTest, AreCompiledByTheirFoldersFlags) {
  source("Makefile", "export srctree := $(abs_srctree)\nolddefconfig modules_prepare:\n");
  source("scripts/Makefile.build",
         "include $(srctree)/$(obj)/Makefile\n.PHONY: all\nall: $(addprefix $(obj)/,$(lib-y))\n"
         "$(obj)/%.o: $(srctree)/$(obj)/%.c\n"
         "\tgcc -D__KERNEL__ -DOWN -I$(srctree)/include -O2 -c -o $@ $<\n");
  const std::string folder = "drivers/firmware/efi/libstub/", path = "include/linux/list.h";
  source(folder + "Makefile", "lib-y := stub.o\nlib-$(CONFIG_OFF) += off.o\n");
  const std::string code = "#include <linux/list.h>\n#ifndef OWN\n#error flags\n#endif\nint f(int x) { return ";
  source(folder + "stub.c", code + "add(x); }\n");
  source(folder + "off.c", code + "add(x); }\n");
  source("arch/x86/boot/main.c", "");
  base_.directory = folder_.path() / "base";
  base_.config = folder_.write("config", "CONFIG_MODULES=y\n");
  base_.compiler = {"gcc"};
  const std::string stub = path + ": " + folder + "stub.c (the EFI stub)";
  EXPECT_EQ(changed(path, "static inline int add(int x) { return x + 2; }\n"), Names{stub});
  EXPECT_EQ(changed(path, "static inline int add(int x) { return 1 + x; }\n"), Names{});
  // Nobody says why it isn't built.
  source(folder + "third.c", code + "add(x); }\n");
  EXPECT_EQ(changed(path, "static inline int add(int x) { return 1 + x; }\n"),
            Names{path + ": " + folder + "third.c (the EFI stub)"});
}

TEST_F(OtherReadersTest, HaveCopiesOfTheKernelsCode) {
  source("lib/inflate.c", "int inflate;\n");
  source("lib/deflate.c", "int deflate;\n");
  source("arch/x86/boot/compressed/misc.c", "#include \"../../../../lib/inflate.c\"\n/* \"../lib/deflate.c\" */\n");
  source("drivers/firmware/efi/libstub/stub.c", "#include \"lib/inflate.c\"\n#include \"deflate.c\"\n");
  const auto copies = [&](const Names& files) {
    Names list;
    for (const OtherReading& copy : image_copies(base_.source, "x86", files))
      for (const std::string& file : copy.files)
        list.push_back(file + ": " + copy.reader.path + " (" + copy.reader.what + ")");
    return list;
  };
  EXPECT_EQ(copies({"lib/deflate.c", "lib/inflate.c", "lib/none.h"}),
            (Names{"lib/inflate.c: arch/x86/boot/compressed/misc.c (the boot code)",
                   "lib/inflate.c: drivers/firmware/efi/libstub/stub.c (the EFI stub)"}));
  EXPECT_EQ(copies({"lib/deflate.c"}), Names());
}

TEST_F(OtherReadersTest, AreNoneOfAFileThatNobodyIncludes) {
  EXPECT_EQ(changed("include/linux/lonely.h", "int x;\n"), Names{});
  EXPECT_TRUE(readings_.read.empty());
}

}  // namespace
}  // namespace kpatch

// What make prints, as shell and as compilations.
#include "kbuild/make-output.h"

#include <gtest/gtest.h>

#include "support/error.h"

namespace kpatch {
namespace {

using Words = std::vector<std::vector<std::string>>;

TEST(Shell, SplitsWordsAndCommands) {
  struct Case {
    const char* text;
    Words words;
  };
  for (auto& [text, words] : {
           Case{"a b", {{"a", "b"}}},
           Case{"  a\t b ;c", {{"a", "b"}, {"c"}}},
           Case{"a 'b c' \"d e\"", {{"a", "b c", "d e"}}},
           Case{R"(-DX='"y"')", {{"-DX=\"y\""}}},
           Case{R"('it'\''s;')", {{"it's;"}}},
           Case{R"("a\"b\\c\d")", {{R"(a"b\c\d)"}}},
           Case{"a && b || c | d", {{"a"}, {"b"}, {"c"}, {"d"}}},
           Case{"a \\\n  b\nc", {{"a", "b"}, {"c"}}},
           Case{"a '' b", {{"a", "", "b"}}},
           Case{"a # b ; c\nd#e", {{"a"}, {"d#e"}}},
           Case{"a > f 2>&1 ; b", {{"a", ">", "f", "2>&1"}, {"b"}}},
           Case{"", {}},
           Case{" ;; ", {}},
       })
    EXPECT_EQ(split_shell(text), words) << text;
}

TEST(Shell, RefusesAnOpenQuote) {
  EXPECT_THROW(split_shell("a 'b"), Error);
  EXPECT_THROW(split_shell("a \"b"), Error);
}

constexpr const char* printed =
    "mkdir -p fs/proc\n"
    "set -e; exec >/dev/null;   trap 'rm -f fs/proc/stat.o; kill -s HUP $$' HUP; gcc-12 -Wp,-MMD,fs/proc/.stat.o.d "
    "-D__KERNEL__ -DKBUILD_MODFILE='\"fs/proc/proc\"' -DKBUILD_MODNAME='\"proc\"' -c -o fs/proc/stat.o "
    "/src/fs/proc/stat.c "
    "  ; scripts/basic/fixdep fs/proc/.stat.o.d fs/proc/stat.o 'gcc-12 -D__KERNEL__ "
    "-DKBUILD_MODNAME='\\''\"proc\"'\\'' -c "
    "-o fs/proc/stat.o /src/fs/proc/stat.c' > fs/proc/.stat.o.cmd; rm -f fs/proc/.stat.o.d\n"
    "gcc-12 -D__KERNEL__ -DMODULE -DKBUILD_MODNAME='\"kvm\"' -c -o arch/x86/kvm/../../../virt/kvm/kvm_main.o "
    "/src/arch/x86/kvm/../../../virt/kvm/kvm_main.c\n"
    "gcc -O2 -c -o scripts/helper.o /src/scripts/helper.c\n"
    "gcc-12 -D__KERNEL__ -D__ASSEMBLY__ -c -o lib/x.o /src/lib/x.S\n"
    "gcc-12 -D__KERNEL__ -c -o lib/gen.o lib/gen.c\n";

TEST(Commands, TakesTheCompilationOfEachObject) {
  auto commands = parse_commands(printed, "/src");
  ASSERT_EQ(commands.size(), 3U);
  EXPECT_EQ(commands[0].object, "fs/proc/stat.o");
  EXPECT_EQ(commands[0].source, "fs/proc/stat.c");
  EXPECT_EQ(commands[0].module, "");
  EXPECT_EQ(commands[0].arguments.front(), "gcc-12");
  EXPECT_EQ(commands[0].arguments[4], "-DKBUILD_MODNAME=\"proc\"");
  EXPECT_EQ(commands[0].arguments.back(), "/src/fs/proc/stat.c");
  EXPECT_EQ(commands[1].object, "arch/x86/kvm/../../../virt/kvm/kvm_main.o");
  EXPECT_EQ(commands[1].source, "virt/kvm/kvm_main.c");
  EXPECT_EQ(commands[1].module, "kvm");
  EXPECT_EQ(commands[2].source, "lib/gen.c");
}

TEST(Commands, AListIsWholeWhenEachMakeGotToItsEnd) {
  EXPECT_TRUE(is_whole("kq-end\n", ""));
  EXPECT_TRUE(is_whole("gcc -c a.c\nkq-end\n", "make[2]: *** No rule to make target 'x.h'.\nmake: *** [a] Error 2\n"));
  EXPECT_FALSE(is_whole("", ""));
  EXPECT_FALSE(is_whole("gcc -c a.c\n", ""));
  EXPECT_FALSE(is_whole("gcc -c a.ckq-end\n", ""));
  for (const char* trouble : {"make: *** [net] Killed", "make: *** [net] Error 1", "make: write error: stdout",
                              "make: *** virtual memory exhausted.  Stop.", "make: *** fork: Cannot allocate memory",
                              "Makefile.build:38: Failed to remake makefile '/fs/Makefile'."})
    EXPECT_FALSE(is_whole("kq-end\n", trouble)) << trouble;
  EXPECT_TRUE(
      lacks_makefile("make[1]: *** No rule to make target '/fs/x/Makefile'.\n"
                     "/fs/Makefile:3: Failed to remake makefile '/fs/x/Makefile'.\n"));
  EXPECT_FALSE(lacks_makefile("make[2]: *** No rule to make target 'x.h'.\n"));
}

}  // namespace
}  // namespace kpatch

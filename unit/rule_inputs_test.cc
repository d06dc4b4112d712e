// Headers that scripts of the build read, and what of a Makefile makes files.
#include "kbuild/rule-inputs.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace kpatch {
namespace {

using Names = std::vector<std::string>;

Names patterns(std::string_view text) {
  Names names;
  for (const RuleInput& input : rule_inputs_of(text, "fs/smb/client", "fs/smb/client/Makefile"))
    names.push_back(input.pattern);
  return names;
}

TEST(RuleInputs, AreHeadersInFrontOfWhichASourceFolderStands) {
  EXPECT_EQ(patterns("$(obj)/n.h : $(srctree)/include/linux/socket.h \\\n\t  $(src)/../common/status.h \\\n  FORCE\n"
                     "\t$(call cmd,make-af)\n"),
            (Names{"include/linux/socket.h", "fs/smb/common/status.h"}));
  EXPECT_EQ(patterns("$(out)/x.h: $(srctree)/include/xen/interface/xen*.h\n"), Names{"include/xen/interface/xen*.h"});
  EXPECT_EQ(patterns("$(obj)/devinfo.c: include/scsi/scsi_devinfo.h\n"), Names{"include/scsi/scsi_devinfo.h"});
  EXPECT_EQ(patterns("features = $(src)/features.h\n"), Names{"fs/smb/client/features.h"});
  EXPECT_EQ(patterns("\t$(Q)sed -n p '$(srctree)/lib/a.h' > $@\n"), Names{"lib/a.h"});
}

TEST(RuleInputs, AreNotWhatTheCompilerReads) {
  EXPECT_EQ(patterns("KBUILD_CFLAGS += -include $(srctree)/include/linux/hidden.h\n"
                     "include $(src)/part.h\n"
                     "# $(src)/comment.h\n"
                     "$(obj)/a.o $(obj)/b.o: $(src)/a.h\n"
                     "$(obj)/c.h: $(obj)/made.h $(kapi)/other.h plain.h\n"
                     "$(obj)/d.h: $(srctree)/arch/$(SRCARCH)/x.h\n"),
            Names{});
}

TEST(RuleInputs, AreFoundByTheirPatterns) {
  const std::vector<RuleInput> inputs{{"a/x*.h", "a/Makefile"}, {"a/y.h", "b/Makefile"}, {"a/y.h", "c/Makefile"}};
  EXPECT_EQ(makefiles_that_read(inputs, "a/xen.h"), Names{"a/Makefile"});
  EXPECT_EQ(makefiles_that_read(inputs, "a/y.h"), (Names{"b/Makefile", "c/Makefile"}));
  EXPECT_EQ(makefiles_that_read(inputs, "a/b/xen.h"), Names{});
}

TEST(RuleInputs, AListChangesWithTheLinesOfItsNames) {
  const std::string list = "#define AF_UNIX 1 /* POSIX */\nstatic inline int f(void) { return 1; }\n";
  EXPECT_FALSE(lists_something_else(list, list));
  EXPECT_FALSE(lists_something_else(list, list + "\nstatic inline int g(int Ab) { return f(); }\n"));
  EXPECT_TRUE(lists_something_else(list, list + "#define AF_NEW 99\n"));
  EXPECT_TRUE(lists_something_else("#define STATUS_X 1 // -EIO\n", "#define STATUS_X 1 // -EAGAIN\n"));
  EXPECT_TRUE(lists_something_else("enum { SOCK_RAW = 3, };", ""));
}

TEST(RuleInputs, RecipesOfAMakefile) {
  const std::string plain = "obj-y += a.o\n";
  EXPECT_EQ(changed_recipe(plain, plain + "obj-$(CONFIG_X) += b.o\nccflags-y := -DX\n# cmd_x = y\n"), "");
  EXPECT_EQ(changed_recipe(plain, plain + "ifdef CONFIG_X\n\tobj-y += b.o\nendif\n"), "");
  EXPECT_EQ(changed_recipe(plain, plain + "$(obj)/a.o: $(obj)/names.h\n"), "");
  EXPECT_EQ(changed_recipe(plain, plain + "ifeq ($(CONFIG_X:m=y),y)\n\tobj-y += b.o\nelse ifeq ($(A:b=c),d)\n"
                                          "\tccflags-y += -DY\nendif\n"),
            "");
  const std::string rule = "$(obj)/names.h: $(src)/list\n\t$(call cmd,make)\n";
  EXPECT_EQ(changed_recipe(plain, plain + rule), "$(call cmd,make)");
  EXPECT_EQ(changed_recipe(rule, "$(obj)/names.h: $(src)/list\n\t$(call  cmd,other)\n"), "$(call cmd,other)");
  EXPECT_EQ(changed_recipe("cmd_make = sed \\\n -e a $< > $@\n", "cmd_make = sed \\\n -e b $< > $@\n"),
            "cmd_make = sed -e a $< > $@");
  EXPECT_NE(changed_recipe("define filechk_x\n\techo 1\nendef\n", "define filechk_x\n\techo 2\nendef\n"), "");
  EXPECT_EQ(changed_recipe("quiet_cmd_make = MAKE $@\n", "quiet_cmd_make = GEN $@\n"), "");
}

}  // namespace
}  // namespace kpatch

// What a touched path is to a kernel that runs, by its name; and what a Kconfig file says to a build.

#include "kbuild/file-role.h"

#include <gtest/gtest.h>

#include <string>

namespace kpatch {
namespace {

struct Case {
  const char* path;
  FileRole role;
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.path; }

const Case cases[] = {
    {"fs/proc/meminfo.c", FileRole::source},
    {"include/linux/mm.h", FileRole::header},
    {"arch/x86/include/asm/processor.h", FileRole::header},
    {"arch/x86/entry/entry_64.S", FileRole::assembly},
    {"arch/x86/kernel/vmlinux.lds.S", FileRole::assembly},
    {"fs/proc/Makefile", FileRole::makefile},
    {"arch/x86/kvm/Makefile", FileRole::makefile},
    {"arch/x86/Kbuild", FileRole::makefile},
    {"arch/x86/Makefile", FileRole::build},
    {"Makefile", FileRole::build},
    {"Kbuild", FileRole::build},
    {"scripts/Makefile.lib", FileRole::build},
    {"scripts/sorttable.c", FileRole::build},
    {"scripts/link-vmlinux.sh", FileRole::build},
    {"fs/Kconfig", FileRole::build},
    {"arch/x86/Kconfig.cpu", FileRole::build},
    // Without influence.
    {"Documentation/process/howto.rst", FileRole::idle},
    {"Documentation/x86/opcode-map.txt", FileRole::idle},
    {"MAINTAINERS", FileRole::idle},
    {"CREDITS", FileRole::idle},
    {".mailmap", FileRole::idle},
    {"fs/ext4/.kunitconfig", FileRole::idle},
    {"drivers/staging/greybus/TODO", FileRole::idle},
    {"tools/perf/builtin-top.c", FileRole::idle},
    {"tools/lib/bpf/Makefile", FileRole::idle},
    {"tools/lib/bpf/relo_core.c", FileRole::source},
    {"tools/lib/bpf/relo_core.h", FileRole::header},
    {"tools/testing/selftests/net/tls.c", FileRole::idle},
    {"samples/livepatch/livepatch-sample.c", FileRole::idle},
    {"usr/gen_init_cpio.c", FileRole::idle},
    {"scripts/checkpatch.pl", FileRole::idle},
    {"scripts/coccinelle/free/kfree.cocci", FileRole::idle},
    {"arch/x86/configs/x86_64_defconfig", FileRole::idle},
    {"kernel/configs/hardening.config", FileRole::idle},
    {"arch/arm64/Kconfig", FileRole::idle},
    {"arch/arm64/Makefile", FileRole::idle},
    {"arch/arm64/kernel/entry.S", FileRole::idle},
    {"arch/powerpc/kernel/syscalls/syscall.tbl", FileRole::idle},
    {"arch/arm/boot/dts/board.dts", FileRole::idle},
    // What others are made from.
    {"arch/x86/entry/syscalls/syscall_64.tbl", FileRole::generator},
    {"arch/x86/lib/x86-opcode-map.txt", FileRole::generator},
    {"arch/x86/include/asm/cpufeatures.h", FileRole::generator},
    {"arch/x86/kernel/cpu/mkcapflags.sh", FileRole::generator},
    {"include/linux/oid_registry.h", FileRole::generator},
    {"include/scsi/scsi_devinfo.h", FileRole::generator},
    {"include/scsi/scsi_device.h", FileRole::header},
    {"security/selinux/include/classmap.h", FileRole::generator},
    {"arch/x86/tools/gen-insn-attr-x86.awk", FileRole::generator},
    {"arch/x86/crypto/poly1305-x86_64-cryptogams.pl", FileRole::generator},
    {"crypto/asymmetric_keys/x509.asn1", FileRole::generator},
    {"drivers/tty/vt/defkeymap.c_shipped", FileRole::generator},
    {"lib/raid6/int.uc", FileRole::generator},
    {"tools/objtool/check.c", FileRole::generator},
    {"tools/bpf/resolve_btfids/main.c", FileRole::generator},
    {"drivers/gpu/drm/drm_panic_qr.rs", FileRole::generator},
    {"drivers/of/unittest-data/testcases.dts", FileRole::generator},
    // Nobody has told.
    {"drivers/net/table.inc", FileRole::unknown},
    {"sound/firmware.bin", FileRole::unknown},
};

class FileRoleTest : public testing::TestWithParam<Case> {};

TEST_P(FileRoleTest, IsToldByThePath) {
  const FileVerdict verdict = file_verdict(GetParam().path, "x86");
  EXPECT_EQ(verdict.role, GetParam().role);
  const bool explained = verdict.role == FileRole::idle || verdict.role == FileRole::generator;
  EXPECT_EQ(!verdict.why.empty(), explained);
}

INSTANTIATE_TEST_SUITE_P(Paths, FileRoleTest, testing::ValuesIn(cases));

TEST(FileRole, IsThatOfTheKernelsOwnArchitecture) {
  EXPECT_EQ(file_verdict("arch/arm64/kernel/entry.S", "arm64").role, FileRole::assembly);
  EXPECT_EQ(file_verdict("arch/x86/kernel/head64.c", "arm64").role, FileRole::idle);
  EXPECT_EQ(file_verdict("arch/x86/kernel/head64.c", "").role, FileRole::source);
}

constexpr const char* option =
    "config PROC_FS\n\tbool \"/proc file system support\"\n\tdefault y\n\thelp\n\t  This is a text.\n\n\t  Of two "
    "parts.\n"
    "\nconfig NEXT\n\tbool\n";

TEST(SameOptions, LeavesOutHelpTextsAndComments) {
  EXPECT_TRUE(same_options(option, option));
  std::string text = option;
  text.replace(text.find("a text"), 6, "another text,\n\t  longer");
  EXPECT_TRUE(same_options(option, "# A comment\n\n" + text));
}

TEST(SameOptions, SeesWhatABuildReads) {
  for (const char* change : {"default n", "select X", "depends on Y"}) {
    std::string text = option;
    text.replace(text.find("default y"), 9, change);
    EXPECT_FALSE(same_options(option, text)) << change;
  }
  EXPECT_FALSE(same_options(option, std::string{option} + "\tdefault y\n"));
  EXPECT_FALSE(same_options(option, ""));
  // Behind the help text, less indented.
  std::string behind = option;
  behind.insert(behind.find("\nconfig NEXT"), "\tdepends on Z\n");
  EXPECT_FALSE(same_options(option, behind));
}

}  // namespace
}  // namespace kpatch

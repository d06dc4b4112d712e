#include "arch/stand-ins.h"

#include <array>

namespace kpatch {
namespace {

// init/Makefile: include/generated/utsversion.h (since 6.1) and compile.h. arch/x86/boot: voffset.h, by sed of vmlinux's
// symbols; cpustr.h, by mkcpustr. inat-tables.c, by gen-insn-attr-x86.awk: declared only, so that nothing is folded.
constexpr auto of_all = std::to_array<StandIn>({
    {"generated/compile.h",
     "#define UTS_MACHINE \"x\"\n#define LINUX_COMPILE_BY \"x\"\n#define LINUX_COMPILE_HOST \"x\"\n"
     "#define LINUX_COMPILER \"x\"\n#define UTS_VERSION \"x\"\n"},
    {"generated/utsversion.h", "#define UTS_VERSION \"x\"\n"},
});
constexpr auto of_x86 = std::to_array<StandIn>({
    of_all[0],
    of_all[1],
    {"boot/voffset.h",
     "#define VO__text 0x1000\n#define VO__sinittext 0x2000\n#define VO___inittext_end 0x3000\n"
     "#define VO___start_rodata 0x4000\n#define VO___bss_start 0x5000\n#define VO__end 0x6000\n"},
    {"cpustr.h", "static const char x86_cap_strs[] = \"x\";\n"},
    {"inat-tables.c",
     "extern const insn_attr_t inat_primary_table[INAT_OPCODE_TABLE_SIZE];\n"
     "extern const insn_attr_t *inat_escape_tables[INAT_ESC_MAX + 1][INAT_LSTPFX_MAX + 1];\n"
     "extern const insn_attr_t *inat_group_tables[INAT_GRP_MAX + 1][INAT_LSTPFX_MAX + 1];\n"
     "extern const insn_attr_t *inat_avx_tables[X86_VEX_M_MAX + 1][INAT_LSTPFX_MAX + 1];\n"
     "#ifdef X86_XOP_M_MAX\n"
     "extern const insn_attr_t *inat_xop_tables[X86_XOP_M_MAX - X86_XOP_M_MIN + 1];\n"
     "#endif\n"
     "static void inat_init_tables(void) {}\n"},
});

}  // namespace

std::span<const StandIn> stand_ins(std::string_view arch) {
  if (arch == "x86") return of_x86;
  return of_all;
}

}  // namespace kpatch

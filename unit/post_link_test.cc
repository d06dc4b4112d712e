// Post-link on a small module, assembled here. Each case changes one line of it; what comes out is told as facts:
//
//   klp SECTION+OFFSET TYPE SYMBOL+ADDEND in RELA-SECTION · rela SECTION+OFFSET SYMBOL · undefined NAME · error TEXT
#include "klp/post-link.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "elf/klp-elf.h"
#include "klp/loader-facts.h"
#include "support/error.h"
#include "unit/damaged-file.h"
#include "unit/skip.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;

// A patched function of vmlinux and one of the module dummy, with a static call site as objtool leaves it.
constexpr std::string_view good = R"(
  .macro entry place, placeholder, patched, owner, name, sympos=0
  .pushsection .comment.kpatch.relocs,"",@progbits
  .quad \place, \placeholder, \patched, \owner, \name, \sympos
  .popsection
  .endm
  .section .kpatch.strings,"a",@progbits
vmlinux: .asciz "vmlinux"
dummy:   .asciz "dummy"
twin:    .asciz "twin"
count:   .asciz "count"
tramp:   .asciz "__SCT__tick"
key:     .asciz "__SCK__tick"

  .weak twin.klp.vmlinux.2, count.klp.dummy.0, __SCK__tick
  .section .text.show,"ax",@progbits
  .globl show
  .type show, @function
show:
  call printk
1: call twin.klp.vmlinux.2
2: jmp __SCT__tick
  .size show, . - show
  entry 1b+1, twin.klp.vmlinux.2, vmlinux, vmlinux, twin, 2
  entry 2b+1, __SCT__tick, vmlinux, vmlinux, tramp
  entry 0, __SCK__tick, vmlinux, vmlinux, key

  .section .text.stats,"ax",@progbits
  .type stats, @function
stats:
3: movl count.klp.dummy.0(%rip), %eax
4: call twin.klp.vmlinux.2
  .size stats, . - stats
  entry 3b+2, count.klp.dummy.0, dummy, dummy, count
  entry 4b+1, twin.klp.vmlinux.2, dummy, vmlinux, twin, 2

  .section .static_call_sites,"aw",@progbits
  .long 2b - ., __SCK__tick - . + 1
  .section .debug_info,"",@progbits
  .quad show, twin.klp.vmlinux.2
  .section __patchable_function_entries,"awo",@progbits,.text.show
  .quad stats
)";

const std::vector<std::string> good_facts = {
    "klp .static_call_sites+0x4 2 .klp.sym.vmlinux.__SCK__tick,0+1 in .klp.rela.vmlinux..static_call_sites",
    "klp .text.show+0x6 4 .klp.sym.vmlinux.twin,2-4 in .klp.rela.vmlinux..text.show",
    "klp .text.show+0xb 4 .klp.sym.vmlinux.__SCT__tick,0-4 in .klp.rela.vmlinux..text.show",
    "klp .text.stats+0x2 2 .klp.sym.dummy.count,0-4 in .klp.rela.dummy..text.stats",
    "klp .text.stats+0x7 4 .klp.sym.vmlinux.twin,2-4 in .klp.rela.vmlinux..text.stats",
    "rela .debug_info+0x0 show",
    "rela .debug_info+0x8 .klp.sym.vmlinux.twin,2",
    "rela .static_call_sites+0x0 .text.show",
    "rela .text.show+0x1 printk",
    "rela __patchable_function_entries+0x0 .text.stats",
    "undefined printk",
};

struct Case {
  const char* name;
  const char* from;   // this text of `good` …
  std::string to;     // … becomes this
  std::string error;  // part of the message; empty when it must work
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

class PostLinkTest : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
#ifndef __x86_64__
    SKIP_MACHINE("assembles x86-64 objects with the host's assembler");
#endif
    std::string name = (fs::temp_directory_path() / "post-link-XXXXXX").string();
    directory_ = mkdtemp(name.data());
  }
  void TearDown() override {
    std::error_code ignored;
    fs::remove_all(directory_, ignored);
  }

  fs::path assemble(const std::string& text) const {
    std::ofstream(directory_ / "a.s") << text << "\n  .section .note.GNU-stack,\"\",@progbits\n";
    std::string command = "cd '" + directory_.string() + "' && as -o a.o a.s";
    EXPECT_EQ(std::system(command.c_str()), 0);
    return directory_ / "a.o";
  }

  static std::string changed(std::string_view from, std::string_view to) {
    std::string text(good);
    size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
  }

  static std::string label(const KlpElf& elf, uint32_t index) {
    const KlpSymbol& symbol = elf.symbols[index];
    return symbol.type() == STT_SECTION ? elf.sections[symbol.entry.st_shndx].name : symbol.name;
  }

  static std::vector<std::string> facts(const KlpElf& elf) {
    std::vector<std::string> lines;
    for (const KlpSection& section : elf.sections) {
      if (section.header.sh_type == SHT_RELA) {
        EXPECT_FALSE(section.relocations.empty()) << section.name;
        EXPECT_EQ(section.header.sh_link, elf.symtab);
      }
      bool klp = (section.header.sh_flags & shf_rela_livepatch) != 0;
      if (klp) {
        EXPECT_EQ(section.header.sh_flags, SHF_ALLOC | SHF_INFO_LINK | shf_rela_livepatch);
      }
      for (const KlpRelocation& r : section.relocations) {
        std::string place = elf.describe({section.header.sh_info, r.offset});
        if (klp)
          lines.push_back(
              fmt::format("klp {} {} {}{:+} in {}", place, r.type, label(elf, r.symbol), r.addend, section.name));
        else
          lines.push_back(fmt::format("rela {} {}", place, label(elf, r.symbol)));
      }
    }
    for (const KlpSymbol& symbol : elf.symbols)
      if (symbol.entry.st_shndx == SHN_UNDEF && !symbol.name.empty()) lines.push_back("undefined " + symbol.name);
    std::sort(lines.begin(), lines.end());
    return lines;
  }

  // The message, or nothing when it worked.
  static std::string run(const fs::path& in, const fs::path& out) {
    try {
      post_link(in, out);
    } catch (const Error& problem) {
      return problem.what();
    }
    return "";
  }

  static std::string read(const fs::path& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  fs::path directory_;
};

using PostLink = PostLinkTest;

TEST_P(PostLinkTest, OneChange) {
  const Case& c = GetParam();
  fs::path in = assemble(changed(c.from, c.to));
  std::string message = run(in, directory_ / "out.ko");
  if (c.error.empty()) {
    EXPECT_EQ(message, "");
    return;
  }
  EXPECT_NE(message.find(c.error), std::string::npos) << "expected: " << c.error << "\n     got: " << message;
  EXPECT_FALSE(fs::exists(directory_ / "out.ko"));
}

INSTANTIATE_TEST_SUITE_P(
    Rules, PostLinkTest,
    testing::Values(
        Case{"place_without_relocation", "entry 1b+1,", "entry 1b+3,",
             ".text.show+0x8: klp relocation against twin of vmlinux: no relocation is there"},
        Case{"place_with_two_relocations", "2: jmp", ".reloc 1b+1, R_X86_64_PC32, twin.klp.vmlinux.2\n2: jmp",
             ".text.show+0x6: klp relocation against twin of vmlinux: several relocations are there"},
        Case{"place_of_another_symbol", "entry 1b+1, twin.klp.vmlinux.2", "entry 1b+1, count.klp.dummy.0",
             "refers to 'twin.klp.vmlinux.2', not to the placeholder 'count.klp.dummy.0'"},
        Case{"place_twice", "entry 0,", "entry 1b+1, twin.klp.vmlinux.2, vmlinux, vmlinux, twin, 2\nentry 0,",
             ".text.show+0x6: klp relocation against twin of vmlinux: the side table has the place twice"},
        Case{"place_in_no_section", "entry 1b+1,", "entry printk,", "the place of twin is in no section"},
        Case{"defined_placeholder", ".weak twin.klp.vmlinux.2,", ".globl twin.klp.vmlinux.2\ntwin.klp.vmlinux.2: .weak",
             "its placeholder 'twin.klp.vmlinux.2' is no undefined symbol"},
        Case{"name_is_no_string", "vmlinux, vmlinux, twin, 2\n  entry 2b", "vmlinux, vmlinux, printk, 2\n  entry 2b",
             "points at no string"},
        Case{"missing_field", "entry 0, __SCK__tick, vmlinux,", "entry 0, __SCK__tick, 0,", "an entry lacks a reloc"},
        Case{"sympos_with_relocation", "vmlinux, vmlinux, key", "vmlinux, vmlinux, key, printk",
             "sympos has a relocation"},
        Case{"half_an_entry", "entry 0,", ".pushsection .comment.kpatch.relocs\n.quad 0\n.popsection\nentry 0,",
             "are no whole number of entries"},
        Case{"owner_with_dash", "dummy:   .asciz \"dummy\"", "dummy:   .asciz \"snd-dummy\"",
             "'snd-dummy' is no object"},
        Case{"long_object_name", "\"dummy\"", "\"" + std::string(56, 'd') + "\"", "is longer than 55 characters"},
        Case{"longest_object_name", "\"dummy\"", "\"" + std::string(55, 'd') + "\"", ""},
        Case{"long_name", "\"twin\"", "\"" + std::string(512, 't') + "\"", "the name is longer than 511 characters"},
        Case{"longest_name", "\"twin\"", "\"" + std::string(511, 't') + "\"", ""},
        Case{"name_with_comma", "\"twin\"", "\"tw,in\"", "up to the comma"},
        // The same placeholder for two meanings: fine where each place is in the table, not for objtool's tables.
        Case{"two_meanings_in_the_table", "dummy, vmlinux, twin, 2", "dummy, vmlinux, twin, 1", ""},
        Case{"two_meanings_outside", "entry 0,", "entry 0, __SCK__tick, vmlinux, vmlinux, key, 1\nentry 0,",
             ".static_call_sites+0x4: klp relocation against __SCK__tick of vmlinux: not in the side table, whose "
             "entries for '__SCK__tick' differ"},
        // Tables that the kernel has read before the relocations of a module's section come.
        Case{"late_static_call", "entry 0, __SCK__tick, vmlinux, vmlinux,", "entry 0, __SCK__tick, dummy, dummy,",
             ".static_call_sites+0x4: klp relocation against __SCK__tick of dummy: the kernel reads .static_call_sites "
             "before it applies relocations of module dummy"},
        Case{"late_alternative", ".text.stats,\"ax\"", ".altinstr_replacement,\"ax\"",
             "the kernel reads .altinstr_repl"},
        Case{"late_jump_table", ".text.stats,\"ax\"", "__jump_table,\"ax\"", "the kernel reads __jump_table"},
        Case{"late_paravirt", ".text.stats,\"ax\"", ".parainstructions,\"ax\"", "the kernel reads .parainstructions"},
        Case{"late_exception_table", ".text.stats,\"ax\"", "__ex_table,\"ax\"", "the kernel reads __ex_table"},
        Case{"late_init", ".text.stats,\"ax\"", ".init.text,\"ax\"", "the kernel reads .init.text"},
        Case{"late_elsewhere", ".text.stats,\"ax\"", ".rodata.ops,\"a\"", ""},
        Case{"relocation_unknown_to_the_kernel", "3: movl count.klp.dummy.0(%rip), %eax",
             "3: movl count.klp.dummy.0@GOTPCREL(%rip), %eax", "the kernel applies no relocation of type 41"},
        Case{"beyond_the_section", "stats:\n", "stats:\n .reloc stats+10, R_X86_64_32, twin.klp.vmlinux.2\n",
             ".text.stats+0xa: klp relocation against twin of vmlinux: it reaches beyond its section"}),
    [](const auto& info) { return std::string(info.param.name); });

TEST_F(PostLink, MovesWhatTheTableNames) {
  fs::path in = assemble(std::string(good));
  ASSERT_EQ(run(in, directory_ / "out.ko"), "");
  KlpElf elf = KlpElf::read(directory_ / "out.ko");
  EXPECT_EQ(facts(elf), good_facts);
  EXPECT_FALSE(elf.find_section(".comment.kpatch.relocs"));
  EXPECT_FALSE(elf.find_section(".rela.comment.kpatch.relocs"));
  EXPECT_TRUE(elf.find_section(".kpatch.strings"));
  // Every symbol but placeholders and the table's section symbol is there, where it was.
  KlpElf before = KlpElf::read(in);
  for (const KlpSymbol& symbol : before.symbols) {
    if (symbol.entry.st_shndx == SHN_UNDEF || symbol.type() == STT_SECTION) continue;
    auto same =
        std::find_if(elf.symbols.begin(), elf.symbols.end(), [&](const auto& s) { return s.name == symbol.name; });
    ASSERT_NE(same, elf.symbols.end()) << symbol.name;
    EXPECT_EQ(same->entry.st_value, symbol.entry.st_value);
    EXPECT_EQ(elf.sections[same->entry.st_shndx].name, before.sections[symbol.entry.st_shndx].name);
  }
  for (const KlpSymbol& symbol : elf.symbols) {
    if (!symbol.name.starts_with(".klp.sym.")) continue;
    EXPECT_EQ(symbol.entry.st_shndx, shn_livepatch);
    EXPECT_EQ(symbol.entry.st_info, GELF_ST_INFO(STB_GLOBAL, STT_NOTYPE));
  }
  // Contents and headers of what stays, and what is stored by index.
  for (const KlpSection& section : before.sections) {
    if (section.header.sh_type != SHT_PROGBITS || section.name == ".comment.kpatch.relocs") continue;
    const KlpSection& after = elf.sections[*elf.find_section(section.name)];
    EXPECT_EQ(after.bytes, section.bytes) << section.name;
    EXPECT_EQ(after.header.sh_flags, section.header.sh_flags);
    EXPECT_EQ(after.header.sh_addralign, section.header.sh_addralign);
    EXPECT_EQ(after.header.sh_offset % std::max<uint64_t>(after.header.sh_addralign, 1), 0U);
  }
  const KlpSection& entries = elf.sections[*elf.find_section("__patchable_function_entries")];
  EXPECT_EQ(elf.sections[entries.header.sh_link].name, ".text.show");
}

TEST_F(PostLink, IsDeterministicAndWorksInPlace) {
  fs::path in = assemble(std::string(good));
  ASSERT_EQ(run(in, directory_ / "one.ko"), "");
  ASSERT_EQ(run(in, directory_ / "two.ko"), "");
  ASSERT_EQ(run(in, in), "");
  EXPECT_EQ(read(directory_ / "one.ko"), read(directory_ / "two.ko"));
  EXPECT_EQ(read(directory_ / "one.ko"), read(in));
  // Nothing is left to do.
  ASSERT_EQ(run(in, directory_ / "three.ko"), "");
  EXPECT_EQ(read(in), read(directory_ / "three.ko"));
}

TEST_F(PostLink, ZeroesTheField) {
  fs::path in = assemble(changed("1: call twin.klp.vmlinux.2",
                                 "1: .byte 0xe8\n .long 0x1234\n .reloc 1b+1, R_X86_64_PLT32, twin.klp.vmlinux.2-4"));
  ASSERT_EQ(run(in, in), "");
  KlpElf elf = KlpElf::read(in);
  EXPECT_EQ(facts(elf), good_facts);
  EXPECT_EQ(elf.u32_at(elf.sections[*elf.find_section(".text.show")], 6), 0U);
}

TEST_F(PostLink, KeepsSectionGroups) {
  fs::path in =
      assemble(changed(".section .debug_info,\"\",@progbits", ".section .debug_info,\"G\",@progbits,grouped"));
  ASSERT_EQ(run(in, in), "");
  KlpElf elf = KlpElf::read(in);
  const KlpSection& group = elf.sections[*elf.find_section(".group")];
  EXPECT_EQ(elf.symbols[group.header.sh_info].name, "grouped");
  EXPECT_EQ(elf.sections[elf.u32_at(group, 4)].name, ".debug_info");
  EXPECT_EQ(elf.sections[elf.u32_at(group, 8)].name, ".rela.debug_info");
}

TEST_F(PostLink, TakesTheOtherByteOrder) {
  KlpElf elf = KlpElf::read(assemble(std::string(good)));
  elf.header.e_ident[EI_DATA] = ELFDATA2MSB;
  elf.header.e_machine = EM_S390;
  std::vector<std::byte>& table = elf.sections[*elf.find_section(".comment.kpatch.relocs")].bytes;
  for (size_t i = 0; i < table.size(); i += 8) std::reverse(table.begin() + long(i), table.begin() + long(i) + 8);
  elf.write(directory_ / "big.o");
  ASSERT_EQ(run(directory_ / "big.o", directory_ / "out.ko"), "");
  KlpElf out = KlpElf::read(directory_ / "out.ko");
  EXPECT_TRUE(out.big_endian());
  EXPECT_EQ(facts(out), good_facts);
}

TEST_F(PostLink, RefusesSenselessAlignments) {
  fs::path in = assemble(std::string(good));
  for (uint64_t alignment : {uint64_t{3}, uint64_t{1} << 40}) {
    std::string bytes = read(in);
    uint64_t headers = KlpElf::read(in).header.e_shoff;
    bytes.replace(headers + sizeof(Elf64_Shdr) + offsetof(Elf64_Shdr, sh_addralign), sizeof alignment,
                  reinterpret_cast<const char*>(&alignment), sizeof alignment);
    std::ofstream(directory_ / "odd.o", std::ios::binary) << bytes;
    EXPECT_NE(run(directory_ / "odd.o", in).find("has alignment 0x"), std::string::npos);
  }
}

// Its other fields mean nothing; a file of that size must not be written.
TEST_F(PostLink, InactiveSectionHasNoSize) {
  fs::path in = assemble(std::string(good));
  std::string bytes = read(in);
  Elf64_Shdr header{};
  header.sh_size = uint64_t{1} << 32;
  bytes.replace(KlpElf::read(in).header.e_shoff + sizeof header, sizeof header, reinterpret_cast<const char*>(&header),
                sizeof header);
  std::ofstream(directory_ / "inactive.o", std::ios::binary) << bytes;
  KlpElf::read(directory_ / "inactive.o").write(directory_ / "out.o");
  EXPECT_LT(fs::file_size(directory_ / "out.o"), 2 * bytes.size());
}

TEST_F(PostLink, RefusesSignedModules) {
  fs::path in = assemble(std::string(good));
  std::ofstream(in, std::ios::binary | std::ios::app) << "signature~Module signature appended~\n";
  EXPECT_NE(run(in, in).find("signed already"), std::string::npos);
}

TEST_F(PostLink, RefusesOtherFiles) {
  fs::path file = directory_ / "x";
  EXPECT_NE(run(file, file).find("/x'"), std::string::npos);
  std::ofstream(file) << "#!/bin/sh\n";
  EXPECT_NE(run(file, file).find("not an ELF file"), std::string::npos);
  EXPECT_NE(run("/proc/self/exe", file).find("not a relocatable file"), std::string::npos);
  fs::path in = assemble(std::string(good));
  std::string strip = "cd '" + directory_.string() + "' && objcopy --strip-all -R .group a.o b.o";
  ASSERT_EQ(std::system(strip.c_str()), 0);
  EXPECT_NE(run(directory_ / "b.o", file).find("no symbol table"), std::string::npos);
  EXPECT_NE(run(in, directory_ / "no" / "such" / "folder").find("can't write"), std::string::npos);
}

TEST_F(PostLink, SurvivesEveryTruncation) {
  DamagedFile cut(directory_ / "cut.o", read(assemble(std::string(good))));
  size_t refused = 0;
  const size_t cases = cut.each_beginning([&](size_t) { refused += run(cut.path(), directory_ / "out.ko") != ""; });
  EXPECT_EQ(refused, cases);
  EXPECT_GT(cases, 1500u);
}

}  // namespace
}  // namespace kpatch

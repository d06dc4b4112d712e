// The lookup library on small files that are assembled here, and damaged in every way that cutting can.
#include <archive.h>
#include <fcntl.h>
#include <gelf.h>
#include <gtest/gtest.h>
#include <libelf.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "lookup/binary.h"
#include "support/error.h"
#include "unit/damaged-file.h"
#include "unit/packer.h"
#include "unit/skip.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;

class LookupTest : public testing::Test {
 protected:
  LookupTest() {
    std::string name = (fs::temp_directory_path() / "lookup-XXXXXX").string();
    directory_ = mkdtemp(name.data());
  }
  ~LookupTest() override { fs::remove_all(directory_); }

  std::string path(const std::string& name) const { return (directory_ / name).string(); }

  std::string write(const std::string& name, const std::string& bytes) const {
    std::ofstream(path(name), std::ios::binary) << bytes;
    return path(name);
  }
  static std::string read(const std::string& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void run(const std::string& command) const {
    ASSERT_EQ(std::system(("cd '" + directory_.string() + "' && " + command).c_str()), 0) << command;
  }
  std::string assemble(const std::string& text, const std::string& flags = "--64") const {
    write("a.s", text);
    run("as " + flags + " -o a.o a.s");
    return path("a.o");
  }
  std::string link(const std::string& text, const std::string& flags = "") const {
    assemble(text);
    run("ld -o vmlinux -e 0 --build-id=0x0123abcd -Ttext=0xffffffff81000000 " + flags + " a.o 2>ld.log");
    return path("vmlinux");
  }
  static std::string message(const std::string& file) {
    try {
      Binary::open(file);
    } catch (const Error& problem) {
      return problem.what();
    }
    return "no error";
  }
  // "value:sympos" of each symbol of that name, in the kernel's order.
  static std::string ranks(const Binary& parent, std::string_view name) {
    std::string result;
    for (uint32_t symbol : parent.named(name))
      result +=
          fmt::format("{}{:x}:{}", result.empty() ? "" : " ", parent.symbols()[symbol].value, parent.sympos(symbol));
    return result;
  }
  static const BinarySymbol& symbol(const Binary& parent, std::string_view name) {
    std::span<const uint32_t> found = parent.named(name);
    EXPECT_EQ(found.size(), 1u) << name;
    return parent.symbols()[found.empty() ? 0 : found[0]];
  }

  fs::path directory_;
};

// An object as the compiler makes it: two files' locals, a global, an ftrace site behind an ENDBR.
const char* const object_source = R"(
        .file "first.c"
        .text
        .type show, @function
pad:    .skip 16, 0x90
show:   endbr64
1:      call __fentry__
        ret
        .size show, . - show
        .globl whole
        .type whole, @function
whole:  endbr64
2:      call __fentry__
        ret
        .size whole, . - whole
        .type quiet, @function
quiet:  ret
        .size quiet, . - quiet
        .section __mcount_loc, "a"
        .quad 1b, 2b
        .section __patchable_function_entries, "awo", @progbits, .text
        .quad pad, quiet
        .section .ibt_endbr_seal, "a"
        .long show - .
        .data
        .type bytes, @object
bytes:  .byte 1, 2, 3, 4
        .size bytes, 4
        .bss
        .type zeros, @object
zeros:  .skip 8
        .size zeros, 8
)";

TEST_F(LookupTest, ReadsAnObject) {
  Binary parent = Binary::open(assemble(object_source));
  EXPECT_TRUE(parent.relocatable());
  EXPECT_EQ(parent.machine(), EM_X86_64);
  ASSERT_EQ(parent.files().size(), 1u);
  EXPECT_EQ(parent.files()[0].name, "first.c");

  const BinarySymbol& show = symbol(parent, "show");
  EXPECT_EQ(show.value, 16u);
  EXPECT_EQ(show.size, 10u);
  EXPECT_EQ(show.type, SymbolType::function);
  EXPECT_EQ(show.binding, SymbolBinding::local);
  EXPECT_EQ(show.file, 0u);
  EXPECT_TRUE(show.has_ftrace_site);
  EXPECT_TRUE(show.has_landing_pad);
  EXPECT_TRUE(show.landing_pad_sealed);
  EXPECT_EQ(parent.section_name(show.section), ".text");

  const BinarySymbol& whole = symbol(parent, "whole");
  EXPECT_EQ(whole.binding, SymbolBinding::global);
  EXPECT_EQ(whole.file, BinarySymbol::no_file);
  EXPECT_TRUE(whole.has_ftrace_site);
  EXPECT_TRUE(whole.has_landing_pad);
  EXPECT_FALSE(whole.landing_pad_sealed);

  // The compiler's padding is listed in __patchable_function_entries, of notrace functions too.
  EXPECT_FALSE(symbol(parent, "quiet").has_ftrace_site);
  EXPECT_FALSE(symbol(parent, "quiet").has_landing_pad);

  std::span<const std::byte> bytes = parent.contents(symbol(parent, "bytes"));
  ASSERT_EQ(bytes.size(), 4u);
  EXPECT_EQ(bytes[3], std::byte{4});
  EXPECT_TRUE(parent.contents(symbol(parent, "zeros")).empty());

  std::vector<BinaryRelocation> calls = parent.relocations(show.section);
  ASSERT_EQ(calls.size(), 2u);
  EXPECT_EQ(calls[0].offset, 21u);
  EXPECT_EQ(parent.symbols()[calls[1].symbol].name, "__fentry__");
  EXPECT_EQ(calls[1].addend, -4);
  EXPECT_EQ(parent.sections()[show.section].size, 16u + 10u + 10u + 1u);
  EXPECT_TRUE(parent.relocations(0).empty());

  EXPECT_TRUE(parent.named("__fentry__").empty()) << "undefined";
  EXPECT_TRUE(parent.named("first.c").empty()) << "a FILE symbol";
  EXPECT_TRUE(parent.named(".text").empty()) << "a SECTION symbol";
  EXPECT_TRUE(parent.named("").empty());
  EXPECT_EQ(parent.section_name(60000), "");
}

TEST_F(LookupTest, AnSiteThatIsTheNextFunctionsDoesNotCount) {
  Binary parent = Binary::open(assemble(R"(
        .type tiny, @function
tiny:   nop; nop; nop; ret
        .size tiny, 4
        .type next, @function
next:   call __fentry__
        .size next, 5
        .section __mcount_loc, "a"
        .quad next
)"));
  EXPECT_FALSE(symbol(parent, "tiny").has_ftrace_site);
  EXPECT_TRUE(symbol(parent, "next").has_ftrace_site);
}

TEST_F(LookupTest, CountsInSymbolTableOrderInAModule) {
  write("one.s", ".file \"one.c\"\n.text\n.skip 32\n.type show,@function\nshow: ret\n.size show,1\n");
  write("two.s",
        ".file \"two.c\"\n.section .init.text,\"ax\"\n.type show,@function\nshow: ret\n.size show,1\n"
        ".type once,@function\nonce: ret\n");
  write("three.s", ".text\n.skip 2\n.globl show\n.type show,@function\nshow: ret\n");
  run("as -o one.o one.s && as -o two.o two.s && as -o three.o three.s && ld -r -o m.ko one.o two.o three.o");
  Binary parent = Binary::open(path("m.ko"));
  ASSERT_EQ(parent.named("show").size(), 3u);
  EXPECT_EQ(ranks(parent, "show").substr(0, 9), "20:1 0:2 ");
  EXPECT_EQ(ranks(parent, "once"), "1:0");
  std::vector<std::string> files;
  for (const FileGroup& file : parent.files())
    for (uint32_t i = file.first; i < file.first + file.count; ++i)
      if (parent.symbols()[i].type == SymbolType::function)
        files.push_back(fmt::format("{} {}", file.name, parent.symbols()[i].name));
  EXPECT_EQ(files, (std::vector<std::string>{"one.c show", "two.c show", "two.c once"}));
}

const char* const vmlinux_source = R"(
        .file "one.c"
        .set twice, 0x55                # absolute: kallsyms leaves it out
        .section z_text, "ax"
        .type show, @function
show:   endbr64; nop; ret
        .size show, . - show
        .file "two.c"
        .text
        .globl _text, _stext
_text:
_stext:
        .type twice, @function
twice:  ret
        .globl show_all
        .type show_all, @function
show_all: nop; nop; nop; ret
        .size show_all, 4
        .globl jump_label_init_ro
jump_label_init_ro: ret
.Lkept: ret
        .section percpu, "aw"
        .globl at_zero
        .type at_zero, @object
at_zero: .quad 0
        .section .ibt_endbr_seal, "a"
        .long 0
        .long show - .
        .data
        .globl linux_banner, __start_mcount_loc, __stop_mcount_loc
        .type linux_banner, @object
linux_banner: .asciz "Linux version 6.12.0-test (x) #1\n"
        .size linux_banner, . - linux_banner
        .balign 8
__start_mcount_loc: .quad 0, show_all
__stop_mcount_loc:
        .globl __start_ro_after_init, __end_ro_after_init
before: .byte 0
__start_ro_after_init:
sealed: .byte 0
__end_ro_after_init:
behind: .byte 0
        .globl __crc_show
        .set __crc_show, before
)";

TEST_F(LookupTest, ReadsVmlinux) {
  std::string source = vmlinux_source;
  Binary parent =
      Binary::open(link(source,
                        "--section-start=z_text=0xffffffff82000000 --section-start=percpu=0 "
                        "--section-start=.ibt_endbr_seal=0xffffffff83000000 --section-start=.data=0xffffffff84000000"));
  EXPECT_FALSE(parent.relocatable());
  EXPECT_EQ(parent.banner(), "Linux version 6.12.0-test (x) #1");
  EXPECT_EQ(parent.build_id(), "0123abcd");
  EXPECT_EQ(parent.producer(), "");
  EXPECT_TRUE(parent.units().empty());

  EXPECT_TRUE(symbol(parent, "show_all").has_ftrace_site);
  EXPECT_FALSE(symbol(parent, "twice").has_ftrace_site);
  EXPECT_TRUE(symbol(parent, "show").landing_pad_sealed);
  EXPECT_EQ(ranks(parent, "at_zero"), "0:0");

  EXPECT_TRUE(parent.in_ro_after_init(symbol(parent, "sealed")));
  EXPECT_FALSE(parent.in_ro_after_init(symbol(parent, "before")));
  EXPECT_FALSE(parent.in_ro_after_init(symbol(parent, "behind")));
  EXPECT_TRUE(parent.seals_ro_after_init_keys());
  EXPECT_FALSE(Binary::open(path("a.o")).seals_ro_after_init_keys() &&
               Binary::open(path("a.o")).in_ro_after_init(BinarySymbol{}));
}

TEST_F(LookupTest, CountsByAddressInVmlinux) {
  // The symbol table has them in the order of the files: high, absolute, low, global at zero.
  write("one.s", ".file \"one.c\"\n.section z_text,\"ax\"\n.type show,@function\nshow: ret\n");
  write("two.s", ".file \"two.c\"\n.set show, 0x1234\n");
  write("three.s", ".file \"three.c\"\n.text\n.globl _text\n_text: nop\n.type show,@function\nshow: ret\n");
  write("four.s", ".section percpu,\"aw\"\n.globl show\n.type show,@object\nshow: .quad 0\n");
  write("five.s", ".file \"five.c\"\n.section .notes.here\nshow: .quad 0\n");  // not allocated
  run("for f in one two three four five; do as -o $f.o $f.s || exit 1; done; ld -o vmlinux -e 0 "
      "-Ttext=0xffffffff81000000 --section-start=z_text=0xffffffff82000000 --section-start=percpu=0 "
      "one.o two.o three.o four.o five.o 2>ld.log");
  Binary parent = Binary::open(path("vmlinux"));
  EXPECT_EQ(ranks(parent, "show"), "0:1 ffffffff81000001:2 ffffffff82000000:3");
  for (uint32_t i = 0; i < parent.symbols().size(); ++i) {
    if (parent.symbols()[i].name == "show" && parent.symbols()[i].section == reserved_section(SHN_ABS)) {
      EXPECT_THROW(parent.sympos(i), Error);
    }
  }
}

TEST_F(LookupTest, LeavesOutWhatKallsymsLeavesOut) {
  std::string dropped, kept;
  for (const char* name : {"__crc_f", "__kstrtab_f", "__kstrtabns_f", "__efistub_f", "__kcfi_typeid_f", "f_veneer",
                           "__AArch64ADRPThunk_f", "f.long_branch.g", "$x", "__pi_$x", "L0"})
    dropped += fmt::format(".globl \"{0}\"\n\"{0}\": nop\n", name);
  for (const char* name : {"__pfx_f", "__cfi_f", "f_veneer_g", "Thunk_f", "__x86_Thunk", "__a_Thunk_b"})
    kept += fmt::format(".globl \"{0}\"\n\"{0}\": nop\n", name);
  Binary parent = Binary::open(link(dropped + kept));
  size_t counted = 0;
  for (const BinarySymbol& each : parent.symbols()) counted += each.defined() && !parent.named(each.name).empty();
  EXPECT_TRUE(parent.named("__crc_f").empty());
  EXPECT_TRUE(parent.named("$x").empty());
  EXPECT_TRUE(parent.named("__AArch64ADRPThunk_f").empty());
  EXPECT_TRUE(parent.named("f.long_branch.g").empty());
  EXPECT_EQ(parent.named("__pfx_f").size(), 1u);
  EXPECT_EQ(parent.named("__a_Thunk_b").size(), 1u);
  // Besides the six kept ones ld's own bounds (_end, _edata, __bss_start), which are in no section or in one of bytes.
  EXPECT_LE(counted, 6u + 3u);
  EXPECT_GE(counted, 6u);
}

TEST_F(LookupTest, ReadsOddSymbolTypesAndLongNames) {
  std::string name(3000, 'n');
  Binary parent = Binary::open(assemble(
      ".type chosen, @gnu_indirect_function\nchosen: ret\n.comm shared, 8\n.section .tdata,\"awT\"\n.globl each\n"
      ".type each, @tls_object\neach: .long 0\n.text\n.globl " +
      name + "\n" + name + ": ret\n.weak soft\nsoft: ret\n"));
  EXPECT_EQ(symbol(parent, "chosen").type, SymbolType::ifunc);
  EXPECT_EQ(symbol(parent, "each").type, SymbolType::tls);
  EXPECT_EQ(symbol(parent, "soft").binding, SymbolBinding::weak);
  EXPECT_EQ(symbol(parent, "shared").section, reserved_section(SHN_COMMON));
  EXPECT_EQ(parent.named(name).size(), 1u);
  EXPECT_TRUE(parent.named(name.substr(1)).empty());
}

TEST_F(LookupTest, ReadsMoreThan65280Sections) {
  std::string text;
  for (int i = 0; i < 65400; ++i) text += fmt::format(".section .text.s{0},\"ax\"\nf{0}: ret\n", i);
  Binary parent = Binary::open(assemble(text));
  EXPECT_EQ(parent.section_name(symbol(parent, "f3").section), ".text.s3");
  EXPECT_EQ(parent.section_name(symbol(parent, "f65399").section), ".text.s65399");
  EXPECT_GT(symbol(parent, "f65399").section, 65300u);
}

// A big-endian object (s390): one function, its site in __patchable_function_entries, by RELA.
std::string big_endian_object(const std::string& file) {
  elf_version(EV_CURRENT);
  int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_TRUNC, 0644);
  Elf* elf = elf_begin(fd, ELF_C_WRITE, nullptr);
  gelf_newehdr(elf, ELFCLASS64);
  GElf_Ehdr header;
  gelf_getehdr(elf, &header);
  header.e_ident[EI_DATA] = ELFDATA2MSB;
  header.e_type = ET_REL;
  header.e_machine = EM_S390;
  header.e_version = EV_CURRENT;
  header.e_shstrndx = 4;
  gelf_update_ehdr(elf, &header);
  static char names[] = "\0.text\0.symtab\0.strtab\0__mcount_loc\0.rela\0show";
  static char code[16];
  static Elf64_Sym symbols[2];
  symbols[1] = {42, GELF_ST_INFO(STB_GLOBAL, STT_FUNC), 0, 1, 8, 8};
  static Elf64_Rela relocation = {0, GELF_R_INFO(1, R_390_64), 0};
  struct Part {
    uint32_t name, type;
    uint64_t flags;
    void* bytes;
    size_t size;
    Elf_Type kind;
    uint32_t link, info, entry;
  } parts[] = {
      {1, SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, code, sizeof code, ELF_T_BYTE, 0, 0, 0},
      {23, SHT_PROGBITS, SHF_ALLOC, code, 8, ELF_T_BYTE, 0, 0, 0},
      {7, SHT_SYMTAB, 0, symbols, sizeof symbols, ELF_T_SYM, 4, 1, sizeof(Elf64_Sym)},
      {15, SHT_STRTAB, 0, names, sizeof names, ELF_T_BYTE, 0, 0, 0},
      {36, SHT_RELA, 0, &relocation, sizeof relocation, ELF_T_RELA, 3, 2, sizeof(Elf64_Rela)},
  };
  for (const Part& part : parts) {
    Elf_Scn* scn = elf_newscn(elf);
    Elf_Data* data = elf_newdata(scn);
    data->d_buf = part.bytes;
    data->d_size = part.size;
    data->d_type = part.kind;
    data->d_align = 8;
    data->d_version = EV_CURRENT;
    GElf_Shdr section;
    gelf_getshdr(scn, &section);
    section.sh_name = part.name;
    section.sh_type = part.type;
    section.sh_flags = part.flags;
    section.sh_link = part.link;
    section.sh_info = part.info;
    section.sh_entsize = part.entry;
    gelf_update_shdr(scn, &section);
  }
  EXPECT_GT(elf_update(elf, ELF_C_WRITE), 0);
  elf_end(elf);
  ::close(fd);
  return file;
}

TEST_F(LookupTest, ReadsTheOtherByteOrder) {
  Binary parent = Binary::open(big_endian_object(path("s390.o")));
  EXPECT_EQ(parent.machine(), EM_S390);
  const BinarySymbol& show = symbol(parent, "show");
  EXPECT_EQ(show.value, 8u);
  EXPECT_EQ(show.size, 8u);
  EXPECT_EQ(parent.section_name(show.section), ".text");
  EXPECT_TRUE(show.has_ftrace_site);
  EXPECT_FALSE(show.has_landing_pad);
}

// As make modules_install packs them (kernel: scripts/Makefile.modinst); what a file is called decides nothing.
TEST_F(LookupTest, ReadsCompressedModules) {
  const std::string plain = read(assemble(object_source));
  for (auto filter : {archive_write_add_filter_xz, archive_write_add_filter_gzip, archive_write_add_filter_zstd}) {
    const std::string bytes = packed(plain, filter);
    EXPECT_TRUE(symbol(Binary::open(write("m.ko.xz", bytes)), "show").landing_pad_sealed);
    EXPECT_TRUE(symbol(Binary::open(write("m.ko.zst", bytes)), "show").landing_pad_sealed);
    EXPECT_TRUE(
        message(write("cut.ko", bytes.substr(0, bytes.size() - 9))).starts_with("can't unpack " + path("cut.ko")));
    EXPECT_TRUE(message(write("none.ko", packed("", filter))).starts_with("can't unpack " + path("none.ko")));
  }
}

TEST_F(LookupTest, NamesWhatItCannotRead) {
  EXPECT_EQ(message(path("none")), "cannot open '" + path("none") + "': No such file or directory");
  EXPECT_EQ(message(directory_.string()), "cannot read '" + directory_.string() + "': Is a directory");
  EXPECT_EQ(message(write("empty", "")), "'" + path("empty") + "' is empty");
  EXPECT_NE(message(write("text", "hello\n")).find("neither an ELF file"), std::string::npos);
  EXPECT_EQ(message(assemble("f: ret\n", "--32")), "'" + path("a.o") + "': 32-bit ELF files are not supported");
  assemble(object_source);
  run("objcopy --strip-all -R __mcount_loc -R __patchable_function_entries -R .ibt_endbr_seal a.o stripped.o 2>log; "
      "ld -s -e 0 -o stripped stripped.o 2>>log || ld -s -e 0 --unresolved-symbols=ignore-all -o stripped a.o 2>>log");
  EXPECT_NE(message(path("stripped")).find("no symbol table"), std::string::npos) << message(path("stripped"));
}

const char* const text_header = R"(
Symbol table '.dynsym' contains 1 entries:
   Num:    Value          Size Type    Bind   Vis      Ndx Name
     0: 0000000000000000     0 NOTYPE  LOCAL  DEFAULT  UND 

)";

TEST_F(LookupTest, ReadsReadelfText) {
  std::string name(5000, 'n');
  std::string text = std::string(text_header) + R"(Symbol table '.symtab' contains 11 entries:
   Num:    Value          Size Type    Bind   Vis      Ndx Name
     0: 0000000000000000     0 NOTYPE  LOCAL  DEFAULT  UND 
     1: ffffffff81000000     0 SECTION LOCAL  DEFAULT    1 .text
     2: 0000000000000000     0 FILE    LOCAL  DEFAULT  ABS one.c
     3: ffffffff81000020    16 FUNC    LOCAL  DEFAULT    1 show
     4: 0000000000000000     0 FILE    LOCAL  DEFAULT  ABS two.c
     5: ffffffff81000010  0x1f4 IFUNC   LOCAL  DEFAULT [<localentry>: 8]     1 show
     6: 0000000000000000     8 TLS     GLOBAL DEFAULT    3 each
     7: 0000000000000000     8 <OS specific>: 11 UNIQUE HIDDEN    3 odd
     8: ffffffff81000000     0 NOTYPE  GLOBAL DEFAULT 65521 _text
     9: 0000000000000000     0 NOTYPE  WEAK   DEFAULT  UND missing
    10: ffffffff81000030     8 OBJECT  GLOBAL DEFAULT PRC[0xff02] )" +
                     name + "\n";
  Binary parent = Binary::open(write("symtab", text));
  EXPECT_EQ(parent.machine(), 0);
  EXPECT_FALSE(parent.relocatable());
  EXPECT_EQ(parent.symbols().size(), 11u);
  EXPECT_EQ(ranks(parent, "show"), "ffffffff81000010:1 ffffffff81000020:2");
  EXPECT_EQ(parent.symbols()[5].size, 0x1f4u);
  EXPECT_EQ(parent.files()[parent.symbols()[5].file].name, "two.c");
  EXPECT_EQ(symbol(parent, "each").type, SymbolType::tls);
  EXPECT_EQ(symbol(parent, "odd").binding, SymbolBinding::global);
  EXPECT_EQ(symbol(parent, name).section, reserved_section(0xff02));
  EXPECT_EQ(symbol(parent, "_text").section, 65521u);  // a section's number, not SHN_ABS
  EXPECT_TRUE(parent.named("missing").empty());
  EXPECT_FALSE(parent.symbols()[9].defined());
  EXPECT_TRUE(parent.contents(parent.symbols()[3]).empty());
  EXPECT_EQ(parent.struct_size("bug_entry"), std::nullopt);

  size_t cases = 0;
  for (size_t length = 1; length + 2 < text.size(); length += length > 1200 ? 97 : 1, ++cases) {
    std::string problem = message(write("cut", text.substr(0, length)));
    EXPECT_NE(problem, "no error") << length;
  }
  EXPECT_GT(cases, 500u);
}

TEST_F(LookupTest, RefusesReadelfTextWithNamesCutShort) {
  std::string text =
      "Symbol table '.symtab' contains 1 entries:\n   Num:    Value\n"
      "     0: 0000000000000000     0 NOTYPE  LOCAL  DEFAULT    1 a_long_na[...]\n";
  EXPECT_NE(message(write("narrow", text)).find("readelf -s --wide"), std::string::npos);
}

TEST_F(LookupTest, TakesFactsFromDwarf) {
  fs::create_directories(directory_ / "fs/proc");
  write("fs/proc/meminfo.c", "struct bug_entry { int a[3]; };\nstruct bug_entry entry;\nint f(void) { return 1; }\n");
  write("b.c", "struct bug_entry;\nstruct alt_instr { char a[14]; } one;\nstruct bug_entry *entry2;\n");
  write("c.s", ".text\nnop\n");
  run("gcc -g -O0 -c b.c -o b.o && gcc -g -O0 -c fs/proc/meminfo.c -o meminfo.o && gcc -g -c c.s -o c.o && "
      "ld -r -o m.ko b.o meminfo.o c.o && ld -e 0 -z noexecstack -o whole b.o meminfo.o c.o 2>ld.log");
  for (const char* name : {"m.ko", "whole"}) {
    Binary parent = Binary::open(path(name));
    EXPECT_EQ(parent.struct_size("bug_entry"), 12u) << name;
    EXPECT_EQ(parent.struct_size("alt_instr"), 14u) << name;
    EXPECT_EQ(parent.struct_size("jump_entry"), std::nullopt) << name;
    std::vector<std::string> units(parent.units().begin(), parent.units().end());
    EXPECT_EQ(units, (std::vector<std::string>{"b.c", "c.s", "fs/proc/meminfo.c"})) << name;
    EXPECT_TRUE(parent.producer().starts_with("GNU C")) << parent.producer();
  }
}

TEST_F(LookupTest, AnEmptyListOfNamesHasNone) {
  const std::string source =
      ".section .debug_info,\"\",@progbits\n.byte 0\n.section .debug_str,\"MS\",@progbits,1\n.text\nnop\n";
  EXPECT_EQ(Binary::open(link(source)).struct_size("bug_entry"), std::nullopt);
}

TEST_F(LookupTest, TakesStructSizesFromBtf) {
  // int; enum64 (1); array; struct bug_entry { 2 members } of 12 bytes; union bug_union; struct jump_entry.
  std::string source = R"(
        .section .BTF, "a"
b:      .short 0xeb9f
        .byte 1, 0
        .long 24
        .long 0, strings - types, strings - types, end - strings
types:  .long 1, 0x01000000, 4, 0x20
        .long 1, 0x13000001, 8, 1, 0, 0
        .long 0, 0x03000000, 0, 1, 1, 3
        .long 5, 0x04000002, 12, 1, 1, 0, 1, 1, 32
        .long 15, 0x05000001, 99, 1, 1, 0
        .long 25, 0x04000000, 16
strings: .asciz "", "int", "bug_entry", "bug_union", "jump_entry"
end:
)";
  Binary parent = Binary::open(link(source));
  EXPECT_EQ(parent.struct_size("bug_entry"), 12u);
  EXPECT_EQ(parent.struct_size("jump_entry"), 16u);
  EXPECT_EQ(parent.struct_size("bug_union"), std::nullopt) << "a union";
  EXPECT_EQ(parent.struct_size("bug_entr"), std::nullopt);
}

TEST_F(LookupTest, AnIndexHoldsAllThatTheFileDid) {
  link(vmlinux_source, "--section-start=.ibt_endbr_seal=0xffffffff83000000 --section-start=.data=0xffffffff84000000");
  Binary file = Binary::open(path("vmlinux"));
  file.write_index(path("index"));
  Binary index = Binary::open(path("index"));
  ASSERT_EQ(index.symbols().size(), file.symbols().size());
  for (uint32_t i = 0; i < file.symbols().size(); ++i) {
    const BinarySymbol& a = file.symbols()[i];
    const BinarySymbol& b = index.symbols()[i];
    EXPECT_EQ(a.name, b.name);
    EXPECT_EQ(a.value, b.value);
    EXPECT_EQ(a.size, b.size);
    EXPECT_EQ(a.section, b.section);
    EXPECT_EQ(a.file, b.file);
    EXPECT_EQ(a.type, b.type);
    EXPECT_EQ(a.binding, b.binding);
    EXPECT_EQ(a.has_ftrace_site, b.has_ftrace_site);
    EXPECT_EQ(a.has_landing_pad, b.has_landing_pad);
    EXPECT_EQ(a.landing_pad_sealed, b.landing_pad_sealed);
    EXPECT_EQ(ranks(file, a.name), ranks(index, a.name));
    EXPECT_EQ(file.section_name(a.section), index.section_name(a.section));
    EXPECT_EQ(file.in_ro_after_init(a), index.in_ro_after_init(b));
  }
  EXPECT_EQ(index.banner(), file.banner());
  EXPECT_EQ(index.build_id(), file.build_id());
  EXPECT_EQ(index.machine(), file.machine());
  EXPECT_EQ(index.relocatable(), file.relocatable());
  EXPECT_TRUE(index.contents(symbol(index, "linux_banner")).empty());

  index.write_index(path("again"));
  EXPECT_EQ(read(path("again")), read(path("index"))) << "an index of an index is the same";
  EXPECT_THROW(file.write_index(path("no/such/index")), Error);
  EXPECT_EQ(std::distance(fs::directory_iterator(directory_), {}), 6) << "no temporary file stays behind";
}

TEST_F(LookupTest, AnIndexKeepsUnitsAndStructSizes) {
  write("meminfo.c", "struct bug_entry { int a[3]; } entry;\nstruct other { int a; } other;\n");
  run("gcc -g -c meminfo.c -o m.o");
  Binary file = Binary::open(path("m.o"));
  file.write_index(path("index"));
  Binary index = Binary::open(path("index"));
  ASSERT_EQ(index.units().size(), 1u);
  EXPECT_EQ(index.units()[0], "meminfo.c");
  EXPECT_EQ(index.producer(), file.producer());
  EXPECT_EQ(index.struct_size("bug_entry"), 12u);
  EXPECT_EQ(file.struct_size("other"), 4u);
  EXPECT_EQ(index.struct_size("other"), std::nullopt) << "not among the special ones";
}

// Each truncation is read or refused, nothing else.
TEST_F(LookupTest, EveryTruncationOfAnElfFileIsRefused) {
  DamagedFile object(path("cut.o"), read(assemble(object_source)));
  size_t cases = object.each_beginning([&](size_t length) {
    std::string problem = message(object.path());
    EXPECT_NE(problem.find("cut.o'"), std::string::npos) << length << ": " << problem;
  });
  EXPECT_GT(cases, 1500u);
  DamagedFile linked(path("cut"),
                     read(link(vmlinux_source, "--section-start=.data=0xffffffff84000000 -z max-page-size=16")));
  ASSERT_LT(linked.size(), 20000u);
  cases = linked.each_beginning([&](size_t length) { EXPECT_NE(message(linked.path()), "no error") << length; });
  EXPECT_GT(cases, 1500u);
}

TEST_F(LookupTest, ADamagedElfFileDoesNotCrash) {
  DamagedFile damaged(path("damaged.o"), read(assemble(object_source)));
  size_t cases = 0, refused = 0;
  for (int value : {0x00, 0xff, 0x80})
    cases += damaged.each_changed_byte([&](char) { return value; },
                                       [&](size_t) {
                                         try {
                                           Binary parent = Binary::open(damaged.path());
                                           for (const BinarySymbol& each : parent.symbols())
                                             parent.contents(each), parent.named(each.name);
                                           for (uint32_t i = 0; i < parent.sections().size(); ++i)
                                             parent.relocations(i);
                                           parent.units();
                                         } catch (const Error&) {
                                           ++refused;
                                         }
                                       });
  EXPECT_GT(cases, 3000u);
  EXPECT_GT(refused, 500u);
  EXPECT_LT(refused, cases);
}

TEST_F(LookupTest, EveryTruncationAndDamageOfAnIndexIsRefused) {
  Binary::open(assemble(object_source)).write_index(path("index"));
  const std::string whole = read(path("index"));
  DamagedFile index(path("damaged"), whole);
  const auto refused = [&](size_t at) { EXPECT_NE(message(index.path()), "no error") << at; };
  EXPECT_EQ(index.each_beginning(refused), whole.size());
  EXPECT_EQ(index.each_changed_byte([](char byte) { return byte ^ 0x41; }, refused), whole.size());
  EXPECT_GT(whole.size(), 400u);
  EXPECT_NE(message(write("longer", whole + std::string(8, '\0'))), "no error");
}

// Counts of a stock kernel, where there is one.
TEST_F(LookupTest, ReadsAStockKernel) {
  const char* vmlinux = std::getenv("KPATCH_TEST_VMLINUX");
  if (vmlinux == nullptr) SKIP_OPTIONAL("KPATCH_TEST_VMLINUX names no vmlinux with symbols");
  Binary parent = Binary::open(vmlinux);
  EXPECT_TRUE(parent.banner().starts_with("Linux version ")) << parent.banner();
  EXPECT_GT(parent.symbols().size(), 10000u);
  const BinarySymbol& show = symbol(parent, "meminfo_proc_show");
  EXPECT_TRUE(show.has_ftrace_site);
  EXPECT_EQ(parent.files()[show.file].name, "meminfo.c");
  EXPECT_EQ(parent.struct_size("jump_entry"), 16u);
  parent.write_index(path("index"));
  Binary index = Binary::open(path("index"));
  EXPECT_EQ(index.units().size(), parent.units().size());
  EXPECT_EQ(index.struct_size("alt_instr"), parent.struct_size("alt_instr"));
  EXPECT_EQ(ranks(index, "show"), ranks(parent, "show"));
}

}  // namespace
}  // namespace kpatch

// What objects may look like besides the ordinary: very many sections, compressed debug information, empty sections and
// odd alignments, one string table for everything, very long names, groups.

#include "create-diff-object/object.h"

#include <elf.h>
#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <iterator>

#include "arch/arch.h"
#include "create-diff-object/groups.h"
#include "elf/output-object.h"
#include "lookup/binary.h"
#include "unit/object_files.h"
#include "unit/skip.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;

const Section* find_section(const Object& object, std::string_view name) {
  for (const Section& section : object.sections())
    if (section.name == name) return &section;
  return nullptr;
}

const Symbol* find_symbol(const Object& object, std::string_view name) {
  for (const Symbol& symbol : object.symbols())
    if (symbol.name == name) return &symbol;
  return nullptr;
}

std::string bytes_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

Object read_bytes(const std::string& bytes) { return Object::read(std::as_bytes(std::span{bytes}), "input"); }

class ObjectTest : public ObjectFiles {
 protected:
  // An object of one function whose section header `name` is changed by edit().
  template <typename Edit>
  std::string with_header(const std::string& name, Edit edit) const {
    const fs::path file = compile("int value = 3; int f(int x) { return x + value; }", "edited.o");
    std::string bytes = bytes_of(file);
    const auto* header = reinterpret_cast<const Elf64_Ehdr*>(bytes.data());
    const Object object = Object::read(file);
    for (uint32_t i = 0; i < object.sections().size(); ++i)
      if (object.sections()[i].name == name)
        edit(*reinterpret_cast<Elf64_Shdr*>(bytes.data() + header->e_shoff + i * sizeof(Elf64_Shdr)));
    return bytes;
  }
};

TEST_F(ObjectTest, CompressedDebugSectionsSayNothingOfCode) {
  const char* before = "int f(int x) { return x + 1; } int g(int x) { return x; }";
  const char* after = "\n\nint f(int x) { return x + 2; } int g(int x) { return x; }";
  for (const char* flags : {"-g -gz=none", "-g -gz=zlib", "-g -gz=zlib-gnu"}) {
    SCOPED_TRACE(flags);
    const fs::path orig = compile(before, "orig.o", flags), patched = compile(after, "patched.o", flags);
    const Object object = Object::read(orig);
    bool compressed = false;
    for (const Section& section : object.sections())
      compressed = compressed || (section.flags & SHF_COMPRESSED) != 0 || section.name.starts_with(".zdebug");
    EXPECT_EQ(compressed, std::string{flags} != "-g -gz=none");
    EXPECT_EQ(diff(orig, patched), (Facts{"changed f", "exit 0"}));
    EXPECT_EQ(diff(orig, orig), Facts{"exit 3"});
  }
}

TEST_F(ObjectTest, CompressedCodeIsAnError) {
  const std::string bytes = with_header(".text.f", [](Elf64_Shdr& header) { header.sh_flags |= SHF_COMPRESSED; });
  EXPECT_EQ(message_of<Error>([&] { read_bytes(bytes); }), "input: section .text.f is compressed");
}

TEST_F(ObjectTest, EmptySectionsAreRead) {
  const char* text = R"(
    .section .text.f, "ax", @progbits
    .globl f
    .type f, @function
  f: call __fentry__
    mov $%d, %%eax
    lea nothing(%%rip), %%rdx
    ret
    .size f, . - f
    .section .rodata.nothing, "a", @progbits
    .type nothing, @object
  nothing:
    .size nothing, 0
    .section __bug_table, "aw", @progbits
    .section .discard.reachable, "", @progbits
    .section .rodata.str1.1, "aMS", @progbits, 1
    .section .bss.empty, "aw", @nobits
  empty:
    .section unheard_of, "a", @progbits
  )";
  char one[2000], two[2000];
  snprintf(one, sizeof one, text, 1);
  snprintf(two, sizeof two, text, 2);
  const fs::path orig = assemble(one, "orig.o"), patched = assemble(two, "patched.o");
  EXPECT_EQ(diff(orig, orig), Facts{"exit 3"});
  EXPECT_EQ(diff(orig, patched), (Facts{"changed f", "exit 0"}));
}

TEST_F(ObjectTest, AlignmentZeroMeansOne) {
  const Object object = read_bytes(with_header(".text.f", [](Elf64_Shdr& header) { header.sh_addralign = 0; }));
  ASSERT_NE(find_section(object, ".text.f"), nullptr);
  EXPECT_EQ(find_section(object, ".text.f")->alignment, 1U);
}

TEST_F(ObjectTest, AlignmentThatIsNoPowerOfTwoIsAnError) {
  const std::string bytes = with_header(".text.f", [](Elf64_Shdr& header) { header.sh_addralign = 24; });
  EXPECT_EQ(message_of<Error>([&] { read_bytes(bytes); }), "input: section .text.f: alignment 24 is no power of two");
}

// libelf expands such a table into memory that goes with its descriptor, which names would outlive.
TEST_F(ObjectTest, NamesMustLieInAPlainStringTable) {
  auto message = [&](const std::string& name, auto edit) {
    return message_of<Error>([&] { read_bytes(with_header(name, edit)); });
  };
  auto compressed = [](Elf64_Shdr& header) { header.sh_flags |= SHF_COMPRESSED; };
  auto another_type = [](Elf64_Shdr& header) { header.sh_type = SHT_PROGBITS; };
  auto another_table = [](Elf64_Shdr& header) { header.sh_link = 1; };
  EXPECT_NE(message(".shstrtab", compressed).find("is no table of names"), std::string::npos);
  EXPECT_NE(message(".shstrtab", another_type).find("is no table of names"), std::string::npos);
  EXPECT_EQ(message(".strtab", compressed), "input: section .strtab is compressed");
  EXPECT_EQ(message(".symtab", another_table), "input: section 1 is no table of names");
}

TEST_F(ObjectTest, CodeWithoutContentsIsAnError) {
  const std::string bytes = with_header(".text.f", [](Elf64_Shdr& header) { header.sh_type = SHT_NOBITS; });
  EXPECT_EQ(message_of<Error>([&] { read_bytes(bytes); }),
            "input: section .text.f is code without contents; is this a file of debug information?");
}

TEST_F(ObjectTest, AFunctionWithoutContentsIsAnError) {
  // One without a size begins before it, where a table says that its padding does.
  for (const char* end : {".size f, . - f", ".section __patchable_function_entries, \"aw\"; .quad f - 8"}) {
    const fs::path file =
        assemble(std::string(".bss; .zero 16; .type f, @function; f: .zero 8; ") + end + "\n", "bss.o");
    EXPECT_NE(
        message_of<Error>([&] { Object::read(file); }).find("function f lies in section .bss, which has no contents"),
        std::string::npos)
        << end;
  }
}

// Nothing of such a section is read.
TEST_F(ObjectTest, AFunctionInDebugInformationIsNoCode) {
  const std::string common = ".globl g; .type g, @function; g: call __fentry__; call f; ret; .size g, . - g\n";
  const fs::path orig = assemble(common, "orig.o");
  const fs::path patched = assemble(common +
                                        "nop; .section .debug_x, \"\", @progbits; .globl f; .type f, @function; "
                                        "f: jmp f + 90; .size f, . - f\n",
                                    "patched.o");
  EXPECT_EQ(diff(orig, patched), (Facts{"changed g", "refused unknown-section g", "exit 2"}));
}

TEST_F(ObjectTest, AlignmentBeyondAHugePageIsAnError) {
  auto aligned = [&](uint64_t alignment) {
    return with_header(".text.f", [&](Elf64_Shdr& header) { header.sh_addralign = alignment; });
  };
  EXPECT_EQ(find_section(read_bytes(aligned(2 << 20)), ".text.f")->alignment, 2U << 20);
  EXPECT_EQ(message_of<Error>([&] { read_bytes(aligned(4 << 20)); }),
            "input: section .text.f: alignment 4194304 is greater than a huge page");
}

TEST_F(ObjectTest, AnAlignmentGreaterThanTheFileIsKept) {
  const fs::path orig = compile(
      "__attribute__((aligned(65536))) static int aligned = 1;\n"
      "int f(int x) { return x + aligned++; }",
      "orig.o");
  const fs::path patched = compile(
      "__attribute__((aligned(65536))) static int aligned = 1;\n"
      "__attribute__((aligned(131072))) static int added = 7;\n"
      "int f(int x) { return x + aligned++ + added++; }",
      "patched.o");
  EXPECT_EQ(diff(orig, patched), (Facts{"changed f", "exit 0"}));
  const Object output = Object::read(path("output.o"));
  ASSERT_NE(find_section(output, ".data.added"), nullptr);
  EXPECT_EQ(find_section(output, ".data.added")->alignment, 131072U);
}

TEST_F(ObjectTest, OneStringTableMayServeForEverything) {
  for (const char* compiler : {"clang-14", "clang"}) {
    const std::string probe = std::string{compiler} + " --version >/dev/null 2>&1";
    if (std::system(probe.c_str()) != 0) continue;
    for (const char* side : {"orig", "patched"}) {
      folder_.write("file.c", std::string{"extern void __fentry__(void);\nint f(int x) { return x + "} +
                                  (side[0] == 'o' ? "1" : "2") + "; }\nint g(int x) { return x; }");
      run_in(folder_.path(), std::string{compiler} +
                                 " -O2 -w -pg -mfentry -mno-red-zone -mcmodel=kernel -fno-pie "
                                 "-ffunction-sections -c -o " +
                                 side + ".o file.c");
    }
    const std::string bytes = bytes_of(path("orig.o"));
    const auto* header = reinterpret_cast<const Elf64_Ehdr*>(bytes.data());
    const Object object = Object::read(path("orig.o"));
    EXPECT_EQ(object.sections()[header->e_shstrndx].name, ".strtab");
    EXPECT_NE(find_symbol(object, "g"), nullptr);
    EXPECT_NE(find_section(object, ".text.g"), nullptr);
    EXPECT_EQ(diff(path("orig.o"), path("patched.o")), (Facts{"changed f", "exit 0"}));
    return;
  }
  SKIP_PACKAGE("no clang");
}

TEST_F(ObjectTest, NamesMayBeOfAnyLength) {
  const std::string name(500, 'n');
  const std::string text = "extern int used_" + name + "(int);\nstatic int data_" + name + ";\nint f_" + name +
                           "(int x) { data_" + name + "++; return used_" + name + "(x) + ";
  const fs::path orig = compile(text + "1; }", "orig.o"), patched = compile(text + "2; }", "patched.o");
  EXPECT_EQ(diff(orig, patched), (Facts{"changed f_" + name, "exit 0"}));
  const Object output = Object::read(path("output.o"));
  ASSERT_NE(find_symbol(output, "f_" + name), nullptr);
  ASSERT_NE(find_section(output, ".text.f_" + name), nullptr);
  EXPECT_NE(find_symbol(output, "used_" + name), nullptr);
}

TEST_F(ObjectTest, ASectionNumberOutOfReachWithoutItsTableIsAnError) {
  const fs::path file = compile("int f(int x) { return x; }", "orig.o");
  std::string bytes = bytes_of(file);
  auto* header = reinterpret_cast<Elf64_Ehdr*>(bytes.data());
  auto* sections = reinterpret_cast<Elf64_Shdr*>(bytes.data() + header->e_shoff);
  for (uint32_t i = 0; i < header->e_shnum; ++i) {
    if (sections[i].sh_type != SHT_SYMTAB) continue;
    auto* symbols = reinterpret_cast<Elf64_Sym*>(bytes.data() + sections[i].sh_offset);
    symbols[sections[i].sh_size / sizeof(Elf64_Sym) - 1].st_shndx = SHN_XINDEX;
  }
  EXPECT_EQ(message_of<Error>([&] { read_bytes(bytes); }), "input: has no table of section numbers (SHT_SYMTAB_SHNDX)");
  const fs::path damaged = folder_.write("damaged.o", bytes);
  EXPECT_NE(message_of<Error>([&] { Binary::open(damaged); }), "");
}

TEST_F(ObjectTest, AnAddendThatNothingCanHaveIsAnError) {
  const fs::path file = assemble(
      ".section .text.f, \"ax\"\n.globl f\n.type f, @function\nf: .quad f + 0x7fffffffffffff00\n"
      ".size f, . - f\n",
      "orig.o");
  EXPECT_NE(message_of<Error>([&] { Object::read(file); }), "");
}

TEST_F(ObjectTest, SymbolsThatOverlapAreNotTakenApart) {
  const std::string function = R"(
    .section .text.f, "ax", @progbits
    .globl f
    .type f, @function
  f: call __fentry__
    {}
    ret
    .size f, . - f
  )";
  const std::string data = R"(
    .data
    .type first, @object
    .type second, @object
  first: .short 1
  second: .short 2
    .size first, 4
    .long 3
    .size second, 6
  )";
  const fs::path orig = assemble(fmt::format(fmt::runtime(function), "nop"), "orig.o");
  const fs::path patched = assemble(fmt::format(fmt::runtime(function), "mov first(%rip), %eax") + data, "patched.o");
  EXPECT_EQ(diff(orig, patched), (Facts{"changed f", "refused shared-section second", "exit 2"}));
}

// ---------------------------------------------------------------------------------------------------------------------

// Functions of 16 bytes in sections of their own, each with a relocation section; the last one returns `value`.
std::string many_functions(unsigned count, unsigned value) {
  std::string text;
  for (unsigned i = 0; i < count; ++i)
    text += fmt::format(
        ".section .text.f{0},\"ax\"\n.globl f{0}\n.type f{0}, @function\nf{0}: call __fentry__\nmov ${1}, %eax\nret\n"
        ".size f{0}, . - f{0}\n",
        i, i + 1 == count ? value : i);
  return text;
}

class ManySections : public ObjectFiles {
 protected:
  static constexpr unsigned functions = 33000;  // 66,000 sections
  static std::string last(const char* prefix) { return fmt::format("{}{}", prefix, functions - 1); }

  // The object whose last function returns `value`. Assembled once for all tests, with a number that stands nowhere else.
  fs::path object(const std::string& name, unsigned char value) const {
    constexpr unsigned marker = 0x4b6c7031;
    static const std::string assembled = bytes_of(assemble(many_functions(functions, marker), "many.o"));
    std::string bytes = assembled;
    const size_t at = bytes.find("1plK");
    EXPECT_NE(at, std::string::npos);
    EXPECT_EQ(bytes.find("1plK", at + 1), std::string::npos);
    bytes.replace(at, 4, std::string{static_cast<char>(value), 0, 0, 0});
    return folder_.write(name, bytes);
  }
};

TEST_F(ManySections, OneChangedFunctionOfAPairIsFound) {
  const fs::path orig = object("orig.o", 7);
  const fs::path patched = object("patched.o", 8);
  const Object read = Object::read(patched);
  ASSERT_GT(read.sections().size(), size_t{SHN_LORESERVE});
  const Symbol* symbol = find_symbol(read, last("f"));
  ASSERT_NE(symbol, nullptr);
  EXPECT_GT(index(symbol->section), uint32_t{SHN_LORESERVE});
  EXPECT_EQ(read.section(symbol->section).name, last(".text.f"));
  EXPECT_EQ(diff(orig, patched), (Facts{"changed " + last("f"), "exit 0"}));
  const Object output = Object::read(path("output.o"));
  ASSERT_NE(find_section(output, last(".text.f")), nullptr);
  EXPECT_EQ(find_section(output, last(".text.f"))->contents[6], std::byte{8});

  const Binary parent = Binary::open(orig);
  for (const BinarySymbol& s : parent.symbols())
    if (s.type == SymbolType::function) {
      ASSERT_EQ(parent.section_name(s.section), fmt::format(".text.{}", s.name));
    }
}

TEST_F(ManySections, TheOutputMayHaveAsMany) {
  const fs::path added = object("patched.o", 7);
  folder_.write("vmlinux",
                "\nSymbol table '.symtab' contains 2 entries:\n   Num:    Value          Size Type    Bind   Vis"
                "      Ndx Name\n     0: 0000000000000000     0 NOTYPE  LOCAL  DEFAULT  UND \n"
                "     1: ffffffff81000000    16 FUNC    GLOBAL DEFAULT    1 other\n");
  DifferInput pair = input("/dev/null", added);
  pair.parent_symtab = path("vmlinux");
  const DifferResult result = run_differ(pair);
  ASSERT_EQ(result.exit_code, exit_ok);
  EXPECT_EQ(result.added.size(), size_t{functions});
  const Object output = Object::read(path("output.o"));
  ASSERT_GT(output.sections().size(), size_t{SHN_LORESERVE});
  for (const Symbol& s : output.symbols())
    if (s.function()) {
      ASSERT_EQ(output.section(s.section).name, fmt::format(".text.{}", s.name));
    }
  // others read it too
  run_in(folder_.path(), "test \"$(readelf -sW output.o | grep -c ' FUNC ')\" = " + std::to_string(functions));
  run_in(folder_.path(), "readelf -hW output.o | grep -q '0 (" + std::to_string(output.sections().size()) + ")'");
  run_in(folder_.path(), "ld -r -o linked.o output.o");
}

// ---------------------------------------------------------------------------------------------------------------------

std::string group_file(const std::string& member_flags, int value, int constant, bool more = false) {
  return fmt::format(R"(
    .section .text.f, "ax{0}
    .globl f
    .type f, @function
  f: call __fentry__
    mov ${1}, %eax
    mov table(%rip), %edx
    ret
    .size f, . - f
    .section .rodata.table, "a{0}
    .type table, @object
  table: .long {2}
    .size table, 4
    .section .text.other, "axG", @progbits, other_group
    .globl other
    .type other, @function
  other: call __fentry__
    ret
    .size other, . - other
    {3}
  )",
                     member_flags, value, constant,
                     more ? ".section .rodata.more, \"aG\", @progbits, other_group\n.long 1" : "");
}

class Groups : public ObjectFiles {
 protected:
  static constexpr const char* comdat = "G\", @progbits, signature, comdat";
  static constexpr const char* plain = "G\", @progbits, signature";
  static constexpr const char* none = "\", @progbits";
};

TEST_F(Groups, AreRead) {
  const Object object = Object::read(assemble(group_file(comdat, 1, 1), "orig.o"));
  const auto groups = section_groups(object);
  ASSERT_EQ(groups.size(), 2U);
  EXPECT_EQ(groups[0].signature, "signature");
  EXPECT_EQ(groups[0].flags, uint32_t{GRP_COMDAT});
  EXPECT_EQ(groups[0].members.size(), 3U);  // .text.f, .rela.text.f, .rodata.table
  EXPECT_EQ(groups[1].flags, 0U);
}

TEST_F(Groups, EqualOnesAreNoHindrance) {
  for (const char* flags : {comdat, plain}) {
    const fs::path orig = assemble(group_file(flags, 1, 1), "orig.o");
    EXPECT_EQ(diff(orig, orig), Facts{"exit 3"});
    EXPECT_EQ(diff(orig, assemble(group_file(flags, 2, 1), "patched.o")), (Facts{"changed f", "exit 0"}));
  }
}

TEST_F(Groups, ThatComeGoOrChangeAreRefusedByName) {
  auto refused = [&](const fs::path& orig, const fs::path& patched) {
    const Facts facts = diff(orig, patched);
    return std::find(facts.begin(), facts.end(), "refused section-group signature") != facts.end();
  };
  EXPECT_TRUE(refused(assemble(group_file(none, 1, 1), "orig.o"), assemble(group_file(comdat, 2, 1), "patched.o")));
  EXPECT_TRUE(refused(path("patched.o"), path("orig.o")));
  EXPECT_TRUE(refused(assemble(group_file(plain, 1, 1), "orig.o"), path("patched.o")));
  std::string fewer = group_file(comdat, 1, 1);
  const std::string member = ".section .rodata.table, \"aG\", @progbits, signature, comdat";
  fewer.replace(fewer.find(member), member.size(), ".section .rodata.table, \"a\", @progbits");
  EXPECT_TRUE(refused(assemble(fewer, "orig.o"), path("patched.o")));
}

TEST_F(Groups, OfUnchangedCodeDoNotMatter) {
  EXPECT_EQ(diff(assemble(group_file(none, 1, 1), "orig.o"), assemble(group_file(none, 2, 1, true), "patched.o")),
            (Facts{"changed f", "exit 0"}));
}

TEST_F(Groups, DamagedOnesAreErrors) {
  const fs::path file = assemble(group_file(comdat, 1, 1), "orig.o");
  std::string bytes = bytes_of(file);
  const auto* header = reinterpret_cast<const Elf64_Ehdr*>(bytes.data());
  const auto* sections = reinterpret_cast<const Elf64_Shdr*>(bytes.data() + header->e_shoff);
  for (uint32_t i = 0; i < header->e_shnum; ++i)
    if (sections[i].sh_type == SHT_GROUP) bytes[sections[i].sh_offset + 5] = 0x7f;  // a member
  EXPECT_EQ(message_of<Error>([&] { section_groups(read_bytes(bytes)); }), "input: section group .group is damaged");
}

}  // namespace
}  // namespace kpatch

// Rules that C alone does not reach: special sections, parts of functions, clones, odd symbols. Each case is x86-64
// assembly before and after, and the complete facts, with the sizes of the output's special sections:
//
//   changed f · new f · lines f · refused RULE where · warning RULE where · kept SECTION bytes · f -> … · exit N
//
// `func f` begins a traced function in a section of its own, `end f` ends it.

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "create-diff-object/differ.h"
#include "create-diff-object/object.h"
#include "support/error.h"
#include "unit/toolchains.h"

#ifdef __x86_64__

namespace kpatch {
namespace {

namespace fs = std::filesystem;

constexpr const char* prelude = R"(
.macro site
1: call __fentry__
.pushsection __mcount_loc,"a"
.quad 1b
.popsection
.endm
.macro func name, section=.text.\name
.section \section,"ax",@progbits
.globl \name
.type \name,@function
\name:
site
.endm
.macro local name, section=.text.\name
.section \section,"ax",@progbits
.type \name,@function
\name:
.endm
.macro end name
ret
.size \name, .-\name
.endm
.macro alternative bytes
771: nop; nop; nop
772: .pushsection .altinstructions,"a"
.long 771b - .
.long 773f - .
.short 1, 0
.byte 3, 3
.popsection
.pushsection .altinstr_replacement,"ax"
773: .byte \bytes
.popsection
.endm
.macro alternative_of_nothing
774: nop; nop; nop
775: .pushsection .altinstructions,"a"
.long 774b - .
.long 776f - .
.short 1, 0
.byte 3, 0
.popsection
.pushsection .altinstr_replacement,"ax"
776:
.popsection
.endm
.macro alternative_branch to
777: .byte 0x0f,0x1f,0x44,0,0
.pushsection .altinstructions,"a"
.long 777b - .
.long 778f - .
.short 1, 0
.byte 5, 5
.popsection
.pushsection .altinstr_replacement,"ax"
778: jmp \to
.popsection
.endm
.macro jump_label key
661: .byte 0x0f,0x1f,0x44,0,0
.pushsection __jump_table,"aw"
.balign 8
.long 661b - ., 662f - .
.quad \key - .
.popsection
662:
.endm
.macro bug flags
1: ud2
.pushsection __bug_table,"aw"
2: .long 1b - .
.short 7, \flags
.popsection
.endm
.macro extable fixup
1: movl (%rdi),%eax
.pushsection __ex_table,"a"
.long 1b - .
.long \fixup - .
.long 3
.popsection
.endm
)";

struct Case {
  const char* name;
  const char* before;
  const char* after;
  std::vector<std::string> facts;
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

class DifferAssembly : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    directory_ = fs::temp_directory_path() / ("differ-asm-" + std::to_string(getpid()) + GetParam().name);
    fs::create_directories(directory_);
  }
  void TearDown() override { fs::remove_all(directory_); }

  void assemble(const std::string& text, const std::string& object) const {
    std::ofstream(directory_ / "a.s") << ".file \"a.c\"\n" << prelude << text;
    run_in(directory_, "as -o " + object + " a.s");
  }

  std::vector<std::string> facts(const DifferResult& result) const {
    std::vector<std::string> list;
    for (const auto& f : result.changed) list.push_back("changed " + f.name);
    for (const auto& f : result.added) list.push_back("new " + f.name);
    for (const auto& f : result.lines_only) list.push_back("lines " + f.name);
    for (const auto& r : result.references) {
      if (r.to == "__fentry__") continue;
      list.push_back(
          r.from + " -> " +
          (r.kind == "klp" ? r.owner + ":" + r.to + "," + std::to_string(r.sympos) : r.to + " (" + r.kind + ")"));
    }
    for (const auto& f : result.findings)
      list.push_back((f.severity == Severity::refusal   ? "refused "
                      : f.severity == Severity::warning ? "warning "
                                                        : "notice ") +
                     f.rule + " " + name_of(f.location));
    if (result.exit_code == exit_ok) {
      const Object output = Object::read(directory_ / "out.o");
      for (const Section& section : output.sections())
        if (section.kind == SectionKind::table || section.kind == SectionKind::out_of_line_code ||
            section.kind == SectionKind::objtool_notes ||
            (section.kind == SectionKind::strings && std::string_view(GetParam().name).ends_with("StringComesAlone")))
          if (section.name != "__mcount_loc")
            list.push_back("kept " + std::string{section.name} + " " + std::to_string(section.size));
      for (const Symbol& s : output.symbols()) {
        if (s.name.starts_with("__SCK__")) list.push_back("key " + std::string{s.name});
        const std::span<const std::byte> code = output.section(s.section).contents;
        if (s.function() && s.section != no_section && s.value + s.size + 2 == code.size() &&
            code[code.size() - 2] == std::byte{0x0f} && code.back() == std::byte{0x0b})
          list.push_back("trap behind " + std::string{s.name});
      }
    }
    list.push_back("exit " + std::to_string(result.exit_code));
    std::sort(list.begin(), list.end());
    return list;
  }

  fs::path directory_;
};

TEST_P(DifferAssembly, GivesTheGoldenFacts) {
  assemble(GetParam().before, "orig.o");
  assemble(GetParam().after, "patched.o");
  std::ofstream(directory_ / "Module.symvers") << "0x1\tmodule_key\tdrivers/owner\tEXPORT_SYMBOL_GPL\t\n"
                                               << "0x1\t__SCT__module_call\tdrivers/owner\tEXPORT_SYMBOL_GPL\t\n"
                                               << "0x1\t__SCT__kernel_call\tvmlinux\tEXPORT_SYMBOL_GPL\t\n"
                                               << "0x1\t__SCK__kernel_call\tvmlinux\tEXPORT_SYMBOL_GPL\t\n"
                                               << "0x1\t__SCT__lone_call\tvmlinux\tEXPORT_SYMBOL_GPL\t\n"
                                               << "0x1\tkernel_key\tvmlinux\tEXPORT_SYMBOL_GPL\t\n";
  DifferInput input{directory_ / "orig.o",
                    directory_ / "patched.o",
                    "vmlinux",
                    directory_ / "orig.o",
                    directory_ / "Module.symvers",
                    directory_ / "out.o",
                    false,
                    {{"bug_entry", 8}, {"jump_entry", 16}, {"alt_instr", 14}, {"exception_table_entry", 12}}};
  // Only a module may use what belongs to one, and only to one that it needs.
  if (std::string_view(GetParam().name).ends_with("OfAModule")) {
    input.parent_name = "a_module";
    input.parent_needs = {"owner"};
  }
  const DifferResult result = run_differ(input);
  std::vector<std::string> wanted = GetParam().facts;
  std::sort(wanted.begin(), wanted.end());
  EXPECT_EQ(facts(result), wanted);
  EXPECT_EQ(fs::exists(directory_ / "out.o"), result.exit_code == exit_ok);
}

#define READ_MOSTLY(name) \
  ".section .data..read_mostly,\"aw\"\n.type " #name ",@object\n.size " #name ",8\n" #name ": .quad 1\n"
#define CONSTANT(number)                                                                                  \
  ".section .rodata.symbols." #number ",\"a\"\n.type symbols." #number ",@object\n.size symbols." #number \
  ",8\n"                                                                                                  \
  "symbols." #number ": .quad 7\n"
#define F_SAME "func f\nmov $1,%eax\nend f\n"
#define F_CHANGED "func f\nmov $2,%eax\nend f\n"
#define G_SAME "func g\nmov $1,%eax\nend g\n"
#define G_CHANGED "func g\nmov $2,%eax\nend g\n"

const Case cases[] = {
    // parts
    {"ColdPartChangesItsParent",
     "func f\njmp f.cold\nend f\nlocal f.cold,.text.unlikely.f\nmov $1,%eax\nend f.cold\n",
     "func f\njmp f.cold\nend f\nlocal f.cold,.text.unlikely.f\nmov $2,%eax\nend f.cold\n",
     {"changed f", "exit 0"}},
    {"UntracedWhoseColdPartJumpsBack",
     "local f,.text.f\nmov $1,%eax\njmp f.cold\nnop\nend f\nlocal f.cold,.text.unlikely.f\njmp f+7\nend f.cold\n"
     "func g,.text.g\ncall f\nend g\n",
     "local f,.text.f\nmov $2,%eax\njmp f.cold\nnop\nend f\nlocal f.cold,.text.unlikely.f\njmp f+7\nend f.cold\n"
     "func g,.text.g\ncall f\nend g\n",
     {"changed g", "exit 0"}},
    {"UntracedIntoWhichAnotherColdPartJumps",
     "local f,.text.f\nmov $1,%eax\nnop\nend f\nlocal g.cold,.text.unlikely.g\njmp f+5\nend g.cold\n"
     "func g,.text.g\ncall f\njmp g.cold\nend g\n",
     "local f,.text.f\nmov $2,%eax\nnop\nend f\nlocal g.cold,.text.unlikely.g\njmp f+5\nend g.cold\n"
     "func g,.text.g\ncall f\njmp g.cold\nend g\n",
     {"refused no-ftrace f", "exit 2"}},
    // gcc's descriptors of watched places have no symbol; their file's name may be another, their line not.
    {"DescriptorsOfUbsanAreCopied",
     "func f\nlea .Lubsan_data7(%rip),%rax\nmov $1,%ecx\nend f\n.section .data..Lubsan_data7,\"aw\"\n.Lubsan_data7:\n"
     ".quad 7\n",
     "func f\nlea .Lubsan_data8(%rip),%rax\nmov $2,%ecx\nend f\n.section .data..Lubsan_data8,\"aw\"\n.Lubsan_data8:\n"
     ".quad 8\n",
     {"changed f", "exit 0"}},
    // WARN with a format: the code is handed its own entry.
    {"CodeMayReferToItsOwnEntry",
     "func g\nbug 1\nend g\nfunc f\nlea 2f(%rip),%rax\nbug 3\nmov $1,%ecx\nend f\n",
     "func f\nlea 2f(%rip),%rax\nbug 3\nmov $2,%ecx\nend f\nfunc g\nbug 1\nend g\n",
     {"changed f", "kept __bug_table 8", "exit 0"}},
    {"AnEntryThatOnlyMovedIsTheSame",
     "func g\nbug 1\nend g\nfunc f\nlea 2f(%rip),%rax\nbug 3\nend f\n",
     "func f\nlea 2f(%rip),%rax\nbug 3\nend f\nfunc g\nbug 1\nend g\n",
     {"exit 3"}},
    {"AnotherPlaceInTheEntryIsAChange",
     "func f\nlea 2f(%rip),%rax\nbug 3\nend f\n",
     "func f\nlea 2f+4(%rip),%rax\nbug 3\nend f\n",
     {"changed f", "kept __bug_table 8", "exit 0"}},
    {"TheEntryOfAnotherFunctionIsRefused",
     "func g\nbug 1\nend g\nfunc f\nlea 2b(%rip),%rax\nmov $1,%ecx\nend f\n",
     "func g\nbug 1\nend g\nfunc f\nlea 2b(%rip),%rax\nmov $2,%ecx\nend f\n",
     {"changed f", "refused unnamed-data f", "exit 2"}},
    // gas writes a place relative to itself with the label; what stands behind it is another function's.
    {"AnEntrysStringComesAlone",
     "func f\n1: mov $1,%ecx\n.pushsection __bug_table,\"aw\"\n.long 1b - .\n.long .LC0 - .\n.popsection\nend f\n"
     ".section .rodata.str1.1,\"aMS\",@progbits,1\n.LC0: .string \"a.c\"\n.string \"b.h\"\n",
     "func f\n1: mov $2,%ecx\n.pushsection __bug_table,\"aw\"\n.long 1b - .\n.long .LC0 - .\n.popsection\nend f\n"
     ".section .rodata.str1.1,\"aMS\",@progbits,1\n.LC0: .string \"a.c\"\n.string \"b.h\"\n",
     {"changed f", "kept .rodata.str1.1 4", "kept __bug_table 8", "exit 0"}},
    // Before 5.18 the pointers count from the entry.
    {"AnOlderEntrysWholeStringComesAlone",
     "func f\n1: mov $1,%ecx\n.pushsection __bug_table,\"aw\"\n2: .long 1b - 2b\n.long .LC0 - 2b\n.popsection\nend f\n"
     ".section .rodata.str1.1,\"aMS\",@progbits,1\n.LC0: .string \"fs/a.c\"\n.string \"b.h\"\n",
     "func f\n1: mov $2,%ecx\n.pushsection __bug_table,\"aw\"\n2: .long 1b - 2b\n.long .LC0 - 2b\n.popsection\nend f\n"
     ".section .rodata.str1.1,\"aMS\",@progbits,1\n.LC0: .string \"fs/a.c\"\n.string \"b.h\"\n",
     {"changed f", "kept .rodata.str1.1 7", "kept __bug_table 8", "exit 0"}},
    // L"…" of EFI code.
    {"AWideStringComesAsAWholeStringComesAlone",
     "func f\nmov $.LW,%rdi\nmov $10,%esi\nend f\n"
     ".section .rodata.str2.2,\"aMS\",@progbits,2\n.short 'n',0\n.LW: .short 'o','k',0\n.short 'x',0\n",
     "func f\nmov $.LW,%rdi\nmov $12,%esi\nend f\n"
     ".section .rodata.str2.2,\"aMS\",@progbits,2\n.short 'n',0\n.LW: .short 'o','k',0\n.short 'x',0\n",
     {"changed f", "kept .rodata.str2.2 6", "exit 0"}},
    {"AWideStringThatDiffersBehindItsFirstLetterStringComesAlone",
     "func f\nmov $.LW,%rdi\nmov $10,%esi\nend f\n"
     ".section .rodata.str2.2,\"aMS\",@progbits,2\n.short 'n',0\n.LW: .short 'o','k',0\n.short 'x',0\n",
     "func f\nmov $.LW,%rdi\nmov $10,%esi\nend f\n"
     ".section .rodata.str2.2,\"aMS\",@progbits,2\n.short 'n',0\n.LW: .short 'o','h',0\n.short 'x',0\n",
     {"changed f", "kept .rodata.str2.2 6", "exit 0"}},
    {"AStringOfFourBytesEachStringComesAlone",
     "func f\nmov $.LW,%rdi\nmov $10,%esi\nend f\n"
     ".section .rodata.str4.4,\"aMS\",@progbits,4\n.LW: .long 'o','k',0\n.long 'x',0\n",
     "func f\nmov $.LW,%rdi\nmov $12,%esi\nend f\n"
     ".section .rodata.str4.4,\"aMS\",@progbits,4\n.LW: .long 'o','k',0\n.long 'x',0\n",
     {"changed f", "kept .rodata.str4.4 12", "exit 0"}},
    // Before 5.16 the handler is a third reference.
    {"ExceptionTableWithHandlers",
     "func f\n1: mov $1,%eax\n.pushsection __ex_table,\"a\"\n.long 1b - ., 1b - ., stop - ., 1b - ., 1b - ., stop - .\n"
     ".popsection\nend f\nlocal stop, .text.stop\njmp stop\n.size stop, .-stop\n",
     "func f\n1: mov $2,%eax\n.pushsection __ex_table,\"a\"\n.long 1b - ., 1b - ., stop - ., 1b - ., 1b - ., stop - .\n"
     ".popsection\nend f\nlocal stop, .text.stop\njmp stop\n.size stop, .-stop\n",
     {"changed f", "__ex_table -> vmlinux:stop,0", "kept __ex_table 24", "exit 0"}},
    {"OtherUnnamedDataStaysInTheKernel",
     "func f\nlea .Ldata(%rip),%rax\nmov $1,%ecx\nend f\n.section .data..Ldata,\"aw\"\n.Ldata:\n.quad 7\n",
     "func f\nlea .Ldata(%rip),%rax\nmov $2,%ecx\nend f\n.section .data..Ldata,\"aw\"\n.Ldata:\n.quad 7\n",
     {"changed f", "refused unnamed-data f", "exit 2"}},
    {"ColdPartOfAnUnchangedFunctionStaysAway",
     "func f\njmp f.cold\nend f\nlocal f.cold,.text.unlikely.f\nud2\nend f.cold\nfunc g\nmov $1,%eax\nend g\n",
     "func f\njmp f.cold\nend f\nlocal f.cold,.text.unlikely.f\nud2\nend f.cold\nfunc g\nmov $2,%eax\nend g\n",
     {"changed g", "exit 0"}},
    {"PartWithItsOwnSiteIsPatchedAlone",
     "func f\ncall f.part.0\nend f\nlocal f.part.0\nsite\nmov $1,%eax\nend f.part.0\n",
     "func f\ncall f.part.0\nend f\nlocal f.part.0\nsite\nmov $2,%eax\nend f.part.0\n",
     {"changed f.part.0", "exit 0"}},
    {"PartWithoutASiteChangesItsParent",
     "func f\ncall f.part.0\nend f\nlocal f.part.0\nmov $1,%eax\nend f.part.0\n",
     "func f\ncall f.part.0\nend f\nlocal f.part.0\nmov $2,%eax\nend f.part.0\n",
     {"changed f", "exit 0"}},
    {"MoveBetweenNormalAndUnlikelyText",
     "func f\nmov $1,%eax\nend f\nfunc g\nmov $1,%eax\nend g\n",
     "func f,.text.unlikely.f\nmov $1,%eax\nend f\nfunc g\nmov $2,%eax\nend g\n",
     {"changed g", "exit 0"}},
    {"AnotherAlignmentOfCodeIsNoChange", F_SAME, ".section .text.f,\"ax\"\n.balign 64\n" F_SAME, {"exit 3"}},
    {"MovedFromBssToDataWithAValue",
     ".section .bss.v,\"aw\",@nobits\n.type v,@object\n.size v,4\nv: .zero 4\nfunc f\nmov v(%rip),%eax\nend f\n",
     ".section .data.v,\"aw\"\n.type v,@object\n.size v,4\nv: .long 7\nfunc f\nmov v(%rip),%eax\nend f\n",
     {"refused data-init v", "exit 2"}},
    {"MovedFromDataToBssWithItsValue",
     ".section .data..read_mostly,\"aw\"\n.type v,@object\n.size v,4\nv: .long 0\nfunc f\nmov v(%rip),%eax\nend f\n",
     ".section .bss.v,\"aw\",@nobits\n.type v,@object\n.size v,4\nv: .zero 4\nfunc f\nmov v(%rip),%edx\nend f\n",
     {"changed f", "f -> vmlinux:v,0", "exit 0"}},
    {"MovedFromConstantsToData",
     ".section .rodata.v,\"a\"\n.type v,@object\n.size v,4\nv: .long 0\nfunc f\nmov v(%rip),%eax\nend f\n",
     ".section .bss.v,\"aw\",@nobits\n.type v,@object\n.size v,4\nv: .zero 4\nfunc f\nmov v(%rip),%edx\nend f\n",
     {"changed f", "refused moved v", "exit 2"}},
    {"NoLongerReadOnlyAfterInit",
     ".section .data..ro_after_init,\"aw\"\n.type v,@object\n.size v,4\nv: .long 7\nfunc f\nmov v(%rip),%eax\nend f\n",
     ".section .data.v,\"aw\"\n.type v,@object\n.size v,4\nv: .long 7\nfunc f\nmov v(%rip),%eax\nend f\n",
     {"refused moved v", "exit 2"}},
    {"SharedWithTheHostNow",
     ".section .data..percpu,\"aw\"\n.type v,@object\n.size v,4\nv: .long 7\nfunc f\nmov v(%rip),%eax\nend f\n",
     ".section .data..percpu..decrypted,\"aw\"\n.type v,@object\n.size v,4\nv: .long 7\nfunc f\nmov v(%rip),%eax\nend "
     "f\n",
     {"refused moved v", "exit 2"}},
    {"ReadOnlyAfterInitNow",
     ".section .data.v,\"aw\"\n.type v,@object\n.size v,4\nv: .long 7\nfunc f\nmov v(%rip),%eax\nend f\n",
     ".section .data..ro_after_init,\"aw\"\n.type v,@object\n.size v,4\nv: .long 7\nfunc f\nmov v(%rip),%edx\nend f\n",
     {"changed f", "f -> vmlinux:v,0", "exit 0"}},
    {"PerCpuDataElsewhere",
     ".section .data..percpu,\"aw\"\n.type v,@object\n.size v,4\nv: .long 7\nfunc f\nmov v(%rip),%eax\nend f\n",
     ".section .data..percpu..read_mostly,\"aw\"\n.type v,@object\n.size v,4\nv: .long 7\nfunc f\nmov "
     "v(%rip),%edx\nend f\n",
     {"changed f", "f -> vmlinux:v,0", "exit 0"}},
    {"FunctionThatIsNotTracedAnyMore",
     "func f\nmov $1,%eax\nend f\n",
     ".section .noinstr.text,\"ax\"\n.globl f\n.type f,@function\nf:\nmov $2,%eax\nend f\n",
     {"refused no-ftrace f", "exit 2"}},
    {"FunctionThatIsInlineNow",
     "func f\nmov $1,%eax\nend f\n",
     ".section .text.f,\"ax\"\n.globl f\n.type f,@function\nf:\nmov $2,%eax\nend f\n",
     {"changed f", "warning no-ftrace f", "exit 0"}},
    {"ALabelInSharedDataHasNoSize",
     "func f\nmov $1,%eax\nend f\n",
     "func f\nmov blob(%rip),%eax\nend f\n.section .rodata,\"a\"\n.globl blob\nblob: .long 7\n",
     {"changed f", "refused shared-section blob", "exit 2"}},
    // names of asm() at file scope
    {"ALabelOnOtherData",
     ".section .rodata,\"a\"\n.globl blob\nblob: .long 7\nfunc f\nmov blob(%rip),%eax\nend f\n",
     ".section .rodata,\"a\"\n.globl blob\nblob: .long 8\nfunc f\nmov blob(%rip),%eax\nend f\n",
     {"refused asm-label blob", "exit 2"}},
    {"ALabelWithATypeOnOtherCode",
     ".text\n.type tramp,@function\ntramp: mov $1,%eax\nret\n" F_SAME,
     ".text\n.type tramp,@function\ntramp: mov $2,%eax\nret\n" F_CHANGED,
     {"changed f", "refused asm-label tramp", "exit 2"}},
    {"ALabelOnAnotherFunction",
     ".text\n.globl em\nem:\n.type cmpb,@function\ncmpb: cmp %al,%dl\nend cmpb\n" F_SAME,
     ".text\n.globl em\nem:\n.type subb,@function\nsubb: sub %al,%dl\nend subb\n" F_CHANGED,
     {"changed f", "refused asm-label em", "exit 2"}},
    {"ALabelThatRefersElsewhere",
     ".section .rodata,\"a\"\nblob: .quad g\n" F_SAME,
     ".section .rodata,\"a\"\nblob: .quad h\n" F_SAME,
     {"refused asm-label blob", "exit 2"}},
    {"ALabelThatMoves",
     ".section .rodata,\"a\"\nblob: .long 7\nend_of_blob:\n.text\n.globl em\nem:\n.type "
     "cmpb,@function\ncmpb: cmp %al,%dl\nend cmpb\n" F_SAME,
     ".section .rodata,\"a\"\nother: .long 1, 2\nblob: .long 7\nend_of_blob:\n.text\n.globl more\nmore: "
     "nop\nret\n.globl em\nem:\n.type cmpb,@function\ncmpb: cmp %al,%dl\nend cmpb\n" F_CHANGED,
     {"changed f", "exit 0"}},
    {"ALabelOnWhatIsGoneAfterBoot",
     ".section .init.rodata,\"a\"\nblob: .long 7\n" F_SAME,
     ".section .init.rodata,\"a\"\nblob: .long 8\n" F_SAME,
     {"exit 3"}},
    {"ALabelOfAFunctionThatChanges",
     ".section .text.f,\"ax\"\nalso_f:\nfunc f\nmov $1,%eax\nwithin_f: nop\nend f\n",
     ".section .text.f,\"ax\"\nalso_f:\nfunc f\nmov $2,%eax\nwithin_f: nop\nend f\n",
     {"changed f", "exit 0"}},
    // module_exit() of a function that is new
    {"AnotherFunctionForModuleExit",
     ".section .exit.text,\"ax\"\n.globl cleanup_module\n.type cleanup_module,@function\ncleanup_module: nop\nend "
     "cleanup_module\n" F_SAME,
     ".section .exit.text,\"ax\"\n.globl cleanup_module\n.type cleanup_module,@function\n.type "
     "new_exit,@function\nnew_exit:\ncleanup_module: nop\nnop\nend cleanup_module\n.size "
     "new_exit,.-new_exit\n" F_CHANGED,
     {"changed f", "refused init-code cleanup_module", "exit 2"}},
    {"DataWithAGreaterAlignment",
     ".section .data.v,\"aw\"\n.balign 4\n.type v,@object\n.size v,4\nv: .long 7\nfunc f\nmov v(%rip),%eax\nend f\n",
     ".section .data.v,\"aw\"\n.balign 64\n.type v,@object\n.size v,4\nv: .long 7\nfunc f\nmov v(%rip),%eax\nend f\n",
     {"refused moved v", "exit 2"}},
    {"DataWithOtherFlags",
     ".section .rodata.v,\"a\"\n.type v,@object\n.size v,4\nv: .long 7\nfunc f\nmov v(%rip),%eax\nend f\n",
     ".section .rodata.v,\"aw\"\n.type v,@object\n.size v,4\nv: .long 7\nfunc f\nmov v(%rip),%eax\nend f\n",
     {"refused moved v", "exit 2"}},
    // clones
    {"RenumberedCloneIsTheSame",
     "local h.isra.0\nsite\nmov $1,%eax\nend h.isra.0\nfunc f\ncall h.isra.0\nend f\n",
     "local h.isra.3\nsite\nmov $1,%eax\nend h.isra.3\nfunc f\ncall h.isra.3\nend f\n",
     {"exit 3"}},
    // Numbers of equal constants move with every new one of the file; g and h are the same.
    {"EqualConstantsGoByTheirUsers",
     CONSTANT(1)
         CONSTANT(2) "func g\nlea symbols.1(%rip),%rax\nend g\nfunc h\nlea symbols.2(%rip),%rax\nend h\n" F_SAME,
     CONSTANT(2)
         CONSTANT(3) "func g\nlea symbols.2(%rip),%rax\nend g\nfunc h\nlea symbols.3(%rip),%rax\nend h\n" F_CHANGED,
     {"changed f", "exit 0"}},
    {"ChangedCloneHasTheKernelsName",
     "local h.isra.0\nsite\nmov $1,%eax\nend h.isra.0\nfunc f\ncall h.isra.0\nend f\n",
     "local h.isra.3\nsite\nmov $2,%eax\nend h.isra.3\nfunc f\ncall h.isra.3\nend f\n",
     {"changed h.isra.0", "exit 0"}},
    // ftrace sites
    {"PaddingEntriesAreNoSite",
     ".section .text.f,\"ax\"\n.globl f\n.type f,@function\n.pushsection "
     "__patchable_function_entries,\"awo\",@progbits,"
     ".text.f\n.quad f\n.popsection\nf: mov $1,%eax\nend f\n",
     ".section .text.f,\"ax\"\n.globl f\n.type f,@function\n.pushsection "
     "__patchable_function_entries,\"awo\",@progbits,"
     ".text.f\n.quad f\n.popsection\nf: mov $2,%eax\nend f\n",
     {"refused no-ftrace f", "exit 2"}},
    // special sections
    {"OnlyTheFunctionsEntriesAreKept",
     "func g\nbug 1\nalternative 0x90\njump_label kernel_key\nend g\nfunc f\nbug 1\nalternative 0x91\n"
     "jump_label kernel_key\nend f\n",
     "func g\nbug 1\nalternative 0x90\njump_label kernel_key\nend g\nfunc f\nnop\nbug 1\nalternative 0x91\n"
     "jump_label kernel_key\nend f\n",
     {"changed f", "kept .altinstr_replacement 1", "kept .altinstructions 14", "kept __bug_table 8",
      "kept __jump_table 16", "__jump_table -> kernel_key (export)", "exit 0"}},
    {"AChangedReplacementIsAChange",
     "func g\nalternative 0x90\nend g\nfunc f\nalternative 0x91\nend f\n",
     "func g\nalternative 0x90\nend g\nfunc f\nalternative 0x92\nend f\n",
     {"changed f", "kept .altinstr_replacement 1", "kept .altinstructions 14", "exit 0"}},
    // Its entry points to where the next function's replacement begins, which refers to that function's middle.
    {"AnAlternativeOfNothing",
     "func f\nalternative_of_nothing\nend f\nfunc g\nalternative_branch 9f\nnop\n9: nop\nend g\n",
     "func f\nnop\nalternative_of_nothing\nend f\nfunc g\nalternative_branch 9f\nnop\n9: nop\nend g\n",
     {"changed f", "kept .altinstructions 14", "exit 0"}},
    {"AnAlternativeOfNothingBeforeOneThatChanges",
     "func f\nalternative_of_nothing\nend f\nfunc g\nalternative 0x90\nend g\n",
     "func f\nalternative_of_nothing\nend f\nfunc g\nalternative 0x91\nend g\n",
     {"changed g", "kept .altinstr_replacement 1", "kept .altinstructions 14", "exit 0"}},
    {"CodeThatEndsInACall",
     "local stop, .text.stop\njmp stop\n.size stop, .-stop\nfunc f, .text.f\nmov $1,%eax\ncall stop\n.size f, "
     ".-f\n" G_SAME,
     "local stop, .text.stop\njmp stop\n.size stop, .-stop\nfunc f, .text.f\nmov $2,%eax\ncall stop\n.size f, "
     ".-f\n" G_CHANGED,
     {"changed f", "changed g", "f -> vmlinux:stop,0", "trap behind f", "exit 0"}},
    {"ExceptionTableWithFixup",
     "func f\nextable 5f\n6: mov $1,%eax\n.pushsection .fixup,\"ax\"\n5: mov $9,%eax\njmp 6b\n.popsection\nend f\n",
     "func f\nextable 5f\n6: mov $2,%eax\n.pushsection .fixup,\"ax\"\n5: mov $9,%eax\njmp 6b\n.popsection\nend f\n",
     {"changed f", "kept .fixup 10", "kept __ex_table 12", "exit 0"}},
    {"KeyOfAModule",
     "func f\njump_label module_key\nend f\n",
     "func f\nnop\njump_label module_key\nend f\n",
     {"changed f", "refused static-key module_key", "exit 2"}},
    {"StaticCallOfAModule",
     "func f\ncall __SCT__module_call\nend f\n",
     "func f\nnop\ncall __SCT__module_call\nend f\n",
     {"changed f", "f -> owner:__SCT__module_call,0", "exit 0"}},
    {"StaticCallThatIsExported",
     "func f\ncall __SCT__kernel_call\nend f\n",
     "func f\nnop\ncall __SCT__kernel_call\nend f\n",
     {"changed f", "f -> __SCT__kernel_call (export)", "key __SCK__kernel_call", "exit 0"}},
    {"StaticCallWhoseKeyIsNotExported",
     "func f\ncall __SCT__lone_call\nend f\n",
     "func f\nnop\ncall __SCT__lone_call\nend f\n",
     {"changed f", "f -> __SCT__lone_call (export)", "exit 0"}},
    {"PrintkIndexHoldsPointers",
     ".section .data.entry,\"aw\"\nentry: .quad 1\n.section .printk_index,\"a\"\n.quad entry\n" F_SAME,
     ".section .data.entry,\"aw\"\nentry: .quad 1\n.section .printk_index,\"a\"\n.quad entry\n" F_CHANGED,
     {"changed f", "exit 0"}},
    {"SizeThatEntriesDontDivide",
     "func f\nbug 1\n.pushsection __bug_table,\"aw\"\n.byte 1\n.popsection\nbug 1\nend f\n",
     "func f\nnop\nbug 1\n.pushsection __bug_table,\"aw\"\n.byte 1\n.popsection\nbug 1\nend f\n",
     {"refused special-section __bug_table", "changed f", "exit 2"}},
    {"UnknownStruct",
     F_SAME ".section .parainstructions,\"a\"\n.quad f\n.byte 1,2,3,4,5,6,7,8\n",
     F_CHANGED ".section .parainstructions,\"a\"\n.quad f\n.byte 1,2,3,4,5,6,7,8\n",
     {"refused special-section .parainstructions", "changed f", "exit 2"}},
    {"NotesForObjtoolTravel",
     "func g\n1: nop\n.pushsection .discard.reachable\n.long 1b - .\n.popsection\nend g\n"
     "func f\n1: nop\n.pushsection .discard.reachable\n.long 1b - .\n.popsection\nend f\n",
     "func g\n1: nop\n.pushsection .discard.reachable\n.long 1b - .\n.popsection\nend g\n"
     "func f\nnop\n1: nop\n.pushsection .discard.reachable\n.long 1b - .\n.popsection\nend f\n",
     {"changed f", "kept .discard.reachable 4", "exit 0"}},
    {"UnknownRelocation",
     F_SAME,
     "func f\nmov x@GOTPCREL(%rip),%rax\nend f\n",
     {"changed f", "refused relocation f", "exit 2"}},
    // line numbers
    {"LineNumberOfAWarning",
     ".section .rodata.str1.1,\"aMS\",@progbits,1\n.LC: .asciz \"a.c\"\nfunc f\nmov $.LC,%rdi\nmov $10,%esi\n"
     "call __warn_printk\nend f\n",
     ".section .rodata.str1.1,\"aMS\",@progbits,1\n.LC: .asciz \"a.c\"\nfunc f\nmov $.LC,%rdi\nmov $12,%esi\n"
     "call __warn_printk\nend f\n",
     {"lines f", "exit 3"}},
    {"NumberForAnotherFunction",
     "func f\nmov $10,%esi\ncall kernel_key\nend f\n",
     "func f\nmov $12,%esi\ncall kernel_key\nend f\n",
     {"changed f", "f -> kernel_key (export)", "exit 0"}},
    {"bytes_that_are_no_instruction",
     "func f\n.byte 6\nret\nend f\n",
     "func f\n.byte 7\nret\nend f\n",
     {"changed f", "exit 0"}},
    {"NumberInAnotherRegister",
     "func f\nmov $10,%ecx\ncall __warn_printk\nend f\n",
     "func f\nmov $12,%ecx\ncall __warn_printk\nend f\n",
     {"changed f", "f -> __warn_printk (patch)", "exit 0"}},
    // references
    {"AVanishedExport",
     F_SAME ".section ___ksymtab+f,\"a\"\n__ksymtab_f: .long f - .\n",
     F_SAME,
     {"refused export f", "exit 2"}},
    {"AmbiguousStaticLocals",
     ".section .bss.count.1,\"aw\",@nobits\n.type count.1,@object\n.size count.1,4\ncount.1: .zero 4\n"
     ".section .bss.count.2,\"aw\",@nobits\n.type count.2,@object\n.size count.2,4\ncount.2: .zero 4\n"
     "func f\nmov count.1(%rip),%eax\nmov count.2(%rip),%edx\nend f\n",
     ".section .bss.count.3,\"aw\",@nobits\n.type count.3,@object\n.size count.3,4\ncount.3: .zero 4\n"
     ".section .bss.count.4,\"aw\",@nobits\n.type count.4,@object\n.size count.4,4\ncount.4: .zero 4\n"
     "func f\nmov count.4(%rip),%eax\nmov count.3(%rip),%edx\nnop\nend f\n",
     {"changed f", "refused static-local count.1", "refused static-local count.2", "refused static-local count.3",
      "refused static-local count.4", "exit 2"}},
    {"OddSymbols",
     F_SAME ".comm shared,8\n.type t,@tls_object\n.globl t\n.section .data.t,\"awT\",@progbits\nt: .long 1\n"
            ".section .text.i,\"ax\"\n.type i,@gnu_indirect_function\n.globl i\ni: ret\n",
     F_CHANGED ".comm shared,8\n.type t,@tls_object\n.globl t\n.section .data.t,\"awT\",@progbits\nt: .long 1\n"
               ".section .text.i,\"ax\"\n.type i,@gnu_indirect_function\n.globl i\ni: ret\n",
     {"changed f", "exit 0"}},
    {"NewCommonSymbol",
     F_SAME,
     "func f\nmov fresh(%rip),%eax\nend f\n.comm fresh,8\n",
     {"changed f", "f -> fresh (patch)", "exit 0"}},
    {"TheEndOfAnArrayIsNotTheNewVariableBehindIt",
     READ_MOSTLY(first) "func f\nlea first(%rip),%rax\nlea first+8(%rip),%rcx\nend f\n",
     READ_MOSTLY(first) READ_MOSTLY(fresh) "func f\nnop\nlea first(%rip),%rax\nlea first+8(%rip),%rcx\nend f\n",
     {"changed f", "refused array-end f", "exit 2"}},
    {"TheEndOfAnArrayThatTheKernelsCodeHas",
     READ_MOSTLY(first) "func f\nlea first+8(%rip),%rcx\nend f\n",
     READ_MOSTLY(first) READ_MOSTLY(fresh) "func f\nnop\nlea first+8(%rip),%rcx\nend f\n",
     {"changed f", "refused array-end f", "exit 2"}},
    {"TheEndOfANewArrayIsNotTheVariableBehindIt",
     READ_MOSTLY(first) F_SAME,
     READ_MOSTLY(fresh) READ_MOSTLY(first) "func f\nlea fresh(%rip),%rax\nlea fresh+8(%rip),%rcx\nend f\n",
     {"changed f", "refused array-end f", "exit 2"}},
    {"ANewVariableBehindAnother",
     READ_MOSTLY(first) "func f\nlea first(%rip),%rax\nend f\nfunc g\nmov first(%rip),%rax\nend g\n",
     READ_MOSTLY(first) READ_MOSTLY(
         fresh) "func f\nlea first(%rip),%rax\nmov fresh(%rip),%rcx\nend f\nfunc g\nlea fresh(%rip),%rax\nend g\n",
     {"changed f", "changed g", "f -> vmlinux:first,0", "exit 0"}},
    {"TheEndOfAnArrayThatStaysBesideTheNext",
     READ_MOSTLY(first) READ_MOSTLY(second) "func f\nlea first(%rip),%rax\nlea first+8(%rip),%rcx\nend f\n",
     READ_MOSTLY(first) READ_MOSTLY(second) "func f\nnop\nlea first(%rip),%rax\nlea first+8(%rip),%rcx\nend f\n",
     {"changed f", "f -> vmlinux:first,0", "f -> vmlinux:second,0", "exit 0"}},
    {"NewTracepointEntry",
     F_SAME,
     "func f\nlea tp(%rip),%rax\nend f\n.section __tracepoints,\"aw\"\n.type tp,@object\n.size tp,8\ntp: .quad 0\n",
     {"changed f", "refused new-table-entry f", "refused tracepoint tp", "exit 2"}},
    {"UniqueNamesPairWithoutTheirNumber",
     ".section .data.__UNIQUE_ID_x12,\"aw\"\n.type __UNIQUE_ID_x12,@object\n.size __UNIQUE_ID_x12,4\n__UNIQUE_ID_x12: "
     ".long 1\nfunc f\nmov __UNIQUE_ID_x12(%rip),%eax\nend f\n",
     ".section .data.__UNIQUE_ID_x34,\"aw\"\n.type __UNIQUE_ID_x34,@object\n.size __UNIQUE_ID_x34,4\n__UNIQUE_ID_x34: "
     ".long 1\nfunc f\nnop\nmov __UNIQUE_ID_x34(%rip),%eax\nend f\n",
     {"changed f", "f -> vmlinux:__UNIQUE_ID_x12,0", "exit 0"}},
    {"ATableNamedLikeStringsIsNone",
     ".section .rodata.strategy_ops,\"a\"\n.type strategy_ops,@object\n.size strategy_ops,8\nstrategy_ops: .quad "
     "f\n" F_SAME "func g\nlea strategy_ops(%rip),%rax\nend g\n",
     ".section .rodata.strategy_ops,\"a\"\n.type strategy_ops,@object\n.size strategy_ops,8\nstrategy_ops: .quad "
     "f\n" F_SAME "func g\nnop\nlea strategy_ops(%rip),%rax\nend g\n",
     {"changed g", "g -> vmlinux:strategy_ops,0", "exit 0"}},
};

INSTANTIATE_TEST_SUITE_P(Rules, DifferAssembly, testing::ValuesIn(cases),
                         [](const auto& info) { return std::string{info.param.name}; });

}  // namespace
}  // namespace kpatch

#endif

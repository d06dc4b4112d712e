// Which constants may be copied: where code takes their addresses, and what becomes of these.

#include <gtest/gtest.h>

#include <string>

#include "unit/object_files.h"

namespace kpatch {
namespace {

// C in which VALUE is 3 before and 5 after.
struct Case {
  std::string name;
  std::string text;
  Facts facts;
};

class FreshConstants : public ObjectFiles, public testing::WithParamInterface<Case> {
 protected:
  static constexpr const char* traced = "-fno-pie -pg -mfentry -mrecord-mcount -mcmodel=kernel -mno-sse";

  // `code` is x86-64 assembly, in which `table` is the constant.
  Facts diff_of_code(const std::string& code) const {
    const auto object = [&](const std::string& value, const std::string& name) {
      return assemble(
          ".section .text.f,\"ax\"\n.globl f\n.type f,@function\nf:\n1: call __fentry__\n"
          ".pushsection __mcount_loc,\"a\"\n.quad 1b\n.popsection\n" +
              code +
              "\n.size f,.-f\n.section .rodata.table,\"a\"\n.type table,@object\n.size table,8\n"
              "table: .long 1, " +
              value + "\n",
          name);
    };
    return diff(object("3", "orig.o"), object("5", "patched.o"));
  }
};

const Facts copied = {"changed f", "exit 0"};
const Facts refused = {"refused data-init table", "exit 2"};

// What the kernel declares.
#define DECLARED                                                                                           \
  "struct entry { const char *name; long value; };"                                                        \
  "int __nla_parse(void *, int, const void *, int, const void *, unsigned, void *);"                       \
  "const struct entry *dmi_first_match(const struct entry *); int dmi_check_system(const struct entry *);" \
  "int strcmp(const char *, const char *); int keep(const void *); extern const void *kept;"
#define TABLE "static const struct entry table[] = {{\"a\", 1}, {\"b\", VALUE}, {}};"

TEST_P(FreshConstants, AreCopiedWhenNothingKeepsThem) {
  const auto with = [&](const std::string& value) { return std::string{traced} + " -DVALUE=" + value; };
  const auto orig = compile(DECLARED TABLE + GetParam().text, "orig.o", with("3"));
  EXPECT_EQ(diff(orig, compile(DECLARED TABLE + GetParam().text, "patched.o", with("5"))), GetParam().facts);
}

const Case cases[] = {
    {"ReadInPlace", "long f(int i) { return table[i].value; }", copied},
    {"HandedToAReader",
     "int f(void *t, const void *h) { int e = __nla_parse(t, 3, h, 9, table, 0, 0); return e < 0 ? e : 1; }", copied},
    {"TheLastThatIsDone", "int f(void) { return dmi_check_system(table); }", copied},
    {"HandedToAnother", "int f(void) { return keep(table) + 1; }", refused},
    {"HandedToAReaderAsAnotherArgument", "int f(void *t) { return __nla_parse(t, 3, table, 9, 0, 0, 0) + 1; }",
     refused},
    {"HandedToBoth", "int f(void) { keep(table); return dmi_check_system(table); }", refused},
    {"OneOfItsEntriesIsRead",
     "long f(void) { const struct entry *e = dmi_first_match(table); return e ? e->value : 0; }", copied},
    {"OneOfItsEntriesIsReturned", "const void *f(void) { return dmi_first_match(table); }", refused},
    {"OneOfItsEntriesIsKept",
     "int f(void) { const struct entry *e = dmi_first_match(table); if (e) kept = e; return 1; }", refused},
    {"OneOfItsEntriesIsHandedOn",
     "int f(void) { const struct entry *e = dmi_first_match(table); return e ? keep(e) : 0; }", refused},
    {"Walked",
     "long f(const char *s) { for (const struct entry *e = table; e->name; ++e) if (!strcmp(e->name, s)) return "
     "e->value; return -1; }",
     copied},
    {"WalkedToItsEnd",
     "long f(const char *s) { for (int i = 0; i < 3; ++i) if (table[i].name && !strcmp(table[i].name, s)) return "
     "table[i].value; return -1; }",
     copied},
    {"WalkedAndKept",
     "void f(const char *s) { for (const struct entry *e = table; e->name; ++e) if (!strcmp(e->name, s)) kept = e; }",
     refused},
    {"ComparedWithWhatIsKept", "int f(void) { return kept == &table[1]; }", refused},
    {"ComparedWithWhatWasKept", "int f(void) { const struct entry *e = dmi_first_match(table); return e == kept; }",
     refused},
    {"Stored", "void f(void) { kept = table; }", refused},
    {"OfLabels",
     "int f(int *p) { static const void *const labels[] = {&&one, VALUE == 3 ? &&one : &&two, &&two}; goto *labels[*p];"
     "one: return *p + 7; two: *p = 3; return VALUE; }",
     copied},
    {"OfLabelsThatAreKept",
     "int f(int *p) { static const void *const labels[] = {&&one, VALUE == 3 ? &&one : &&two, &&two};"
     "kept = labels; goto *labels[*p]; one: return *p + 7; two: *p = 3; return VALUE; }",
     {"changed f", "refused data-init labels.0", "exit 2"}},
    {"OfFunctions",
     "static int one(void) { return 1; } static int two(void) { return 2; }"
     "int f(int i) { static int (*const labels[])(void) = {one, VALUE == 3 ? one : two, two}; return labels[i]() + 1; "
     "}",
     {"refused data-init labels.0", "exit 2"}},
    {"StoredThroughAPointer", "void f(const void **p) { *p = &table[1]; }", refused},
    {"Returned", "const void *f(int i) { return i ? &table[i] : 0; }", refused},
    {"InAGlobal", "const void *const where = table; int f(void) { return dmi_check_system(table); }", refused},
    {"PointedToByAConstant",
     "static const struct { const struct entry *in; } outer[] = {{table}, {0}};"
     "int f(void *t) { return __nla_parse(t, 3, t, 9, outer, 0, 0) + 1; }",
     copied},
    {"PointedToByOneThatIsRead",
     "static const struct { const struct entry *in; } outer[] = {{table}, {0}};"
     "void f(int i) { kept = outer[i].in; }",
     refused},
    {"PointedToByOneWhoseEntriesAreReturned",
     "static const struct entry outer[] = {{(const char *)table, 1}, {}};"
     "int f(void) { const struct entry *e = dmi_first_match(outer); if (e) kept = e->name; return 1; }",
     refused},
    {"PointedToByOneThatIsWalked",
     "static const struct { const struct entry *in; } outer[] = {{table}, {0}};"
     "int f(void *t, int n) { for (int i = 0; i < n; ++i) { __nla_parse(t, 3, t, 9, &outer[i], 0, 0); kept = "
     "outer[i].in; } "
     "}",
     refused},
    {"PointedToByOneThatIsKept",
     "static const struct { const struct entry *in; } outer[] = {{table}, {0}};"
     "int f(void *t) { return keep(outer) + __nla_parse(t, 3, t, 9, table, 0, 0); }",
     refused},
    {"AFunctionOfTheFileHasAReadersName",
     "__attribute__((noipa)) int dmi_check_system(const struct entry *e) { kept = e; return 1; }"
     "int f(void) { return dmi_check_system(table) + 1; }",
     refused},
    {"AStaticBranchIsOnTheWay",
     "int f(int x) { const struct entry *e = dmi_first_match(table); if (!e) return 0; long v = x;"
     "asm goto(\"1: nop\\n .pushsection __jump_table,\\\"aw\\\"\\n .long 1b - ., %l[on] - .\\n .quad kept - .\\n"
     ".popsection\" : : : : on); return v; on: return keep(e) + e->value; }",
     refused},
    {"AStaticBranchIsOnTheWayAndLeadsToNothingNew",
     "int f(int x) { const struct entry *e = dmi_first_match(table); if (!e) return 0; long v = x;"
     "asm goto(\"1: nop\\n .pushsection __jump_table,\\\"aw\\\"\\n .long 1b - ., %l[on] - .\\n .quad kept - .\\n"
     ".popsection\" : : : : on); return v; on: return e->value; }",
     copied},
};

INSTANTIATE_TEST_SUITE_P(Cases, FreshConstants, testing::ValuesIn(cases),
                         [](const auto& info) { return info.param.name; });

TEST_F(FreshConstants, ARefusalSaysWhatStandsAgainstACopy) {
  const auto message = [&](const std::string& text) {
    const auto with = [&](const std::string& value) { return std::string{traced} + " -DVALUE=" + value; };
    const auto orig = compile(DECLARED TABLE + text, "orig.o", with("3"));
    const DifferResult result = run_differ(input(orig, compile(DECLARED TABLE + text, "patched.o", with("5"))));
    const std::string all = result.findings.empty() ? "" : result.findings.front().message;
    const size_t reason = all.find("; ");
    return reason == std::string::npos ? all : all.substr(reason + 2);
  };
  EXPECT_EQ(message("int f(void) { return keep(table) + 1; }"), "f may keep its address, so that a copy doesn't serve");
  EXPECT_EQ(message("const void *const where = table; int f(int i) { return table[i].value; }"),
            "where points to it, so that a copy doesn't serve");
  EXPECT_EQ(message("__attribute__((section(\".init.text\"))) long f(int i) { return table[i].value; }"),
            "what reads it has run, and is gone, so that a copy doesn't serve");
}

TEST_F(FreshConstants, RegistersAreFollowed) {
  for (const char* code : {
           "mov $table,%rax\nmov (%rax),%eax\nret",
           "lea table(%rip),%rax\nmov 4(%rax),%eax\nret",
           "mov $table,%rsi\nmov $8,%ecx\nrep movsb\nxor %eax,%eax\nxor %esi,%esi\nret",
           "mov $table,%rdi\ncall dmi_check_system\nret",
           "mov $table,%rbx\nmov %rbx,%rdi\nxor %ebx,%ebx\njmp dmi_check_system",
           "mov $table,%rdi\njmp 2f\n2: call dmi_check_system\njmp __x86_return_thunk",
           "mov $table,%rdi\ncmp %rdi,%rdi\ncall dmi_check_system\nud2",
       })
    EXPECT_EQ(diff_of_code(code), copied) << code;
  for (const char* code : {
           "mov $table,%rax\nret",                                             // returned
           "mov $table,%rax\njmp __x86_return_thunk",                          // the same
           "mov $table,%rbx\nret",                                             // in a register of the caller's
           "mov $table,%rdi\npush %rdi\npop %rax\nret",                        // through the stack
           "mov $table,%rdi\nmov %rdi,8(%rsp)\nret",                           // the same
           "mov $table,%rdi\ncall *%rax\nret",                                 // who is called isn't known
           "mov $table,%rdi\ncall __x86_indirect_thunk_rax\nret",              // the same
           "mov $table,%rdi\njmp *%rax",                                       // nor where it goes on
           "mov $table,%rdi\nje dmi_check_system\nxor %edi,%edi\nret",         // a part of the function, elsewhere
           "mov $table,%rdi\nje 2f\ncall dmi_check_system\nret\n2: jmp keep",  // on one way alone
           "mov $table,%rax\nmov $8,%ecx\nrep stosq\nxor %eax,%eax\nret",      // the address is what is written
           "mov $table,%rax\nxchg %rax,(%rdi)\nxor %eax,%eax\nret",
           "mov $table,%rax\nmovl $1,(%rax)\nxor %eax,%eax\nret",  // written there
           "mov $table,%rax\nmovq %rax,%xmm0\nxor %eax,%eax\nret",
           "mov $table,%rax\ncmp %rax,(%rdi)\nmov $0,%eax\nret",
           R"(mov $table,%rdi
2: nop; nop; nop
.pushsection .altinstructions,"a"
.long 2b - .
.long 4f - .
.short 1, 0
.byte 3, 3
.popsection
.pushsection .altinstr_replacement,"ax"
4: .byte 0x90,0x90,0x90
.popsection
call dmi_check_system
ret)",  // what the kernel may write there
           "cmp $table,%rdi\nret",
           "cmp $table+8,%rdi\nret",
       })
    EXPECT_EQ(diff_of_code(code), refused) << code;
}

}  // namespace
}  // namespace kpatch

// What only one architecture does, and pairs that don't fit together.

#include <gtest/gtest.h>
#include <unistd.h>

#include <elf.h>
#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "create-diff-object/differ.h"
#include "create-diff-object/object.h"
#include "support/error.h"
#include "unit/skip.h"
#include "unit/toolchains.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;

class DifferArch : public testing::Test {
 protected:
  void SetUp() override {
    directory_ = fs::temp_directory_path() / ("differ-arch-" + std::to_string(getpid()));
    fs::create_directories(directory_);
  }
  void TearDown() override { fs::remove_all(directory_); }

  // Nothing when it isn't installed.
  static const TestToolchain* toolchain(std::string_view name) {
    for (const TestToolchain& t : toolchains())
      if (t.name == name && t.installed()) return &t;
    return nullptr;
  }

  void compile(const TestToolchain& t, const std::string& text, const std::string& object,
               const std::string& flags = "") {
    t.compile(directory_, text, object, "-ffunction-sections -fdata-sections " + flags);
  }

  DifferInput input() const {
    return {directory_ / "orig.o", directory_ / "patched.o", "vmlinux", directory_ / "orig.o",
            "/dev/null",           directory_ / "out.o",     false,     {}};
  }

  fs::path directory_;
};

// arch/arm64/include/asm/alternative-macros.h, ALTINSTR_ENTRY_CB: no replacement, but who writes it.
TEST_F(DifferArch, WhoWritesAnAlternativeIsAPartOfIt) {
  const TestToolchain* a = toolchain("arm64");
  if (a == nullptr) SKIP_PACKAGE("needs the cross compiler of arm64");
  const auto source = [](const std::string& callback) {
    return "struct alt_instr { int instr, alt; short cpucap; char length, alt_length; }; struct alt_instr entry;\n"
           "void one(void); void two(void); int f(int x) { asm volatile(\"661: nop\\n662: .pushsection "
           ".altinstructions, \\\"a\\\"\\n .word 661b - .\\n .word " +
           callback + " - .\\n .hword 0x8001\\n .byte 662b - 661b\\n .byte 0\\n .popsection\"); return x; }";
  };
  compile(*a, source("one"), "orig.o", "-g");
  compile(*a, source("one"), "patched.o", "-g");
  EXPECT_EQ(run_differ(input()).exit_code, exit_no_change);
  compile(*a, source("two"), "patched.o", "-g");
  const DifferResult result = run_differ(input());
  ASSERT_EQ(result.changed.size(), 1U);
  EXPECT_EQ(result.changed[0].name, "f");
}

TEST_F(DifferArch, ObjectsOfTwoMachinesAreAnError) {
  const TestToolchain *a = toolchain("arm64"), *s = toolchain("s390x");
  if (a == nullptr || s == nullptr) SKIP_PACKAGE("needs the cross compilers of arm64 and s390x");
  compile(*a, "int f(int x) { return x; }", "orig.o");
  compile(*s, "int f(int x) { return x; }", "patched.o");
  try {
    run_differ(input());
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_NE(std::string{error.what()}.find("arm64"), std::string::npos) << error.what();
    EXPECT_NE(std::string{error.what()}.find("s390x"), std::string::npos) << error.what();
  }
}

// e_flags stands at 48 in the header (ELF gABI).
TEST_F(DifferArch, OtherElfFlagsAreAnError) {
  const TestToolchain* p = toolchain("ppc64le");
  if (p == nullptr) SKIP_PACKAGE("needs the cross compiler of ppc64le");
  compile(*p, "int f(int x) { return x; }", "orig.o");
  compile(*p, "int f(int x) { return x + 1; }", "patched.o");
  std::fstream file(directory_ / "patched.o", std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(48);
  file.put(1);
  file.close();
  EXPECT_THROW(run_differ(input()), Error);
}

// The kernel is little-endian (ELFv2); objects of the other ABI mean other things by the same relocations.
TEST_F(DifferArch, BigEndianPowerPcIsAnError) {
  const TestToolchain* p = toolchain("ppc64le");
  if (p == nullptr) SKIP_PACKAGE("needs the cross compiler of ppc64le");
  std::ofstream(directory_ / "file.c") << "int f(int x) { return x; }";
  run_in(directory_, std::string{p->compiler} + " -mbig-endian -c -o orig.o file.c");
  EXPECT_THROW(Object::read(directory_ / "orig.o"), Error);
}

TEST_F(DifferArch, SiblingCallsToTheKernelAreRefusedAllOfThem) {
  const TestToolchain* p = toolchain("ppc64le");
  if (p == nullptr) SKIP_PACKAGE("needs the cross compiler of ppc64le");
  const std::string rest =
      "#define own static __attribute__((noinline, noclone))\n"
      "own int a(int x) { asm(\"\"); return x; } own int b(int x) { asm(\"\"); return x + 1; }"
      "int f(int x) { return a(x %); } int g(int x) { return b(x %); }";
  auto with = [&](const std::string& operation) {
    std::string text = rest;
    for (size_t at; (at = text.find('%')) != std::string::npos;) text.replace(at, 1, operation);
    return text;
  };
  compile(*p, with("+ 1"), "orig.o", "-foptimize-sibling-calls");
  compile(*p, with("+ 2"), "patched.o", "-foptimize-sibling-calls");
  const DifferResult result = run_differ(input());
  EXPECT_EQ(result.exit_code, exit_unpatchable);
  ASSERT_EQ(result.findings.size(), 2u);
  EXPECT_EQ(result.findings[0].rule + " " + name_of(result.findings[0].location), "sibling-call f");
  EXPECT_EQ(result.findings[1].rule + " " + name_of(result.findings[1].location), "sibling-call g");
  compile(*p, with("+ 1"), "orig.o");
  compile(*p, with("+ 2"), "patched.o");
  EXPECT_EQ(run_differ(input()).exit_code, exit_ok);
}

// Each function's entry lies in a section bound to the function's, at the function's own distance.
TEST_F(DifferArch, PatchableEntriesStayWithTheirFunctions) {
  for (const char* name : {"arm64", "arm64_args"}) {
    const TestToolchain* a = toolchain(name);
    if (a == nullptr) SKIP_PACKAGE("needs the cross compiler of arm64");
    // f and h share a section
    const std::string text =
        "#define shared __attribute__((section(\".sched.text\")))\n"
        "shared int f(int x) { return x %; } int g(int x) { return x %; } shared int h(int x) { return x %; }"
        "int untouched(int x) { return x; }";
    auto with = [&](const std::string& operation) {
      std::string out = text;
      for (size_t at; (at = out.find('%')) != std::string::npos;) out.replace(at, 1, operation);
      return out;
    };
    compile(*a, with("+ 1"), "orig.o");
    compile(*a, with("+ 2"), "patched.o");
    const DifferResult result = run_differ(input());
    ASSERT_EQ(result.exit_code, exit_ok) << name;
    const Object output = Object::read(directory_ / "out.o");
    std::vector<std::string> entries;
    for (const Section& section : output.sections()) {
      if (section.name != "__patchable_function_entries") continue;
      EXPECT_EQ(section.size, 8u);
      EXPECT_NE(section.flags & SHF_LINK_ORDER, 0u);
      ASSERT_EQ(section.relocations.size(), 1u);
      const Target target = output.target(section.relocations.front());
      ASSERT_LT(section.link, output.sections().size());
      EXPECT_EQ(section.link, index(target.section));
      const std::span<const SymbolId> symbols = output.section(target.section).symbols;
      for (SymbolId id : symbols) {
        const Symbol& s = output.symbol(id);
        if (!s.function()) continue;
        const uint64_t base = target.symbol == no_symbol ? 0 : output.symbol(target.symbol).value;
        const auto place = static_cast<int64_t>(base) + target.offset;
        entries.push_back(std::string{s.name} + " " + std::to_string(place - static_cast<int64_t>(s.value)));
      }
    }
    std::sort(entries.begin(), entries.end());
    // CALL_OPS: the NOPs before the function; else behind its landing pad
    const std::string at = a->name == std::string_view{"arm64"} ? " -8" : " 4";
    EXPECT_EQ(entries, (std::vector<std::string>{"f" + at, "g" + at, "h" + at})) << name;
  }
}

// Tables that the linker reads are in the target's byte order, whatever the host.
TEST_F(DifferArch, IntermediateTablesAreInTheTargetsByteOrder) {
  const TestToolchain* s = toolchain("s390x");
  if (s == nullptr) SKIP_PACKAGE("needs the cross compiler of s390x");
  const std::string twin = "static __attribute__((noinline,noclone)) int twin(int x) { asm(\"\"); return x + ";
  compile(*s, twin + "1; } int f(int x) { return twin(x); }", "orig.o");
  compile(*s, twin + "2; } int f(int x) { return twin(x); }", "patched.o");
  s->compile(directory_, twin + "9; } int other(int x) { return twin(x); }", "other.o", "", "other.c");
  s->link_relocatable(directory_, "vmlinux.o", "other.o orig.o");
  DifferInput in = input();
  in.parent_symtab = directory_ / "vmlinux.o";
  ASSERT_EQ(run_differ(in).exit_code, exit_ok);
  const Object output = Object::read(directory_ / "out.o");
  EXPECT_TRUE(output.big_endian());
  for (const Section& section : output.sections()) {
    if (section.name != ".kpatch.funcs") continue;
    ASSERT_EQ(section.size, 32u);
    const auto sympos = section.contents.subspan(24, 8);
    EXPECT_EQ(output.number(sympos), 2u);
    EXPECT_EQ(std::to_integer<int>(sympos[7]), 2);
    return;
  }
  FAIL() << "no .kpatch.funcs";
}

// Two files of one name with the same locals: nothing tells which is meant.
TEST_F(DifferArch, FilesThatNothingTellsApartAreRefused) {
  const TestToolchain* gcc = toolchain("gcc");
  if (gcc == nullptr) SKIP_MACHINE("needs gcc on x86-64");
  const std::string twin = "static __attribute__((noinline,noclone)) int twin(int x) { asm(\"\"); return x + 1; } ";
  compile(*gcc, twin + "int f(int x) { return twin(x) + 1; }", "orig.o");
  compile(*gcc, twin + "int f(int x) { return twin(x) + 2; }", "patched.o");
  gcc->compile(directory_, twin + "int g(int x) { return twin(x); }", "other.o", "");
  gcc->link_relocatable(directory_, "vmlinux.o", "other.o orig.o");
  DifferInput in = input();
  in.parent_symtab = directory_ / "vmlinux.o";
  const DifferResult result = run_differ(in);
  ASSERT_EQ(result.findings.size(), 1u);
  EXPECT_EQ(result.findings[0].rule + " " + name_of(result.findings[0].location), "ambiguous twin");
  EXPECT_EQ(result.exit_code, exit_unpatchable);
}

}  // namespace
}  // namespace kpatch

// What the architectures' records and the table of sections must hold, whatever is entered.

#include "arch/arch.h"

#include <elf.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <tuple>
#include <vector>

namespace kpatch {
namespace {

const std::vector<uint16_t> machines{EM_X86_64, EM_AARCH64, EM_PPC64, EM_S390, EM_LOONGARCH};

TEST(Arch, EachIsFoundByItsMachineAlone) {
  for (const uint16_t machine : machines) {
    const Arch* arch = find_arch(machine);
    ASSERT_NE(arch, nullptr) << machine;
    EXPECT_EQ(arch->elf.machine, machine);
    EXPECT_EQ(arch_name(machine), arch->elf.name);
    EXPECT_FALSE(arch->kbuild.folder.empty() || arch->distro.debian.empty() || arch->distro.rpm.empty())
        << arch->elf.name;
  }
  EXPECT_EQ(architectures().size(), machines.size());
  EXPECT_EQ(find_arch(EM_386), nullptr);
  EXPECT_EQ(arch_name(EM_386), "ELF machine 3");
}

TEST(Arch, EachHasWhatTheDifferAsksFor) {
  for (const uint16_t machine : machines) {
    const Arch& arch = *find_arch(machine);
    EXPECT_NE(arch.elf.known_relocation, nullptr) << arch.elf.name;
    EXPECT_TRUE(arch.elf.known_relocation(arch.elf.absolute_64)) << arch.elf.name;
    EXPECT_NE(arch.code.find_targets, nullptr) << arch.elf.name;
    EXPECT_NE(arch.code.use_of, nullptr) << arch.elf.name;
    EXPECT_NE(arch.code.numbers_only, nullptr) << arch.elf.name;
    EXPECT_NE(arch.code.instruction_at, nullptr) << arch.elf.name;
    EXPECT_NE(arch.code.escapes, nullptr) << arch.elf.name;
    EXPECT_FALSE(arch.ftrace.tables.empty()) << arch.elf.name;
    EXPECT_FALSE(arch.ftrace.sites.empty()) << arch.elf.name;
  }
}

TEST(Arch, WhatIsMissingIsSaid) {
  EXPECT_EQ(missing_parts(EM_X86_64), "");
  EXPECT_EQ(missing_parts(EM_AARCH64), "");
  EXPECT_EQ(missing_parts(EM_S390),
            "livepatches for s390x can't be made yet: what is missing is the sizes of relocated fields, the proof, "
            "the audit");
  EXPECT_EQ(missing_parts(EM_386), "livepatches for ELF machine 3 can't be made yet: nothing is known of it");
}

// Instructions are listed, or the page has a reason to give.
TEST(Arch, ListsOrSaysWhyNot) {
  for (const Arch* arch : architectures())
    EXPECT_EQ(arch->code.list == nullptr, !arch->code.no_list.empty()) << arch->elf.name;
  EXPECT_EQ(find_arch(EM_LOONGARCH)->code.no_list, "libcapstone 4 doesn't know LoongArch");
}

// What the library doesn't know is shown as a number, and what the code ends in isn't shown.
TEST(Arch, ListsBytesThatAreNoInstruction) {
  struct Case {
    uint16_t machine;
    std::vector<unsigned> bytes;
    const char* text;
  };
  for (const Case& c : {Case{EM_AARCH64, {0xff, 0xff, 0xff, 0xfe, 0}, ".inst 0xfeffffff"},
                        Case{EM_PPC64, {1, 0, 0, 0, 0}, ".inst 0x00000001"},
                        Case{EM_S390, {0xff, 0xff, 0xff, 0xff, 0xfe, 0xff, 0xc0}, ".inst 0xfffffffffeff"}}) {
    const auto list = find_arch(c.machine)->code.list;
    if (list == nullptr) continue;
    std::vector<std::byte> code;
    for (const unsigned byte : c.bytes) code.push_back(static_cast<std::byte>(byte));
    const ListingInput input{code, [](uint64_t) { return std::nullopt; }};
    const auto line = list(input, 0);
    ASSERT_TRUE(line.has_value()) << c.machine;
    EXPECT_EQ(line->text, c.text);
    EXPECT_EQ(line->length, code.size() - 1);
    EXPECT_FALSE(list(input, line->length).has_value()) << c.machine;
    EXPECT_FALSE(list(input, 1000).has_value()) << c.machine;
    EXPECT_FALSE(list({{}, input.meaning}, 0).has_value()) << c.machine;
  }
}

// Asked of bytes that are none, or of a place behind the last: no padding, no length.
TEST(Arch, BytesThatAreNoInstructionArentPadding) {
  const std::vector<std::byte> bytes{std::byte{0x90}, std::byte{0x06}, std::byte{0x0f}};
  const AuditFacts& audit = *find_arch(EM_X86_64)->audit;
  EXPECT_EQ(audit.padding(bytes, 0), 1);
  for (const uint64_t at : {1, 2, 3}) {
    EXPECT_EQ(audit.padding(bytes, at), 0) << at;
    EXPECT_EQ(audit.instruction_length(bytes, at), 0) << at;
  }
}

TEST(Arch, TheHostIsTheMachineOfThisProgram) {
#if defined(__x86_64__)
  EXPECT_EQ(host_machine(), EM_X86_64);
#elif defined(__aarch64__)
  EXPECT_EQ(host_machine(), EM_AARCH64);
#else
  EXPECT_NE(host_machine(), EM_NONE);
#endif
}

TEST(Arch, TheStructsOfEntriesComeFromTheTables) {
  using Names = std::vector<std::string_view>;
  EXPECT_EQ(find_arch(EM_X86_64)->entry_structs(),
            (Names{"alt_instr", "bug_entry", "exception_table_entry", "jump_entry", "paravirt_patch_site"}));
  EXPECT_EQ(find_arch(EM_PPC64)->entry_structs(),
            (Names{"bug_entry", "exception_table_entry", "fixup_entry", "jump_entry"}));
}

TEST(Sections, NoRowHidesAnother) {
  for (const SectionRow& row : section_rows()) {
    const std::string name = std::string(row.name) + (row.prefix ? "\x01" : "");
    EXPECT_EQ(&section_row(name), &row) << row.name;
  }
}

TEST(Sections, EachTableOfAnArchitectureIsARow) {
  for (const uint16_t machine : machines) {
    for (const TableFacts& facts : find_arch(machine)->tables) {
      const SectionRow& row = section_row(facts.section);
      const bool compilers = facts.section == "__patchable_function_entries";
      EXPECT_EQ(row.kind, compilers ? SectionKind::ignored : SectionKind::table) << facts.section;
      EXPECT_TRUE(row.delivered && row.positions) << facts.section;
      // WARN_ON and printk read theirs when they are reached; all others are read while a module is loaded.
      EXPECT_EQ(row.early, facts.section != "__bug_table" && facts.section != ".printk_index") << facts.section;
    }
  }
}

TEST(Sections, EachListThatTheAuditReadsMayBeDelivered) {
  for (const uint16_t machine : machines) {
    const Arch& arch = *find_arch(machine);
    std::vector<std::string_view> read;
    for (const std::string_view table : arch.ftrace.tables) read.push_back(table);
    if (arch.code.landing_pad != nullptr) read.push_back(arch.code.landing_pad->seals);
    if (arch.audit != nullptr) {
      for (const ListedCall& call : arch.audit->calls) read.push_back(call.table);
      if (const UnwindTable* table = arch.audit->unwind_table) read.insert(read.end(), {table->places, table->entries});
    }
    for (const std::string_view section : read) {
      const SectionRow& row = section_row(section);
      EXPECT_TRUE(row.early && row.delivered && row.positions) << section;
    }
  }
}

TEST(Sections, AttributesAreThoseOfTheFirstRow) {
  // name, early, delivered, positions
  const std::vector<std::tuple<const char*, bool, bool, bool>> table{
      {".text", false, true, false},
      {".text.show", false, true, false},
      {".init.text", true, true, false},
      {".init.data", true, true, true},
      {".init.setup", true, false, false},
      {".data.counter", false, true, false},
      {".data..percpu", true, true, false},
      {"__bug_table", false, true, true},
      {"__ex_table", true, true, true},
      {"__jump_table", true, true, true},
      {".altinstr_replacement", true, true, true},
      {".altinstructions", true, true, true},
      {".orc_unwind_ip", true, true, true},
      {".static_call_sites", true, true, true},
      {".kpatch.funcs", true, true, true},
      {".kpatch.callbacks.pre_patch", true, true, false},
      {".discard.reachable", false, false, false},
      {"__tracepoints_ptrs", true, false, false},
      {"_ftrace_events", true, false, false},
      {"strange", false, false, false},
  };
  for (const auto& [name, early, delivered, positions] : table) {
    const SectionRow& row = section_row(name);
    EXPECT_EQ(std::tuple(row.early, row.delivered, row.positions), std::tuple(early, delivered, positions)) << name;
  }
}

TEST(Sections, AreClassifiedByNameTypeAndFlags) {
  constexpr uint64_t text = SHF_ALLOC | SHF_EXECINSTR, data = SHF_ALLOC | SHF_WRITE, rodata = SHF_ALLOC;
  constexpr uint64_t strings = SHF_ALLOC | SHF_MERGE | SHF_STRINGS;
  const std::vector<std::tuple<SectionFacts, SectionKind>> table{
      {{".text.show", SHT_PROGBITS, text, 0}, SectionKind::text},
      {{".text.unlikely.show", SHT_PROGBITS, text, 0}, SectionKind::text},
      {{".sched.text", SHT_PROGBITS, text, 0}, SectionKind::shared_text},
      {{".noinstr.text", SHT_PROGBITS, text, 0}, SectionKind::shared_text},
      {{".cpuidle.text", SHT_PROGBITS, text, 0}, SectionKind::shared_text},
      {{".init.text", SHT_PROGBITS, text, 0}, SectionKind::init},
      {{".init.rodata.str1.1", SHT_PROGBITS, strings, 1}, SectionKind::init},
      {{".exit.text", SHT_PROGBITS, text, 0}, SectionKind::init},
      {{".data.counter", SHT_PROGBITS, data, 0}, SectionKind::data},
      {{".data..percpu", SHT_PROGBITS, data, 0}, SectionKind::data},
      {{".data.rel.ro.local.ops", SHT_PROGBITS, data, 0}, SectionKind::rodata},
      {{".data.once", SHT_PROGBITS, data, 0}, SectionKind::data},
      {{".data..once", SHT_PROGBITS, data, 0}, SectionKind::data},
      {{".data.unlikely", SHT_PROGBITS, data, 0}, SectionKind::data},
      {{".bss.counter", SHT_NOBITS, data, 0}, SectionKind::bss},
      {{".rodata.strategy_ops", SHT_PROGBITS, rodata, 0}, SectionKind::rodata},
      {{".rodata.show.str1.1", SHT_PROGBITS, strings, 1}, SectionKind::strings},
      {{".rodata.cst16", SHT_PROGBITS, rodata | SHF_MERGE, 16}, SectionKind::constants},
      {{".altinstr_replacement", SHT_PROGBITS, text, 0}, SectionKind::out_of_line_code},
      {{"__ftr_alt_97", SHT_PROGBITS, text, 0}, SectionKind::out_of_line_code},
      {{".toc", SHT_PROGBITS, data, 8}, SectionKind::toc},
      {{".discard.addressable", SHT_PROGBITS, data, 0}, SectionKind::objtool_notes},
      {{".orc_unwind_ip", SHT_PROGBITS, rodata, 0}, SectionKind::rebuilt},
      {{".export_symbol", SHT_PROGBITS, 0, 0}, SectionKind::ignored},
      {{"___ksymtab_gpl+f", SHT_PROGBITS, rodata, 0}, SectionKind::ignored},
      {{"__fair_sched_class", SHT_PROGBITS, rodata, 0}, SectionKind::never_copied},
      {{".BTF_ids", SHT_PROGBITS, rodata, 0}, SectionKind::never_copied},
      {{"runtime_ptr_USER_PTR_MAX", SHT_PROGBITS, rodata, 0}, SectionKind::runtime_const},
      {{".llvm_addrsig", SHT_LOOS, 0, 0}, SectionKind::debug},
      {{".debug_info", SHT_PROGBITS, 0, 0}, SectionKind::debug},
      {{".note.gnu.property", SHT_NOTE, rodata, 0}, SectionKind::debug},
      {{".kpatch.force", SHT_PROGBITS, data, 0}, SectionKind::author_macros},
      {{".kpatch.attempts", SHT_PROGBITS, data, 0}, SectionKind::data},
      {{".group", SHT_GROUP, 0, 4}, SectionKind::structure},
      {{"strange", SHT_PROGBITS, data, 0}, SectionKind::unknown},
  };
  for (const auto& [facts, kind] : table) EXPECT_EQ(classify_section(facts, false), kind) << facts.name;
  EXPECT_EQ(classify_section({"__bug_table", SHT_PROGBITS, data, 0}, true), SectionKind::table);
}

TEST(Sections, TablesOfNoArchitectureAreUnknown) {
  EXPECT_EQ(classify_section({"__ftr_fixup", SHT_PROGBITS, SHF_ALLOC, 0}, true), SectionKind::table);
  EXPECT_EQ(classify_section({"__ftr_fixup", SHT_PROGBITS, SHF_ALLOC, 0}, false), SectionKind::unknown);
}

TEST(Tables, PointersOfOlderEntriesCountFromTheEntry) {
  using enum Landmark;
  struct Case {
    std::vector<std::pair<Landmark, Landmark>> leads;  // to what; and so far before that as the field is in its entry
    std::vector<uint64_t> distances;
  };
  for (const Case& c : {
           Case{{{code, code}, {string_middle, string_start}, {code, code}, {string_middle, string_start}},
                {0, 4, 0, 4}},
           Case{{{code, code}, {string_start, string_middle}, {code, code}, {string_start, other}}, {0, 0, 0, 0}},
           // A short string, behind which another begins, is told by the others.
           Case{{{code, code}, {string_start, string_start}, {code, code}, {string_middle, string_start}},
                {0, 4, 0, 4}},
           Case{{{code, code}, {string_start, string_start}, {code, code}, {string_start, string_middle}},
                {0, 0, 0, 0}},
           Case{{{code, code}, {string_start, string_start}}, {0, 0}},
           Case{{{code, code}, {other, other}, {code, code}, {string_middle, string_middle}}, {0, 0, 0, 0}},
       }) {
    const std::vector<uint64_t> all = {0, 4, 12, 16};
    const std::span<const uint64_t> offsets = std::span{all}.first(c.leads.size());
    EXPECT_EQ(from_entries(offsets,
                           [&](size_t i, uint64_t back) { return back == 0 ? c.leads[i].first : c.leads[i].second; }),
              c.distances);
  }
  EXPECT_TRUE(from_entries({}, {}).empty());
}

}  // namespace
}  // namespace kpatch

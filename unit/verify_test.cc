// What kpatch-verify says of any module: the fixture's livepatch as it is, with the tables of other makers, damaged, cut
// off, for another kernel, and without one.
#include "verify/verify.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>

#include "klp/mutants.h"
#include "try/control.h"
#include "unit/audit-fixture.h"
#include "unit/damaged-file.h"

namespace kpatch {
namespace {

using namespace audit_fixture;

constexpr std::string_view our_tables =
    "  .section .kpatch.funcs,\"a\"\n"
    "  .quad show, show_n, vmlinux, 0\n"
    "  .quad stats, stats_n, dummy, 0\n"
    "  .section .kpatch.callbacks.pre_patch,\"a\"\n"
    "  .quad callback, dummy\n";

constexpr std::string_view dynups_tables =
    "  .section .kpatch.funcs,\"a\"\n"
    "  .quad show, 16, 0, 16, 0, show_n, vmlinux\n"
    "  .quad stats, 16, 0, 16, 0, stats_n, dummy\n"
    "  .section .kpatch.callbacks.pre_patch,\"a\"\n"
    "  .quad callback, dummy\n"
    "  .quad 0\n"
    "  .section .kpatch.callbacks.post_patch,\"a\"\n"
    "  .quad 0\n";

constexpr std::string_view klp_builds_tables =
    "  .section .init.klp_funcs,\"aw\"\n"
    "functions: .quad show_n, show, 0\n"
    "dummys:    .quad stats_n, stats, 0\n"
    "  .section .init.klp_objects,\"aw\"\n"
    "  .quad 0, functions, 0, 0, 0, 0\n  .long 1, 0\n"
    "  .quad dummy, dummys, callback, 0, 0, 0\n  .long 1, 0\n";

// Sizes as no kernel has them: they don't matter.
constexpr std::string_view tables_in_c =
    "  .section .data.tables,\"aw\"\n"
    "  .type functions, @object\n  .type dummys, @object\n  .type objects, @object\n"
    "functions: .quad show_n, show, 0, 0, 0, 0, 0\n  .skip 56\n  .size functions, . - functions\n"
    "dummys:    .quad stats_n, stats, 1, 0, 0, 0, 0\n  .skip 56\n  .size dummys, . - dummys\n"
    "objects:   .quad 0, functions, 0, 0, 0, 0, 0, 0, 0\n"
    "           .quad dummy, dummys, callback, 0, 0, 0, 0, 0, 0\n  .skip 72\n  .size objects, . - objects\n"
    "patch:     .quad __this_module, objects, 0\n";

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

class Verify : public AuditFixture {
 protected:
  static VerifyKernel kernel() {
    static std::map<std::string, Binary> files;
    files.clear();
    for (const char* file : {"vmlinux", "dummy.ko"}) files.emplace(file, Binary::open(directory_ / file));
    static Symvers exports;
    exports = Symvers::read(directory_ / "symvers");
    const Binary* dummy = &files.at("dummy.ko");
    return {"6.12.1-test", &files.at("vmlinux"), &exports, [dummy](std::string_view name) -> const Binary* {
              return name == "dummy" || name == "base_module" ? dummy : nullptr;
            }};
  }
  static std::vector<std::string> sentences(const LivepatchVerdict& verdict) {
    std::vector<std::string> list;
    for (const Finding& finding : verdict.findings) list.push_back(sentence_of(finding));
    return list;
  }
  static fs::path of_kpatch_build(const Mutation& mutate = {}) {
    return module(replaced(std::string(good), "\"depends=\"", "\"depends=\"\n.asciz \"kpatch_version=1\""), mutate);
  }
  // The same livepatch with other tables; init_module hands over what they are.
  static fs::path made_otherwise(std::string_view tables) {
    return tables == tables_in_c ? in_c(tables) : module(replaced(std::string(good), our_tables, tables), {});
  }
  // With tables that are structs, of which klp_enable_patch() is given one.
  static fs::path in_c(std::string_view tables) {
    std::string text = replaced(std::string(good), our_tables, tables);
    text = replaced(text, ".quad 0, 0, 0\n", ".globl __this_module\n__this_module: .quad 0, 0, 0\n");
    text = replaced(text, "leaq ops(%rip), %rax",
                    "leaq ops(%rip), %rax\n  leaq patch(%rip), %rdi\n  call klp_enable_patch");
    text = replaced(text, "  crc 0x11, printk", "  crc 0x11, printk\n  crc 0x17, klp_enable_patch");
    return module(text, {});
  }
  static const std::vector<Replacement>& both() {
    static const std::vector<Replacement> list = {{"dummy", "old_stats", 0, "stats"},
                                                  {"vmlinux", "old_show", 0, "show"}};
    return list;
  }
};

TEST_F(Verify, GoodModule) {
  const LivepatchVerdict verdict = verify(of_kpatch_build(), kernel());
  EXPECT_EQ(sentences(verdict), std::vector<std::string>());
  EXPECT_TRUE(verdict.good());
  EXPECT_EQ(verdict.name, "livepatch_fix");
  EXPECT_EQ(verdict.release, "6.12.1-test");
  EXPECT_EQ(verdict.kernel, "6.12.1-test");
  EXPECT_EQ(verdict.maker, "kpatch-build");
  EXPECT_EQ(verdict.signature, "none");
  EXPECT_EQ(verdict.functions, both());
  EXPECT_EQ(verdict.unchecked.size(), 1U);
  const auto json = to_json(verdict, "a.ko");
  EXPECT_EQ(json["good"], true);
  EXPECT_EQ(json["functions"][1]["name"], "old_show");
}

// What kpatch-try loads as a control: the same functions, of modules that nobody has.
TEST_F(Verify, TheControlRedirectsNothing) {
  for (const std::string_view tables : {our_tables, dynups_tables, klp_builds_tables, tables_in_c}) {
    KlpElf module = KlpElf::read(tables == our_tables ? of_kpatch_build() : made_otherwise(tables));
    const std::vector<Replacement> before = replacements_of(module, read_patch_tables(module));
    ASSERT_TRUE(redirect_nothing(module)) << tables;
    const std::vector<Replacement> after = replacements_of(module, read_patch_tables(module));
    ASSERT_EQ(after.size(), before.size()) << tables;
    for (const Replacement& f : after) {
      EXPECT_TRUE(f.object != "vmlinux" && f.object != "dummy") << f.object << tables;
      EXPECT_FALSE(f.object.empty()) << tables;
    }
  }
}

TEST_F(Verify, StatesOfALivepatchInC) {
  const auto has_states = [](const fs::path& module) { return read_patch_tables(KlpElf::read(module)).has_states; };
  EXPECT_FALSE(has_states(made_otherwise(tables_in_c)));
  EXPECT_TRUE(has_states(in_c(replaced(std::string(tables_in_c), "objects, 0\n", "objects, functions\n"))));
  EXPECT_FALSE(has_states(made_otherwise(our_tables)));
}

TEST_F(Verify, NoControlOfUnknownTables) {
  KlpElf module = KlpElf::read(made_otherwise(""));
  EXPECT_FALSE(redirect_nothing(module));
}

TEST_F(Verify, ByTheFileAlone) {
  const LivepatchVerdict verdict = verify(of_kpatch_build(), {});
  EXPECT_EQ(sentences(verdict), std::vector<std::string>());
  EXPECT_EQ(verdict.functions, both());
  EXPECT_EQ(verdict.kernel, "");
  ASSERT_EQ(verdict.unchecked.size(), 4U);
  EXPECT_NE(verdict.unchecked[0].find("no vmlinux"), std::string::npos);
  EXPECT_NE(text_of(verdict, "a.ko").find("judged for   no kernel, by the file alone"), std::string::npos);
}

TEST_F(Verify, WithoutModulesNoneIsMissing) {
  VerifyKernel without = kernel();
  without.open_module = {};
  EXPECT_EQ(sentences(verify(of_kpatch_build(), without)), std::vector<std::string>());
  without.open_module = [](std::string_view) { return nullptr; };
  EXPECT_NE(sentences(verify(of_kpatch_build(), without)), std::vector<std::string>());
}

TEST_F(Verify, TablesOfOtherMakers) {
  struct Maker {
    std::string_view tables, name;
    uint64_t sympos;
  };
  for (const Maker& maker : {Maker{dynups_tables, "dynup kpatch", 0}, Maker{klp_builds_tables, "klp-build", 0},
                             Maker{tables_in_c, "struct klp_patch", 1}}) {
    SCOPED_TRACE(maker.name);
    const LivepatchVerdict verdict = verify(made_otherwise(maker.tables), kernel());
    EXPECT_EQ(sentences(verdict), std::vector<std::string>());
    EXPECT_EQ(verdict.maker, maker.name);
    std::vector<Replacement> expected = both();
    expected[0].sympos = maker.sympos;
    EXPECT_EQ(verdict.functions, expected);
  }
}

// Eight zero bytes behind the callbacks are of dynup's linker script; in ours, or when they are something, they are wrong.
TEST_F(Verify, WhatStandsBehindCallbacks) {
  const std::string pre_patch = ".kpatch.callbacks.pre_patch: no whole number of entries";
  const std::string something = replaced(std::string(dynups_tables), "dummy\n  .quad 0\n", "dummy\n  .quad 7\n");
  const std::string pointer = replaced(std::string(dynups_tables), "dummy\n  .quad 0\n", "dummy\n  .quad callback\n");
  for (const std::string& tables : {something, pointer})
    EXPECT_EQ(sentences(verify(module(replaced(std::string(good), our_tables, tables), {}), kernel())),
              std::vector<std::string>{pre_patch});
  const std::string ours = replaced(std::string(our_tables), "callback, dummy\n", "callback, dummy, 0\n");
  EXPECT_EQ(sentences(verify(module(replaced(std::string(good), our_tables, ours), {}), kernel())),
            std::vector<std::string>{pre_patch});
}

// A row of a struct klp_func[] that has a name alone: the kernel refuses it when it is loaded.
TEST_F(Verify, ARowWithoutItsFunction) {
  const std::string behind = replaced(std::string(tables_in_c), "functions: .quad show_n, show, 0, 0, 0, 0, 0\n",
                                      "functions: .quad show_n, show, 0, 0, 0, 0, 0\n.quad twin_n, 0, 1, 0, 0, 0, 0\n");
  const std::string first =
      replaced(std::string(tables_in_c), "functions: .quad show_n, show,", "functions: .quad show_n, 0,");
  for (const auto& [tables, name] : {std::pair(behind, "twin"), std::pair(first, "old_show")}) {
    const std::vector<std::string> found = sentences(verify(in_c(tables), kernel()));
    EXPECT_NE(std::find_if(found.begin(), found.end(),
                           [&](const std::string& text) {
                             return text.find(std::string(name) + ": points at no function of the module") !=
                                    std::string::npos;
                           }),
              found.end())
        << name;
  }
}

TEST_F(Verify, ContentIsReadWhoeverMadeIt) {
  for (const fs::path& made : {of_kpatch_build(), made_otherwise(dynups_tables), made_otherwise(klp_builds_tables),
                               made_otherwise(tables_in_c)}) {
    const LivepatchContent content = content_of(KlpElf::read(made));
    SCOPED_TRACE(content.maker);
    ASSERT_EQ(content.functions.size(), 2U);
    EXPECT_EQ(content.functions[0].object, "dummy");
    EXPECT_EQ(content.functions[1].name, "old_show");
    EXPECT_FALSE(content.functions[1].code.empty());
    EXPECT_EQ(content.callbacks, (std::set<std::pair<std::string, std::string>>{{"dummy", "pre_patch"}}));
    EXPECT_EQ(content.release, "6.12.1-test");
    EXPECT_FALSE(content.knows_patches);
    EXPECT_FALSE(content.has_shadow_variables);
  }
  EXPECT_THROW(content_of(KlpElf::read(directory_ / "dummy.ko")), Error);
}

// What a system call does is in a function that it calls.
TEST_F(Verify, CodeIsThatOfAllItReaches) {
  const auto codes = [](std::string_view number) {
    const std::string text =
        replaced(std::string(good), "  leaq callback(%rip), %rdi\n  movq $twin",
                 "  leaq callback(%rip), %rdi\n  .byte 0xe8\n  .long helper - 4 - .\n  movq $twin") +
        "\n  .section .text.helper,\"ax\"\n  .type helper, @function\nhelper: movl data(%rip), %eax\n"
        "  jmp __x86_return_thunk\n  .size helper, . - helper\n"
        "  .section .data.helper,\"aw\"\n  .type data, @object\ndata: .long " +
        std::string(number) + "\n  .size data, 4\n";
    const LivepatchContent content = content_of(KlpElf::read(module(text, {})));
    return std::pair(content.functions.at(0).code, content.functions.at(1).code);
  };
  const auto first = codes("1"), second = codes("2");
  EXPECT_EQ(first.first, second.first);
  EXPECT_NE(first.second, second.second);
  EXPECT_EQ(first.second, codes("1").second);
}

TEST_F(Verify, ContentOfOursHasThePatches) {
  const std::string fields =
      "\"depends=\"\n.asciz \"kpatch_hunk=fs/a b.c:7 -0123abcd +4567ef00\"\n.asciz \"kpatch_shadow=1 + 2\"\n"
      ".asciz \"kpatch_fixes=CVE-2026-1\"";
  const LivepatchContent content =
      content_of(KlpElf::read(module(replaced(std::string(good), "\"depends=\"", fields), {})));
  ASSERT_EQ(content.places.size(), 1U);
  EXPECT_EQ(content.places[0].file, "fs/a b.c");
  EXPECT_EQ(content.places[0].line, 7U);
  EXPECT_EQ(content.places[0].lines, (std::vector<std::string>{"-0123abcd", "+4567ef00"}));
  EXPECT_EQ(content.places[0].text(), "fs/a b.c:7 -0123abcd +4567ef00");
  EXPECT_EQ(content.shadow_ids, std::set<std::string>{"1 + 2"});
  EXPECT_EQ(content.fixes, std::set<std::string>{"CVE-2026-1"});
  EXPECT_EQ(to_json(livepatch_content_of(to_json(content))), to_json(content));
  for (const char* damaged :
       {"fs/a.c:7", "fs/a.c -0123abcd", ":7 -0123abcd", "fs/a.c:x -0123abcd", "fs/a.c:7 *0123abcd"})
    EXPECT_FALSE(PatchPlace::of(damaged)) << damaged;
  EXPECT_THROW(content_of(KlpElf::read(
                   module(replaced(std::string(good), "\"depends=\"", "\"depends=\"\n.asciz \"kpatch_hunk=a\""), {}))),
               Error);
  EXPECT_THROW(livepatch_content_of(nlohmann::json::object()), Error);
  EXPECT_THROW(livepatch_content_of(nlohmann::json()), Error);
}

TEST_F(Verify, WhatOthersReplaceIsLookedUp) {
  for (const std::string_view tables : {dynups_tables, klp_builds_tables}) {
    const std::string text = replaced(std::string(good), our_tables, replaced(std::string(tables), "show_n", "twin_n"));
    const LivepatchVerdict verdict = verify(module(text, {}), kernel());
    ASSERT_EQ(verdict.findings.size(), 1U);
    EXPECT_EQ(verdict.findings[0].message, "vmlinux has 2 symbols twin, and sympos is 0");
  }
}

// A module of ours must not depend on another; the kernel doesn't mind, and so others may.
TEST_F(Verify, OthersMayDoWhatWeMayNot) {
  const std::string text = replaced(std::string(good), "\"depends=\"", "\"depends=dummy\"");
  const LivepatchVerdict verdict = verify(module(text, {}), kernel());
  ASSERT_EQ(verdict.findings.size(), 1U);
  EXPECT_EQ(verdict.findings[0].severity, Severity::warning);
  EXPECT_TRUE(verdict.good());
  EXPECT_FALSE(verify(module(replaced(text, "\"name=", "\"kpatch_version=1\"\n.asciz \"name="), {}), kernel()).good());
}

TEST_F(Verify, AModuleThatIsNoLivepatch) {
  const std::vector<std::string> found = sentences(verify(directory_ / "dummy.ko", kernel()));
  EXPECT_NE(std::find(found.begin(), found.end(), ".modinfo: 'livepatch' is missing"), found.end());
  EXPECT_NE(std::find(found.begin(), found.end(), "it is no livepatch: it never calls klp_enable_patch"), found.end());
}

TEST_F(Verify, TablesThatAreMadeAtRunTime) {
  std::string text = replaced(std::string(good), our_tables, "");
  text = replaced(text, "leaq ops(%rip), %rax", "leaq ops(%rip), %rax\n  call klp_enable_patch");
  const std::vector<std::string> found = sentences(verify(module(text, {}), {}));
  ASSERT_EQ(found.size(), 2U);  // and a klp relocation section of an object that nobody names
  EXPECT_NE(found[0].find("what it replaces can't be told"), std::string::npos);
}

TEST_F(Verify, AnotherKernel) {
  VerifyKernel other = kernel();
  other.release = "6.1.0-other";
  const LivepatchVerdict verdict = verify(of_kpatch_build(), other);
  ASSERT_FALSE(verdict.findings.empty());
  EXPECT_NE(verdict.findings[0].message.find("it was built for another kernel than 6.1.0-other"), std::string::npos);
}

TEST_F(Verify, Signatures) {
  const auto with = [](std::string tail) {
    fs::copy_file(of_kpatch_build(), directory_ / "signed.ko", fs::copy_options::overwrite_existing);
    std::ofstream(directory_ / "signed.ko", std::ios::app | std::ios::binary)
        << tail << "~Module signature appended~\n";
    return verify(directory_ / "signed.ko", {});
  };
  const std::string header("\0\0\2\0\0\0\0\0\0\0\0\4", 12), huge("\0\0\2\0\0\0\0\0\1\0\0\4", 12),
      x509("\0\0\1\0\0\0\0\0\0\0\0\4", 12);
  EXPECT_EQ(with("abcd" + header).signature, "PKCS#7, 4 bytes");
  EXPECT_TRUE(with("abcd" + header).good());
  EXPECT_EQ(with("abcd" + huge).signature, "damaged");
  EXPECT_FALSE(with("abcd" + huge).good());
  EXPECT_FALSE(with("abcd" + x509).good());
  for (const size_t byte : {0, 1, 3, 4, 5, 6, 7}) {
    std::string other = header;
    other[byte] = 1;
    EXPECT_FALSE(with("abcd" + other).good()) << byte;
    EXPECT_EQ(with("abcd" + other).signature, "damaged") << byte;
  }
}

TEST_F(Verify, CutFiles) {
  std::ifstream in(of_kpatch_build(), std::ios::binary);
  DamagedFile cut(directory_ / "cut.ko", {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()});
  size_t good = 0, bad = 0;
  cut.each_beginning([&](size_t length) {
    if (length % 7 != 0) return;
    try {
      ++(verify(cut.path(), {}).good() ? good : bad);
    } catch (const Error&) {
      ++bad;
    }
  });
  EXPECT_EQ(good, 0U);
  EXPECT_GT(bad, 500U);
}

// Of each kind of mistake, whether the file and the kernel tell one of them in this livepatch; doc/mutants.md has how many of
// real ones, and why the others can't be told.
TEST_F(Verify, KindsOfMistakes) {
  const std::map<std::string_view, bool> expected = {
      {"changed addend", true},
      {"another symbol of the kernel", true},
      {"another place of the module", true},
      {"relocation dropped", true},
      {"relocation of another type", false},
      {"relocation that writes nothing", true},
      {"addend far off", true},
      {"another rank (sympos)", true},
      {"another owner", true},
      {"klp relocations of another object", true},
      {"instruction changed", true},
      {"immediate changed", false},
      {"replacement of an alternative changed", false},
      {"data changed", false},
      {"stale string", false},
      {"entry lost", true},
      {"entry doubled", false},
      {"entry moved by a byte", true},
      {"entry's flags changed", false},
      {"key of a static call changed", true},
      {"symbol of another size", false},
      {"symbol made undefined", true},
      {"symbol of another binding", false},
      {"two functions swapped", true},
      {"klp_func dropped", false},
      {"klp_func doubled", true},
      {"klp_func of another rank", true},
      {"klp_func of a name that isn't there", true},
      {"klp_func without its function", true},
      {"callback dropped", false},
      {"cold part lost", false},
      {"code that nobody wrote", false},
  };
  const VerifyKernel k = kernel();
  const KlpElf whole = KlpElf::read(of_kpatch_build());
  for (const MutantKind& kind : mutant_kinds()) {
    bool caught = false;
    KlpElf copy = whole;
    for (size_t which = 0; const auto what = kind.make(copy, *k.vmlinux, which); ++which, copy = whole) {
      if (what->empty()) continue;
      copy.write(directory_ / "mutant.ko");
      try {
        caught = caught || !verify(directory_ / "mutant.ko", k).good();
      } catch (const Error&) {
        caught = true;
      }
    }
    ASSERT_TRUE(expected.contains(kind.name)) << kind.name;
    EXPECT_EQ(caught, expected.at(kind.name)) << kind.name;
  }
}

}  // namespace
}  // namespace kpatch

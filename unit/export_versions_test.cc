// Versions of exports: what the kernel's generators write, and why one changes.
#include "lookup/export-versions.h"

#include <gtest/gtest.h>

#include "kbuild/version-generator.h"
#include "kpatch-build/export-changes.h"
#include "support/error.h"
#include "support/files.h"
#include "unit/temporary_folder.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;

constexpr const char* types =
    "s#list struct list { s#list * next ; } \n"
    "t#lock_t typedef struct { int counter ; } lock_t \n"
    "s#inner struct inner { t#lock_t lock ; s#list list ; } \n"
    "s#outer struct outer { s#inner inner ; } \n"
    "take void take ( s#outer * ) \n"
    "other int other ( int ) \n";

std::string replaced(std::string text, const std::string& what, const std::string& with) {
  text.replace(text.find(what), what.size(), with);
  return text;
}

TEST(ExportVersions, AreReadAsOldAndNewKernelsWriteThem) {
  const ExportVersions now = read_export_versions("#SYMVER take 0xb4178db6\n#SYMVER other 0x00000001\n", types);
  EXPECT_EQ(now.crcs, (std::map<std::string, uint32_t, std::less<>>{{"other", 1}, {"take", 0xb4178db6}}));
  EXPECT_EQ(now.types.at("s#list"), "struct list { s#list * next ; }");
  const ExportVersions before_5_18 =
      read_export_versions("__crc_take = 0xb4178db6;\nwarning: what else is there\n", "");
  EXPECT_EQ(before_5_18.crcs, (std::map<std::string, uint32_t, std::less<>>{{"take", 0xb4178db6}}));
  EXPECT_THROW(read_export_versions("#SYMVER take b4178db6\n", ""), Error);
  EXPECT_THROW(read_export_versions("#SYMVER take 0xb4178db6123\n", ""), Error);
}

std::vector<ExportChange> changes(const std::string& after_types, const char* take = "0x2", const char* other = "0x9") {
  const ExportVersions before = read_export_versions("#SYMVER take 0x1\n#SYMVER other 0x9\n#SYMVER gone 0x3\n", types);
  return export_changes(
      before,
      read_export_versions(std::string("#SYMVER take ") + take + "\n#SYMVER other " + other + "\n", after_types));
}

TEST(ExportVersions, ChangeForATypeDeepInside) {
  EXPECT_EQ(changes(replaced(types, "int counter", "long counter")),
            (std::vector<ExportChange>{{"take", 1, 2, {"t#lock_t"}}}));
  // The nearest first.
  EXPECT_EQ(changes(replaced(replaced(types, "int counter", "long counter"), "{ s#inner inner ;",
                             "{ s#inner inner ; int x ;")),
            (std::vector<ExportChange>{{"take", 1, 2, {"s#outer", "t#lock_t"}}}));
  EXPECT_EQ(changes(replaced(types, "take ( s#outer * )", "take ( s#outer * , int )")),
            (std::vector<ExportChange>{{"take", 1, 2, {"take"}}}));
  EXPECT_EQ(changes(types, "0x1"), std::vector<ExportChange>{});
  // A CRC of which nothing else is known.
  EXPECT_EQ(changes("", "0x2"), (std::vector<ExportChange>{{"take", 1, 2, {"take"}}}));
}

TEST(ExportVersions, AStructThatBecomesKnownIsNoChange) {
  EXPECT_EQ(changes(replaced(types, "struct inner { t#lock_t lock ; s#list list ; }", "struct inner { UNKNOWN }")),
            std::vector<ExportChange>{});
  EXPECT_EQ(
      changes(replaced(replaced(types, "struct inner { t#lock_t lock ; s#list list ; }", "struct inner { UNKNOWN }"),
                       "{ s#inner inner ;", "{ s#inner inner ; int x ;")),
      (std::vector<ExportChange>{{"take", 1, 2, {"s#outer"}}}));
}

TEST(ExportVersions, GoAsLines) {
  const std::vector<ExportChange> list{{"f", 0x1f, 0xb4178db6, {"s#a", "f"}}, {"g", 1, 2, {"e#b"}}};
  EXPECT_EQ(text_of(list), "f\t0x0000001f\t0xb4178db6\ts#a\tf\ng\t0x00000001\t0x00000002\te#b\n");
  EXPECT_EQ(read_export_changes(text_of(list)), list);
  for (const char* broken : {"f\n", "f\t0x1\t0x2\n", "f\t1\t0x2\ts#a\n", "\n"})
    EXPECT_THROW(read_export_changes(broken), Error) << broken;
}

// A kernel of one file, and programs in place of its generators.
class ExportChangesTest : public testing::Test {
 protected:
  ExportChangesTest() {
    for (const char* tree : {"source", "patched"})
      folder_.write(std::string(tree) + "/a.c", std::string("#ifdef __GENKSYMS__\nint of_") + tree +
                                                    ";\n#endif\nint f(void) { return 1; }\n"
                                                    "char __export_symbol_f[1] = {1}; char __export_symbol_g[1];\n");
    folder_.write("kbuild/.config", "CONFIG_MODVERSIONS=y\n");
    base_.source = folder_.path() / "source";
    base_.kbuild = folder_.path() / "kbuild";
    base_.config = base_.kbuild / ".config";
    base_.symvers = folder_.path() / "Module.symvers";
    write_file(base_.symvers, "0x00000001\tf\tvmlinux\tEXPORT_SYMBOL\t\n0x00000007\tg\tvmlinux\tEXPORT_SYMBOL\t\n");
    patches_.directory = folder_.path() / "patched";
    patches_.modified = {"a.c"};
    // Both exports; f's version depends on what was read.
    generator("genksyms",
              "[ \"$1\" = -T ] && grep -q of_ && { echo \"f int f ( )\" >\"$2\"; }; \n"
              "echo '#SYMVER f 0x1'; echo '#SYMVER g 0x7'");
  }

  void generator(const std::string& name, const std::string& script) const {
    const std::string file = "kbuild/scripts/" + name + "/" + name;
    folder_.write(file, "#!/bin/sh\n" + script + "\n");
    fs::permissions(folder_.path() / file, fs::perms::owner_all);
  }

  std::vector<std::string> run() {
    const TemporaryFolder scratch;
    PatchedView view(base_.source, scratch.path() / "view", patches_);
    Executor executor(folder_.path() / "log");
    const CompileSettings settings{base_, view, folder_.path() / "objects", "/none", 2};
    CompileCommand c{"a.o", "a.c", "", {"gcc", "-O2", "-c", "-o", "a.o", (base_.source / "a.c").string()}};
    const AffectedObject object{c, c, true, ""};
    std::vector<ObjectPair> pairs{*compile_pairs({&object, 1}, false, settings, executor, {}).value};
    if (pairs.empty()) {  // of equal objects nothing is kept
      const fs::path original = folder_.path() / "objects/orig.o", patched = folder_.path() / "objects/patched.o";
      for (const fs::path& file : {original, patched})
        executor.run({{"gcc", "-O2", "-c", "-o", file.string(), (base_.source / "a.c").string()}, {}, {}});
      pairs.push_back({c, original, patched, {}});
    }
    std::vector<std::string> facts;
    for (const Finding& f : find_export_changes(pairs, settings, executor)) facts.push_back(text_of(f));
    if (!pairs[0].exports.empty()) facts.push_back(read_file(pairs[0].exports));
    return facts;
  }

  static std::string complaint(const std::string& why) {
    return "a.c: warning: the versions of its exports can't be compared by the kernel's own generator: " + why +
           ". Prototypes and types are compared all the same, by debug information [export-versions]";
  }

  TemporaryFolder folder_;
  Base base_;
  AppliedPatches patches_;
};

using Lines = std::vector<std::string>;

TEST_F(ExportChangesTest, StayWhereTheGeneratorSaysSo) { EXPECT_EQ(run(), Lines{}); }

TEST_F(ExportChangesTest, AreFoundInTheSourceAsGenksymsReadsIt) {
  generator("genksyms",
            "text=$(cat); echo 'f int f ( )' >\"$2\"\n"
            "case $text in *of_patched*) echo '#SYMVER f 0x2' ;; *of_source*) echo '#SYMVER f 0x1' ;; esac");
  EXPECT_EQ(run(), Lines{"f\t0x00000001\t0x00000002\tf\n"});
}

TEST_F(ExportChangesTest, AreGivenByTextWhoseFilesAreKnown) {
  // What a .c file defines itself is opaque to others: genksyms tells it by the lines "# 30 \"a.c\"".
  generator("genksyms",
            "text=$(cat); echo 'f int f ( )' >\"$2\"\n"
            "case $text in '# '*'a.c\"'*) echo '#SYMVER f 0x1' ;; *) echo '#SYMVER f 0x2' ;; esac");
  EXPECT_EQ(run(), Lines{});
}

TEST_F(ExportChangesTest, AreFoundInObjectsWhereTheKernelDoesSo) {
  folder_.write("kbuild/.config", "CONFIG_MODVERSIONS=y\nCONFIG_GENDWARFKSYMS=y\n");
  generator("gendwarfksyms",
            "echo 'f int f ( )' >\"$2\"; [ \"$1\" = --symtypes ] || exit 1; names=$(cat)\n"
            "[ \"$names\" = 'f\ng' ] || exit 1\n"
            "case $3 in *patched.o) echo '#SYMVER f 0x2' ;; *orig.o) echo '#SYMVER f 0x1' ;; esac");
  EXPECT_EQ(run(), Lines{"f\t0x00000001\t0x00000002\tf\n"});
}

TEST_F(ExportChangesTest, AreNotTakenFromAGeneratorThatDoesntGiveTheShippedVersions) {
  generator("genksyms",
            "text=$(cat); echo 'f int f ( )' >\"$2\"; echo '#SYMVER g 0x7'\n"
            "case $text in *of_patched*) echo '#SYMVER f 0x2' ;; *of_source*) echo '#SYMVER f 0x3' ;; esac");
  EXPECT_EQ(run(), Lines{complaint("f is given 0x00000003 here, and has 0x00000001 in the shipped Module.symvers")});
}

TEST_F(ExportChangesTest, SayWhenTheGeneratorFailsOrIsMissing) {
  generator("genksyms", "echo 'syntax error' >&2; exit 1");
  EXPECT_EQ(run(), Lines{complaint("genksyms failed: syntax error")});
  fs::remove(base_.kbuild / "scripts/genksyms/genksyms");
  EXPECT_EQ(run(), Lines{complaint("scripts/genksyms/genksyms isn't there")});
}

TEST_F(ExportChangesTest, AreOfNoInterestToAKernelWithoutVersions) {
  generator("genksyms", "exit 1");
  folder_.write("kbuild/.config", "CONFIG_MODULES=y\n");
  EXPECT_EQ(run(), Lines{});
}

}  // namespace
}  // namespace kpatch

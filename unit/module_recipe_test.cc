// What make recorded for one module, done for another.
#include "kbuild/module-recipe.h"

#include <gtest/gtest.h>

#include "support/executor.h"
#include "support/files.h"
#include "unit/temporary_folder.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;

// A module's folder as kbuild leaves it, with commands that are cheap: "compiling" is copying.
class Made {
 public:
  explicit Made(std::string name, bool relative = false, size_t objects = 1) {
    build = {folder.path() / "module", folder.path() / "base", std::move(name), {}, "the compiler"};
    fs::create_directories(build.folder / "parts");
    fs::create_directories(build.base);
    for (const char* part : {"livepatch-begin", "livepatch-main", "livepatch-info"}) add(part);
    for (size_t i = 0; i < objects; ++i) {
      build.parts.push_back("parts/diff-" + std::to_string(i) + ".o");
      folder.write("module/" + build.parts.back(), "diff " + std::to_string(i) + "\n");
      folder.write("module/parts/.diff-" + std::to_string(i) + ".o.cmd", "");
    }
    add("livepatch-end");
    folder.write("module/parts/kpatch-info.h", "info of " + build.name);
    folder.write("module/parts/kpatch-config.h", "config");
    at = relative ? "" : build.folder.string() + "/";
  }

  // As make would.
  void record() const {
    std::string modname = build.name, parts, paths;
    for (char& c : modname) c = c == '-' ? '_' : c;
    for (const std::string& part : build.parts) {
      parts += (parts.empty() ? "" : " ") + part;
      paths += (paths.empty() ? "" : " ") + build.folder.string() + "/" + part;
    }
    for (const std::string& part : build.parts) {
      if (!part.starts_with("parts/livepatch")) continue;
      const std::string stem = at + part.substr(0, part.size() - 2);
      made(part, "cat " + stem + ".c > " + stem + ".o; : -DKBUILD_MODNAME='\"" + modname + "\"' kmod=kmod_" + modname,
           stem + ".c", {"include/of/the/kernel.h", at + "parts/kpatch-config.h"});
    }
    made(build.name + ".mod", "printf '%s\\n' " + parts + " > " + at + build.name + ".mod");
    made("modules.order", "echo " + at + build.name + ".o > " + at + "modules.order");
    made(build.name + ".o", "cat " + paths + " > " + at + build.name + ".o ; echo " + at + build.name + ".o: linked");
    made("Module.symvers",
         "echo '$# \"" + modname + "\"' > " + at + build.name + ".mod.c; touch " + at + "Module.symvers");
    made(build.name + ".mod.o", "cp " + at + build.name + ".mod.c " + at + build.name + ".mod.o");
    made(build.name + ".ko",
         "cat " + at + build.name + ".o " + at + build.name + ".mod.o > " + at + build.name + ".ko");
  }

  std::string ko() const { return read_file(build.folder / (build.name + ".ko")); }
  Executor executor() const { return Executor(folder.path() / "log"); }

  TemporaryFolder folder;
  ModuleBuild build;

 private:
  void add(const std::string& part) {
    build.parts.push_back("parts/" + part + ".o");
    folder.write("module/parts/" + part + ".c", "source of " + part + "\n");
  }
  void made(const std::string& file, const std::string& command, const std::string& source = {},
            const std::vector<std::string>& dependencies = {}) const {
    folder.write(fs::path("module") / file, "");
    write_record(build.folder / file, {command, source, dependencies});
  }

  std::string at;
};

class ModuleRecipeTest : public testing::TestWithParam<bool> {};

TEST_P(ModuleRecipeTest, AnotherModuleWithMoreObjectsIsMadeByIt) {
  const Made first("livepatch-first", GetParam());
  first.record();
  const auto learned = ModuleRecipe::learn(first.build);
  ASSERT_TRUE(learned);
  learned->write(first.folder.path() / "recipe", "key");
  EXPECT_FALSE(ModuleRecipe::read(first.folder.path() / "recipe", "another"));
  const auto recipe = ModuleRecipe::read(first.folder.path() / "recipe", "key");
  ASSERT_TRUE(recipe);

  const Made second("livepatch-2nd", GetParam(), 3);
  const KeptFiles kept(second.folder.path() / "kept");
  Executor executor = second.executor();
  const CommandResult result = recipe->run(second.build, kept, 2, executor);
  ASSERT_TRUE(result.ok()) << result.output;
  EXPECT_NE(result.output.find("livepatch-2nd.o: linked"), std::string::npos);
  EXPECT_EQ(second.ko(),
            "source of livepatch-begin\nsource of livepatch-main\nsource of livepatch-info\ndiff 0\ndiff 1\ndiff 2\n"
            "source of livepatch-end\n$# \"livepatch_2nd\"\n");
  // modpost reads these.
  const auto record = read_record(second.build.folder / "parts/livepatch-main.o");
  ASSERT_TRUE(record);
  EXPECT_TRUE(record->source.ends_with("parts/livepatch-main.c"));
  ASSERT_EQ(record->dependencies.size(), 1U);
  EXPECT_TRUE(record->dependencies.front().ends_with("parts/kpatch-config.h"));
  EXPECT_EQ(record->command.find("first"), std::string::npos) << record->command;
}
INSTANTIATE_TEST_SUITE_P(, ModuleRecipeTest, testing::Values(false, true),
                         [](const auto& test) { return test.param ? "InTheModulesFolder" : "InTheBase"; });

TEST(ModuleRecipe, TheTemplateIsKeptUnlessItHoldsTheModule) {
  const Made first("livepatch-first");
  first.record();
  const auto recipe = ModuleRecipe::learn(first.build);
  ASSERT_TRUE(recipe);
  const KeptFiles kept(first.folder.path() / "kept");
  const auto compiled = [&](const Made& made) {
    Executor executor = made.executor();
    EXPECT_TRUE(recipe->run(made.build, kept, 1, executor).ok());
    const std::string log = read_file(executor.log());
    std::string parts;
    for (const char* part : {"begin", "main", "info", "end"})
      if (log.find("livepatch-" + std::string(part) + ".c > ") != std::string::npos) parts += std::string(" ") + part;
    return parts;
  };
  EXPECT_EQ(compiled(Made("livepatch-second")), " begin main info end");
  EXPECT_EQ(compiled(Made("livepatch-third")), " info");
  Made other("livepatch-fourth");
  other.folder.write("module/parts/kpatch-config.h", "another");
  EXPECT_EQ(compiled(other), " begin main info end");
  Made by_another_compiler("livepatch-fifth");
  by_another_compiler.build.makers = "another compiler of the same version";
  EXPECT_EQ(compiled(by_another_compiler), " begin main info end");
}

TEST(ModuleRecipe, APartThatHoldsTheNameIsNotKept) {
  const Made first("livepatch-first");
  first.folder.write("module/parts/livepatch-main.c", "livepatch_first is my name\n");
  first.record();
  for (const std::string& part : first.build.parts)
    if (part.starts_with("parts/livepatch"))
      fs::copy_file((first.build.folder / part).replace_extension(".c"), first.build.folder / part,
                    fs::copy_options::overwrite_existing);
  const auto recipe = ModuleRecipe::learn(first.build);
  ASSERT_TRUE(recipe);
  const KeptFiles kept(first.folder.path() / "kept");
  recipe->keep(first.build, kept);
  const Made second("livepatch-second");
  second.folder.write("module/parts/livepatch-main.c", "livepatch_first is my name\n");
  Executor executor = second.executor();
  ASSERT_TRUE(recipe->run(second.build, kept, 1, executor).ok());
  const std::string log = read_file(executor.log());
  EXPECT_NE(log.find("livepatch-main.c > "), std::string::npos);
  EXPECT_EQ(log.find("livepatch-begin.c > "), std::string::npos);
}

TEST(ModuleRecipe, WhatIsNotUnderstoodIsNotLearned) {
  {
    const Made missing("livepatch-fix");
    missing.record();
    fs::remove(missing.build.folder / ".Module.symvers.cmd");
    EXPECT_FALSE(ModuleRecipe::learn(missing.build));
  }
  {
    const Made unknown("livepatch-fix");
    unknown.record();
    write_record(unknown.build.folder / "more.o", {"touch more.o"});
    EXPECT_FALSE(ModuleRecipe::learn(unknown.build));
  }
  // A module that is called as a word of the commands is.
  for (const char* name : {"printf", "cat", "echo", "parts", "o", "livepatch"}) {
    const Made made(name);
    made.record();
    EXPECT_FALSE(ModuleRecipe::learn(made.build)) << name;
  }
  const Made plain("fix");
  plain.record();
  EXPECT_TRUE(ModuleRecipe::learn(plain.build));
}

TEST(ModuleRecipe, ANameWithoutDashesServesOneWithThem) {
  const Made first("fix");
  first.record();
  const auto recipe = ModuleRecipe::learn(first.build);
  ASSERT_TRUE(recipe);
  const Made second("with-dash");
  Executor executor = second.executor();
  ASSERT_TRUE(recipe->run(second.build, KeptFiles(second.folder.path() / "kept"), 1, executor).ok());
  const auto record = read_record(second.build.folder / "parts/livepatch-main.o");
  ASSERT_TRUE(record);
  EXPECT_NE(record->command.find("KBUILD_MODNAME='\"with_dash\"' kmod=kmod_with_dash"), std::string::npos)
      << record->command;
}

TEST(ModuleRecipe, TheFirstFailureEndsIt) {
  const Made first("livepatch-first");
  first.record();
  write_record(first.build.folder / "livepatch-first.o", {"echo no; exit 3"});
  const auto recipe = ModuleRecipe::learn(first.build);
  ASSERT_TRUE(recipe);
  const Made second("livepatch-second");
  Executor executor = second.executor();
  const CommandResult result = recipe->run(second.build, KeptFiles(second.folder.path() / "kept"), 1, executor);
  EXPECT_EQ(result.status, 3);
  EXPECT_NE(result.output.find("no"), std::string::npos);
  EXPECT_FALSE(fs::exists(second.build.folder / "livepatch-second.ko"));
}

TEST(BuildRecord, IsReadAsMakeWouldReadIt) {
  TemporaryFolder folder;
  folder.write(".a.o.cmd",
               "cmd_dir/a.o := gcc '-DX=\\#$$y' -c a.c ; true\n\nsource_dir/a.o := dir/a.c\n\ndeps_dir/a.o := \\\n"
               "    $(wildcard include/config/FOO) \\\n  dir/a.h \\\n  b.h \\\n\ndir/a.o: $(deps_dir/a.o)\n");
  const auto record = read_record(folder.path() / "a.o");
  ASSERT_TRUE(record);
  EXPECT_EQ(record->command, "gcc '-DX=#$y' -c a.c ; true");
  EXPECT_EQ(record->source, "dir/a.c");
  EXPECT_EQ(record->dependencies, (std::vector<std::string>{"dir/a.h", "b.h"}));
  write_record(folder.path() / "b.o", *record);
  const auto again = read_record(folder.path() / "b.o");
  ASSERT_TRUE(again);
  EXPECT_EQ(again->command, record->command);
  EXPECT_EQ(again->dependencies, record->dependencies);
  folder.write(".c.o.cmd", "");
  EXPECT_FALSE(read_record(folder.path() / "c.o"));
  folder.write(".d.o.cmd", "no record at all\ncmd_d.o := x\n");
  EXPECT_FALSE(read_record(folder.path() / "d.o"));
  EXPECT_FALSE(read_record(folder.path() / "missing"));
}

}  // namespace
}  // namespace kpatch

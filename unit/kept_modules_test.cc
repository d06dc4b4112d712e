// Files of modules: what they say of themselves, and how they are kept on the machine.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "kpatch/change.h"
#include "kpatch/commands.h"
#include "kpatch/module-file.h"
#include "kpatch/options.h"
#include "kpatch/store.h"
#include "support/error.h"
#include "support/files.h"
#include "unit/target_machine.h"
#include "unit/temporary_folder.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;
using Names = std::vector<std::string>;

TEST(ModuleFiles, WhatIsNone) {
  TemporaryFolder folder;
  const auto why = [&](const std::string& text) -> std::string {
    folder.write("x.ko", text);
    try {
      read_module(folder.path() / "x.ko");
    } catch (const Error& error) {
      return std::string(error.what()).substr((folder.path() / "x.ko").string().size() + 2);
    }
    return "taken";
  };
  EXPECT_EQ(why(""), "it is no kernel module");
  EXPECT_EQ(why("\x7f"
                "ELF"),
            "it is no kernel module");
  EXPECT_EQ(why(std::string("\xfd"
                            "7zXZ\0",
                            6))
                .substr(0, 16),
            "it is compressed");
  EXPECT_THROW(read_module(folder.path()), Error);
  EXPECT_THROW(read_module(folder.path() / "none.ko"), Error);
}

// An object with a .modinfo, by this machine's compiler.
class ModuleObject : public testing::Test {
 protected:
  void make(const std::string& info) {
    folder_.write("x.c", "asm(\".section .modinfo,\\\"a\\\"\\n" + info + ".text\");\nint f(void) { return 0; }\n");
    const std::string command = "gcc -c -o " + file_.string() + " " + (folder_.path() / "x.c").string();
    ASSERT_EQ(std::system(command.c_str()), 0);
  }
  static std::string field(const std::string& text) { return ".asciz \\\"" + text + "\\\"\\n"; }
  void make_module(const std::string& name, const std::string& more = "") {
    make(field("livepatch=Y") + field("name=" + name) + field("vermagic=6.12.1-test SMP mod_unload ") + more);
  }

  TemporaryFolder folder_;
  const fs::path file_ = folder_.path() / "x.ko";
};

TEST_F(ModuleObject, WhatItSaysOfItself) {
  make_module("livepatch-a", field("description=a = b"));
  const ModuleFile module = read_module(file_);
  EXPECT_EQ(module.name, "livepatch_a");
  EXPECT_EQ(module.release, "6.12.1-test");
  EXPECT_TRUE(module.livepatch);
  EXPECT_FALSE(module.is_signed);
  EXPECT_EQ(module.info.back(), (std::pair<std::string, std::string>{"description", "a = b"}));
  write_file(file_, read_file(file_) + "~Module signature appended~\n");
  EXPECT_TRUE(read_module(file_).is_signed);
}

TEST_F(ModuleObject, NamesThatAreNone) {
  for (const char* name : {"../../etc/x", "a/b", "", "a b", "."}) {
    make_module(name);
    EXPECT_THROW(read_module(file_), Error) << name;
  }
  make(field("name=a") + field("livepatch=Y"));
  EXPECT_THROW(read_module(file_), Error);
}

// The livepatches that are kept: files of any name, each with a module in it that says its own.
class Kept : public ModuleObject {
 protected:
  fs::path file(const std::string& name, const std::string& module) {
    make_module(module);
    fs::rename(file_, folder_.path() / name);
    return folder_.path() / name;
  }
  void put(const std::string& name, const std::string& module) {
    fs::create_directories(store_folder_);
    fs::rename(file(name, module), store_folder_ / name);
  }
  int run(const std::string& command, const std::string& name) {
    TargetOptions options;
    options.command = command;
    options.names = {name};
    return run_command(options, machine_);
  }
  Names files() const {
    Names names;
    for (const fs::directory_entry& entry : entries_if_any(store_folder_))
      names.push_back(entry.path().filename().string());
    return names;
  }
  Names installed() const {
    Names names;
    for (const Installed& module : Store(machine_).installed()) names.push_back(module.name);
    return names;
  }

  TargetMachine machine_{folder_};
  const fs::path store_folder_ = machine_.path("/var/lib/kpatch/6.12.1-test");
};

TEST_F(Kept, UnderTheModulesOwnName) {
  for (const char* name : {"other.ko", "fix", "a.ko.txt"}) {
    EXPECT_EQ(run("install", file(name, "livepatch-a")), done);
    EXPECT_EQ(files(), Names{"livepatch_a.ko"}) << name;
    EXPECT_EQ(installed(), Names{"livepatch_a"}) << name;
    EXPECT_EQ(run("uninstall", "livepatch-a"), done);
    EXPECT_EQ(files(), Names{}) << name;
  }
}

// As packages lay them down.
TEST_F(Kept, AFileThatSpellsTheModulesNameKeepsIt) {
  run("install", file("livepatch-a.ko", "livepatch_a"));
  run("install", file("livepatch_b.ko", "livepatch_b"));
  EXPECT_EQ(files(), (Names{"livepatch-a.ko", "livepatch_b.ko"}));
  EXPECT_EQ(installed(), (Names{"livepatch_a", "livepatch_b"}));
}

TEST_F(Kept, OneFileAModule) {
  put("other.ko", "livepatch_a");
  EXPECT_EQ(installed(), Names{"livepatch_a"});
  run("install", file("livepatch-a.ko", "livepatch_a"));
  EXPECT_EQ(files(), Names{"livepatch-a.ko"});
  run("install", file("livepatch_a.ko", "livepatch_a"));
  EXPECT_EQ(files(), Names{"livepatch-a.ko"});
  // Somebody else's second file.
  put("third.ko", "livepatch_a");
  EXPECT_EQ(installed(), Names{"livepatch_a"});
  EXPECT_THROW(run("uninstall", "third"), Error);
  run("uninstall", "livepatch_a");
  EXPECT_EQ(files(), Names{});
}

TEST_F(Kept, NoDebugInformation) {
  EXPECT_THROW(run("install", file("livepatch-a.ko.debug", "livepatch_a")), Error);
  const fs::path whole = file("livepatch-a.ko", "livepatch_a"), stripped = folder_.path() / "b.ko";
  const std::string command = "objcopy --only-keep-debug " + whole.string() + " " + stripped.string();
  ASSERT_EQ(std::system(command.c_str()), 0);
  EXPECT_THROW(run("install", stripped), Error);
  EXPECT_EQ(files(), Names{});
  EXPECT_EQ(run("install", whole), done);
}

// Programs get an answer where a command fails, too.
TEST_F(Kept, FailuresForPrograms) {
  const auto answer = [&](const std::string& command, const Names& names) {
    TargetOptions options;
    options.command = command;
    options.names = names;
    options.json = true;
    testing::internal::CaptureStdout();
    EXPECT_THROW(run_command(options, machine_), Error);
    return nlohmann::json::parse(testing::internal::GetCapturedStdout());
  };
  for (const char* command : {"uninstall", "accept", "install"}) {
    const nlohmann::json failed = answer(command, {"./none.ko"});
    ASSERT_EQ(failed.size(), 1U) << command;
    EXPECT_EQ(failed[0]["module"], "./none.ko");
    EXPECT_EQ(failed[0]["outcome"], "refused");
    EXPECT_FALSE(failed[0]["message"].get<std::string>().empty());
  }
  EXPECT_EQ(answer("info", {"none"})["module"], "none");
  // What was done of several before stays told.
  run("install", file("livepatch-a.ko", "livepatch_a"));
  const nlohmann::json two = answer("uninstall", {"livepatch_a", "livepatch_b"});
  ASSERT_EQ(two.size(), 2U);
  EXPECT_FALSE(two[0].contains("outcome"));
  EXPECT_EQ(two[1]["module"], "livepatch_b");
}

TEST_F(ModuleObject, CutShortOrDamaged) {
  make_module("livepatch_a");
  const std::string whole = read_file(file_);
  for (size_t size = 0; size < whole.size(); size += 3) {
    write_file(file_, whole.substr(0, size), Flush::no);
    EXPECT_THROW(read_module(file_), Error) << size;
  }
  // Whatever it holds then, it is read within its bounds.
  for (size_t at = 0; at < whole.size(); ++at)
    for (const char byte : {'\xff', '\x7f', '\0'}) {
      std::string damaged = whole;
      damaged[at] = byte;
      write_file(file_, damaged, Flush::no);
      try {
        EXPECT_FALSE(read_module(file_).name.empty());
      } catch (const Error&) {
      }
    }
}

}  // namespace
}  // namespace kpatch

// kpatch load --health and --watch: what puts the old livepatch back, and what doesn't.
#include "kpatch/health.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "kpatch/store.h"
#include "support/files.h"
#include "unit/target_machine.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using Names = std::vector<std::string>;

// A machine on which livepatch_old runs, whose file is installed, and livepatch_a is to be loaded and watched.
class Watched : public Target {
 protected:
  void SetUp() override {
    folder_.write("x.c",
                  R"(asm(".section .modinfo,\"a\"\n.asciz \"livepatch=Y\"\n.asciz \"name=livepatch_old\"\n"
                      ".asciz \"vermagic=6.12.1-test SMP \"");)");
    const std::string at = folder_.path().string();
    ASSERT_EQ(std::system(("cd " + at + " && gcc -c x.c && ld -r --build-id=sha1 -o livepatch-old.ko x.o").c_str()), 0);
    Store(machine_).install(read_module(folder_.path() / "livepatch-old.ko"));
    show_old(read_module(folder_.path() / "livepatch-old.ko").build_id);
    machine_.put("/proc/sys/kernel/tainted", "32768\n");
    machine_.put("/dev/kmsg", "");
    // Each of them replaces the other one.
    machine_.on_load = [&](const fs::path& file) {
      const bool old = file.filename() == "livepatch-old.ko";
      machine_.hide(old ? "livepatch_a" : "livepatch_old");
      loaded_.push_back(old ? "livepatch_old" : "livepatch_a");
      if (old)
        show_old(read_module(file).build_id);
      else
        machine_.show("livepatch_a", true, false);
      return 0;
    };
  }

  void show_old(const std::string& id) {
    ASSERT_EQ(id.size(), 20U);
    machine_.show("livepatch_old", true, false);
    machine_.put("/sys/module/livepatch_old/notes/.note.gnu.build-id",
                 std::string("\4\0\0\0\x14\0\0\0\3\0\0\0GNU\0", 16) + id);
  }

  Change watch() { return load_and_watch(machine_, options_, module(), watch_); }

  Names loaded_;
  WatchOptions watch_{"", 900s};
};

TEST_F(Watched, AllIsWell) {
  watch_.command = "test \"$KPATCH_MODULE\" = livepatch_a && echo . >>" + (folder_.path() / "runs").string();
  std::chrono::milliseconds last{0};
  machine_.on_time = [&](auto time) { last = time; };
  const Change change = watch();
  EXPECT_EQ(change.outcome, done) << change.message;
  EXPECT_EQ(loaded_, Names{"livepatch_a"});
  EXPECT_EQ(change.details.back(), "nothing was amiss in 900 s");
  EXPECT_GE(last, 900s);
  EXPECT_LT(last, 902s);
  // Before the load, at once, each 30 seconds, at the end.
  EXPECT_EQ(read_file(folder_.path() / "runs").size() / 2, 1U + 1U + 30U);
}

TEST_F(Watched, WhatTheKernelSaysPutsTheOldOneBack) {
  const std::vector<std::pair<std::string, std::pair<std::string, std::string>>> signs = {
      {"had a warning (taint W)", {"/proc/sys/kernel/tainted", "33280\n"}},
      {"had an oops", {"/sys/kernel/oops_count", "1\n"}},
      {"had a warning", {"/sys/kernel/warn_count", "7\n"}},
      {"logged \"refcount_t: underflow\"", {"/dev/kmsg", "4,1,2,-;refcount_t: underflow\n"}},
  };
  for (const auto& [what, file] : signs) {
    const std::string before = machine_.text(file.first);
    loaded_.clear();
    bool said = false;
    machine_.on_time = [&, begin = machine_.now()](auto) {
      if (!std::exchange(said, machine_.now() - begin >= 5s) && said) machine_.put(file.first, file.second);
    };
    const Change change = watch();
    EXPECT_EQ(change.outcome, taken_back);
    EXPECT_NE(change.message.find(what), std::string::npos) << change.message;
    EXPECT_NE(change.message.find("livepatch_old is in effect again"), std::string::npos) << change.message;
    EXPECT_EQ(loaded_, (Names{"livepatch_a", "livepatch_old"}));
    EXPECT_EQ(Store(machine_).trials("6.12.1-test"), Names{});  // the old one is accepted, as it was
    machine_.put(file.first, before);
  }
}

TEST_F(Watched, WhatIsNoFault) {
  EXPECT_FALSE(tells_of_a_fault("livepatch: enabling patch 'livepatch_a'"));
  EXPECT_FALSE(tells_of_a_fault("livepatch_a: tainting kernel with TAINT_LIVEPATCH"));
  machine_.put("/proc/sys/kernel/tainted", "0\n");
  machine_.on_time = [&](auto) { machine_.put("/proc/sys/kernel/tainted", "45056\n"); };  // K, E, O
  EXPECT_EQ(watch().outcome, done);
}

TEST_F(Watched, TheCommandPutsTheOldOneBack) {
  watch_ = {"test -e /nonexistent || ! test -e " + machine_.path("/sys/kernel/livepatch/livepatch_a").string() +
                " || { echo the port is closed; false; }",
            0s};
  const Change change = watch();
  EXPECT_EQ(change.outcome, taken_back);
  EXPECT_EQ(
      change.message,
      "livepatch_a was taken back: the health command ended with 1: the port is closed; livepatch_old is in effect "
      "again");
}

TEST_F(Watched, ACommandThatFailsBeforeTellsNothing) {
  watch_.command = "exit 3";
  const Change change = watch();
  EXPECT_EQ(change.outcome, refused);
  EXPECT_EQ(change.message, "livepatch_a isn't loaded: the health command ended with 3");
  EXPECT_EQ(loaded_, Names{});
}

TEST_F(Watched, WhatCouldNotBePutBackIsNotReplaced) {
  show_old(std::string(20, 'x'));
  EXPECT_NE(watch().message.find("livepatch_old, which runs now, couldn't be put back"), std::string::npos);
  EXPECT_EQ(loaded_, Names{});
  options_.force = true;
  watch_ = {"! test -e " + machine_.path("/sys/kernel/livepatch/livepatch_a").string(), 0s};
  machine_.on_time = [&](auto) {
    if (machine_.text("/sys/kernel/livepatch/livepatch_a/enabled") == "0") machine_.hide("livepatch_a");
  };
  const Change change = watch();
  EXPECT_EQ(change.outcome, taken_back);
  EXPECT_NE(change.message.find("livepatch_old isn't in effect again: its file isn't installed"), std::string::npos)
      << change.message;
}

TEST_F(Watched, WithoutAnOldOneItIsUnloaded) {
  machine_.hide("livepatch_old");
  machine_.on_time = [&](auto) {
    if (machine_.text("/sys/kernel/livepatch/livepatch_a/enabled") == "0") machine_.hide("livepatch_a");
    machine_.put("/sys/kernel/oops_count", "1\n");
  };
  const Change change = watch();
  EXPECT_EQ(change.outcome, taken_back);
  EXPECT_NE(change.message.find("what ran before its load runs again"), std::string::npos) << change.message;
  EXPECT_EQ(machine_.removed, Names{"livepatch_a"});
}

}  // namespace
}  // namespace kpatch

// What kpatch-try concludes from what a guest told: each thing that can be wrong, by itself. The guest is made up here;
// integration/try.bats boots a real one.
#include "try/try.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "support/error.h"
#include "try/initramfs.h"
#include "unit/temporary_folder.h"

namespace kpatch {
namespace {

constexpr uint64_t livepatch = 1 << 15 | 1 << 13 | 1 << 12;  // K, E, O

TEST(InitramfsFiles, AreTheArchivesOfTheKernel) {
  TemporaryFolder folder;
  const auto taken = [&](const std::string& text) {
    folder.write("image", text);
    try {
      require_initramfs(folder.path() / "image");
      return true;
    } catch (const Error&) {
      return false;
    }
  };
  for (const std::string& head : {std::string("070701"), std::string("070702"), std::string("\x1f\x8b\x08"),
                                  std::string("\xfd"
                                              "7zXZ\0",
                                              6),
                                  std::string("\x28\xb5\x2f\xfd"), std::string("BZh9"), std::string("\x02\x21\x4c\x18"),
                                  std::string("\x5d\0\0\x80", 4)})
    EXPECT_TRUE(taken(head + "rest")) << head;
  for (const char* other : {"", "0", "root:x:0:0:root:/root:/bin/sh\n", "070707",
                            "\x7f"
                            "ELF",
                            "PK\x03\x04"})
    EXPECT_FALSE(taken(other)) << other;
}

class Try : public ::testing::Test {
 protected:
  Try() {
    input_.module = "livepatch-fix.ko";
    input_.kernel.release = "6.12.1";
    input_.test = "fixed.sh";
    record_.accelerator = "tcg";
    record_.release = "6.12.1";
    record_.ended = true;
    record_.functions = expected_;
    for (const char* name : {"boot", "guest", "before", "load", "after", "unload", "unloaded", "control"}) {
      record_.phases.push_back({name, 1});
      phase("boot").console = {"WARNING: a boot may complain"};
    }
    for (const char* name : {"before", "unloaded", "control"}) phase(name).test = 1;
    phase("after").test = 0;
    phase("before").taint = 0;
    for (const char* name : {"load", "after", "unload"}) phase(name).taint = livepatch;
  }

  TrialPhase& phase(std::string_view name) { return *std::ranges::find(record_.phases, name, &TrialPhase::name); }
  void stop_at(std::string_view name) {
    record_.phases.erase(std::ranges::find(record_.phases, name, &TrialPhase::name) + 1, record_.phases.end());
    record_.ended = false;
  }
  TryVerdict judge() const { return judge_trial(input_, record_, expected_); }
  std::string sentence() const {
    const TryVerdict verdict = judge();
    return verdict.findings.size() == 1 ? verdict.findings[0].rule + ": " + verdict.findings[0].message
                                        : std::to_string(verdict.findings.size()) + " findings";
  }

  const std::vector<PatchedName> expected_ = {{"vmlinux", "meminfo_proc_show", 1}, {"xt_comment", "comment_mt", 2}};
  TrialInput input_;
  TrialRecord record_;
};

TEST_F(Try, AsItShouldBe) {
  EXPECT_EQ(judge().status(), 0);
  const std::string text = text_of(judge());
  EXPECT_NE(text.find("  xt_comment: comment_mt,2\n"), std::string::npos);
  EXPECT_NE(text.find("it does what its test asks (8.0 s, tcg)"), std::string::npos);
  const auto json = to_json(judge());
  EXPECT_EQ(json["good"], true);
  EXPECT_EQ(json["phases"][2]["test"], 1);
}

TEST_F(Try, WithoutATest) {
  input_.test.clear();
  for (TrialPhase& one : record_.phases) one.test.reset();
  std::erase_if(record_.phases, [](const TrialPhase& one) { return one.name == "after" || one.name == "control"; });
  EXPECT_EQ(judge().status(), 0);
  EXPECT_NE(text_of(judge()).find("no test was given"), std::string::npos);
}

TEST_F(Try, TheTestFailsWithIt) {
  phase("after").test = 3;
  phase("after").output = {"first", "still 1"};
  EXPECT_EQ(sentence(), "try-test: fixed.sh fails with the livepatch (status 3): still 1");
  EXPECT_EQ(judge().status(), 2);
}

TEST_F(Try, TheTestDoesNotEnd) {
  phase("after").test = 143;
  EXPECT_EQ(sentence(), "try-test: fixed.sh fails with the livepatch (status 143)");
  phase("after").stopped = 60;
  EXPECT_EQ(sentence(), "try-test: fixed.sh doesn't end within 60 s with the livepatch");
  EXPECT_EQ(to_json(judge())["phases"][4]["stopped"], 60);
  // Without the livepatch it may wait for what doesn't come: it didn't pass.
  phase("after").test = 0;
  phase("after").stopped.reset();
  phase("before").test = 143;
  phase("before").stopped = 60;
  EXPECT_EQ(judge().status(), 0);
  stop_at("unloaded");
  record_.timed_out = true;
  ASSERT_EQ(judge().findings.size(), 1U);
  EXPECT_NE(judge().findings[0].advice.find("fixed.sh doesn't end by itself"), std::string::npos);
}

TEST_F(Try, TheTestPassesWithoutIt) {
  phase("before").test = 0;
  phase("unloaded").test = 0;
  EXPECT_EQ(sentence(), "try-control: fixed.sh passes before the livepatch is loaded: it doesn't test the livepatch");
  EXPECT_EQ(judge().status(), 3);
}

TEST_F(Try, TheTestPassesWithTheControl) {
  phase("control").test = 0;
  EXPECT_EQ(sentence(),
            "try-control: fixed.sh passes with a livepatch that redirects nothing: it doesn't test the livepatch");
  EXPECT_EQ(judge().status(), 3);
}

TEST_F(Try, SomethingIsLeftBehind) {
  phase("unloaded").test = 0;
  EXPECT_EQ(sentence(), "try-test: fixed.sh still passes after the livepatch is unloaded");
  EXPECT_EQ(judge().status(), 2);
}

TEST_F(Try, OtherFunctionsThanItsOwn) {
  record_.functions = {{"vmlinux", "meminfo_proc_show", 1}};
  EXPECT_EQ(sentence(), "try-functions: the kernel doesn't redirect xt_comment: comment_mt,2");
  record_.functions = {{"vmlinux", "cmdline_proc_show", 1}, expected_[0], expected_[1]};
  EXPECT_EQ(sentence(), "try-functions: the kernel redirects what the module doesn't name: vmlinux: cmdline_proc_show");
  record_.functions = {expected_[0], {"xt_comment", "comment_mt", 1}};
  EXPECT_EQ(judge().findings.size(), 2U);
}

TEST_F(Try, TheKernelComplains) {
  for (const char* when : {"load", "after", "unload"}) {
    phase(when).console = {"fine", "------------[ cut here ]------------",
                           "WARNING: CPU: 0 PID: 1 at a.c:1 show+0x1/0x2"};
    EXPECT_EQ(sentence(), std::string("try-log: phase ") + when +
                              ": the kernel complains: WARNING: CPU: 0 PID: 1 at a.c:1 show+0x1/0x2");
    phase(when).console.clear();
  }
  for (const char* when : {"before", "unloaded", "control"}) phase(when).console = {"BUG: what the patch fixes"};
  EXPECT_EQ(judge().status(), 0);
}

TEST_F(Try, TaintsThatNoLivepatchBrings) {
  phase("after").taint = livepatch | 1 << 9;
  EXPECT_EQ(sentence(), "try-taint: phase after: the kernel is tainted as by no livepatch: W");
  phase("before").taint = 1 << 9;  // it was there
  EXPECT_EQ(judge().status(), 0);
  EXPECT_EQ(strange_taint(0, livepatch | 1 << 7 | uint64_t{1} << 40), "D, bit 40");
}

TEST_F(Try, TheGuestGivesUp) {
  stop_at("load");
  phase("load").taint.reset();
  phase("load").broken = "insmod: invalid module format";
  phase("load").console = {"livepatch_fix: version magic 'x' should be 'y'"};
  EXPECT_EQ(sentence(),
            "try-load: phase load: insmod: invalid module format; the kernel: livepatch_fix: version magic 'x' should "
            "be 'y'");
  EXPECT_EQ(judge().status(), 2);
}

TEST_F(Try, TheGuestGoesDownOrHangs) {
  stop_at("before");
  phase("before").console = {"Kernel panic - not syncing: sysrq triggered crash"};
  EXPECT_EQ(sentence(),
            "try-boot: phase before: the guest went down: Kernel panic - not syncing: sysrq triggered crash");
  EXPECT_NE(judge().findings[0].advice.find("milder"), std::string::npos);
  record_.timed_out = true;
  EXPECT_EQ(sentence(), "try-boot: phase before: the guest didn't come to its end in 300 s");
}

TEST_F(Try, AnotherKernelBooted) {
  record_.release = "6.12.2";
  EXPECT_EQ(sentence(), "try-boot: 6.12.2 booted, and the livepatch is for 6.12.1");
}

TEST(PartConsole, EachPhaseHasWhatWasSaidInIt) {
  std::vector<TrialPhase> phases = {{"boot"}, {"before"}, {"load"}};
  part_console(
      "early\r\nkpatch-try: phase before\n  one\n[ 1.0] kpatch-try: phase load\ntwo\n\nthree\nkpatch-try: phase "
      "end\nreboot",
      phases);
  EXPECT_EQ(phases[0].console, std::vector<std::string>{"early"});
  EXPECT_EQ(phases[1].console, std::vector<std::string>{"one"});
  EXPECT_EQ(phases[2].console, (std::vector<std::string>{"two", "three"}));
}

}  // namespace
}  // namespace kpatch

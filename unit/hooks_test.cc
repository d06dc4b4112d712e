// Who else hooks a patched function, by what a kernel would show of it.
#include "kpatch/hooks.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "unit/temporary_folder.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;
using Said = std::vector<std::string>;

class HooksTest : public testing::Test {
 protected:
  HooksTest() {
    put("/proc/sys/kernel/osrelease", "6.12.1-test\n");
    put("/proc/sys/kernel/ftrace_enabled", "1\n");
    sites("");
  }
  void put(const std::string& file, const std::string& text) {
    fs::create_directories(system_.path(file).parent_path());
    folder_.write(file.substr(1), text);
  }
  void sites(const std::string& text) { put("/sys/kernel/tracing/enabled_functions", text); }
  void probes(const std::string& text) { put("/sys/kernel/debug/kprobes/list", text); }
  void patch(const std::string& object, const std::string& function) {
    put("/sys/kernel/livepatch/livepatch_a/enabled", "1\n");
    fs::create_directories(system_.path("/sys/kernel/livepatch/livepatch_a/" + object + "/" + function + ",1"));
  }
  // "BEARING: SENTENCE", of f.
  Said said(const HookedFunction& function = {"vmlinux", "f"}) const {
    Said list;
    for (const Hook& hook : hooks_on(system_, std::span(&function, 1)))
      list.push_back(std::string(word_for(hook.bearing)) + ": " + sentence_of(hook));
    return list;
  }
  Said bearings() const {
    Said list;
    for (const std::string& line : said()) list.push_back(line.substr(0, line.find(':')));
    return list;
  }

  TemporaryFolder folder_;
  System system_{folder_.path()};
};

TEST_F(HooksTest, NothingIsSaidOfOthers) {
  sites("g (1) R I             \ttramp: 0x1 (kprobe_ftrace_handler+0x0/0x1) ->ftrace_ops_list_func\nf [m] (1) R I\n");
  probes("ffffffff81000010  k  g+0x10    [OPTIMIZED]\nffffffff81000020  k  f+0x4  m  [FTRACE]\n");
  EXPECT_EQ(said(), Said{});
}

TEST_F(HooksTest, WhoMayChangeWhereItGoesExcludesALivepatch) {
  sites("f (1) R I             \ttramp: 0x1 (kprobe_ftrace_handler+0x0/0x1) ->arch_ftrace_ops_list_func\n");
  EXPECT_EQ(bearings(), Said{"excludes"});
  sites("f [m] (1) R I\n");
  EXPECT_EQ(said({"m", "f"}).size(), 1U);
}

TEST_F(HooksTest, TheOlderLivepatchIsNone) {
  sites("f (1)   I             \ttramp: 0x1 (klp_ftrace_handler+0x0/0x1) ->ftrace_ops_assist_func\n");
  patch("vmlinux", "f");
  EXPECT_EQ(said(), Said{});
  EXPECT_TRUE(not_redirected(system_, *loaded_patch(system_, "livepatch_a")).empty());
}

TEST_F(HooksTest, AFunctionThatFtraceDoesNotLeadToTheLivepatch) {
  patch("vmlinux", "f");
  patch("m", "h");  // of a module that isn't loaded
  EXPECT_EQ(not_redirected(system_, *loaded_patch(system_, "livepatch_a")),
            (std::vector<HookedFunction>{{"vmlinux", "f"}}));
  sites("f (1) R               \ttramp: 0x1 (kprobe_ftrace_handler+0x0/0x1) ->x\n");
  EXPECT_EQ(not_redirected(system_, *loaded_patch(system_, "livepatch_a")).size(), 1U);
  fs::remove(system_.path("/sys/kernel/tracing/enabled_functions"));
  EXPECT_TRUE(not_redirected(system_, *loaded_patch(system_, "livepatch_a")).empty());
}

TEST_F(HooksTest, AProbeAtTheEntry) {
  sites("f (1) R               \ttramp: 0x1 (kprobe_ftrace_handler+0x0/0x1) ->arch_ftrace_ops_list_func\n");
  probes("ffffffff81000004  k  f+0x4    [FTRACE]\n");
  EXPECT_EQ(bearings(), Said{"note"});
  // It may decide that the function doesn't run.
  put("/sys/kernel/debug/error_injection/list", "e\tERRNO\nf\tERRNO\n");
  EXPECT_EQ(bearings(), Said{"may suppress"});
}

TEST_F(HooksTest, AProbeAtTheEntryThatFtraceDoesNotKnow) {
  probes("ffff800080010000  k  f+0x0    \n");
  EXPECT_EQ(bearings(), Said{"note"});
  put("/sys/kernel/debug/error_injection/list", "f\tERRNO\n");
  EXPECT_EQ(bearings(), Said{"may suppress"});
}

TEST_F(HooksTest, AProbeWithinTheFunctionGoesBlind) {
  probes("ffffffff81000012  k  f+0x12    [OPTIMIZED]\n");
  EXPECT_EQ(said(), Said{"goes blind: f has a probe at +0x12, which sees nothing once the function is replaced"});
  probes("ffffffff81000012  k  f+0x12    [DISABLED]\n");
  EXPECT_EQ(said(), Said{});
  probes("ffffffff81000000  r  f+0x0    \n");
  EXPECT_EQ(bearings(), Said{"note"});
}

TEST_F(HooksTest, FailFunctionIsTurnedOffByItsFile) {
  sites("f (1) R I\n");
  put("/sys/kernel/debug/fail_function/inject", "f\n");
  const HookedFunction function{"vmlinux", "f"};
  EXPECT_EQ(hooks_on(system_, std::span(&function, 1)).front().advice,
            "echo '!f' >/sys/kernel/debug/fail_function/inject");
}

// The trampoline of function 841 of vmlinux's BTF (object 1).
TEST_F(HooksTest, BpfPrograms) {
  sites(
      "f (1) R   D           \ttramp: 0x1 (ftrace_regs_caller+0x0/0x1) ->call_direct_funcs+0x0/0x20\n"
      "\tdirect-->bpf_trampoline_4294968137+0x0/0x65\ng (1)\n");
  EXPECT_EQ(bearings(), Said{"note"});
  const std::string link = "pos:\t0\nlink_type:\ttracing\nlink_id:\t3\nattach_type:\t26\ntarget_obj_id:\t1\n";
  put("/proc/12/fdinfo/5", link + "target_btf_id:\t842\n");
  EXPECT_EQ(bearings(), Said{"note"});
  put("/proc/12/fdinfo/6", link + "target_btf_id:\t841\n");
  EXPECT_EQ(bearings(), Said{"may suppress"});
  fs::remove_all(system_.path("/proc/12"));
  put("/sys/kernel/debug/error_injection/list", "f\tERRNO\n");
  EXPECT_EQ(bearings(), Said{"may suppress"});  // of a program that nobody sees
  put("/proc/sys/kernel/osrelease", "5.10.1-test\n");
  EXPECT_EQ(bearings(), (Said{"excludes", "may suppress"}));
}

// As bpf(2) tells them: by name, whoever holds them.
TEST_F(HooksTest, BpfProgramsByTheKernelsOwnList) {
  struct Machine : System {
    using System::System;
    std::optional<std::vector<BpfLink>> bpf_links() const override { return links; }
    std::vector<BpfLink> links;
  } machine(folder_.path());
  const HookedFunction function{"vmlinux", "f"};
  const auto said = [&] {
    Said list;
    for (const Hook& hook : hooks_on(machine, std::span(&function, 1)))
      list.push_back(std::string(word_for(hook.bearing)) + ": " + sentence_of(hook));
    return list;
  };
  sites(
      "f (1) R   D           \ttramp: 0x1 (ftrace_regs_caller+0x0/0x1) ->call_direct_funcs+0x0/0x20\n"
      "\tdirect-->bpf_trampoline_4294968137+0x0/0x65\n");
  machine.links = {{3, 7, "looks_on", 24, 1, 841}, {4, 8, "other", 26, 1, 842}, {5, 9, "module", 26, 2, 841}};
  EXPECT_EQ(said(),
            Said{"note: f has a BPF program that goes on to be called (when it begins): looks_on, program 7, link 3"});
  machine.links.push_back({6, 10, "", 26, 1, 841});
  ASSERT_EQ(said().size(), 2U);
  EXPECT_EQ(said()[0],
            "may suppress: f has a BPF program (fmod_ret) that decides that it doesn't run: it has no name, program "
            "10, link 6");
  // A function that may be made to fail isn't one that is, where all programs are known.
  machine.links = {{3, 7, "looks_on", 25, 1, 841}};
  put("/sys/kernel/debug/error_injection/list", "f\tERRNO\n");
  ASSERT_EQ(said().size(), 1U);
  EXPECT_EQ(said()[0].find("note: "), 0U);
}

TEST_F(HooksTest, ADirectCallOfAModule) {
  sites("f (1)   D             \n\tdirect-->my_tramp+0x0/0x20 [other]\n");
  EXPECT_EQ(said(), Said{"excludes: f has a direct call of my_tramp"});
}

TEST_F(HooksTest, WhatWasHookedOnceIsNoHook) {
  sites("f (1)         M     \ttramp: 0x1 (function_trace_call+0x0/0x1) ->arch_ftrace_ops_list_func\n");
  EXPECT_EQ(bearings(), Said{"note"});
}

TEST_F(HooksTest, ATracerIsANote) {
  sites("f (1)             \ttramp: 0x1 (function_trace_call+0x0/0x1) ->arch_ftrace_ops_list_func\n");
  EXPECT_EQ(bearings(), Said{"note"});
  sites("f (2)   I         ->arch_ftrace_ops_list_func\n");
  patch("vmlinux", "f");
  EXPECT_EQ(bearings(), Said{"note"});
}

TEST_F(HooksTest, FtraceThatIsOffAndWhatCannotBeRead) {
  put("/proc/sys/kernel/ftrace_enabled", "0\n");
  EXPECT_EQ(bearings(), Said{"excludes"});
  put("/proc/sys/kernel/ftrace_enabled", "1\n");
  fs::remove(system_.path("/sys/kernel/tracing/enabled_functions"));
  EXPECT_EQ(bearings(), Said{"not known"});
  put("/sys/kernel/debug/tracing/enabled_functions", "");
  EXPECT_EQ(bearings(), Said{});
  put("/sys/kernel/security/lockdown", "none integrity [confidentiality]\n");
  EXPECT_EQ(bearings(), Said{"not known"});
}

TEST_F(HooksTest, TasksThatSleepInAFunction) {
  const HookedFunction functions[] = {{"vmlinux", "f"}};
  const auto task = [&](const std::string& pid, const std::string& stack) {
    put("/proc/" + pid + "/task/" + pid + "/comm", "name\n");
    put("/proc/" + pid + "/task/" + pid + "/stack", stack);
  };
  task("7", "[<0>] schedule+0x1/0x2\n[<0>] f+0x61/0x80\n");
  task("8", "[<0>] f_other+0x61/0x80\n");
  task("9", "[<0>] schedule+0x1/0x2\n[<0>] bpf_trampoline_4294968137+0x5/0x80\n");
  const std::vector<StalledTask> sleepers = sleepers_in(system_, functions);
  ASSERT_EQ(sleepers.size(), 2U);
  EXPECT_EQ(sleepers[0].why, "sleeps in f");
  EXPECT_NE(sleepers[1].why.find("trampoline"), std::string::npos);
}

// Anything may stand there: it is another program's text.
TEST_F(HooksTest, OddTextIsNoHook) {
  sites("\n(\n()\nf\nf (\nf (x\n\tdirect-->\nf ()\t\n");
  probes("\nk\nf+0x\n1 k\n1  k  f+0xzz\n");
  for (const std::string& line : said()) EXPECT_FALSE(line.starts_with("excludes")) << line;
}

}  // namespace
}  // namespace kpatch

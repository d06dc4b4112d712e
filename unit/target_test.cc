// kpatch on a machine that is a folder: what a kernel would show in sysfs and procfs.
#include <gtest/gtest.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "kpatch/change.h"
#include "kpatch/commands.h"
#include "kpatch/events.h"
#include "kpatch/loaded.h"
#include "kpatch/module-file.h"
#include "kpatch/options.h"
#include "kpatch/store.h"
#include "kpatch/summary.h"
#include "kpatch/support-bundle.h"
#include "support/error.h"
#include "support/files.h"
#include "support/text.h"
#include "unit/target_machine.h"
#include "unit/temporary_folder.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using Names = std::vector<std::string>;

TEST_F(Target, LoadsAndWaitsForTheTransition) {
  machine_.on_load = [&](const fs::path&) { return machine_.show("livepatch_a", true, true), 0; };
  machine_.on_time = [&](auto time) {
    if (time >= 3s) machine_.show("livepatch_a", true, false);
  };
  const Change change = load(module());
  EXPECT_EQ(change.outcome, done);
  EXPECT_EQ(change.message, "livepatch_a is in effect after 3.0 s");
  EXPECT_EQ(load(module()).message, "livepatch_a is loaded already");
}

TEST_F(Target, WhatItReplacesLeavesMemory) {
  machine_.show("livepatch_old", true, false);
  machine_.on_load = [&](const fs::path&) {
    machine_.hide("livepatch_old");
    return machine_.show("livepatch_a", true, false), 0;
  };
  const Change change = load(module());
  EXPECT_EQ(change.replaced, Names{"livepatch_old"});
  EXPECT_EQ(machine_.removed, Names{"livepatch_old"});
  EXPECT_NE(change.message.find("in place of livepatch_old"), std::string::npos);
}

TEST_F(Target, WhatDoesNotFitIsNotLoaded) {
  machine_.on_load = [](const fs::path&) -> int { throw Error("loaded"); };
  ModuleFile other = module();
  other.release = "6.12.2-test";
  EXPECT_EQ(load(other).message, "livepatch_a is for 6.12.2-test, and 6.12.1-test runs here");
  other = module();
  other.livepatch = false;
  EXPECT_EQ(load(other).message, "livepatch_a is no livepatch");
  machine_.put("/proc/cmdline", "quiet panic_on_taint=0x8000,nousertaint\n");
  EXPECT_NE(load(module()).message.find("panic_on_taint"), std::string::npos);
  machine_.put("/proc/cmdline", "panic_on_taint=0x200\n");
  EXPECT_THROW(load(module()), Error);
  fs::remove_all(machine_.path("/sys/kernel/livepatch"));
  EXPECT_NE(load(module()).message.find("CONFIG_LIVEPATCH"), std::string::npos);
}

TEST_F(Target, WhatIsOtherCodeInMemoryIsNotLoaded) {
  machine_.on_load = [&](const fs::path&) { return machine_.show("livepatch_a", true, false), 0; };
  ModuleFile file = module();
  const std::string text = R"({"version":1,"build_id":"0102","functions":[]})";
  file.code_note =
      std::string("\7\0\0\0", 4) + static_cast<char>(text.size()) + std::string("\0\0\0\2\0\0\0kpatch\0\0", 15) + text;
  // Nobody can tell: it is loaded.
  EXPECT_EQ(load(file).outcome, done);
  machine_.hide("livepatch_a");
  std::string core(184, '\0');  // a header and the entries of two ranges
  core.replace(0, 4, "\177ELF");
  core[32] = 64, core[56] = 1, core[64] = 1;
  machine_.put("/proc/kcore", core);
  machine_.put("/sys/kernel/notes", std::string("\4\0\0\0\2\0\0\0\3\0\0\0GNU\0\1\3\0\0", 20));
  const Change change = load(file);
  EXPECT_EQ(change.outcome, refused);
  EXPECT_NE(change.message.find("what it replaces isn't what was shipped"), std::string::npos);
  ASSERT_EQ(change.details.size(), 1U);
  EXPECT_NE(change.details[0].find("another build of this release"), std::string::npos);
  ChangeOptions forced;
  forced.force = true;
  EXPECT_EQ(Changer(machine_, forced).load(file).outcome, done);
}

TEST_F(Target, WhatSomethingElseHooksIsNotLoaded) {
  machine_.on_load = [&](const fs::path&) { return machine_.show("livepatch_a", true, false), 0; };
  machine_.put("/sys/kernel/tracing/enabled_functions", "f (1) R I\n");
  ModuleFile file = module();
  file.functions = {{"vmlinux", "f"}};
  const Change change = load(file);
  EXPECT_EQ(change.outcome, refused);
  ASSERT_EQ(change.details.size(), 1U);
  EXPECT_NE(change.details[0].find("f is held by something"), std::string::npos);
  options_.force = true;
  EXPECT_EQ(load(file).outcome, done);
}

TEST_F(Target, SaysWhenTheRedirectIsMissing) {
  machine_.on_load = [&](const fs::path&) { return machine_.show("livepatch_a", true, false), 0; };
  machine_.put("/sys/kernel/tracing/enabled_functions", "g (1)   I\n");
  EXPECT_EQ(load(module()).details, Names{"f isn't redirected, by ftrace's own list"});
}

// As the kernel shows it; both texts are shorter than 256 bytes.
std::string note(std::string name, const std::string& text) {
  name.push_back('\0');
  std::string bytes(12, '\0');
  bytes[0] = static_cast<char>(name.size());
  bytes[4] = static_cast<char>(text.size());
  name.resize((name.size() + 3) / 4 * 4);
  return bytes + name + text;
}

TEST_F(Target, AnotherModuleOfTheSameName) {
  machine_.show("livepatch_a", true, false);
  machine_.put("/sys/module/livepatch_a/notes/.note.gnu.build-id", note("GNU", "other"));
  const Change change = load(module());
  EXPECT_EQ(change.outcome, refused);
  EXPECT_EQ(change.message, "another module of the name livepatch_a is loaded");
  ModuleFile same = module();
  same.build_id = "other";
  EXPECT_EQ(load(same).outcome, done);
}

// One that was replaced or disabled does nothing, and is in the way of its own name.
TEST_F(Target, WhatWasLeftInMemoryGoesFirst) {
  machine_.put("/sys/module/livepatch_a/taint", "OK\n");
  machine_.put("/sys/module/ext4/taint", "\n");
  machine_.on_load = [&](const fs::path&) {
    EXPECT_EQ(machine_.removed, Names{"livepatch_a"});
    return machine_.show("livepatch_a", true, false), 0;
  };
  EXPECT_EQ(load(module()).outcome, done);
}

// The kernel goes by the name in the module's struct.
TEST_F(Target, AModuleThatIsCalledOtherwise) {
  machine_.show("livepatch_old", true, false);
  machine_.on_load = [&](const fs::path&) {
    machine_.hide("livepatch_old");
    return machine_.show("livepatch_z", true, false), 0;
  };
  const Change change = load(module());
  EXPECT_EQ(change.outcome, done);
  EXPECT_EQ(change.message, "livepatch_z is in effect after 0.0 s, in place of livepatch_old");
  EXPECT_EQ(change.details.size(), 1U);
  EXPECT_EQ(machine_.removed, Names{"livepatch_old"});
}

TEST_F(Target, ABusyKernelIsTriedAgain) {
  int calls = 0;
  machine_.on_load = [&](const fs::path&) {
    if (++calls < 3) return calls == 1 ? EBUSY : EAGAIN;
    return machine_.show("livepatch_a", true, false), 0;
  };
  EXPECT_EQ(load(module()).outcome, done);
  EXPECT_EQ(calls, 3);
  calls = -10;
  machine_.hide("livepatch_a");
  EXPECT_EQ(load(module()).outcome, refused);
  machine_.on_load = [&](const fs::path&) { return ++calls, EKEYREJECTED; };
  calls = 0;
  const Change change = load(module());
  EXPECT_EQ(change.outcome, refused);
  EXPECT_NE(change.message.find("signature"), std::string::npos);
  EXPECT_EQ(calls, 1);
}

TEST_F(Target, WaitsForAnotherTransition) {
  machine_.show("livepatch_b", true, true);
  machine_.on_load = [&](const fs::path&) {
    EXPECT_GE(machine_.now().time_since_epoch(), 4s);
    return machine_.show("livepatch_a", true, false), 0;
  };
  machine_.on_time = [&](auto time) {
    if (time == 4s) machine_.show("livepatch_b", true, false);
  };
  EXPECT_EQ(load(module()).outcome, done);
  machine_.hide("livepatch_a");
  machine_.show("livepatch_b", true, true);
  machine_.on_time = {};
  EXPECT_EQ(load(module()).message, "another transition doesn't end");
}

class Stalling : public Target {
 protected:
  Stalling() {
    machine_.on_load = [&](const fs::path&) { return machine_.show("livepatch_a", true, true), 0; };
    task(100, 100, "0", "S", "[<0>] do_nanosleep+0x1/0x2\n[<0>] f+0x10/0x20\n[<0>] entry+0x1/0x2\n");
    task(100, 101, "1", "S", "");
    task(200, 200, "0", "R", "");
    task(300, 300, "-1", "S", "");
  }
  void task(int pid, int tid, const char* state, const char* run, const std::string& stack) {
    const std::string folder = "/proc/" + std::to_string(pid) + "/task/" + std::to_string(tid);
    machine_.put(folder + "/patch_state", std::string(state) + "\n");
    machine_.put(folder + "/comm", "a) R (b\n");
    machine_.put(folder + "/stat", std::to_string(tid) + " (a) R (b) " + run + " 1 1\n");
    machine_.put(folder + "/stack", stack);
  }
  std::string enabled() { return read_file_if_any(machine_.path("/sys/kernel/livepatch/livepatch_a/enabled")); }
};

TEST_F(Stalling, NamesTheTasksAndTakesItBack) {
  bool reversed = false;
  machine_.on_time = [&](auto) {
    if (enabled() == "0") machine_.hide("livepatch_a"), reversed = true;
  };
  const Change change = load(module());
  EXPECT_EQ(change.outcome, taken_back);
  EXPECT_TRUE(reversed);
  EXPECT_EQ(machine_.removed, Names{"livepatch_a"});
  ASSERT_EQ(change.stalled.size(), 2U);
  EXPECT_EQ(change.stalled[0].function, "f");
  EXPECT_EQ(change.stalled[0].why, "is in f");
  EXPECT_EQ(change.stalled[0].command, "a) R (b");
  EXPECT_EQ(change.stalled[1].why, "is running");
}

TEST_F(Stalling, SaysSoWhereItEndsInNeitherDirection) {
  const Change change = load(module());
  EXPECT_EQ(change.outcome, between);
  EXPECT_EQ(enabled(), "0");
  EXPECT_EQ(machine_.removed, Names{});
}

TEST_F(Stalling, AnUnloadIsTakenBackToo) {
  machine_.show("livepatch_a", true, false);
  machine_.on_time = [&](auto) {
    if (enabled() == "0") machine_.put("/sys/kernel/livepatch/livepatch_a/transition", "1");
    if (enabled() == "1") machine_.put("/sys/kernel/livepatch/livepatch_a/transition", "0");
  };
  const Change change = unload("livepatch_a");
  EXPECT_EQ(change.outcome, taken_back);
  EXPECT_NE(change.message.find("stays loaded"), std::string::npos);
  EXPECT_EQ(enabled(), "1");
}

TEST_F(Target, Unloads) {
  machine_.show("livepatch_a", true, false);
  machine_.on_time = [&](auto) { machine_.hide("livepatch_a"); };
  EXPECT_EQ(unload("livepatch_a").outcome, done);
  EXPECT_EQ(machine_.removed, Names{"livepatch_a"});
  EXPECT_EQ(unload("livepatch_a").message, "livepatch_a isn't loaded");
}

TEST_F(Target, PatchesAreInTheOrderOfTheirLoading) {
  for (const char* name : {"a", "b", "c"}) machine_.show(name, true, false);
  machine_.put("/proc/modules", "b 1 0 - Live 0x0\na 1 0 - Live 0x0\nc 1 0 - Live 0x0\n");
  const auto names = [&] {
    Names list;
    for (const LoadedPatch& patch : loaded_patches(machine_)) list.push_back(patch.name);
    return list;
  };
  EXPECT_EQ(names(), (Names{"c", "a", "b"}));
  machine_.put("/sys/kernel/livepatch/a/stack_order", "3\n");
  machine_.put("/sys/kernel/livepatch/b/stack_order", "2\n");
  machine_.put("/sys/kernel/livepatch/c/stack_order", "1\n");
  EXPECT_EQ(names(), (Names{"c", "b", "a"}));
}

// A trial's mark is there before the kernel has the module, and goes when it is accepted or refused.
TEST_F(Target, TrialsOfInstalledModules) {
  const Store store(machine_);
  folder_.write("livepatch-a.ko", "module");
  ModuleFile file = module();
  file.path = folder_.path() / "livepatch-a.ko";
  EXPECT_EQ(store.install(file).file.filename(), "livepatch-a.ko");
  ASSERT_TRUE(store.find("livepatch-a", "6.12.1-test"));
  machine_.put("/sys/kernel/oops_count", "2\n");
  machine_.on_load = [&](const fs::path&) {
    EXPECT_EQ(store.trial("livepatch_a", "6.12.1-test")->oopses, 2);
    return EINVAL;
  };
  load(file);
  EXPECT_FALSE(store.trial("livepatch_a", "6.12.1-test"));
  machine_.on_load = [&](const fs::path&) { return machine_.show("livepatch_a", true, false), 0; };
  load(file);
  EXPECT_EQ(store.trials("6.12.1-test"), Names{"livepatch_a"});
  machine_.put("/sys/kernel/oops_count", "3\n");
  TargetOptions accept;
  accept.command = "accept";
  EXPECT_EQ(run_command(accept, machine_), refused);
  machine_.put("/sys/kernel/oops_count", "2\n");
  EXPECT_EQ(run_command(accept, machine_), done);
  EXPECT_EQ(store.trials("6.12.1-test"), Names{});
  accept.names = {"livepatch-a"};
  EXPECT_EQ(run_command(accept, machine_), done);  // again
  accept.names = {"livepatch-b"};
  EXPECT_THROW(run_command(accept, machine_), Error);
  store.uninstall("livepatch_a", "6.12.1-test");
  EXPECT_FALSE(fs::exists(machine_.path("/var/lib/kpatch/6.12.1-test")));
  EXPECT_THROW(store.uninstall("livepatch_a", "6.12.1-test"), Error);
  EXPECT_THROW(store.trial("x", "../etc"), Error);
  EXPECT_THROW(store.end_trial("../../etc/x", "6.12.1-test"), Error);
}

std::string printed(const TargetOptions& options, System& system, int code) {
  testing::internal::CaptureStdout();
  EXPECT_EQ(run_command(options, system), code);
  return testing::internal::GetCapturedStdout();
}

TEST_F(Target, StatusForPeopleAndPrograms) {
  TargetOptions status;
  status.command = "status";
  EXPECT_EQ(printed(status, machine_, 1), "kernel      6.12.1-test\nstate       no livepatch\n");
  machine_.show("livepatch_a", true, false);
  EXPECT_EQ(printed(status, machine_, 0),
            "kernel      6.12.1-test\nstate       patched\nenabled     livepatch_a; vmlinux: f\n");
  machine_.put("/var/lib/kpatch/6.12.1-test/livepatch-b.ko", "");
  status.json = true;
  const nlohmann::json answer = nlohmann::json::parse(printed(status, machine_, 2));
  EXPECT_EQ(answer["not_in_effect"], nlohmann::json(Names{"livepatch_b"}));
  EXPECT_EQ(answer["patches"][0]["objects"][0]["functions"], nlohmann::json(Names{"f"}));
  fs::remove_all(machine_.path("/sys/kernel/livepatch"));
  EXPECT_EQ(nlohmann::json::parse(printed(status, machine_, 3))["code"], 3);
}

TEST_F(Target, AttemptsAreShownAsTheLivepatchCountsThem) {
  const std::string file = "/sys/module/livepatch_a/parameters/attempts";
  machine_.show("livepatch_a", true, false);
  TargetOptions status;
  status.command = "status";
  EXPECT_EQ(printed(status, machine_, 0).find("attempts"), std::string::npos);
  machine_.put(file, "CVE-2026-1000 17\nDSA-1 0\n");
  const std::string text = printed(status, machine_, 0);
  EXPECT_NE(text.find("\nattempts    CVE-2026-1000: 17, counted by livepatch_a\n"), std::string::npos) << text;
  EXPECT_NE(text.find("\nattempts    DSA-1: 0, counted by livepatch_a\n"), std::string::npos) << text;
  status.json = true;
  const nlohmann::json answer = nlohmann::json::parse(printed(status, machine_, 0));
  EXPECT_EQ(answer["patches"][0]["attempts"],
            nlohmann::json::parse(R"([{"name": "CVE-2026-1000", "count": 17}, {"name": "DSA-1", "count": 0}])"));
}

TEST_F(Target, ASupportBundleHasWhatConcernsLivepatches) {
  machine_.show("livepatch_a", true, false);
  machine_.put("/proc/version", "Linux version 6.12.1-test\n");
  machine_.put("/proc/cmdline", "root=/dev/sda1 rd.luks.key=secret panic=10 quiet token=\"a secret\" -- secret\n");
  machine_.put("/proc/sys/kernel/tainted", "32768\n");
  machine_.put("/etc/os-release", "ID=test\n");
  machine_.put("/sys/module/livepatch_a/parameters/attempts", "CVE-2026-1000 17\n");
  machine_.put("/sys/module/other/parameters/key", "secret\n");
  machine_.put("/var/lib/kpatch/6.12.1-test/livepatch-a.ko", "secret bytes");
  machine_.put("/proc/1/environ", "PASSWORD=secret");
  TargetOptions bundle;
  bundle.command = "support-bundle";
  testing::internal::CaptureStderr();
  const std::string text = printed(bundle, machine_, 0);
  const std::string told = testing::internal::GetCapturedStderr();
  EXPECT_EQ(text.find("secret"), std::string::npos) << text;
  for (const char* wanted :
       {"==> kpatch --version <==\nkpatch ", "==> kpatch status --json <==\n{", "==> kpatch list --json <==\n{",
        "==> /proc/version <==\nLinux version", "==> /proc/sys/kernel/tainted <==\n32768\n",
        "==> /proc/cmdline <==\nroot=... rd.luks.key=... panic=10 quiet token=... -- ...\n", "livepatch_a/enabled 1\n",
        "livepatch_a/vmlinux/f,1/\n", "attempts <==\nCVE-2026-1000 17\n", "6.12.1-test/livepatch-a.ko\n"})
    EXPECT_NE(text.find(wanted), std::string::npos) << wanted << "\n" << text;
  EXPECT_NE(told.find("bytes  /proc/cmdline\n"), std::string::npos) << told;
  EXPECT_EQ(printed(bundle, machine_, 0), text);
  bundle.output = folder_.path() / "support.txt";
  EXPECT_EQ(printed(bundle, machine_, 0), "");
  EXPECT_EQ(read_file(bundle.output), text);
  bundle.json = true;
  EXPECT_EQ(printed(bundle, machine_, 0), "");
  EXPECT_EQ(nlohmann::json::parse(read_file(bundle.output)).at(0).at(0), "kpatch --version");
  bundle.output = folder_.path() / "none/support.txt";
  EXPECT_THROW(run_command(bundle, machine_), Error);
}

TEST_F(Target, ASupportBundleIsNeverLarge) {
  std::string log;
  for (int i = 0; i < 20000; ++i) log += "{\"event\":" + std::to_string(i) + "}\n";
  machine_.put(event_log, log);
  machine_.put("/etc/os-release", std::string(1 << 20, 'x'));
  for (const auto& [name, part] : support_parts(machine_)) EXPECT_LE(part.size(), (64U << 10) + 32) << name;
  const std::string text = support_text(support_parts(machine_));
  EXPECT_NE(text.find("\n{\"event\":19999}"), std::string::npos);  // of a log the end
  EXPECT_EQ(text.find("{\"event\":0}"), std::string::npos);
  EXPECT_EQ(without_secrets(""), "");
  EXPECT_EQ(without_secrets("a=b \"c=d e\" panic=\"1 2\" x"), "a=... \"c=... panic=\"1 2\" x");
  EXPECT_EQ(without_secrets("--"), "--");
}

TEST_F(Target, AnotherBuildersAttemptsAreNone) {
  const std::string file = "/sys/module/livepatch_a/parameters/attempts";
  for (const char* foreign : {"", "5\n", "Y\n", "a b c\n", "CVE-1 x\n", "CVE-1 -1\n", "CVE-1 5x\n", " 5\n", "CVE-1 \n",
                              "CVE-1 99999999999999999999\n"}) {
    machine_.put(file, foreign);
    EXPECT_TRUE(loaded_attempts(machine_, "livepatch_a").empty()) << foreign;
  }
  machine_.put(file, "CVE-1 x\nCVE-2 18446744073709551615\nCVE-2 1\n");
  const std::vector<Attempts> attempts = loaded_attempts(machine_, "livepatch_a");
  ASSERT_EQ(attempts.size(), 1U);
  EXPECT_EQ(attempts[0].name, "CVE-2");
  EXPECT_EQ(attempts[0].count, 18446744073709551615ULL);
}

TEST_F(Target, ATransitionThatHasJustBegunLeadsToThePatch) {
  machine_.show("livepatch_a", false, true);
  EXPECT_EQ(state_of(*loaded_patch(machine_, "livepatch_a")), "disabling");
  machine_.put("/sys/module/livepatch_a/initstate", "coming\n");
  EXPECT_EQ(state_of(*loaded_patch(machine_, "livepatch_a")), "enabling");
  EXPECT_EQ(summary_of(machine_).state, PatchState::patched);
  machine_.put("/sys/module/livepatch_a/initstate", "live\n");
  EXPECT_EQ(state_of(*loaded_patch(machine_, "livepatch_a")), "disabling");
  // One that isn't there yet isn't one that does nothing any more.
  machine_.hide("livepatch_a");
  EXPECT_EQ(left_modules(machine_), Names{"livepatch_a"});
  machine_.put("/sys/module/livepatch_a/initstate", "coming\n");
  EXPECT_EQ(left_modules(machine_), Names{});
}

TEST_F(Target, WhatIsFixedIsAskedOfWhatRuns) {
  machine_.show("livepatch_a", true, false);
  const std::string file = "/sys/module/livepatch_a/notes/.note.kpatch";
  machine_.put(file, note("kpatch", std::string("CVE-2026-1000\0"
                                                "0123456789abcdef\0",
                                                31)));
  EXPECT_EQ(loaded_fixes(machine_, "livepatch_a"), (Names{"CVE-2026-1000", "0123456789abcdef"}));
  EXPECT_EQ(loaded_fixes(machine_, "livepatch_b"), Names{});
  TargetOptions status;
  status.command = "status";
  const auto fixed = [&](const char* name) {
    status.cves = {name};
    testing::internal::CaptureStdout();
    const int code = run_command(status, machine_);
    testing::internal::GetCapturedStdout();
    return code == done;
  };
  for (const char* name : {"CVE-2026-1000", "cve-2026-1000", "0123456789ab", "0123456789abcdef0123"})
    EXPECT_TRUE(fixed(name)) << name;
  for (const char* name : {"CVE-2026-100", "CVE-2026-10000", "0123456789a", "0123456789ac", ""})
    EXPECT_FALSE(fixed(name)) << name;
  machine_.show("livepatch_a", true, true);
  EXPECT_FALSE(fixed("CVE-2026-1000"));
  machine_.show("livepatch_a", true, false);
  // Whatever is in the file.
  for (size_t size = 0; size < 30; ++size) {
    machine_.put(file, note("kpatch", std::string("CVE-2026-1000", 14)).substr(0, size));
    EXPECT_FALSE(fixed("CVE-2026-1000")) << size;
  }
  machine_.put(file, std::string(40, '\xff'));
  EXPECT_FALSE(fixed("CVE-2026-1000"));
}

TEST_F(Target, WhatCrashedTheMachineIsNotLoadedAtBoot) {
  machine_.put("/var/lib/kpatch/6.12.1-test/livepatch-a.ko", "damaged");
  TargetOptions boot;
  boot.command = "load";
  boot.all = boot.boot = boot.json = true;
  const auto message = [&](int code) {
    return nlohmann::json::parse(printed(boot, machine_, code))[0]["message"].get<std::string>();
  };
  EXPECT_NE(message(1).find("is no kernel module"), std::string::npos);
  machine_.put("/var/lib/kpatch/6.12.1-test/livepatch_a.trial", "boot-0 0 0\n");
  EXPECT_NE(message(1).find("the machine went down"), std::string::npos);
  machine_.put("/proc/cmdline", "kpatch.enable=0\n");
  EXPECT_EQ(printed(boot, machine_, 0), "[]\n");
  // Both refusals are in the log.
  const std::string log = machine_.text(event_log);
  ASSERT_EQ(lines_of(log).size(), 2U);
  EXPECT_NE(lines_of(log)[0].find("is no kernel module"), std::string::npos);
  EXPECT_NE(lines_of(log)[1].find(R"("event":"load","module":"livepatch_a")"), std::string::npos);
}

TEST_F(Target, WhatCannotBeReadIsRefusedForProgramsAsWell) {
  TargetOptions load;
  load.command = "load";
  load.names = {"livepatch-missing"};
  load.json = true;
  const auto answer = nlohmann::json::parse(printed(load, machine_, refused));
  EXPECT_EQ(answer[0]["outcome"], "refused");
  EXPECT_EQ(answer[0]["module"], "livepatch-missing");
  EXPECT_NE(answer[0]["message"].get<std::string>().find("isn't installed"), std::string::npos);
}

TEST_F(Target, WhatIsUnloadedIsInTheLog) {
  machine_.show("livepatch_a", true, false);
  machine_.on_time = [&](auto) { machine_.hide("livepatch_a"); };
  TargetOptions unload;
  unload.command = "unload";
  unload.names = {"livepatch-a"};
  printed(unload, machine_, 0);
  const auto line = nlohmann::json::parse(machine_.text(event_log));
  EXPECT_EQ(line["event"], "unload");
  EXPECT_EQ(line["outcome"], "done");
  unload.log.clear();
  printed(unload, machine_, 1);
  const std::string log = machine_.text(event_log);
  EXPECT_EQ(lines_of(log).size(), 1U);
}

TEST_F(Target, StatementsOfWhatRuns) {
  TargetOptions vex;
  vex.command = "vex";
  EXPECT_THROW(run_command(vex, machine_), Error);
  machine_.show("livepatch_a", true, true);
  machine_.put("/sys/module/livepatch_a/notes/.note.kpatch", note("kpatch", std::string("CVE-2026-1000", 14)));
  machine_.put("/sys/module/livepatch_a/notes/.note.gnu.build-id", note("GNU", "\x01\x02"));
  EXPECT_THROW(run_command(vex, machine_), Error);  // in transition
  machine_.show("livepatch_a", true, false);
  const auto stated = nlohmann::json::parse(printed(vex, machine_, 0));
  EXPECT_EQ(stated["statements"][0]["products"][0]["subcomponents"][0]["@id"], "pkg:generic/livepatch_a?build_id=0102");
  vex.format = "csaf";
  EXPECT_EQ(nlohmann::json::parse(printed(vex, machine_, 0))["vulnerabilities"][0]["cve"], "CVE-2026-1000");
}

TEST_F(Target, MetricsInPlaceOfAnAnswer) {
  TargetOptions status;
  status.command = "status";
  status.metrics = folder_.path() / "kpatch.prom";
  EXPECT_EQ(printed(status, machine_, 0), "");
  EXPECT_NE(read_file(status.metrics).find("kpatch_state 1\n"), std::string::npos);
  status.metrics = folder_.path() / "none/kpatch.prom";
  EXPECT_THROW(run_command(status, machine_), Error);
}

}  // namespace
}  // namespace kpatch

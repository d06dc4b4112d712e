// Commands: output, status, order, environment, and that nothing survives its runner.
#include "support/runner.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <chrono>

#include "kernel/cache.h"
#include "support/error.h"
#include "unit/temporary_folder.h"

namespace kpatch {
namespace {

Command shell(const std::string& script) { return {{"sh", "-c", script}, {}, {}}; }

TEST(Runner, GivesOutputAndStatus) {
  TemporaryFolder folder;
  Runner runner(folder.path() / "logs/log");
  std::vector<std::string> lines;
  auto result = runner.run(shell("echo one; echo two >&2; printf three; exit 3"),
                           [&](std::string_view line) { lines.emplace_back(line); });
  EXPECT_EQ(result.status, 3);
  EXPECT_EQ(result.output, "one\ntwo\nthree");
  EXPECT_EQ(lines, (std::vector<std::string>{"one", "two", "three"}));
  EXPECT_EQ(runner.run(shell("kill -9 $$")).status, 128 + 9);
  std::string log = read_file(runner.log());
  EXPECT_NE(log.find("$ sh -c 'kill -9 $$'\n[exit 137]"), std::string::npos) << log;
}

TEST(Runner, NamesAProgramThatIsMissing) {
  TemporaryFolder folder;
  Runner runner(folder.path() / "log");
  EXPECT_EQ(message_of<Error>([&] {
              runner.run({{"no-such-program-here"}, {}, {}});
            }),
            "no-such-program-here: command not found");
  EXPECT_NE(message_of<Error>([&] {
              runner.run({{"true"}, folder.path() / "none", {}});
            }).find("no such folder"),
            std::string::npos);
}

TEST(Runner, KeepsTheUsersFlagsOut) {
  TemporaryFolder folder;
  Runner runner(folder.path() / "log");
  setenv("KCFLAGS", "-O0", 1);
  setenv("LC_ALL", "de_DE.UTF-8", 1);
  auto result = runner.run({{"sh", "-c", "echo $KCFLAGS:$LC_ALL:$EXTRA; pwd"}, folder.path(), {{"EXTRA", "x y"}}});
  unsetenv("KCFLAGS");
  unsetenv("LC_ALL");
  EXPECT_EQ(result.output, ":C:x y\n" + std::filesystem::canonical(folder.path()).string() + "\n");
}

TEST(Runner, RunsManyInOrder) {
  TemporaryFolder folder;
  Runner runner(folder.path() / "log");
  std::vector<Command> commands;
  for (int i = 0; i < 9; i++)
    commands.push_back(shell("sleep 0.0" + std::to_string(9 - i) + "; echo " + std::to_string(i)));
  size_t last = 0;
  auto results = runner.run_all(commands, 3, [&](size_t done) { last = done; });
  ASSERT_EQ(results.size(), 9U);
  for (int i = 0; i < 9; i++) EXPECT_EQ(results[size_t(i)].output, std::to_string(i) + "\n");
  EXPECT_EQ(last, 9U);
  EXPECT_TRUE(runner.run_all({}, 3).empty());
}

TEST(Runner, DoesNotWaitForWhoeverHoldsThePipe) {
  TemporaryFolder folder;
  Runner runner(folder.path() / "log");
  auto start = std::chrono::steady_clock::now();
  auto result = runner.run(shell("sleep 30 & echo done"));
  EXPECT_EQ(result.output, "done\n");
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
}

TEST(Runner, ASignalEndsTheWholeGroup) {
  TemporaryFolder folder;
  std::string flag = (folder.path() / "alive").string();
  pid_t child = fork();
  if (child == 0) {
    handle_signals();
    try {
      Runner runner(folder.path() / "log");
      runner.run(shell("(while :; do echo x >> " + flag + "; sleep 0.05; done) & wait"));
    } catch (const Interrupted& interrupted) {
      _exit(128 + interrupted.signal);
    }
    _exit(0);
  }
  for (int i = 0; i < 100 && !std::filesystem::exists(flag); i++) usleep(50'000);
  kill(child, SIGTERM);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 128 + SIGTERM);
  auto size = std::filesystem::file_size(flag);
  usleep(300'000);
  EXPECT_EQ(std::filesystem::file_size(flag), size);
}

TEST(Runner, FailureShowsTheErrorAndTheLog) {
  TemporaryFolder folder;
  Runner runner(folder.path() / "log");
  std::string output = "cc1: error: the cause\n";
  for (int i = 0; i < 100; i++) output += "noise " + std::to_string(i) + "\n";
  std::string message = message_of<Error>([&] { runner.fail("make failed", {2, output}); });
  EXPECT_EQ(message.find("make failed (exit status 2)\n>>> cc1: error: the cause"), 0U) << message;
  EXPECT_NE(message.find((folder.path() / "log").string()), std::string::npos);
}

}  // namespace
}  // namespace kpatch

// Commands: output, status, order, environment, and that nothing survives its run.
#include "support/executor.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "kernel/cache.h"
#include "support/error.h"
#include "support/files.h"
#include "support/signals.h"
#include "support/text.h"
#include "unit/temporary_folder.h"

namespace kpatch {
namespace {

Command shell(const std::string& script) { return {{"sh", "-c", script}, {}, {}}; }

TEST(Executor, GivesOutputAndStatus) {
  TemporaryFolder folder;
  Executor executor(folder.path() / "logs/log");
  std::vector<std::string> lines;
  auto result = executor.run(shell("echo one; echo two >&2; printf three; exit 3"),
                             [&](std::string_view line) { lines.emplace_back(line); });
  EXPECT_EQ(result.status, 3);
  EXPECT_EQ(result.output, "one\ntwo\nthree");
  EXPECT_EQ(lines, (std::vector<std::string>{"one", "two", "three"}));
  EXPECT_EQ(executor.run(shell("kill -9 $$")).status, 128 + 9);
  std::string log = read_file(executor.log());
  EXPECT_NE(log.find("$ sh -c 'kill -9 $$'\n[exit 137]"), std::string::npos) << log;
}

TEST(Executor, NamesAProgramThatIsMissing) {
  TemporaryFolder folder;
  Executor executor(folder.path() / "log");
  EXPECT_EQ(message_of<Error>([&] {
              executor.run({{"no-such-program-here"}, {}, {}});
            }),
            "no-such-program-here: command not found");
  EXPECT_NE(message_of<Error>([&] {
              executor.run({{"true"}, folder.path() / "none", {}});
            }).find("no such folder"),
            std::string::npos);
}

TEST(Executor, KeepsTheUsersFlagsOut) {
  TemporaryFolder folder;
  Executor executor(folder.path() / "log");
  setenv("KCFLAGS", "-O0", 1);
  setenv("LC_ALL", "de_DE.UTF-8", 1);
  auto result = executor.run({{"sh", "-c", "echo $KCFLAGS:$LC_ALL:$EXTRA; pwd"}, folder.path(), {{"EXTRA", "x y"}}});
  unsetenv("KCFLAGS");
  unsetenv("LC_ALL");
  EXPECT_EQ(result.output, ":C:x y\n" + std::filesystem::canonical(folder.path()).string() + "\n");
}

TEST(Executor, ConfinesAllButWhatIsOutside) {
  TemporaryFolder folder;
  Executor executor(folder.path() / "log");
  executor.confine({"env", "CONFINED=yes"}, {{"PLACE", "here"}});
  const Command asks = shell("echo $CONFINED $PLACE");
  EXPECT_EQ(executor.run(asks).output, "yes here\n");
  Command outside = asks;
  outside.outside = true;
  const Command both[] = {asks, outside};
  const auto results = executor.run_all(both, 2);
  EXPECT_EQ(results[0].output, "yes here\n");
  EXPECT_EQ(results[1].output, "\n");
  EXPECT_EQ(read_file(executor.log()).find("CONFINED=yes"), std::string::npos);
  EXPECT_EQ(message_of<Error>([&] {
              executor.run({{"no-such-program-here"}, {}, {}});
            }),
            "no-such-program-here: command not found");
}

TEST(Executor, FindsPrograms) {
  TemporaryFolder folder;
  const std::string file = folder.write("program", "").string();
  EXPECT_FALSE(find_program(file));
  std::filesystem::permissions(file, std::filesystem::perms::owner_all);
  EXPECT_EQ(find_program(file), file);
  EXPECT_TRUE(find_program("sh"));
  for (const char* none : {"", "no-such-program-here", "/", "/no/such"}) EXPECT_FALSE(find_program(none)) << none;
}

TEST(Executor, RunsManyInOrder) {
  TemporaryFolder folder;
  Executor executor(folder.path() / "log");
  std::vector<Command> commands;
  for (int i = 0; i < 9; i++)
    commands.push_back(shell("sleep 0.0" + std::to_string(9 - i) + "; echo " + std::to_string(i)));
  size_t last = 0;
  auto results = executor.run_all(commands, 3, [&](size_t done) { last = done; });
  ASSERT_EQ(results.size(), 9U);
  for (int i = 0; i < 9; i++) EXPECT_EQ(results[size_t(i)].output, std::to_string(i) + "\n");
  EXPECT_EQ(last, 9U);
  EXPECT_TRUE(executor.run_all({}, 3).empty());
}

// A build that hangs shows what it did before.
TEST(Executor, LogsEachCommandWhenItEnds) {
  TemporaryFolder folder;
  Executor executor(folder.path() / "log");
  const std::string flag = (folder.path() / "go on").string();
  const Command commands[] = {
      shell("echo first"), shell("for i in $(seq 600); do test -e '" + flag + "' && exit 0; sleep 0.05; done; exit 1")};
  std::string log;
  const auto results = executor.run_all(commands, 2, [&](size_t done) {
    if (done != 1) return;
    log = read_file(executor.log());
    std::ofstream(flag) << "now";
  });
  EXPECT_EQ(log, "$ sh -c 'echo first'\nfirst\n[exit 0]\n");
  EXPECT_TRUE(results[1].ok());
}

TEST(Executor, TellsOfEachCommandWhenItStarts) {
  TemporaryFolder folder;
  const auto log = folder.path() / "log";
  std::string seen;
  Executor executor(log, [&](std::string_view line) {
    const std::string written = read_file(log);
    seen += fmt::format("{} [{} ended]\n", line, lines_of(written).size() / 2);
  });
  executor.run({{"true", "a b"}, "/", {{"X", "1"}}});
  const Command commands[] = {shell("exit 0"), shell("exit 1")};
  executor.run_all(commands, 1);
  EXPECT_EQ(seen, "cd / && X=1 true 'a b' [0 ended]\nsh -c 'exit 0' [1 ended]\nsh -c 'exit 1' [2 ended]\n");
}

TEST(Executor, DoesNotWaitForWhoeverHoldsThePipe) {
  TemporaryFolder folder;
  Executor executor(folder.path() / "log");
  auto start = std::chrono::steady_clock::now();
  auto result = executor.run(shell("sleep 30 & echo done"));
  EXPECT_EQ(result.output, "done\n");
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
}

TEST(Executor, AStartedCommandRunsBesideOthers) {
  TemporaryFolder folder;
  Executor executor(folder.path() / "log");
  const std::string pipe = (folder.path() / "pipe").string();
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  StartedCommand reader = executor.start(shell("cat " + pipe + "; exit 3"));  // ends when the other has written
  EXPECT_TRUE(executor.run(shell("echo text >" + pipe)).ok());
  const CommandResult result = reader.wait();
  EXPECT_EQ(result.status, 3);
  EXPECT_EQ(result.output, "text\n");
  EXPECT_NE(read_file(executor.log()).find("; exit 3'\ntext\n[exit 3]"), std::string::npos);
}

TEST(Executor, AStartedCommandThatNobodyWaitsForIsEnded) {
  TemporaryFolder folder;
  Executor executor(folder.path() / "log");
  const std::string pipe = (folder.path() / "pipe").string();
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  int reader = -1;
  {
    StartedCommand endless = executor.start(shell("(sleep 1000; true) >" + pipe));
    reader = open(pipe.c_str(), O_RDONLY);  // waits for the writer
  }
  char byte = 0;
  EXPECT_EQ(read(reader, &byte, 1), 0);  // nobody has it open for writing any more, the grandchild neither
  close(reader);
  StartedCommand moved = executor.start(shell("sleep 1000"));
  moved = executor.start(shell("exit 4"));
  EXPECT_EQ(moved.wait().status, 4);
}

TEST(Executor, ASignalEndsTheWholeGroup) {
  TemporaryFolder folder;
  std::string flag = (folder.path() / "alive").string();
  pid_t child = fork();
  if (child == 0) {
    handle_signals();
    try {
      Executor executor(folder.path() / "log");
      executor.run(shell("(while :; do echo x >> " + flag + "; sleep 0.05; done) & wait"));
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

TEST(Executor, FailureShowsTheErrorAndTheLog) {
  TemporaryFolder folder;
  Executor executor(folder.path() / "log");
  std::string output = "cc1: error: the cause\n";
  for (int i = 0; i < 100; i++) output += "noise " + std::to_string(i) + "\n";
  std::string message = message_of<Error>([&] { executor.fail("make failed", {2, output}); });
  EXPECT_EQ(message.find("make failed (exit status 2)\n>>> cc1: error: the cause"), 0U) << message;
  EXPECT_NE(message.find((folder.path() / "log").string()), std::string::npos);
}

}  // namespace
}  // namespace kpatch

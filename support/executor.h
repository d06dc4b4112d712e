// Runs the commands that a build consists of, keeps every command line and its whole output in one log file. The
// programs have no other way to start one.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/command.h"

namespace kpatch {

class Executor;
class Process;

// A command that runs while its caller does something else. Its output is kept for wait(); one that writes more than a
// pipe holds (64 KB) stands still until then.
class StartedCommand {
 public:
  StartedCommand(const Executor& executor, Command command, std::unique_ptr<Process> process);
  StartedCommand(StartedCommand&&) noexcept;
  StartedCommand& operator=(StartedCommand&&) noexcept;
  ~StartedCommand();  // ends its whole process group when nobody has waited for it

  // Once, to its end; as Executor::run().
  CommandResult wait(const std::function<void(std::string_view)>& on_line = {});

 private:
  const Executor* executor_;
  Command command_;
  std::vector<std::unique_ptr<Process>> process_;
};

class Executor {
 public:
  // log: the file to which each command line and its output are appended when the command ends. on_start (may be empty)
  // gets each command line, as a shell would take it, when the command starts. Throws Error when the log can't be
  // written.
  explicit Executor(std::filesystem::path log, std::function<void(std::string_view)> on_start = {});

  // Runs one command to its end. on_line (may be empty) gets each line of output as it comes, for progress.
  // Throws Error when the program can't be started, Interrupted when the run was stopped by a signal.
  CommandResult run(const Command& command, const std::function<void(std::string_view)>& on_line = {});

  // Begins one, and doesn't wait. The executor must outlive it. Throws as run() does.
  StartedCommand start(const Command& command);

  // Runs all of them, at most `jobs` at a time; results in the order of the commands. on_done: called after each.
  std::vector<CommandResult> run_all(std::span<const Command> commands, unsigned jobs,
                                     const std::function<void(size_t done)>& on_done = {});

  // From now on each command is started as `through… COMMAND`, with environment added to its own; but for those that say
  // `outside`. The log has the commands as they were given. What stands in front must end with us: bwrap that gets a
  // signal while it makes its namespaces leaves a child that waits for it for ever, with our locks.
  void confine(std::vector<std::string> through, std::vector<std::pair<std::string, std::string>> environment);

  // From now on what isn't `ours` or `outside` is started so instead: in the root of another system.
  void enter_root(std::vector<std::string> through, std::vector<std::pair<std::string, std::string>> environment);

  // Throws Error with what failed, the last lines of output and the log's path.
  [[noreturn]] void fail(const std::string& what, const CommandResult& result) const;

  const std::filesystem::path& log() const { return log_; }

 private:
  // What a command is started by.
  struct Front {
    std::vector<std::string> through;
    std::vector<std::pair<std::string, std::string>> environment;
  };
  const Front& front_of(const Command& command) const;

  friend class StartedCommand;
  void announce(const Command& command) const;
  void record(const Command& command, const CommandResult& result) const;
  Command confined(const Command& command) const;
  bool is_confined(const Command& command) const { return !front_of(command).through.empty(); }

  std::filesystem::path log_;
  std::function<void(std::string_view)> on_start_;
  Front ours_, root_, none_;
};

}  // namespace kpatch

// Many commands at a time, in one log
//
// The results have the order of the commands, whichever ends first; so has everything that is made of them:
//
//     run_all({a, b, c}, 2)      a ─────────┐           log:  $ b … [exit 0]
//                                b ───┐ c ──┼──┐              $ a … [exit 0]
//                                     └─────┴──┴─ {a, b, c}   $ c … [exit 1]
//
// The log gets a command when it ends, so that its output stands in one piece. Processes are process.cc's, what they are
// started with is command.cc's.
#include "support/executor.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "support/error.h"
#include "support/process.h"
#include "support/signals.h"

namespace kpatch {
namespace {

void append_log(const std::filesystem::path& log, const std::string& text) {
  int fd = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (fd < 0) throw Error(fmt::format("can't write the log {}: {}", log.string(), std::strerror(errno)));
  std::string_view rest = text;
  while (!rest.empty()) {
    ssize_t written = write(fd, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) break;  // a full disk shows where it matters, not in the log
    rest.remove_prefix(size_t(written));
  }
  close(fd);
}

}  // namespace

Executor::Executor(std::filesystem::path log, std::function<void(std::string_view)> on_start)
    : log_(std::move(log)), on_start_(std::move(on_start)) {
  std::error_code error;
  if (log_.has_parent_path()) std::filesystem::create_directories(log_.parent_path(), error);
  append_log(log_, "");
}

void Executor::announce(const Command& command) const {
  if (on_start_) on_start_(command_line(command));
}

void Executor::record(const Command& command, const CommandResult& result) const {
  append_log(log_, fmt::format("$ {}\n{}[exit {}]\n", command_line(command), result.output, result.status));
}

void Executor::confine(std::vector<std::string> through, std::vector<std::pair<std::string, std::string>> environment) {
  ours_ = {std::move(through), std::move(environment)};
}

void Executor::enter_root(std::vector<std::string> through,
                          std::vector<std::pair<std::string, std::string>> environment) {
  root_ = {std::move(through), std::move(environment)};
}

const Executor::Front& Executor::front_of(const Command& command) const {
  if (command.outside) return none_;
  return command.ours || root_.through.empty() ? ours_ : root_;
}

Command Executor::confined(const Command& command) const {
  Command result = command;
  if (!is_confined(command)) return result;
  // Else the message would be that of what stands in front of it.
  const bool here = command.ours || root_.through.empty();
  if (here && !find_program(command.argv.at(0))) throw Error(fmt::format("{}: command not found", command.argv[0]));
  const Front& front = front_of(command);
  result.argv.insert(result.argv.begin(), front.through.begin(), front.through.end());
  result.environment.insert(result.environment.begin(), front.environment.begin(), front.environment.end());
  return result;
}

CommandResult Executor::run(const Command& command, const std::function<void(std::string_view)>& on_line) {
  return start(command).wait(on_line);
}

StartedCommand Executor::start(const Command& command) {
  check_interrupted();
  announce(command);
  return {*this, command, std::make_unique<Process>(confined(command), 0, is_confined(command))};
}

StartedCommand::StartedCommand(const Executor& executor, Command command, std::unique_ptr<Process> process)
    : executor_(&executor), command_(std::move(command)) {
  process_.push_back(std::move(process));
}
StartedCommand::StartedCommand(StartedCommand&&) noexcept = default;
StartedCommand& StartedCommand::operator=(StartedCommand&&) noexcept = default;
StartedCommand::~StartedCommand() = default;

CommandResult StartedCommand::wait(const std::function<void(std::string_view)>& on_line) {
  KPATCH_ASSERT(!process_.empty());
  while (!process_[0]->advance(wait_for_output(process_)[0], on_line)) check_interrupted();
  CommandResult result = std::move(process_[0]->result);
  process_.clear();
  executor_->record(command_, result);
  return result;
}

std::vector<CommandResult> Executor::run_all(std::span<const Command> commands, unsigned jobs,
                                             const std::function<void(size_t done)>& on_done) {
  std::vector<CommandResult> results(commands.size());
  std::vector<std::unique_ptr<Process>> running;
  size_t next = 0, done = 0;
  while (done < commands.size()) {
    check_interrupted();
    while (next < commands.size() && running.size() < std::max(jobs, 1u)) {
      announce(commands[next]);
      running.push_back(std::make_unique<Process>(confined(commands[next]), next, is_confined(commands[next])));
      next++;
    }
    std::vector<bool> readable = wait_for_output(running);
    std::vector<std::unique_ptr<Process>> left;
    for (size_t i = 0; i < running.size(); i++) {
      if (!running[i]->advance(readable[i], {})) {
        left.push_back(std::move(running[i]));
        continue;
      }
      const size_t number = running[i]->number();
      results[number] = std::move(running[i]->result);
      record(commands[number], results[number]);
      ++done;
      if (on_done) on_done(done);
    }
    running = std::move(left);
  }
  return results;
}

void Executor::fail(const std::string& what, const CommandResult& result) const {
  // The last lines say what went wrong, except that make -j buries the compiler's message under other jobs' output.
  std::vector<std::string_view> lines;
  std::string_view output = result.output;
  for (size_t start = 0; start < output.size();) {
    size_t end = std::min(output.find('\n', start), output.size());
    if (end > start) lines.push_back(output.substr(start, end - start));
    start = end + 1;
  }
  constexpr size_t shown = 15;
  size_t first = lines.size() > shown ? lines.size() - shown : 0;
  for (size_t i = 0; i < first; i++) {
    if (lines[i].find("rror") == std::string_view::npos && lines[i].find("***") == std::string_view::npos) continue;
    first = std::min(i, first);
    break;
  }
  std::string message = what + (result.status > 128 ? fmt::format(" (killed by signal {})", result.status - 128)
                                                    : fmt::format(" (exit status {})", result.status));
  for (size_t i = first; i < std::min(lines.size(), first + shown); i++) message += fmt::format("\n>>> {}", lines[i]);
  throw Error(message + fmt::format("\n>>> the whole log is in {}", log_.string()));
}

}  // namespace kpatch

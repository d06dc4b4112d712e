// Running commands: each in a process group of its own, all output kept.
//
// A build is a tree of processes: make starts shells, shells start compilers. Ctrl-C on the terminal or a SIGTERM from
// a CI system must end all of them, or a compiler goes on writing into a folder that is being removed:
//
//     kpatch-build ── make ─┬─ sh ── gcc ── cc1
//                           └─ sh ── gcc ── cc1
//
// Each command therefore leads a process group, which is signalled as a whole. The signal handler only notes the
// signal and makes a pipe readable; every wait for output watches that pipe too, so there is no window in which a
// signal is seen late, and nothing unsafe runs inside the handler. Should we be killed outright (SIGKILL), the kernel
// sends SIGTERM to each direct child, and make ends the rest; what is confined ends with us by itself.
//
// stdin is /dev/null. The environment is ours without the variables that steer make, kbuild or the compiler: a stray
// KCFLAGS or ARCH of the user's shell would give other code than the kernel's.
#include "support/executor.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "support/error.h"
#include "support/text.h"

namespace kpatch {
namespace {

// The one thing a signal handler can reach. Set once, never reset: a run that was stopped stays stopped.
volatile sig_atomic_t arrived_signal = 0;
int signal_pipe[2] = {-1, -1};

void on_signal(int signal) {
  int saved = errno;
  arrived_signal = signal;
  if (signal_pipe[1] >= 0 && write(signal_pipe[1], "!", 1) < 0) {
    // A full pipe is readable already.
  }
  errno = saved;
}

constexpr std::array scrubbed = {
    "MAKEFLAGS",
    "MAKELEVEL",
    "MFLAGS",
    "MAKEOVERRIDES",
    "GNUMAKEFLAGS",
    "KCFLAGS",
    "KCPPFLAGS",
    "KAFLAGS",
    "KRUSTFLAGS",
    "KBUILD_OUTPUT",
    "KBUILD_EXTMOD",
    "KBUILD_CFLAGS",
    "KBUILD_CPPFLAGS",
    "KBUILD_AFLAGS",
    "KBUILD_VERBOSE",
    "KBUILD_MODPOST_WARN",
    "KBUILD_EXTRA_SYMBOLS",
    "KBUILD_BUILD_TIMESTAMP",
    "KCONFIG_CONFIG",
    "KCONFIG_ALLCONFIG",
    "KERNELRELEASE",
    "LOCALVERSION",
    "CONFIG_SHELL",
    "ARCH",
    "SUBARCH",
    "CROSS_COMPILE",
    "LLVM",
    "LLVM_IAS",
    "CC",
    "LD",
    "AR",
    "AS",
    "NM",
    "OBJCOPY",
    "OBJDUMP",
    "STRIP",
    "HOSTCC",
    "HOSTCXX",
    "CFLAGS",
    "CPPFLAGS",
    "LDFLAGS",
    "CPATH",
    "C_INCLUDE_PATH",
    "GCC_EXEC_PREFIX",
    "COMPILER_PATH",
    "LIBRARY_PATH",
    "DEPENDENCIES_OUTPUT",
    "SUNPRO_DEPENDENCIES",
    "GCC_COLORS",
    "srctree",
    "objtree",
    "abs_srctree",
    "abs_objtree",
    "sub_make_done",
    "TAR_OPTIONS",
    "M",
    "O",
    "V",
    "W",
};

std::vector<std::string> child_environment(const Command& command) {
  std::vector<std::string> result;
  auto named = [](std::string_view entry) { return entry.substr(0, entry.find('=')); };
  for (char** entry = environ; *entry; entry++) {
    std::string_view name = named(*entry);
    if (std::ranges::find(scrubbed, name) != scrubbed.end() || name == "LC_ALL" || name == "LANGUAGE" ||
        std::ranges::any_of(command.environment, [&](auto& added) { return added.first == name; }))
      continue;
    result.emplace_back(*entry);
  }
  result.emplace_back("LC_ALL=C");
  for (auto& [name, value] : command.environment) result.push_back(name + "=" + value);
  return result;
}

// Single quotes where a shell would need them, so that a line of the log can be pasted.
std::string shell_word(std::string_view word) {
  auto plain = [](char c) { return isalnum(static_cast<unsigned char>(c)) || std::strchr("_-+=/.,:@%", c); };
  if (!word.empty() && std::ranges::all_of(word, plain)) return std::string(word);
  std::string result = "'";
  for (char c : word) result += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return result + "'";
}

std::string command_line(const Command& command) {
  std::string line;
  if (!command.directory.empty()) line += "cd " + shell_word(command.directory.string()) + " && ";
  for (auto& [name, value] : command.environment) line += name + "=" + shell_word(value) + " ";
  for (size_t i = 0; i < command.argv.size(); i++) line += (i ? " " : "") + shell_word(command.argv[i]);
  return line;
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> result;
  for (auto& s : strings) result.push_back(s.data());
  result.push_back(nullptr);
  return result;
}

}  // namespace

// A started command: its process group, its output so far.
class Process {
 public:
  // ends_itself: with our death, without a signal from the kernel.
  Process(const Command& command, size_t number, bool ends_itself) : number_(number) {
    KPATCH_ASSERT(!command.argv.empty());
    int output[2], failure[2];
    if (pipe2(output, O_CLOEXEC) != 0) throw Error(fmt::format("can't make a pipe: {}", std::strerror(errno)));
    if (pipe2(failure, O_CLOEXEC) != 0) {
      int error = errno;
      close(output[0]), close(output[1]);
      throw Error(fmt::format("can't make a pipe: {}", std::strerror(error)));
    }
    std::vector<std::string> arguments = command.argv, environment = child_environment(command);
    std::vector<char*> argv = pointers(arguments), envp = pointers(environment);
    pid_ = fork();
    if (pid_ == 0) start_child(command, argv, envp, output[1], failure[1], ends_itself);
    int fork_error = errno;
    close(output[1]), close(failure[1]);
    out_ = output[0];
    if (pid_ < 0) {
      close(out_), close(failure[0]);
      throw Error(fmt::format("can't start {}: {}", command.argv[0], std::strerror(fork_error)));
    }
    setpgid(pid_, pid_);  // also done by the child; whoever comes first
    int error = 0;
    ssize_t got;
    do got = read(failure[0], &error, sizeof error);
    while (got < 0 && errno == EINTR);
    close(failure[0]);
    if (got == sizeof error) {
      close(out_);
      waitpid(pid_, nullptr, 0);
      std::error_code ignored;
      if (!command.directory.empty() && !std::filesystem::is_directory(command.directory, ignored))
        throw Error(fmt::format("can't run {} in {}: no such folder", command.argv[0], command.directory.string()));
      throw Error(error == ENOENT ? fmt::format("{}: command not found", command.argv[0])
                                  : fmt::format("can't run {}: {}", command.argv[0], std::strerror(error)));
    }
    fcntl(out_, F_SETFL, O_NONBLOCK);
  }

  ~Process() {
    if (out_ >= 0) close(out_);
    if (!ended_) stop();
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  int fd() const { return out_; }
  size_t number() const { return number_; }

  // Reads what is there. Returns true when the command has ended (its status is then in result).
  bool advance(bool readable, const std::function<void(std::string_view)>& on_line) {
    bool end = false;
    char buffer[65536];
    while (readable) {
      ssize_t got = read(out_, buffer, sizeof buffer);
      if (got > 0) {
        result.output.append(buffer, size_t(got));
        continue;
      }
      end = got == 0;
      break;
    }
    if (on_line) give_lines(on_line);
    // The pipe may outlive the command in the hands of a grandchild, and the command may close it before it ends.
    int status = 0;
    pid_t reaped = waitpid(pid_, &status, end ? 0 : WNOHANG);
    if (reaped != pid_) return false;
    ended_ = true;
    if (!end) {
      ssize_t got;
      while ((got = read(out_, buffer, sizeof buffer)) > 0) result.output.append(buffer, size_t(got));
      if (on_line) give_lines(on_line);
    }
    if (on_line && line_start_ < result.output.size()) on_line(std::string_view(result.output).substr(line_start_));
    result.status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    return true;
  }

  // Ends the whole group: politely, then not.
  void stop() {
    kill(-pid_, SIGTERM);
    for (int i = 0; i < 300; i++) {
      if (waitpid(pid_, nullptr, WNOHANG) == pid_) {
        ended_ = true;
        break;
      }
      usleep(10'000);
    }
    kill(-pid_, SIGKILL);
    if (!ended_) waitpid(pid_, nullptr, 0);
    ended_ = true;
  }

  CommandResult result;

 private:
  [[noreturn]] static void start_child(const Command& command, std::vector<char*>& argv, std::vector<char*>& envp,
                                       int output, int failure, bool ends_itself) {
    setpgid(0, 0);
    if (!ends_itself) prctl(PR_SET_PDEATHSIG, SIGTERM);
    for (int signal : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) ::signal(signal, SIG_DFL);
    if (command.largest_file != 0) {
      const rlimit limit = {command.largest_file, command.largest_file};
      setrlimit(RLIMIT_FSIZE, &limit);
    }
    int null = open("/dev/null", O_RDONLY);
    if (null >= 0) dup2(null, 0);
    dup2(output, 1);
    dup2(output, 2);
    if (command.directory.empty() || chdir(command.directory.c_str()) == 0) execvpe(argv[0], argv.data(), envp.data());
    int error = errno;
    if (write(failure, &error, sizeof error) < 0) _exit(126);
    _exit(127);
  }

  void give_lines(const std::function<void(std::string_view)>& on_line) {
    for (size_t end; (end = result.output.find('\n', line_start_)) != std::string::npos; line_start_ = end + 1)
      on_line(std::string_view(result.output).substr(line_start_, end - line_start_));
  }

  pid_t pid_ = -1;
  int out_ = -1;
  size_t number_;
  size_t line_start_ = 0;
  bool ended_ = false;
};

namespace {

// Waits until one of the commands wrote something, a signal arrived, or a little time passed (a command may have
// ended while a grandchild holds its output).
std::vector<bool> wait_for_output(std::span<const std::unique_ptr<Process>> running) {
  std::vector<pollfd> fds;
  for (auto& process : running) fds.push_back({process->fd(), POLLIN, 0});
  if (signal_pipe[0] >= 0) fds.push_back({signal_pipe[0], POLLIN, 0});
  int ready = poll(fds.data(), fds.size(), 500);
  std::vector<bool> readable(running.size());
  for (size_t i = 0; i < running.size(); i++)
    readable[i] = ready > 0 && (fds[i].revents & (POLLIN | POLLHUP | POLLERR)) != 0;
  return readable;
}

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

void handle_signals() {
  if (signal_pipe[0] < 0 && pipe2(signal_pipe, O_CLOEXEC | O_NONBLOCK) != 0)
    throw Error(fmt::format("can't make a pipe: {}", std::strerror(errno)));
  struct sigaction action = {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  for (int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction before = {};
    sigaction(signal, nullptr, &before);
    if (before.sa_handler != SIG_IGN) sigaction(signal, &action, nullptr);  // nohup stays nohup
  }
  signal(SIGPIPE, SIG_IGN);
}

void check_interrupted() {
  if (arrived_signal) throw Interrupted{arrived_signal};
}

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
  through_ = std::move(through);
  environment_ = std::move(environment);
}

Command Executor::confined(const Command& command) const {
  Command result = command;
  if (!is_confined(command)) return result;
  // Else the message would be that of what stands in front of it.
  if (!find_program(command.argv.at(0))) throw Error(fmt::format("{}: command not found", command.argv[0]));
  result.argv.insert(result.argv.begin(), through_.begin(), through_.end());
  result.environment.insert(result.environment.begin(), environment_.begin(), environment_.end());
  return result;
}

std::optional<std::filesystem::path> find_program(const std::string& name) {
  const auto runs = [](const std::filesystem::path& file) {
    std::error_code ignored;
    return std::filesystem::is_regular_file(file, ignored) && access(file.c_str(), X_OK) == 0;
  };
  if (name.find('/') != std::string::npos)
    return runs(name) ? std::optional<std::filesystem::path>(name) : std::nullopt;
  const char* path = std::getenv("PATH");
  const std::string folders = path != nullptr ? path : "/usr/bin:/bin";
  for (const std::string_view folder : fields_of(folders, ':'))
    if (const std::filesystem::path file = std::filesystem::path(folder) / name; !name.empty() && runs(file))
      return file;
  return std::nullopt;
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

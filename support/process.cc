// Starting commands, reading what they print, ending them
//
// A build is a tree of processes: make starts shells, shells start compilers. Ctrl-C on the terminal or a SIGTERM from
// a CI system must end all of them, or a compiler goes on writing into a folder that is being removed:
//
//     kpatch-build ── make ─┬─ sh ── gcc ── cc1
//                           └─ sh ── gcc ── cc1
//
// Each command therefore leads a process group, which is signalled as a whole. Should we be killed outright (SIGKILL),
// the kernel sends SIGTERM to each direct child, and make ends the rest; what is confined ends with us by itself.
//
// A program that can't be started is told from one that fails by a second pipe: it closes when the program runs, or
// brings the error of chdir() or exec(). stdin is /dev/null; stdout and stderr are one pipe, in the order of writing.
#include "support/process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <system_error>

#include "support/error.h"
#include "support/signals.h"

namespace kpatch {
namespace {

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> result;
  for (auto& s : strings) result.push_back(s.data());
  result.push_back(nullptr);
  return result;
}

[[noreturn]] void start_child(const Command& command, std::vector<char*>& argv, std::vector<char*>& envp, int output,
                              int failure, bool ends_itself) {
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

}  // namespace

Process::Process(const Command& command, size_t number, bool ends_itself) : number_(number) {
  KPATCH_ASSERT(!command.argv.empty());
  int output[2], failure[2];
  if (pipe2(output, O_CLOEXEC) != 0) throw Error(fmt::format("can't make a pipe: {}", std::strerror(errno)));
  if (pipe2(failure, O_CLOEXEC) != 0) {
    int error = errno;
    close(output[0]), close(output[1]);
    throw Error(fmt::format("can't make a pipe: {}", std::strerror(error)));
  }
  std::vector<std::string> arguments = command.argv, environment = environment_of(command);
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

Process::~Process() {
  if (out_ >= 0) close(out_);
  if (!ended_) stop();
}

bool Process::advance(bool readable, const std::function<void(std::string_view)>& on_line) {
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
void Process::stop() {
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

void Process::give_lines(const std::function<void(std::string_view)>& on_line) {
  for (size_t end; (end = result.output.find('\n', line_start_)) != std::string::npos; line_start_ = end + 1)
    on_line(std::string_view(result.output).substr(line_start_, end - line_start_));
}

std::vector<bool> wait_for_output(std::span<const std::unique_ptr<Process>> running) {
  std::vector<pollfd> fds;
  for (auto& process : running) fds.push_back({process->fd(), POLLIN, 0});
  if (const int signals = signal_descriptor(); signals >= 0) fds.push_back({signals, POLLIN, 0});
  int ready = poll(fds.data(), fds.size(), 500);
  std::vector<bool> readable(running.size());
  for (size_t i = 0; i < running.size(); i++)
    readable[i] = ready > 0 && (fds[i].revents & (POLLIN | POLLHUP | POLLERR)) != 0;
  return readable;
}

}  // namespace kpatch

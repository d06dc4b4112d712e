#include "kpatch/system.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <thread>

#include "support/error.h"
#include "support/files.h"
#include "support/text.h"

namespace kpatch {

namespace fs = std::filesystem;
using std::string_view;

std::string System::text(string_view absolute) const {
  try {
    return std::string(trimmed(read_file(path(absolute))));
  } catch (const Error&) {
    return {};  // a file of sysfs or procfs may go at any moment
  }
}

int System::write(string_view absolute, string_view text) const {
  const int fd = open(path(absolute).c_str(), O_WRONLY | O_CLOEXEC | O_TRUNC);
  if (fd < 0) return errno;
  const int error = ::write(fd, text.data(), text.size()) < 0 ? errno : 0;
  close(fd);
  return error;
}

std::optional<std::string> System::boot_option(string_view name) const {
  std::optional<std::string> value;
  const std::string words = text("/proc/cmdline");
  for (const string_view word : words_of(words))
    if (word.starts_with(name) && word.size() > name.size() && word[name.size()] == '=')
      value = std::string(word.substr(name.size() + 1));
  return value;
}

long System::counter(string_view name) const {
  return std::strtol(text("/sys/kernel/" + std::string(name)).c_str(), nullptr, 10);
}

int System::load(const fs::path& file) {
  const int fd = open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return errno;
  const int error = syscall(SYS_finit_module, fd, "", 0) != 0 ? errno : 0;
  close(fd);
  return error;
}

int System::remove(const std::string& module) {
  return syscall(SYS_delete_module, module.c_str(), O_NONBLOCK) != 0 ? errno : 0;
}

// Another root is no running kernel.
std::optional<std::vector<BpfLink>> System::bpf_links() const {
  return root_ == "/" ? bpf_links_of_kernel() : std::nullopt;
}

void System::sleep(std::chrono::milliseconds time) { std::this_thread::sleep_for(time); }

KernelLog::KernelLog(const System& system, From from)
    : fd_(open(system.path("/dev/kmsg").c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC)) {
  if (fd_ >= 0 && from == From::here) lseek(fd_, 0, SEEK_END);
}

KernelLog::~KernelLog() {
  if (fd_ >= 0) close(fd_);
}

std::vector<std::string> KernelLog::messages() const {
  // A record a read: "6,339,5140900,-;text\n", further lines begin with a blank. EPIPE: some were overwritten.
  std::vector<std::string> found;
  std::array<char, 8192> record;
  while (fd_ >= 0) {
    const ssize_t size = read(fd_, record.data(), record.size());
    if (size < 0 && (errno == EPIPE || errno == EINTR)) continue;
    if (size <= 0) break;
    const string_view text(record.data(), static_cast<size_t>(size));
    const size_t begin = text.find(';');
    if (begin == string_view::npos) continue;
    found.emplace_back(text.substr(begin + 1, text.find('\n') - begin - 1));
  }
  return found;
}

}  // namespace kpatch

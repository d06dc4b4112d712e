#include "support/answer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>

#include "support/error.h"

namespace kpatch {

Answer::Answer(bool for_programs) : out_(STDOUT_FILENO) {
  if (!for_programs) return;
  std::fflush(stdout);
  out_ = ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
  if (out_ < 0 || ::dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
    throw Error(fmt::format("standard output can't be set aside: {}", std::strerror(errno)));
}

Answer::~Answer() {
  if (out_ != STDOUT_FILENO) ::close(out_);
}

void Answer::print(std::string_view text) const {
  std::fflush(stdout);
  const std::string line = fmt::format("{}\n", text);
  for (size_t done = 0; done < line.size();) {
    const ssize_t written = ::write(out_, line.data() + done, line.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) throw Error(fmt::format("standard output can't be written: {}", std::strerror(errno)));
    done += static_cast<size_t>(written);
  }
}

}  // namespace kpatch

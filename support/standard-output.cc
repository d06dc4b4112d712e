#include "support/standard-output.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>

#include "support/error.h"

namespace kpatch {

int after_output(int code, LostOutput lost) {
  const bool flushed = std::fflush(stdout) == 0;
  if (flushed && std::ferror(stdout) == 0) return code;
  // What failed earlier left no reason.
  const std::string why =
      fmt::format("standard output can't be written{}", flushed ? "" : std::string(": ") + std::strerror(errno));
  if (lost == LostOutput::fails) throw Error(why);
  std::fputs(fmt::format("warning: {}\n", why).c_str(), stderr);
  return code;
}

}  // namespace kpatch

// Errors that end a run: unreadable input, a failed system call, a wrong command line.
//
// A change that cannot be patched is not an Error: it is a Finding (finding.h), so that a run can report every
// problem it finds. Our own bugs are KPATCH_ASSERT, which stays on in release builds.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace kpatch {

// Exit codes shared by every program of the project.
enum ExitCode : int {
  exit_ok = 0,           // built, or the objects differ and output was written
  exit_error = 1,        // unreadable input, wrong usage, failed command
  exit_unpatchable = 2,  // the change can't be patched; each reason was named
  exit_no_change = 3,    // no functional change
};

// what(): one message for a person, naming the thing that is wrong and, where known, what to do.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

[[noreturn]] void assertion_failed(const char* expression, const char* file, int line);

}  // namespace kpatch

#define KPATCH_ASSERT(expression) ((expression) ? void(0) : ::kpatch::assertion_failed(#expression, __FILE__, __LINE__))

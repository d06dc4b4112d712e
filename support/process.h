// One command that runs.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "support/command.h"

namespace kpatch {

// A started command: its process group, its output so far. The destructor ends it.
class Process {
 public:
  // number: the caller's. ends_itself: with our death, without a signal from the kernel. Throws Error when it can't be
  // started.
  Process(const Command& command, size_t number, bool ends_itself);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  size_t number() const { return number_; }
  int fd() const { return out_; }  // of its output

  // Reads what is there; on_line (may be empty) gets each whole line. Returns true when the command has ended (its status
  // is then in result).
  bool advance(bool readable, const std::function<void(std::string_view)>& on_line);

  CommandResult result;

 private:
  void stop();
  void give_lines(const std::function<void(std::string_view)>& on_line);

  pid_t pid_ = -1;
  int out_ = -1;
  size_t number_;
  size_t line_start_ = 0;
  bool ended_ = false;
};

// Waits until one of the commands wrote something, a signal arrived, or a little time passed (a command may have
// ended while a grandchild holds its output). Which of them have something to read.
std::vector<bool> wait_for_output(std::span<const std::unique_ptr<Process>> running);

}  // namespace kpatch

// What a program answers to programs (--json): everything else that it prints goes to stderr meanwhile.
#pragma once

#include <string_view>

namespace kpatch {

class Answer {
 public:
  // for_programs: false leaves everything as it is. Throws Error when there is no file descriptor left.
  explicit Answer(bool for_programs);
  Answer(const Answer&) = delete;
  Answer& operator=(const Answer&) = delete;
  ~Answer();

  // To the stdout that the program was started with, with a newline. Throws Error when it can't be written.
  void print(std::string_view text) const;

 private:
  int out_;
};

}  // namespace kpatch

// What a run has to say of a change: findings are collected, so that all of them are reported, sorted, and not only
// the first. A finding of severity `refusal` means that no output is written (exit 2).
#pragma once

#include <cstdint>

#include <string>
#include <string_view>
#include <vector>

namespace kpatch {

enum class Severity : uint8_t { notice, warning, refusal };

struct Finding {
  Severity severity = Severity::refusal;
  std::string rule;     // a name from the patch author guide: "init-code", "no-ftrace", "data-init" …
  std::string where;    // function, object or section
  std::string message;  // one sentence, and what to do
};

class Diagnostics {
 public:
  void add(Severity severity, std::string_view rule, std::string_view where, std::string message) {
    findings_.push_back({severity, std::string{rule}, std::string{where}, std::move(message)});
  }
  void refuse(std::string_view rule, std::string_view where, std::string message) {
    add(Severity::refusal, rule, where, std::move(message));
  }
  bool refused() const;
  // Sorted by severity, where, rule, message; duplicates once.
  std::vector<Finding> sorted() const;

 private:
  std::vector<Finding> findings_;
};

}  // namespace kpatch

// What a run has to say of a change or of what it made: each is a value that names its rule and its place. Findings are
// collected, so that all of them are reported, and not only the first.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kpatch {

enum class Severity : uint8_t {
  notice,   // worth knowing when one looks closer
  warning,  // the build goes on
  refusal,  // the change can't be patched (exit 2)
  error     // the run failed (exit 1)
};

// Each field may be unknown.
struct Location {
  std::string source{};    // the kernel's file, "fs/proc/meminfo.c"
  int line = 0;            // in `source`, from 1; 0: unknown
  std::string function{};  // or variable, or option: what the person calls it
  std::string section{};
  std::optional<uint64_t> offset{};  // in `section`, in bytes

  auto operator<=>(const Location&) const = default;
};

// Names that belong to a message: "held by struct a, struct b, struct c and 4 more".
struct NameList {
  std::string what;  // "held by"
  std::vector<std::string> names;

  auto operator<=>(const NameList&) const = default;
};

struct Finding {
  std::string rule;  // a name from the patch author guide: "init-code", "no-ftrace", "data-init" …
  Severity severity = Severity::refusal;
  Location location{};
  std::string message;   // one sentence about location's subject
  std::string advice{};  // what to do; may be empty
  std::vector<NameList> lists{};

  auto operator<=>(const Finding&) const = default;
};

// The function, else the section.
const std::string& name_of(const Location& location);
// What a finding is about: the function, else the section, with the offset where that is known. A place in code is
// ".text.show+0x1a, in function show", unless the line says it better. May be empty.
std::string subject_of(const Location& location);
// The message with the first names of its lists: "changes its layout (held by struct a, struct b)".
std::string message_of(const Finding& finding);
// "SUBJECT: MESSAGE".
std::string sentence_of(const Finding& finding);
// For a person, without a newline at its end:
//     FILE:LINE: severity: SUBJECT: MESSAGE [RULE]
//     >>> ADVICE
// What is unknown is left out, a refusal is called an error.
std::string text_of(const Finding& finding);

// For programs, see doc/report.schema.json; what is unknown is left out.
nlohmann::json to_json(const Finding& finding);
// The reverse. Throws Error when it is none.
Finding finding_of(const nlohmann::json& json);

// By severity, source, name_of(), rule, message. What is said of one thing at several places is said once, of the first.
std::vector<Finding> sorted(std::vector<Finding> findings);

// Collects what several stages find.
class Diagnostics {
 public:
  void add(Finding finding) { findings_.push_back(std::move(finding)); }
  void refuse(std::string_view rule, Location location, std::string message, std::string advice = {}) {
    add({std::string{rule}, Severity::refusal, std::move(location), std::move(message), std::move(advice)});
  }
  void warn(std::string_view rule, Location location, std::string message, std::string advice = {}) {
    add({std::string{rule}, Severity::warning, std::move(location), std::move(message), std::move(advice)});
  }
  void note(std::string_view rule, Location location, std::string message) {
    add({std::string{rule}, Severity::notice, std::move(location), std::move(message), {}});
  }
  bool refused() const;
  const std::vector<Finding>& all() const { return findings_; }

 private:
  std::vector<Finding> findings_;
};

}  // namespace kpatch

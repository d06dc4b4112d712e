// What a trial says of a livepatch.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "support/finding.h"
#include "try/trial.h"

namespace kpatch {

struct TryVerdict {
  std::string module{}, release{};
  TrialRecord record{};
  std::vector<Finding> findings{};  // errors: the livepatch fails; refusals: the test proves nothing

  bool good() const { return findings.empty(); }
  // 0 as it should be, 2 the livepatch fails, 3 it works as far as can be seen, but the test can't tell.
  int status() const;
};

// expected: the functions that the module says it redirects; release: that it is for.
TryVerdict judge_trial(const TrialInput& input, TrialRecord record, const std::vector<PatchedName>& expected);
// What the module's own tables say. Throws Error when it can't be read, or is no livepatch.
std::vector<PatchedName> expected_functions(const std::filesystem::path& module);
// That it was built for. Throws Error when it says none.
std::string release_of_module(const std::filesystem::path& module);

// Whether a line of the kernel's log is a complaint: a warning with a trace, an oops, a stall, a livepatch that failed.
bool is_complaint(std::string_view line);
// The bits of a taint that a livepatch doesn't bring with it, by the kernel's letters: "W, D".
std::string strange_taint(uint64_t before, uint64_t after);

std::string text_of(const TryVerdict& verdict);
nlohmann::json to_json(const TryVerdict& verdict);

}  // namespace kpatch

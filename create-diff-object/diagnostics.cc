#include "create-diff-object/diagnostics.h"

#include <algorithm>
#include <tuple>

namespace kpatch {

bool Diagnostics::refused() const {
  return std::any_of(findings_.begin(), findings_.end(),
                     [](const Finding& f) { return f.severity == Severity::refusal; });
}

std::vector<Finding> Diagnostics::sorted() const {
  std::vector<Finding> all = findings_;
  auto key = [](const Finding& f) { return std::tie(f.severity, f.where, f.rule, f.message); };
  std::sort(all.begin(), all.end(), [&](const Finding& a, const Finding& b) { return key(a) < key(b); });
  all.erase(std::unique(all.begin(), all.end(), [&](const Finding& a, const Finding& b) { return key(a) == key(b); }),
            all.end());
  return all;
}

}  // namespace kpatch

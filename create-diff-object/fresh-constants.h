// Constants that change, and of which a copy serves.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "create-diff-object/compare.h"

namespace kpatch {

struct FreshConstants {
  // Of which the livepatch may have a copy, by patched id: why they count as changed, where they didn't change themselves.
  std::map<SymbolId, std::string> copied;
  // Static constants that changed, but of which a copy doesn't serve: why. "data points to it", "f() may keep its address"
  std::map<SymbolId, std::string> kept;
};

// Which of the changed constants may be copied. status: of each patched symbol's own bytes and references.
//
//   static const u8 table[] = { 1, 2, 3 };     changed: copied, and its readers with it
//   static const struct file_operations ops    holds functions, may have been handed out: stays refused
//
// A static constant has no identity that matters when it points to strings and constants alone, when nothing but
// replaceable code and other such constants refer to it, and when that code does nothing with its address but read
// there, or hand it to a function of the kernel that is known to do no more (a policy to __nla_parse()). One that points to another
// which is copied may only be handed on so: whoever loads that address has the copy's, and may keep it.
FreshConstants find_fresh_constants(const Pair& pair, const std::vector<Status>& status);

}  // namespace kpatch

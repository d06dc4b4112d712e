// Code outside of the patched objects that would go on as before, or begin to do something else.
#pragma once

#include <filesystem>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "kpatch-build/diff-pairs.h"

namespace kpatch {

struct PatchedSources {
  std::filesystem::path source;  // the kernel's source
  std::filesystem::path view;    // the same with the patch: its folders may be links
  std::string_view arch_folder;  // below arch/
  std::function<std::set<std::string>()>
      built;                         // the .c files that the kernel is made of, relative; asked for if need be
  bool layout_acknowledged = false;  // --ack data-layout
};

// Adds refusals: of a global function that goes where another source has a weak one of its name ("weak"), and of a
// changed prototype of one that assembly calls ("assembly-caller"), or that another file hands out as a pointer
// ("data-layout", a warning where that is acknowledged). Sources are read where a function vanished or changed
// its prototype, else nothing.
void check_left_behind(std::vector<PairReport>& reports, const PatchedSources& sources);

}  // namespace kpatch

// Stand-ins for what a build generates for images of its own. A prepared kernel doesn't have these files, and what is
// compared with the patch and without it is the same with any contents that compile.
#pragma once

#include <span>
#include <string_view>

namespace kpatch {

struct StandIn {
  // As it is included, below one of stand_in_folders: "generated/utsversion.h", "../voffset.h" from "boot/compressed".
  std::string_view path;
  std::string_view text;
};

// Where the compiler looks for them, relative to the folder that holds them.
inline constexpr std::string_view stand_in_folders[] = {".", "boot/compressed"};

// The files, by their paths below the folder that holds them. arch: the folder below arch/ of the kernel's source.
std::span<const StandIn> stand_ins(std::string_view arch);

}  // namespace kpatch

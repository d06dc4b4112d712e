// What a report of a fault needs to know of the machine that runs livepatches.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kpatch/system.h"

namespace kpatch {

// A part of the bundle: what it is, and its text.
using SupportPart = std::pair<std::string, std::string>;

// What the machine's files tell, in an order that is always the same; what isn't there, or may not be read, is left out.
// No part is longer than 64 KiB: of logs the end is kept, of all else the beginning.
std::vector<SupportPart> support_parts(const System& system);

// The kernel's command line, with values of options that concern livepatches and the kernel's safety alone; the other
// values may be secrets, and "..." stands for them.
std::string without_secrets(std::string_view command_line);

// One text of all parts, each behind "==> NAME <==".
std::string support_text(const std::vector<SupportPart>& parts);

}  // namespace kpatch

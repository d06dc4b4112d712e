// Functions of the kernel that read what they are given, and keep no address of it.
#pragma once

#include <string_view>

#include "arch/arch.h"

namespace kpatch {

// What becomes of an address that is handed to the kernel's function of that name as its `argument` (0: the first).
Handling what_becomes_of(std::string_view name, unsigned argument);

}  // namespace kpatch

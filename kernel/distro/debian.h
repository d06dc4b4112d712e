// Debian, and what is made from it.
#pragma once

#include "kernel/distro/distro.h"

namespace kpatch {

extern const Distro debian;

}  // namespace kpatch

// Ubuntu.
#pragma once

#include "kernel/distro/distro.h"

namespace kpatch {

extern const Distro ubuntu;

}  // namespace kpatch

// SUSE and openSUSE.
#pragma once

#include "kernel/distro/distro.h"

namespace kpatch {

extern const Distro suse;

}  // namespace kpatch

// Distributions whose packages are .rpm.
#pragma once

#include "kernel/distro/distro.h"

namespace kpatch {

extern const Distro rpm;

}  // namespace kpatch

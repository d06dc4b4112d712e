// What other programs use of the driver: a kernel by options, the stages, the sandbox.
#pragma once

#include "kpatch-build/delivery.h"
#include "kpatch-build/kernel-session.h"
#include "kpatch-build/options.h"
#include "kpatch-build/sandbox.h"
#include "kpatch-build/stages.h"

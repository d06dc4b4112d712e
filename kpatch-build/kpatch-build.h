// What other programs use of the driver: a base by options, the compiler's command, the shipped files, the sandbox.
#pragma once

#include "kpatch-build/compile-arguments.h"
#include "kpatch-build/delivery.h"
#include "kpatch-build/options.h"
#include "kpatch-build/sandbox.h"
#include "kpatch-build/shipped-binaries.h"
#include "kpatch-build/stages.h"

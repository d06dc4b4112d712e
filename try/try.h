// A livepatch tried in its kernel, in QEMU.
#pragma once

#include "try/control.h"
#include "try/kernel-files.h"
#include "try/trial.h"
#include "try/verdict.h"

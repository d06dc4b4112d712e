// What other programs use of kpatch: modules as files, those that are loaded, and those that are installed.
#pragma once

#include "kpatch/loaded.h"
#include "kpatch/module-file.h"
#include "kpatch/store.h"
#include "kpatch/system.h"

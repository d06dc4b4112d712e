// What is known of shipped binaries: symbols, sympos, exports, struct sizes.
#pragma once

#include "lookup/binary.h"
#include "lookup/export-versions.h"
#include "lookup/functions.h"
#include "lookup/inlined.h"
#include "lookup/kernel-users.h"
#include "lookup/modinfo.h"
#include "lookup/module-folder.h"
#include "lookup/module-names.h"
#include "lookup/symvers.h"

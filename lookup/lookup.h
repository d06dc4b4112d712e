// What is known of shipped binaries: symbols, sympos, exports, struct sizes.
#pragma once

#include "lookup/parent-object.h"
#include "lookup/symvers.h"

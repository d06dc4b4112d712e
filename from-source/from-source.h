// Livepatches from source: what kpatch-build, klpmake and klp-build share.
#pragma once

#include "from-source/bindings.h"
#include "from-source/module.h"
#include "from-source/object-facts.h"
#include "from-source/source.h"
#include "from-source/syms.h"
#include "from-source/workshop.h"

// Making and judging a livepatch module.
#pragma once

#include "klp/audit.h"
#include "klp/content.h"
#include "klp/debug-file.h"
#include "klp/delivery.h"
#include "klp/loader-facts.h"
#include "klp/loader-model.h"
#include "klp/patch-tables.h"
#include "klp/post-link.h"
#include "klp/proof.h"
#include "klp/shipped-code.h"

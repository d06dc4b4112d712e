// SPDX-License-Identifier: GPL-2.0
/*
 * Linked first, before every diff object: where each table begins.
 */
#include <linux/compiler.h>
#include <linux/types.h>

#include "kpatch-tables.h"

#define KPATCH_BOUND KPATCH_DEFINE_BOUND
KPATCH_TABLES(begin);

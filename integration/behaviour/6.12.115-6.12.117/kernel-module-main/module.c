// SPDX-License-Identifier: GPL-2.0-only
#include "behaviour.h"

static int __init probe(void)
{
	return 0;
}
behaviour_module(probe);

// SPDX-License-Identifier: GPL-2.0-only
#include "behaviour.h"
#include <linux/ktime.h>
#include <linux/time_namespace.h>

static int __init probe(void)
{
	ktime_t (*to_host)(clockid_t, ktime_t, struct timens_offsets *) = behaviour_function("do_timens_ktime_to_host");
	struct timens_offsets behind = { .monotonic = { .tv_sec = -1000 } };
	ktime_t near, far;

	if (!to_host)
		return -ENOENT;
	near = to_host(CLOCK_MONOTONIC, 5 * NSEC_PER_SEC, &behind);
	far = to_host(CLOCK_MONOTONIC, KTIME_MAX - NSEC_PER_SEC, &behind);
	return behaviour_verdict(near == 1005 * NSEC_PER_SEC && far == KTIME_MAX, near == 1005 * NSEC_PER_SEC && far < 0, far);
}
behaviour_module(probe);

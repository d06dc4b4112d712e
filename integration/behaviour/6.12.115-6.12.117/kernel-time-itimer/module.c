// SPDX-License-Identifier: GPL-2.0-only
#include "behaviour.h"
#include <linux/posix-timers.h>
#include <linux/sched/cputime.h>
#include <linux/sched/signal.h>

#define PROF 0 /* CPUCLOCK_PROF */

static int __init probe(void)
{
	void (*get)(struct task_struct *, unsigned int, struct itimerspec64 *) = behaviour_function("get_cpu_itimer");
	struct posix_cputimers *timers = &current->signal->posix_cputimers;
	struct task_cputime_atomic *spent = &current->signal->cputimer.cputime_atomic;
	struct cpu_itimer *timer = &current->signal->it[PROF];
	struct itimerspec64 left = {};
	unsigned int active;

	if (!get)
		return -ENOENT;
	/* Nothing is accounted while interrupts are off, so that the time stands still. */
	local_irq_disable();
	active = timers->timers_active;
	timers->timers_active = 1;
	timer->expires = 1000000000;
	atomic64_set(&spent->utime, 400000000);
	atomic64_set(&spent->stime, 600000000);
	get(current, PROF, &left);
	timer->expires = 0;
	timers->timers_active = active;
	local_irq_enable();
	return behaviour_verdict(left.it_value.tv_sec == 0 && left.it_value.tv_nsec == TICK_NSEC,
				 left.it_value.tv_sec == 0 && left.it_value.tv_nsec == 0, left.it_value.tv_nsec);
}
behaviour_module(probe);

// SPDX-License-Identifier: GPL-2.0-only
#include "behaviour.h"

static struct behaviour_watch connects;

/* Read when the program has ended: the first connect() is the one that fills the queue. */
static int say(char *buffer, const struct kernel_param *parameter)
{
	unsigned long calls = connects.calls;

	return sysfs_emit(buffer, calls == 2 ? "fixed\n" : calls > 2 ? "broken\n" : "%lu calls\n", calls);
}
static const struct kernel_param_ops operations = { .get = say };
module_param_cb(seen, &operations, NULL, 0444);

static int __init watch(void)
{
	return behaviour_watch(&connects, "__sys_connect_file");
}

static void __exit unwatch(void)
{
	unregister_kprobe(&connects.probe);
}
module_init(watch);
module_exit(unwatch);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("behaviour of a fix");

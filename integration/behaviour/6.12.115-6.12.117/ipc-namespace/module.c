// SPDX-License-Identifier: GPL-2.0-only
#include "behaviour.h"
#include <linux/cred.h>
#include <linux/err.h>
#include <linux/ipc_namespace.h>
#include <linux/nsproxy.h>
#include <linux/sched.h>

static struct behaviour_watch no_sysctls = { .replace = true, .value = 0 };
static struct behaviour_watch unmount;

static int __init probe(void)
{
	struct ipc_namespace *(*copy)(unsigned long, struct user_namespace *, struct ipc_namespace *) =
		behaviour_function("copy_ipcs");
	struct ipc_namespace *made;

	if (!copy || behaviour_watch(&no_sysctls, "setup_mq_sysctls"))
		return -ENOENT;
	if (behaviour_watch(&unmount, "kern_unmount")) {
		unregister_kprobe(&no_sysctls.probe);
		return -ENOENT;
	}
	made = copy(CLONE_NEWIPC, current_user_ns(), current->nsproxy->ipc_ns);
	unregister_kprobe(&unmount.probe);
	unregister_kprobe(&no_sysctls.probe);
	return behaviour_verdict(made == ERR_PTR(-ENOMEM) && no_sysctls.calls == 1 && unmount.calls == 1,
				 made == ERR_PTR(-ENOMEM) && no_sysctls.calls == 1 && unmount.calls == 0, PTR_ERR(made));
}
behaviour_module(probe);

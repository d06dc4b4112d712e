// SPDX-License-Identifier: GPL-2.0-only
#include "behaviour.h"
#include <linux/slab.h>
#include "drivers/net/wwan/iosm/iosm_ipc_imem.h"
#include "drivers/net/wwan/iosm/iosm_ipc_protocol.h"

static int __init probe(void)
{
	void *(*free_message)(struct iosm_protocol *, int *) = behaviour_function("iosm:ipc_protocol_free_msg_get");
	struct iosm_protocol *protocol = kzalloc(sizeof(*protocol), GFP_KERNEL);
	/* With room for one place more than the ring has. */
	struct ipc_protocol_ap_shm *shared = kzalloc(sizeof(*shared) + sizeof(union ipc_mem_msg_entry), GFP_KERNEL);
	int error = -ENOENT, index = -1;
	void *inside, *beyond;

	if (free_message && protocol && shared) {
		protocol->p_ap_shm = shared;
		shared->msg_tail = cpu_to_le32(5);
		shared->msg_head = cpu_to_le32(IPC_MEM_MSG_ENTRIES - 1);
		inside = free_message(protocol, &index);
		shared->msg_head = cpu_to_le32(IPC_MEM_MSG_ENTRIES);
		beyond = free_message(protocol, &index);
		error = behaviour_verdict(inside == &shared->msg_ring[IPC_MEM_MSG_ENTRIES - 1] && !beyond,
					  inside && beyond == shared->msg_ring + IPC_MEM_MSG_ENTRIES, index);
	}
	kfree(shared);
	kfree(protocol);
	return error;
}
behaviour_module(probe);

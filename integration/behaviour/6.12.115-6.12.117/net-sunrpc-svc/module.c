// SPDX-License-Identifier: GPL-2.0-only
#include "behaviour.h"
#include <linux/sunrpc/svc.h>
#include <net/net_namespace.h>

static int refuse(struct net *net, const struct svc_program *program, u32 version, int family,
		  unsigned short protocol, unsigned short port)
{
	return -EADDRINUSE;
}

static int accept(struct net *net, const struct svc_program *program, u32 version, int family,
		  unsigned short protocol, unsigned short port)
{
	return 0;
}

static struct svc_program programs[] = {
	{ .pg_name = "refused", .pg_nvers = 1, .pg_rpcbind_set = refuse },
	{ .pg_name = "accepted", .pg_nvers = 1, .pg_rpcbind_set = accept },
};
static struct svc_serv server = { .sv_programs = programs, .sv_nprogs = ARRAY_SIZE(programs) };

static int __init probe(void)
{
	int (*reg)(const struct svc_serv *, struct net *, int, unsigned short, unsigned short) =
		behaviour_function("sunrpc:svc_register");
	int error;

	if (!reg)
		return -ENOENT;
	error = reg(&server, &init_net, AF_INET, IPPROTO_TCP, 2049);
	return behaviour_verdict(error == -EADDRINUSE, error == 0, error);
}
behaviour_module(probe);

// SPDX-License-Identifier: GPL-2.0-only
#include "behaviour.h"
#include <linux/ceph/osdmap.h>
#include <linux/crush/crush.h>
#include <linux/err.h>
#include <linux/unaligned.h>

static u8 map[400];
static size_t length;

static void put(unsigned int bytes, u64 value)
{
	for (; bytes > 0; bytes--, value >>= 8)
		map[length++] = value;
}

/* One bucket of two items, and as many weights for it as said. */
static void make_map(unsigned int weights)
{
	unsigned int i;

	length = 0;
	put(4, CRUSH_MAGIC);
	put(4, 1); /* max_buckets */
	put(4, 0); /* max_rules */
	put(4, 2); /* max_devices */

	put(4, CRUSH_BUCKET_UNIFORM);
	put(4, -1);
	put(2, 1); /* type */
	put(1, CRUSH_BUCKET_UNIFORM);
	put(1, 0); /* hash */
	put(4, 0x20000); /* weight */
	put(4, 2); /* size */
	put(4, 0);
	put(4, 1);
	/* Of a uniform bucket: the weight of any item. What is read there is one, what must be there one more an item. */
	put(4, 0x10000);

	for (i = 0; i < 3; i++)
		put(4, 0); /* type names, names, rule names */
	for (i = 0; i < 4; i++)
		put(4, 0); /* tunables */
	put(1, 0); /* chooseleaf_vary_r */
	put(1, 0);
	put(4, 0);
	put(1, 0); /* chooseleaf_stable */
	for (i = 0; i < 3; i++)
		put(4, 0); /* classes */

	put(4, 1); /* choose_args maps */
	put(8, 0);
	put(4, 1); /* buckets */
	put(4, 0); /* this one */
	put(4, 1); /* sets of weights */
	put(4, weights);
	for (i = 0; i < weights; i++)
		put(4, 0x10000);
	put(4, 0); /* ids */
}

static int __init probe(void)
{
	struct crush_map *(*decode)(void *, void *) = behaviour_function("libceph:crush_decode");
	void (*destroy)(struct crush_map *) = behaviour_function("libceph:crush_destroy");
	struct crush_map *right, *wrong;

	if (!decode || !destroy)
		return -ENOENT;
	make_map(2);
	right = decode(map, map + length);
	make_map(1);
	wrong = decode(map, map + length);
	if (!IS_ERR(right))
		destroy(right);
	if (!IS_ERR(wrong))
		destroy(wrong);
	return behaviour_verdict(!IS_ERR(right) && wrong == ERR_PTR(-EINVAL), !IS_ERR(right) && !IS_ERR(wrong),
				 IS_ERR(right) ? PTR_ERR(right) : 0);
}
behaviour_module(probe);
